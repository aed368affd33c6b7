"""Checks of what an index is given beside items and queries."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops.arguments import as_float32

__all__ = ["as_boost", "as_rows"]


def as_boost(boost: Any, n: int, metric: str, op: str) -> np.ndarray:
    """Finite float32 boosts, shape (n,), of an index whose metric takes them."""
    if metric == "euclidean":
        raise ValueError(f"[{op}] expected a boost with dot, cosine or pearson, got it with euclidean")
    values = as_float32(boost, "boost", op)
    if values.ndim == 0:
        values = np.full(n, values)
    if values.shape != (n,):
        raise ValueError(f"[{op}] expected a boost of shape ({n},), got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"[{op}] expected finite boosts, got {values[np.argmin(np.isfinite(values))]}")
    return values


def as_rows(rows: Any, n_rows: int, op: str, *, distinct: bool = False) -> np.ndarray:
    """Public rows of an index as int64 in one dimension, each once where asked."""
    wanted = np.atleast_1d(np.asarray(rows))
    if wanted.size == 0:
        return np.empty(0, np.int64)
    if wanted.ndim != 1 or wanted.dtype.kind not in "iu":
        raise TypeError(f"[{op}] expected rows as integers in one dimension, got {wanted.dtype}")
    if wanted.min() < 0 or wanted.max() >= n_rows:
        raise ValueError(f"[{op}] expected rows in 0..{n_rows - 1}")
    wanted = wanted.astype(np.int64)
    if distinct and len(np.unique(wanted)) != len(wanted):
        raise ValueError(f"[{op}] expected each row once")
    return wanted

"""Checks of what an index is given beside items, rows and queries."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops.arguments import as_float32

__all__ = ["as_boost"]


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

"""Op `als` on the host: the native module's, or where there is none the reference's."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import config
from .._native import cpu as native
from . import reference_als
from .factor_ops import AlsRates
from .sparse_rows import SparseRows

__all__ = ["als", "als_shared", "native_als"]


def als_shared(factors: np.ndarray, unobserved_weight: float) -> Any:
    """As `Backend.als_shared`, for backends whose devices have no kernel for it."""
    if native is None:
        return reference_als.als_shared(factors, unobserved_weight)
    return native.AlsShared(factors, unobserved_weight, "", config.n_threads())


def als(
    shared: Any,
    weights: SparseRows,
    pulls: np.ndarray,
    l2: np.ndarray,
    start: np.ndarray | None,
    rates: AlsRates,
    many: bool,
    out: np.ndarray,
) -> float:
    """As `Backend.als`, for backends whose devices have no kernel for it."""
    if native is None:
        return reference_als.als(shared, weights, pulls, l2, start, rates, many, out)
    return native_als(shared, weights, pulls, l2, start, rates, many, out, config.n_threads())


def native_als(
    shared: Any,
    weights: SparseRows,
    pulls: np.ndarray,
    l2: np.ndarray,
    start: np.ndarray | None,
    rates: AlsRates,
    many: bool,
    out: np.ndarray,
    n_threads: int,
) -> float:
    """As `Backend.als`, on a number of threads."""
    matrix = weights.indptr, weights.columns, weights.values, pulls
    how = rates.solver, rates.steps, rates.block_size
    return shared.solve(*matrix, l2, start, *how, many, out, n_threads)

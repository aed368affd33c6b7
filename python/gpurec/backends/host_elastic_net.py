"""Op `elastic_net` on the host: the native module's, or where there is none the reference's."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import config
from .._native import cpu as native
from . import reference_elastic_net
from .base import SparseRows

__all__ = ["elastic_net", "native_elastic_net"]


def elastic_net(
    columns: SparseRows, targets: np.ndarray, candidates: SparseRows, **rates: Any
) -> tuple[np.ndarray, np.ndarray]:
    """As `Backend.elastic_net`, for backends whose devices have no kernel for it."""
    if native is None:
        return reference_elastic_net.elastic_net(columns, targets, candidates, **rates)
    return native_elastic_net(columns, targets, candidates, config.n_threads(), **rates)


def native_elastic_net(
    columns: SparseRows, targets: np.ndarray, candidates: SparseRows, n_threads: int, **rates: Any
) -> tuple[np.ndarray, np.ndarray]:
    """As `Backend.elastic_net`, on a number of threads."""
    weights = np.empty(len(candidates.columns), np.float32)
    n_sweeps = np.empty(len(targets), np.int32)
    matrix = columns.indptr, columns.columns, columns.values, columns.n_columns
    chosen = targets, candidates.indptr, candidates.columns
    native.elastic_net(*matrix, *chosen, **rates, weights=weights, n_sweeps=n_sweeps, n_threads=n_threads)
    return weights, n_sweeps

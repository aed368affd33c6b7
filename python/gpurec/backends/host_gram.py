"""Op `gram_top_k` on the host: the native module's, or where there is none the reference's."""

from __future__ import annotations

import numpy as np

from .. import config
from .._native import cpu as native
from . import reference_gram
from .base import Filters, SparseRows
from .gram_score import GramScore

__all__ = ["gram_top_k", "native_gram_top_k"]


# When sums of codes are used ("never", "always", or where they should pay) and rows to a tile of them.
_CODES, _TILE_ROWS = "auto", 1 << 16


def gram_top_k(
    x: SparseRows, k: int, how: GramScore, rows: np.ndarray, include_self: bool, filters: Filters
) -> tuple[np.ndarray, np.ndarray]:
    """As `Backend.gram_top_k`, for backends whose devices have no kernel for it."""
    if native is None:
        return reference_gram.gram_top_k(x, k, how, rows, include_self, filters)
    return native_gram_top_k(
        x, k, how, rows, include_self, filters, native.chosen_isa(""), config.n_threads()
    )


def native_gram_top_k(
    x: SparseRows,
    k: int,
    how: GramScore,
    rows: np.ndarray,
    include_self: bool,
    filters: Filters,
    isa: str,
    n_threads: int,
) -> tuple[np.ndarray, np.ndarray]:
    """As `Backend.gram_top_k`, on an ISA and a number of threads."""
    matrix = native.GramRows(x.indptr, x.columns, x.values, x.n_columns)
    scoring = (how.form, how.left, how.right, how.alpha, how.beta, how.shrinkage, how.min_overlap)
    best, scores, _ = matrix.top_k(
        *scoring, rows, k, include_self, *filters.permits, _CODES, _TILE_ROWS, isa, n_threads
    )
    return best, scores

"""Op `gibbs` on the host: the native module's, or where there is none the reference's."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import config
from .._native import cpu as native
from .gibbs_side import GibbsSide
from .reference_gibbs import gibbs_half_sweep as of_reference
from .sparse_rows import SparseRows

__all__ = ["gibbs_half_sweep", "native_gibbs_half_sweep"]


def gibbs_half_sweep(ratings: SparseRows, others: GibbsSide, side: GibbsSide, **draw: Any) -> np.ndarray:
    """As `Backend.gibbs_half_sweep`, for backends whose devices have no kernel for it."""
    if native is None:
        return of_reference(ratings, others, side, **draw)
    return native_gibbs_half_sweep(ratings, others, side, "", config.n_threads(), **draw)


def native_gibbs_half_sweep(
    ratings: SparseRows, others: GibbsSide, side: GibbsSide, isa: str, n_threads: int, **draw: Any
) -> np.ndarray:
    """As `Backend.gibbs_half_sweep`, by an instruction set on a number of threads."""
    of_features = side.features
    return native.gibbs_half_sweep(
        ratings.indptr,
        ratings.columns,
        ratings.values,
        others.vectors,
        others.precisions,
        side.own,
        side.vectors,
        side.means,
        side.precisions,
        side.owners,
        of_features.n_columns,
        of_features.indptr,
        of_features.columns,
        of_features.values,
        side.weights,
        side.groups,
        side.prior_means,
        side.prior_precisions,
        isa=isa,
        n_threads=n_threads,
        **draw,
    )

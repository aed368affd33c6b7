"""One side of a Bayesian factorisation, in the one form that backends take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .sparse_rows import SparseRows

__all__ = ["GibbsSide"]


@dataclass(frozen=True)
class GibbsSide:
    """The users' or the items' half of a factorisation; `gibbs_half_sweep` draws four of its tables anew.

    Column 0 of every table is a bias, the others are factors: width columns in all.

    Attributes
    ----------
    own : float64 array, shape (n_rows, width)
        Each row's own part.
    vectors : float64 array, shape (n_rows, width)
        `own` plus the weights of the features of each row's owner, times their values.
    means : float64 array, shape (n_rows, width)
        Written only: as `vectors`, with the mean of what `own` was drawn from in place of the draw.
    precisions : float64 array, shape (n_rows,)
        The noise of a rating has the precision of its row times that of the other side's row.
    features : SparseRows, shape (n_features, n_owners)
        Which owners have a feature, and its value there.
    weights : float64 array, shape (n_features, width)
    groups : int32 array, shape (n_features,)
        The prior of each feature's weights: 1 or more.
    prior_means, prior_precisions : float64 arrays, shape (n_groups, width)
        Of normal priors; group 0 is that of `own`.
    owners : int32 array, shape (n_rows,), or None
        Whose features each row has, where several rows share them. None: each row is its own owner.

    Examples
    --------
    >>> GibbsSide.of(3, 2).vectors.shape
    (3, 2)
    """

    own: np.ndarray
    vectors: np.ndarray
    means: np.ndarray
    precisions: np.ndarray
    features: SparseRows
    weights: np.ndarray
    groups: np.ndarray
    prior_means: np.ndarray
    prior_precisions: np.ndarray
    owners: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        n_rows: int,
        width: int,
        features: SparseRows | None = None,
        groups: np.ndarray | None = None,
        owners: np.ndarray | None = None,
    ) -> GibbsSide:
        """Tables of zeros; priors of mean 0 and all precisions 1."""
        if features is None:
            nothing = np.zeros(0, np.int32)
            features = SparseRows(np.zeros(1, np.int64), nothing, nothing.astype(np.float32), n_rows)
            owners = None
        n_features = len(features.indptr) - 1
        if groups is None:
            groups = np.ones(n_features, np.int32)
        n_groups = 1 + int(groups.max(initial=0))
        return cls(
            np.zeros((n_rows, width)),
            np.zeros((n_rows, width)),
            np.zeros((n_rows, width)),
            np.ones(n_rows),
            features,
            np.zeros((n_features, width)),
            groups,
            np.zeros((n_groups, width)),
            np.ones((n_groups, width)),
            owners,
        )

"""Random walks of three steps on the graph of users and items: P3alpha and RP3beta."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...ops import top_k
from ...progress import Progress, reporter
from ..recommender import real_setting, whole_setting
from .sparse_weights import SparseItemWeights

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["P3alpha", "RP3beta"]

# Of rows of the matrix of weights that are made at a time, before each is cut to its neighbours.
_BLOCK_BYTES = 64 << 20


class _Walks(SparseItemWeights):
    """Weights of walks; a subclass names the powers that they are taken to."""

    def __init__(self, *, n_neighbours: int, **powers: float) -> None:
        super().__init__(
            n_neighbours=whole_setting(self.name, "n_neighbours", n_neighbours, 1),
            **{name: real_setting(self.name, name, power, 0, 10) for name, power in powers.items()},
        )

    def _learn_weights(self, progress: Progress) -> csr_array:
        from scipy.sparse import csr_array, diags_array

        training, alpha, beta = self.training, self.settings["alpha"], self.settings.get("beta", 0.0)
        seen = csr_array(training.user_items, copy=True)
        seen.data = np.ones(len(seen.data))
        of_users, of_items = (np.maximum(n, 1.0) for n in (training.user_counts, training.item_counts))
        to_users = csr_array(diags_array(of_items**-alpha) @ seen.T)
        to_items = csr_array(diags_array(of_users**-alpha) @ seen @ diags_array(of_items**-beta))
        n_items = training.n_items
        k = min(self.settings["n_neighbours"], n_items)
        size = max(1, _BLOCK_BYTES // (4 * n_items))
        rows, values = np.empty((n_items, k), np.int64), np.empty((n_items, k), np.float32)
        with reporter(progress, f"fitting {self.name}", n_items) as report:
            for first in range(0, n_items, size):
                end = min(first + size, n_items)
                walked = (to_users[first:end] @ to_items).toarray().astype(np.float32)
                walked[walked == 0] = -np.inf
                walked[np.arange(end - first), np.arange(first, end)] = -np.inf
                rows[first:end], values[first:end] = top_k(walked, k)
                report(end, n_items)
        there = rows >= 0
        indptr = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
        weights = csr_array((values[there], rows[there], indptr), shape=(n_items, n_items))
        weights.sort_indices()
        return weights


class RP3beta(_Walks):
    """Walks from an item over a user to another item, less to popular ones.

    Parameters
    ----------
    n_neighbours : int
        Weights kept for each item: the largest, of equal ones those of smaller rows.
    alpha : float
        Power of each step's probability; 1 is a plain walk.
    beta : float
        The weight is divided by the number of the other item's users to this power.

    Notes
    -----
    Every interaction counts as one, whatever its weight: weights[j, i] = sum over users u of both of
    (n_j n_u)^-alpha / n_i^beta with n the number of a user's items or an item's users. The step from the user
    to their items is equally likely for all of them, which changes no order. Sums in float64.

    Source: Paudel, Christoffel, Newell and Bernstein 2017, "Updatable, accurate, diverse, and scalable
    recommendations for interactive applications", ACM TiiS 7 (1).

    Examples
    --------
    >>> from gpurec import Interactions
    >>> plays = Interactions.from_arrays([1, 1, 2, 2, 3], ["a", "b", "a", "b", "a"])
    >>> RP3beta().fit(plays).recommend([3], k=1).to_dicts()[0]["item_id"]
    'b'
    """

    name: ClassVar[str] = "rp3beta"

    def __init__(self, *, n_neighbours: int = 130, alpha: float = 0.57, beta: float = 0.3) -> None:
        super().__init__(n_neighbours=n_neighbours, alpha=alpha, beta=beta)


class P3alpha(_Walks):
    """Walks from an item over a user to another item.

    Parameters
    ----------
    n_neighbours, alpha
        As of `RP3beta`, with beta = 0.

    Source: Cooper, Lee, Radzik and Siantos 2014, "Random walks in recommender systems: exact computation and
    simulations", WWW.

    Examples
    --------
    >>> from gpurec import Interactions
    >>> plays = Interactions.from_arrays([1, 1, 2, 2, 3], ["a", "b", "a", "b", "a"])
    >>> P3alpha().fit(plays).recommend([3], k=1).to_dicts()[0]["item_id"]
    'b'
    """

    name: ClassVar[str] = "p3alpha"

    def __init__(self, *, n_neighbours: int = 100, alpha: float = 1.0) -> None:
        super().__init__(n_neighbours=n_neighbours, alpha=alpha)

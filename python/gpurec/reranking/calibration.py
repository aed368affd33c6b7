"""Lists that keep the proportions of what a user has had."""

from __future__ import annotations

import numpy as np

from ..models.recommender import real_setting, whole_setting
from .candidates import Candidates, Context
from .item_values import Categories
from .pools import Pool
from .rule import Rule

__all__ = ["Calibrated"]

# So much of the wanted distribution is mixed into a list's own: an absent category costs a finite amount.
_SMOOTHING = 0.01
_BLOCK_BYTES = 64 << 20


class Calibrated(Rule):
    """Order a pool of candidates so that categories come in the proportions of the user's past items.

    Parameters
    ----------
    weight : float
        lambda, in [0, 1]: 0 leaves the order as it is, 1 looks at proportions alone.
    categories : Categories
        An item of several counts for each of them in equal parts.
    n_candidates : int
        Size of the pool: so many of the best candidates are considered.

    Notes
    -----
    The next item is the one with the largest (1 - lambda) * (sum of relevances of the list) - lambda *
    KL(p || 0.99 q + 0.01 p), equal ones by their place before: p is the distribution of categories over the
    user's past items, each counting by its weight where that is above 0, q the one over the list. Relevance
    is the score, brought to 0..1 over the user's pool. A user without past items in a category gets the list
    as it came. Exact for the pool, which is the same however the search went; scores stay as they came, so
    they no longer fall along the list. k is at most `n_candidates`. Logarithms come from NumPy, whose
    last bits may differ between processors.

    Source: Steck 2018, "Calibrated recommendations", RecSys, equations 3, 5 and 7.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from gpurec.reranking import Pipeline
    >>> from gpurec import IdMap, TopK
    >>> genres = Categories(IdMap(list("abcd")), {"a": "sf", "b": "sf", "c": "crime", "d": "crime"})
    >>> found = TopK(np.array([[0, 1, 2]]), np.float32([[3, 2, 1]]))
    >>> past = csr_array(np.float32([[0, 0, 0, 1]]))
    >>> Pipeline([Calibrated(0.9, genres)]).rerank(found, k=1, user_rows=[0], user_items=past).rows.tolist()
    [[2]]
    """

    def __init__(self, weight: float, categories: Categories, *, n_candidates: int = 100) -> None:
        self.weight = real_setting("calibrated", "weight", weight, 0, 1)
        self.n_candidates = whole_setting("calibrated", "n_candidates", n_candidates, 1)
        self._shares = categories.shares()

    @property
    def n_items(self) -> int:
        return len(self._shares)

    @property
    def most(self) -> int:
        return self.n_candidates

    def wanted(self, k: int) -> int:
        return self.n_candidates

    def apply(self, candidates: Candidates, k: int, context: Context) -> Candidates:
        pool = Pool(candidates, self.n_candidates)
        past = self._past(context)
        size = max(1, _BLOCK_BYTES // (8 * pool.rows.shape[1] * max(self._shares.shape[1], 1) + 1))
        n_picks = min(k, pool.rows.shape[1])
        picks = np.empty((len(pool.rows), n_picks), np.int64)
        for first in range(0, len(picks), size):
            block = slice(first, first + size)
            picks[block] = self._picked(pool.rows[block], pool.relevance[block], past[block], n_picks)
        return pool.taken(picks)

    def _past(self, context: Context) -> np.ndarray:
        """Distribution of each user's past items, float64 (n_users, n_categories); zeros if there is none."""
        past = np.zeros((len(context.user_rows), self._shares.shape[1]))
        if context.user_items is None:
            return past
        known = np.flatnonzero(context.user_rows >= 0)
        own = context.user_items[context.user_rows[known]].astype(np.float64)
        own.data = np.maximum(own.data, 0)
        past[known] = own @ self._shares
        sums = past.sum(axis=1, keepdims=True)
        return past / np.where(sums > 0, sums, 1)

    def _picked(self, rows: np.ndarray, relevance: np.ndarray, past: np.ndarray, n_picks: int) -> np.ndarray:
        users = np.arange(len(rows))
        picks = np.empty((len(rows), n_picks), np.int64)
        shares = self._shares[rows]
        listed = np.zeros_like(past)
        left = rows >= 0
        gains = (1 - self.weight) * relevance
        calibrated = self.weight * past.any(axis=1, keepdims=True)
        for place in range(n_picks):
            values = gains - calibrated * _divergence(past, listed[:, np.newaxis] + shares)
            picks[:, place] = np.where(left, values, -np.inf).argmax(axis=1)
            listed += shares[users, picks[:, place]]
            left[users, picks[:, place]] = False
        return picks


def _divergence(past: np.ndarray, listed: np.ndarray) -> np.ndarray:
    """KL of the past from lists' shares, (n_users, n_lists), of `past` (n_users, c), `listed` (.., c)."""
    sums = listed.sum(axis=2, keepdims=True)
    own = listed / np.where(sums > 0, sums, 1)
    wanted = past[:, np.newaxis]
    mixed = (1 - _SMOOTHING) * own + _SMOOTHING * wanted
    ratio = np.divide(wanted, mixed, out=np.ones_like(mixed), where=wanted > 0)
    return (wanted * np.log(ratio)).sum(axis=2)

"""At most so many items of a category."""

from __future__ import annotations

import numpy as np

from ..models.recommender import whole_setting
from .candidates import Candidates, Context
from .item_values import Categories
from .rule import Rule

__all__ = ["AtMost"]

_COUNT_BYTES = 64 << 20


class AtMost(Rule):
    """Take items in their order, but never more than `m` of a category.

    Parameters
    ----------
    m : int
    categories : Categories
        An item of several is left out as soon as one of them is full; items of none are never left out.

    Notes
    -----
    Exact: the search goes deeper until the list is filled or no item is left. Scores stay as they came.

    Examples
    --------
    >>> from gpurec.reranking import Pipeline
    >>> from gpurec import IdMap, TopK
    >>> genres = Categories(IdMap(["a", "b", "c"]), {"a": "sf", "b": "sf", "c": "crime"})
    >>> found = TopK(np.array([[0, 1, 2]]), np.float32([[3, 2, 1]]))
    >>> Pipeline([AtMost(1, genres)]).rerank(found, k=2).rows.tolist()
    [[0, 2]]
    """

    def __init__(self, m: int, categories: Categories) -> None:
        self.m = whole_setting("at_most", "m", m, 1)
        self.categories = categories

    @property
    def n_items(self) -> int:
        return len(self.categories.places)

    def wanted(self, k: int) -> int:
        return 2 * k

    def apply(self, candidates: Candidates, k: int, context: Context) -> Candidates:
        candidates = candidates.settled()
        kept = np.zeros(candidates.rows.shape, dtype=bool)
        size = max(1, _COUNT_BYTES // (8 * (len(self.categories) + 1)))
        for first in range(0, len(kept), size):
            self._mark(candidates.rows[first : first + size], kept[first : first + size])
        return candidates.keep(kept)

    def _mark(self, rows: np.ndarray, kept: np.ndarray) -> None:
        # The last column counts nothing: -1, which fills up the categories of an item, points there.
        counts = np.zeros((len(rows), len(self.categories) + 1), np.int64)
        users = np.arange(len(rows))[:, np.newaxis]
        for place in range(rows.shape[1]):
            own = self.categories.places[rows[:, place]]
            full = ((counts[users, own] >= self.m) & (own >= 0)).any(axis=1)
            kept[:, place] = (rows[:, place] >= 0) & ~full
            counts[users, own] += kept[:, place, np.newaxis]

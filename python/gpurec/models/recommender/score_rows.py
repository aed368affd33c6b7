"""Models that score all items of a user at once: the best of each row of scores are the answer."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from ...backends import Filters, RowSets, SparseRows, strict_floats
from ...ops import top_k
from ...ops.arguments import check_result_size
from ...ops.filters import as_filters, filters_of
from ...types import TopK
from .base import Recommender
from .explanation import Reasons

__all__ = ["HistoryModel", "ScoreRowModel", "hide"]

# Of scores that are there at a time; what a model needs beside them is about as much.
_BLOCK_BYTES = 64 << 20


class ScoreRowModel(Recommender):
    """A model that gives whole rows of scores; it says what they are.

    A row depends on its user alone, bit for bit, whoever else is asked about.
    """

    @abstractmethod
    def _score_rows(self, user_rows: np.ndarray) -> np.ndarray:
        """Scores of all items for some users, a new float32 array (n, n_items).

        -inf where nothing speaks for an item: it is not recommended, and `predict` says 0.
        """

    def _query_bytes(self, k: int) -> int:
        return 8 * self.training.n_items + 12 * k

    def _users_at_once(self) -> int:
        return max(1, _BLOCK_BYTES // (4 * self.training.n_items))

    @strict_floats()
    def _search(self, user_rows: np.ndarray, k: int, exclude_seen: bool, filters: dict[str, Any]) -> TopK:
        n = len(user_rows)
        check_result_size(n, k, "recommend_rows")
        checked = as_filters(n, self.training.n_items, op="recommend_rows", **filters)
        rows, best = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
        size = self._users_at_once()
        for first in range(0, n, size):
            users = slice(first, min(first + size, n))
            scores = self._score_rows(user_rows[users])
            if exclude_seen:
                _hide_sets(scores, RowSets(*self.training.seen(user_rows[users])))
            hide(scores, filters_of(checked, users))
            rows[users], best[users] = top_k(scores, k)
        return TopK(rows, best)

    @strict_floats()
    def _score_pairs(self, user_rows: np.ndarray, item_rows: np.ndarray) -> np.ndarray:
        found = np.zeros(len(user_rows), np.float32)
        pairs = np.flatnonzero((user_rows >= 0) & (item_rows >= 0))
        users, row_of = np.unique(user_rows[pairs], return_inverse=True)
        size = self._users_at_once()
        for first in range(0, len(users), size):
            scores = self._score_rows(users[first : first + size])
            here = (row_of >= first) & (row_of < first + size)
            found[pairs[here]] = scores[row_of[here] - first, item_rows[pairs[here]]]
        found[np.isneginf(found)] = 0
        return found


class HistoryModel(ScoreRowModel):
    """A model whose scores are linear in a user's items: what each of them adds can be told."""

    @abstractmethod
    def _score_histories(self, histories: SparseRows) -> np.ndarray:
        """As `_score_rows`, for users given by their items; linear in them but for rounding."""

    def _histories(self, user_rows: np.ndarray) -> SparseRows:
        """The items of users, each counting as one, (n, n_items)."""
        indptr, items = self.training.seen(user_rows)
        ones = np.ones(len(items), np.float32)
        return SparseRows(indptr, items.astype(np.int32), ones, self.training.n_items)

    def _score_rows(self, user_rows: np.ndarray) -> np.ndarray:
        return self._score_histories(self._histories(user_rows))

    def _reasons(self, user_row: int, item_rows: np.ndarray) -> list[Reasons]:
        history = self._histories(np.array([user_row]))
        n, size = len(history.columns), self._users_at_once()
        added = np.zeros((len(item_rows), n))
        for first in range(0, n, size):
            end = min(first + size, n)
            alone = SparseRows(
                np.arange(end - first + 1),
                history.columns[first:end],
                history.values[first:end],
                history.n_columns,
            )
            added[:, first:end] = self._score_histories(alone)[:, item_rows].T
        added[np.isneginf(added)] = 0
        return [Reasons("item", history.columns, added)]


def hide(scores: np.ndarray, filters: Filters) -> None:
    """Put -inf in place of what is not permitted."""
    if filters.mask is not None:
        scores[:, ~filters.mask] = -np.inf
    if filters.allow is not None:
        for query, row in enumerate(scores):
            allowed = filters.allow.of(query)
            kept = row[allowed]
            row[:] = -np.inf
            row[allowed] = kept
    for sets in filters.deny:
        _hide_sets(scores, sets)


def _hide_sets(scores: np.ndarray, sets: RowSets) -> None:
    for query, row in enumerate(scores):
        row[sets.of(query)] = -np.inf

"""Models that score by dot products, biases being coordinates: answers come from an index."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from ...backends import strict_floats
from ...index import ItemIndex
from ...index.blocks import query_bytes
from ...ops import score_pairs
from ...ops.arguments import check_result_size
from ...types import TopK
from .base import Recommender
from .queries import Slices, as_pair, join_pairs, pair_of_queries

__all__ = ["VectorModel", "with_columns"]

# More users than this are answered block by block, so that not all their vectors and seen items are gathered.
_USERS_AT_ONCE = 4096
# Pairs are scored in pieces of this many, to bound the memory of their gathered vectors.
_PAIRS_AT_ONCE = 1 << 17


class VectorModel(Recommender):
    """A model whose scores are canonical dot products; it says what the vectors are."""

    # What is made of models may be of vectors or not, and says so here.
    _by_vectors = True

    @abstractmethod
    def _user_vectors(self, user_rows: np.ndarray) -> np.ndarray:
        """Vectors of users, float32 (n, d); row -1 is a user of whom nothing is known."""

    @abstractmethod
    def _item_vectors(self, item_rows: np.ndarray) -> np.ndarray:
        """Vectors of items, float32 (n, d); row -1 is an item of which nothing is known."""

    def _item_index(self) -> ItemIndex:
        return self._index("items", lambda: self._item_vectors(np.arange(self.training.n_items)))

    def _query_bytes(self, k: int) -> int:
        index = self._item_index()
        return query_bytes(k, index.d, index.n_items, with_ids=True)

    def _search(self, user_rows: np.ndarray, k: int, exclude_seen: bool, filters: dict[str, Any]) -> TopK:
        n = len(user_rows)
        exclude, shared = filters["exclude"], {name: filters[name] for name in ("allow", "deny")}
        given = None if exclude is None or not exclude_seen else as_pair(exclude, n)

        def left_out(users: slice) -> tuple[np.ndarray, np.ndarray]:
            seen = self.training.seen(user_rows[users])
            return seen if given is None else join_pairs(seen, pair_of_queries(given, users))

        index = self._item_index()
        if n <= _USERS_AT_ONCE:
            exclude = left_out(slice(0, n)) if exclude_seen else exclude
            return index.search(self._user_vectors(user_rows), k, exclude=exclude, **shared)
        check_result_size(n, k, "recommend_rows")
        rows, scores = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
        blocks = index.search_all(
            Slices(n, lambda users: self._user_vectors(user_rows[users])),
            k,
            exclude=Slices(n, left_out) if exclude_seen else exclude,
            **shared,
        )
        for first, found in blocks:
            rows[first : first + len(found)], scores[first : first + len(found)] = found
        return TopK(rows, scores, index.version)

    @strict_floats()
    def _score_pairs(self, user_rows: np.ndarray, item_rows: np.ndarray) -> np.ndarray:
        scores = np.empty(len(user_rows), dtype=np.float32)
        for start in range(0, len(scores), _PAIRS_AT_ONCE):
            piece = slice(start, start + _PAIRS_AT_ONCE)
            scores[piece] = score_pairs(
                self._user_vectors(user_rows[piece]), self._item_vectors(item_rows[piece])
            )
        return scores


def with_columns(factors: np.ndarray, rows: np.ndarray, *more: np.ndarray) -> np.ndarray:
    """Factors of rows, zero for row -1, and more columns beside them; each value rounded once to float32."""
    n_factors = factors.shape[1]
    vectors = np.empty((len(rows), n_factors + len(more)), dtype=np.float32)
    vectors[:, :n_factors] = factors[rows]
    vectors[rows < 0, :n_factors] = 0
    for column, values in enumerate(more, start=n_factors):
        vectors[:, column] = values
    return vectors

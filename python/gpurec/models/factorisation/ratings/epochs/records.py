"""Ratings as arrays, one a record, and what a factorisation takes from all of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .....backends import SparseRows
from .....ops.sparse_arguments import as_sparse_rows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Ratings"]


@dataclass(frozen=True)
class Ratings:
    """Records as arrays of one length: rows int64, weights float32.

    `user_items` is their matrix, where one is at hand, whose entries are sums over records.
    """

    user_rows: np.ndarray
    item_rows: np.ndarray
    weights: np.ndarray
    user_items: csr_array | None = None

    def __len__(self) -> int:
        return len(self.weights)

    @cached_property
    def mean(self) -> float:
        return float(self.weights.mean(dtype=np.float64))

    @cached_property
    def scale(self) -> float:
        """The standard deviation: in its units stars from 1 to 5 and marks from 1 to 100 are learnt alike."""
        return float(self.weights.std(dtype=np.float64)) or 1.0

    def take(self, chosen: np.ndarray) -> Ratings:
        return Ratings(self.user_rows[chosen], self.item_rows[chosen], self.weights[chosen])

    def pairs(self, user_owners: np.ndarray, item_owners: np.ndarray, shape: tuple[int, int]) -> SparseRows:
        """Which users rated which items, given whose each row is."""
        from scipy.sparse import coo_array

        places = (user_owners[self.user_rows], item_owners[self.item_rows])
        found = coo_array((np.ones(len(self), np.float32), places), shape=shape).tocsr()
        return as_sparse_rows(found, "interactions", "fit")

    def matrix(self, n_users: int, n_items: int) -> SparseRows:
        """Ratings by users; a pair that stands more than once has their mean."""
        from scipy.sparse import coo_array

        if self.user_items is not None and self.user_items.nnz == len(self):
            return as_sparse_rows(self.user_items, "interactions", "fit")
        places = (self.user_rows, self.item_rows)
        sums = coo_array((self.weights.astype(np.float64), places), shape=(n_users, n_items)).tocsr()
        sums.sum_duplicates()
        if sums.nnz < len(self):
            counts = coo_array((np.ones(len(self)), places), shape=(n_users, n_items)).tocsr()
            counts.sum_duplicates()
            sums.data /= counts.data
        return as_sparse_rows(sums, "interactions", "fit")

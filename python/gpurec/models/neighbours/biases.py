"""What ratings are without neighbours: a mean, and what is added for a user and for an item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Biases"]

_SWEEPS = 10


@dataclass(frozen=True, eq=False)
class Biases:
    """A rating is expected to be mean + of_users[u] + of_items[i].

    Attributes
    ----------
    mean : float
    of_users, of_items : float64 arrays, shape (n_users,) and (n_items,)
    """

    mean: float
    of_users: np.ndarray
    of_items: np.ndarray

    def parts(self, user_rows: np.ndarray, item_rows: np.ndarray) -> np.ndarray:
        """Mean, user's and item's bias, float64 (n, 3); a row of -1 has none."""
        columns = np.zeros((len(item_rows), 3))
        columns[:, 0] = self.mean
        for column, biases, rows in ((1, self.of_users, user_rows), (2, self.of_items, item_rows)):
            columns[:, column] = np.append(biases, 0.0)[rows]
        return columns

    def expected(self, user_rows: np.ndarray, item_rows: np.ndarray) -> np.ndarray:
        """The ratings of users with the items beside them, float64 (n,)."""
        mean, of_user, of_item = self.parts(user_rows, item_rows).T
        return (mean + of_user) + of_item

    @classmethod
    def learnt(cls, ratings: csr_array, user_penalty: float, item_penalty: float) -> Biases:
        """The biases that explain ratings (n_users, n_items) best under a penalty.

        Notes
        -----
        Ten times in turn: the bias of an item is the sum of how far its ratings lie above mean and users'
        biases, over their number plus `item_penalty`; then that of a user likewise. Sums in float64, in the
        order of entries.

        Source: Koren 2010, "Factor in the neighbors", ACM TKDD 4 (1), section 2.1.

        Examples
        --------
        >>> from scipy.sparse import csr_array
        >>> Biases.learnt(csr_array([[1.0, 3.0], [3.0, 5.0]]), 0.0, 0.0).of_items.tolist()
        [-1.0, 1.0]
        """
        n_users, n_items = ratings.shape
        values, items = ratings.data.astype(np.float64), ratings.indices
        users = np.repeat(np.arange(n_users), np.diff(ratings.indptr))
        left = values - total_mean(values)
        of_users, of_items = np.zeros(n_users), np.zeros(n_items)
        divisors = [
            np.maximum(np.bincount(rows, minlength=n) + penalty, np.finfo(float).tiny)
            for rows, n, penalty in ((items, n_items, item_penalty), (users, n_users, user_penalty))
        ]
        for _ in range(_SWEEPS):
            of_items = np.bincount(items, left - of_users[users], n_items) / divisors[0]
            of_users = np.bincount(users, left - of_items[items], n_users) / divisors[1]
        return cls(total_mean(values), of_users, of_items)

    @classmethod
    def of_means(cls, ratings: csr_array, side: str) -> Biases:
        """The mean rating of each "user" or "item", and nothing else; 0 of who has no rating."""
        n_users, n_items = ratings.shape
        rows = ratings.indices if side == "item" else np.repeat(np.arange(n_users), np.diff(ratings.indptr))
        n = n_items if side == "item" else n_users
        sums = np.bincount(rows, ratings.data.astype(np.float64), n)
        means = sums / np.maximum(np.bincount(rows, minlength=n), 1)
        nothing = np.zeros(n_users if side == "item" else n_items)
        return cls(0.0, nothing, means) if side == "item" else cls(0.0, means, nothing)

    @classmethod
    def none(cls, ratings: csr_array) -> Biases:
        """Nothing at all."""
        return cls(0.0, np.zeros(ratings.shape[0]), np.zeros(ratings.shape[1]))


def total_mean(values: np.ndarray) -> float:
    """The mean of float64 values, their sum in order, so that no library decides about its last bit."""
    return float(np.bincount(np.zeros(len(values), np.int64), values)[0] / len(values))

"""Weighted means of what a model says to several of its users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...backends import SparseRows, select
from ..recommender import Recommender

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["mixed_rows", "mixed_vectors", "shares_of_all", "shares_of_friends"]


def shares_of_friends(weights: csr_array, counts: np.ndarray) -> csr_array:
    """Weights of friends as shares of 1 in each row, of friends with interactions only; float64 CSR."""
    shares = weights.astype(np.float64)
    shares.data *= counts[shares.indices] > 0
    shares.eliminate_zeros()
    sums = np.repeat(np.add.reduceat(np.append(shares.data, 0), shares.indptr[:-1]), np.diff(shares.indptr))
    shares.data /= sums
    return shares


def shares_of_all(users: np.ndarray, n_users: int) -> csr_array:
    """Equal shares of some users, rising, in one row; float64 CSR (1, n_users)."""
    from scipy.sparse import csr_array

    return csr_array((np.full(len(users), 1 / len(users)), users, [0, len(users)]), shape=(1, n_users))


def mixed_vectors(shares: csr_array, model: Recommender) -> np.ndarray:
    """Means of users' vectors, float32 (n, d), by shares (n, n_users): sums by rising user."""
    users, narrow = _narrow(shares)
    vectors = np.ascontiguousarray(model._user_vectors(users))  # type: ignore[attr-defined]
    out = np.empty((narrow.n_rows, vectors.shape[1]), np.float32)
    select().spmm(narrow, vectors, None, 0.0, out)
    return out


def mixed_rows(shares: csr_array, model: Recommender) -> np.ndarray:
    """Means of users' rows of scores, float32 (n, n_items), by shares (n, n_users).

    Nothing said counts as 0; -inf where no user with a share says anything. Sums by rising user, so that a
    row does not depend on those beside it.
    """
    n_items = model.training.n_items
    result = np.empty((shares.shape[0], n_items), np.float32)
    size = model._users_at_once()  # type: ignore[attr-defined]
    for first, end in _blocks(shares.indptr, size):
        users, narrow = _narrow(shares[first:end])
        if not len(users):
            result[first:end] = -np.inf
            continue
        rows = np.concatenate(
            [
                model._score_rows(users[at : at + size])  # type: ignore[attr-defined]
                for at in range(0, len(users), size)
            ]
        )
        silent = np.isneginf(rows)
        backend, part = select(), result[first:end]
        rows[silent] = 0
        backend.spmm(narrow, rows, None, 0.0, part)
        if silent.any():
            speaking = np.empty_like(part)
            ones = narrow.with_values(np.ones(len(narrow.values), np.float32))
            backend.spmm(ones, (~silent).astype(np.float32), None, 0.0, speaking)
            part[speaking == 0] = -np.inf
    return result


def _blocks(indptr: np.ndarray, most: int) -> list[tuple[int, int]]:
    """Rows in blocks of at most so many entries, or of one row."""
    blocks, first = [], 0
    while first < len(indptr) - 1:
        end = int(np.searchsorted(indptr, indptr[first] + most, side="right")) - 1
        blocks.append((first, max(min(end, len(indptr) - 1), first + 1)))
        first = blocks[-1][1]
    return blocks


def _narrow(shares: csr_array) -> tuple[np.ndarray, SparseRows]:
    """The users with a share, rising, and the shares over them alone."""
    users, columns = np.unique(shares.indices, return_inverse=True)
    narrow: Any = SparseRows(
        shares.indptr.astype(np.int64), columns.astype(np.int32), shares.data.astype(np.float32), len(users)
    )
    return users.astype(np.int64), narrow

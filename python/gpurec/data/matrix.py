"""The user-item matrix of records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["user_items_matrix"]


def user_items_matrix(
    user_rows: np.ndarray, item_rows: np.ndarray, weights: np.ndarray, shape: tuple[int, int]
) -> csr_array:
    """Weights of records as a CSR matrix with sorted rows and each pair once.

    Parameters
    ----------
    user_rows, item_rows : int64 array, shape (n,)
    weights : float32 array, shape (n,)
    shape : (n_users, n_items)

    Returns
    -------
    scipy csr_array, float32
        Duplicates are summed in float64 and rounded once. Offsets and columns have 32 bits where rows,
        columns and records fit, else 64.

    Examples
    --------
    >>> user_items_matrix(np.array([0, 0]), np.array([1, 1]), np.float32([2, 3]), (1, 2)).toarray().tolist()
    [[0.0, 5.0]]
    """
    from scipy.sparse import coo_array

    narrow = max(*shape, len(weights)) <= np.iinfo(np.int32).max
    index = np.int32 if narrow else np.int64
    places = (user_rows.astype(index), item_rows.astype(index))
    matrix = coo_array((weights.astype(np.float64), places), shape=shape).tocsr()
    matrix.sum_duplicates()
    return matrix.astype(np.float32)

"""What callers of other libraries hand over: rows of users and items, and sparse matrices of either kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..ops.filters import is_sparse

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["as_count", "as_csr", "as_distinct_rows", "as_rows", "rows_of_users"]


def as_rows(rows: Any, n: int | None, name: str, op: str) -> tuple[np.ndarray, bool]:
    """Rows as int64 in one dimension, and whether it was one row alone.

    Parameters
    ----------
    rows : integer, or integers in one dimension
    n : int, optional
        How many rows there are; None if any from 0 will do.

    Raises
    ------
    IndexError
        If a row is outside 0..n-1.
    TypeError
        If there are no integers in at most one dimension.

    Examples
    --------
    >>> as_rows(3, 5, "userid", "recommend"), as_rows([3, 1], 5, "userid", "recommend")
    ((array([3]), True), (array([3, 1]), False))
    """
    given = np.asarray(rows)
    if given.ndim > 1 or (given.size and given.dtype.kind not in "iu"):
        raise TypeError(
            f"[{op}] expected {name} as an integer or a list of integers, got {given.dtype} of shape "
            f"{given.shape}"
        )
    wanted = given.reshape(-1).astype(np.int64)
    outside = wanted < 0 if n is None else (wanted < 0) | (wanted >= n)
    if outside.any():
        most = "" if n is None else n - 1
        raise IndexError(
            f"[{op}] expected {name} in 0..{most}, got {wanted[np.argmax(outside)]}; fit it first"
        )
    return wanted, given.ndim == 0


def as_distinct_rows(rows: Any, n: int, name: str, op: str) -> np.ndarray | None:
    """Rows in rising order, each once; None for None.

    Raises
    ------
    IndexError, TypeError
        As `as_rows`.
    """
    return None if rows is None else np.unique(as_rows(rows, n, name, op)[0])


def as_csr(matrix: Any, name: str, op: str) -> csr_matrix:
    """A sparse matrix as `csr_matrix`, columns rising and distinct in each row; the caller's stays as it is.

    Raises
    ------
    ValueError
        If it is no sparse matrix of two dimensions.
    """
    from scipy.sparse import csr_matrix

    if not is_sparse(matrix) or len(matrix.shape) != 2:
        raise ValueError(
            f"[{op}] expected {name} as a sparse matrix of SciPy, got {type(matrix).__name__}; "
            "do: scipy.sparse.csr_matrix(...)"
        )
    found = csr_matrix(matrix)
    if not found.has_canonical_format:
        found = found.copy()
        found.sum_duplicates()
    return found


def rows_of_users(matrix: Any, n: int, name: str, op: str) -> csr_matrix:
    """A sparse matrix with one row for each of n users (or items) asked about.

    Raises
    ------
    ValueError
        If it is none, or has another number of rows.
    """
    found = as_csr(matrix, name, op)
    if found.shape[0] != n:
        raise ValueError(
            f"[{op}] expected {name} with one row for each of {n} rows asked about, got {found.shape[0]}; "
            f"do: {name}[rows]"
        )
    return found


def as_count(count: Any, name: str, op: str, least: int = 1) -> int:
    """A whole number of at least `least`.

    Raises
    ------
    TypeError, ValueError
        If it is none.
    """
    if isinstance(count, (bool, np.bool_)) or not isinstance(count, (int, np.integer)):
        raise TypeError(f"[{op}] expected {name} as an integer, got {count!r}")
    if count < least:
        raise ValueError(f"[{op}] expected {name} of {least} or more, got {count}")
    return int(count)

"""Sparse matrices as callers have them, checked and brought into the one form that backends take."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import as_numpy
from ..backends import SparseRows, first_invalid_row
from .arguments import as_float32, as_matrix
from .filters import is_sparse

__all__ = ["as_sparse_rows", "transposed", "without_empty_columns"]

_MOST = 2**31 - 1


def as_sparse_rows(x: Any, name: str, op: str) -> SparseRows:
    """Rows with ascending distinct columns and finite float32 values.

    Entries that stand twice are added in float64, in the order in which they are stored, and rounded once. A
    stored zero stays an entry; of a dense matrix every value but zero is one.

    Parameters
    ----------
    x : sparse matrix of SciPy or PyTorch in any format, or dense array, shape (n_rows, n_columns)

    Raises
    ------
    ValueError
        If there are not two dimensions, a row has NaN or infinity (also after rounding), indptr or indices do
        not fit the shape, or there are more than 2^31 - 1 rows or columns.
    TypeError
        If the dtype is not one of numbers.
    """
    if isinstance(x, SparseRows):
        return x
    if not is_sparse(x):
        dense = as_matrix(x, name, op)
        rows, columns = np.nonzero(dense)
        return _rows_of(rows, columns, dense[rows, columns], dense.shape, name, op)
    if len(x.shape) != 2:
        raise ValueError(
            f"[{op}] expected {name} of shape (n_rows, n_columns), got {len(x.shape)} dimensions"
        )
    n_rows, n_columns = map(int, x.shape)
    if max(n_rows, n_columns) > _MOST:
        raise ValueError(f"[{op}] expected at most 2^31 - 1 rows and columns in {name}, got {tuple(x.shape)}")
    kind = getattr(x, "format", None)
    if kind is None:  # of PyTorch
        import scipy.sparse  # which a search without sparse matrices need not load

        x, kind = scipy.sparse.csr_array(_parts_of_tensor(x, name, op), shape=(n_rows, n_columns)), "csr"
    if kind == "csc":
        _check_compressed(x.data, x.indices, x.indptr, n_columns, n_rows, name, op)
        x, kind = x.tocsr(), "csr"  # which keeps what stands twice, in its order
    if kind == "csr":
        data, indices, indptr = (as_numpy(part, name, op) for part in (x.data, x.indices, x.indptr))
        _check_compressed(data, indices, indptr, n_rows, n_columns, name, op)
        data, indices = data[: indptr[-1]], indices[: indptr[-1]]
        if _ascends(indices, indptr):
            values = np.ascontiguousarray(_finite(as_float32(data, name, op), indptr, name, op))
            return SparseRows(indptr.astype(np.int64), indices.astype(np.int32), values, n_columns)
        rows = np.repeat(np.arange(n_rows), np.diff(indptr))
        return _rows_of(rows, indices, data, (n_rows, n_columns), name, op)
    coo = x if kind == "coo" else x.tocoo()
    return _rows_of(coo.row, coo.col, coo.data, (n_rows, n_columns), name, op)


def _parts_of_tensor(x: Any, name: str, op: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    csr = x.detach().to_sparse_csr()
    data, indices, indptr = (
        as_numpy(part, name, op) for part in (csr.values(), csr.col_indices(), csr.crow_indices())
    )
    return data, indices, indptr


def _check_compressed(
    data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, n_major: int, n_minor: int, name: str, op: str
) -> None:
    if any(part.ndim != 1 for part in (data, indices, indptr)):
        raise ValueError(f"[{op}] expected data, indices and indptr of {name} in one dimension")
    if indptr.dtype.kind not in "iu" or indices.dtype.kind not in "iu":
        raise TypeError(f"[{op}] expected integers as indices and indptr of {name}")
    if len(indptr) != n_major + 1 or indptr[0] != 0 or (indptr[1:] < indptr[:-1]).any():
        raise ValueError(f"[{op}] expected {name}'s indptr to ascend from 0 in {n_major + 1} entries")
    if indptr[-1] > min(len(data), len(indices)):
        raise ValueError(f"[{op}] expected {name}'s indptr to end within its {len(indices)} indices")
    _check_within(indices[: indptr[-1]], n_minor, name, op)


def _check_within(indices: np.ndarray, n: int, name: str, op: str) -> None:
    if len(indices) and (indices.min() < 0 or indices.max() >= n):
        bad = indices[(indices < 0) | (indices >= n)][0]
        raise ValueError(f"[{op}] expected indices of {name} in 0..{n - 1}, got {bad}")


def _ascends(indices: np.ndarray, indptr: np.ndarray) -> bool:
    """Whether indices ascend strictly within each row."""
    steps = indices[1:] > indices[:-1]
    if len(indptr) == 2:
        return bool(steps.all())
    starts = indptr[1:-1]
    steps[starts[(starts > 0) & (starts < len(indices))] - 1] = True  # from one row into the next
    return bool(steps.all())


def _rows_of(
    rows: np.ndarray, columns: np.ndarray, data: np.ndarray, shape: tuple[int, int], name: str, op: str
) -> SparseRows:
    """Rows of coordinates in any order."""
    if not len(rows) == len(columns) == len(data):
        raise ValueError(f"[{op}] expected as many rows as columns and values of {name}")
    _check_within(rows, shape[0], name, op)
    _check_within(columns, shape[1], name, op)
    order = np.lexsort((columns, rows))  # stable: entries of one place stay in their order
    rows, columns, data = rows[order].astype(np.int64), columns[order].astype(np.int32), data[order]
    is_first = np.ones(len(rows), np.bool_)
    is_first[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    if is_first.all():
        values = as_float32(data, name, op)
    else:
        as_float32(data[:0], name, op)  # of a dtype that is one of numbers
        sums = np.bincount(np.cumsum(is_first) - 1, weights=data.astype(np.float64))
        values = as_float32(sums, name, op)
        rows, columns = rows[is_first], columns[is_first]
    indptr = np.zeros(shape[0] + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=shape[0]), out=indptr[1:])
    return SparseRows(indptr, columns, _finite(values, indptr, name, op), shape[1])


def without_empty_columns(x: SparseRows) -> SparseRows:
    """Other numbers for the columns, in their order, where most of very many hold nothing."""
    if x.n_columns <= 4096 + 4 * len(x.columns):
        return x
    used, columns = np.unique(x.columns, return_inverse=True)
    return SparseRows(x.indptr, columns.astype(np.int32), x.values, len(used))


def transposed(matrix: SparseRows) -> SparseRows:
    """The same entries by columns."""
    from scipy.sparse import csr_array

    # With offsets as wide as the columns SciPy copies neither.
    indptr = matrix.indptr.astype(np.int32) if len(matrix.columns) <= _MOST else matrix.indptr
    turned = csr_array((matrix.values, matrix.columns, indptr), shape=matrix.shape).T.tocsr()
    turned.sort_indices()
    columns = turned.indices.astype(np.int32, copy=False)
    return SparseRows(turned.indptr.astype(np.int64), columns, turned.data, matrix.n_rows)


def _finite(values: np.ndarray, indptr: np.ndarray, name: str, op: str) -> np.ndarray:
    if np.isfinite(values).all():
        return values
    at = first_invalid_row(values.reshape(-1, 1))
    if at is not None:
        row = int(np.searchsorted(indptr, at, side="right")) - 1
        raise ValueError(f"[{op}] expected finite float32 values, got NaN or infinity in row {row} of {name}")
    return values

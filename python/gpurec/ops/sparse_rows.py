"""Sparse matrices as ops take them, checked and brought into the one form backends take."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends import SparseRows
from .arguments import as_float32
from .filters import is_sparse

__all__ = ["as_sparse_rows", "transposed"]

_MOST_COLUMNS = 2**31 - 1


def as_sparse_rows(x: Any, name: str, op: str) -> SparseRows:
    """A finite float32 matrix by rows: columns ascending, entries of one place added.

    Raises
    ------
    ValueError
        If the parts do not make a matrix, a value is not finite, or there are 2**31 columns or more.
    TypeError
        If it is no sparse matrix of SciPy, or its dtype is not one of numbers.
    """
    if isinstance(x, SparseRows):
        return x
    if not is_sparse(x) or not hasattr(x, "tocsr"):
        raise TypeError(f"[{op}] expected {name} as a sparse matrix of SciPy, got {type(x).__name__}")
    if len(x.shape) != 2 or x.shape[1] > _MOST_COLUMNS:
        raise ValueError(f"[{op}] expected {name} of two dimensions and < 2**31 columns, got {x.shape}")
    csr = x.tocsr()
    try:
        csr.check_format(full_check=True)
    except ValueError as error:
        raise ValueError(f"[{op}] expected {name} as a matrix, got broken parts: {error}") from error
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    values = np.ascontiguousarray(as_float32(csr.data, name, op))
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.searchsorted(csr.indptr, int(np.argmin(finite)), side="right")) - 1
        raise ValueError(f"[{op}] expected finite float32 values, got NaN or infinity in row {row} of {name}")
    return SparseRows(csr.indptr.astype(np.int64), csr.indices.astype(np.int32), values, int(csr.shape[1]))


def transposed(matrix: SparseRows) -> SparseRows:
    """The same entries by columns."""
    from scipy.sparse import csr_array

    parts = matrix.values, matrix.columns, matrix.indptr
    turned = csr_array(parts, shape=matrix.shape).T.tocsr()
    turned.sort_indices()
    return SparseRows(
        turned.indptr.astype(np.int64), turned.indices.astype(np.int32), turned.data, matrix.shape[0]
    )

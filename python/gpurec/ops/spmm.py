"""Op `spmm`: a sparse matrix times a dense one, in float32 sums of a fixed order."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends import Backend, select, strict_floats
from .arguments import as_matrix
from .score import as_out
from .sparse_arguments import as_sparse_rows

__all__ = ["spmm"]


@strict_floats()
def spmm(
    matrix: Any,
    dense: Any,
    *,
    add: Any = None,
    weight: float = 1.0,
    out: np.ndarray | None = None,
    backend: str | Backend | None = None,
) -> np.ndarray:
    """matrix @ dense + weight * add, the same bits on every backend.

    Parameters
    ----------
    matrix : sparse matrix of SciPy or PyTorch, or dense array, shape (n_rows, n_inner)
        Entries of one place are added in float64 and rounded once; of a dense one all but zeros count.
    dense : array, shape (n_inner, n_columns)
        Floats or integers; finite.
    add : array, shape (n_rows, n_columns), optional
    weight : float
        Of `add`; rounded to float32.
    out : float32 array, shape (n_rows, n_columns), optional
        Written in place and returned instead of a new array; as of `score`.
    backend : str or Backend, optional

    Returns
    -------
    float32 array, shape (n_rows, n_columns)

    Raises
    ------
    ValueError
        If shapes do not fit, a value or `weight` is not finite, or `out` cannot be written in place.
    TypeError
        If a dtype is not one of numbers.

    Notes
    -----
    An element begins at +0.0 and adds its products by ascending column, each product and each sum rounded to
    float32; then weight * add, rounded, is added. So it depends on its own row and column alone, and
    |result - exact| <= gamma_n * sum_j |a_j x_j| + n * 2**-149 with n terms and gamma_n = n * 2**-24 / (1 - n
    * 2**-24), as long as no partial sum leaves float32's range. Memory: the result, and a strip of `dense`.

    Source: Higham, Accuracy and Stability of Numerical Algorithms, section 3.1.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> spmm(csr_array([[0.0, 2.0], [1.0, 1.0]]), [[1.0], [3.0]]).tolist()
    [[6.0], [4.0]]
    """
    rows = as_sparse_rows(matrix, "matrix", "spmm")
    x = as_matrix(dense, "dense", "spmm")
    if len(x) != rows.n_columns:
        raise ValueError(f"[spmm] expected dense with {rows.n_columns} rows, one a column, got {len(x)}")
    more = None if add is None else as_matrix(add, "add", "spmm", n_columns=x.shape[1])
    shape = (rows.shape[0], x.shape[1])
    if more is not None and more.shape != shape:
        raise ValueError(f"[spmm] expected add of shape {shape}, got {more.shape}")
    weight = float(np.float32(weight))
    if not np.isfinite(weight):
        raise ValueError(f"[spmm] expected a finite weight, got {weight}")
    inputs = [part for part in (rows.values, x, more) if part is not None]
    result = as_out(out, shape, "spmm", *inputs)
    select(backend).spmm(rows, x, more, weight, result)
    return result

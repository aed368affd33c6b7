"""Op `elastic_net`: columns of a sparse matrix said by others, with few weights, none negative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backends import Backend, select, strict_floats
from .arguments import as_k, as_rows
from .sparse_arguments import as_sparse_rows, transposed

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["ElasticNet", "elastic_net"]


@dataclass(frozen=True)
class ElasticNet:
    """What `elastic_net` found.

    Attributes
    ----------
    weights : scipy CSR, float32, shape (n_targets, n_columns)
        Row i says target i; only weights above 0 are stored, columns rising.
    n_sweeps : int32 array, shape (n_targets,)
        `max_sweeps` where a target's weights had not settled.

    Examples
    --------
    >>> elastic_net([[1.0, 1.0]], candidates=[[0, 1], [1, 0]]).n_sweeps.tolist()
    [3, 3]
    """

    weights: csr_array
    n_sweeps: np.ndarray


@strict_floats()
def elastic_net(
    matrix: Any,
    candidates: Any,
    *,
    l1: float = 0.0,
    l2: float = 0.0,
    targets: Any = None,
    tolerance: float = 1e-4,
    max_sweeps: int = 100,
    backend: str | Backend | None = None,
) -> ElasticNet:
    """Weights w >= 0 of candidate columns with the least |x_t - sum w_j x_j|^2 / 2 + l1 sum w + l2 |w|^2 / 2.

    Parameters
    ----------
    matrix : sparse matrix of SciPy or PyTorch, or dense array, shape (n_rows, n_columns)
        Finite; of any sign.
    candidates : sparse or dense matrix, shape (n_targets, n_columns)
        The columns that may say target i are those stored (of a dense one, not 0) in row i. Leave out the
        target itself, which would say itself.
    l1, l2 : float
        At least 0, as sums over rows: scikit-learn's ElasticNet(alpha, l1_ratio, positive=True,
        fit_intercept=False) is l1 = n_rows * alpha * l1_ratio, l2 = n_rows * alpha * (1 - l1_ratio).
    targets : int array, shape (n_targets,), optional
        Columns that are said; by default all, in order.
    tolerance : float
        At least 0; a sweep that moves no weight by more ends the search, or that among weights above 0.
    max_sweeps : int
    backend : str or Backend, optional
        Devices have no kernel for it: "cuda" and "cupy" compute it on the host.

    Returns
    -------
    ElasticNet

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite, a number is out of range or a target is no column.
    TypeError
        If a dtype is not one of numbers, or `targets` are not integers.

    Notes
    -----
    Coordinate descent from 0, candidates by rising column: a sweep of all of them, then sweeps of those above
    0 until they settle, and again. Float64 throughout; a product of a column with what is left adds entries
    l, l + 4, ... in lane l, then halves of the lanes; weights are rounded once to float32. So the bits do not
    depend on threads or backend. Memory: 8 bytes a row for each thread and 4 a candidate.

    Source: Ning and Karypis 2011, "SLIM: sparse linear methods for top-n recommender systems", equation 4;
    Friedman, Hastie and Tibshirani 2010, "Regularization paths for generalized linear models via coordinate
    descent".

    Examples
    --------
    >>> found = elastic_net([[1.0, 1.0], [1.0, 0.0]], candidates=[[0, 1], [1, 0]], l2=1.0)
    >>> found.weights.toarray().round(3).tolist()
    [[0.0, 0.5], [0.3330000042915344, 0.0]]
    """
    from scipy.sparse import csr_array

    op = "elastic_net"
    columns = transposed(as_sparse_rows(matrix, "matrix", op))
    choices = as_sparse_rows(candidates, "candidates", op)
    asked = np.arange(columns.n_rows) if targets is None else as_rows(targets, columns.n_rows, op)
    if choices.shape != (len(asked), columns.n_rows):
        raise ValueError(
            f"[{op}] expected candidates of shape {(len(asked), columns.n_rows)}, a row for each target, "
            f"got {choices.shape}"
        )
    rates = {"l1": l1, "l2": l2, "tolerance": tolerance}
    for name, value in rates.items():
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise TypeError(f"[{op}] expected a number as {name}, got {type(value).__name__}")
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(f"[{op}] expected {name} finite and at least 0, got {value}")
    most_sweeps = as_k(max_sweeps, op, "max_sweeps")
    weights, n_sweeps = select(backend).elastic_net(
        columns,
        asked,
        choices,
        **{name: float(value) for name, value in rates.items()},
        most_sweeps=most_sweeps,
    )
    found = csr_array((weights, choices.columns, choices.indptr), shape=choices.shape)
    found.eliminate_zeros()
    return ElasticNet(found, n_sweeps)

"""Op `als`: the factors of one side that are best for those of the other, row by row: half a sweep of ALS."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..backends import AlsRates, Backend, SparseRows, select, strict_floats
from ..cache_lines import empty_on_lines
from .arguments import as_k, as_matrix
from .sparse_arguments import as_sparse_rows

__all__ = ["ALS_SOLVERS", "AlsRows", "HalfSweep", "als"]

ALS_SOLVERS = ("cholesky", "cg", "block")
# Multiply-adds between two looks whether Ctrl-C was pressed.
_WORK_AT_ONCE = 2e9


@dataclass(frozen=True)
class AlsRows:
    """What `als` found.

    Attributes
    ----------
    factors : float32 array, shape (n_rows, n_factors)
        Zero in rows without an entry.
    loss : float
        What the factors were chosen to make small, summed over the rows.

    Examples
    --------
    >>> als([[1.0]], [[1.0]], l2=1.0, unobserved_weight=0).factors.round(3).tolist()
    [[0.5]]
    """

    factors: np.ndarray
    loss: float


class HalfSweep:
    """The factors of one side, made ready for `solve` of any rows of the other: a cache of what rows share.

    Parameters
    ----------
    factors : array, shape (n_columns, n_factors)
        Finite; rounded to float32. Not copied: do not change it while this is in use.
    unobserved_weight : float
        At least 0.
    backend : str or Backend, optional

    Attributes
    ----------
    gram : float64 array, shape (n_factors, n_factors)
        factors' @ factors.

    Notes
    -----
    Rows are solved in the eigenvectors of the Gram matrix, where what all rows share is diagonal. Extra
    memory: as much as `factors`, from the first call with many entries on. Safe to use from several threads.

    Examples
    --------
    >>> HalfSweep([[3.0, 4.0]]).gram.tolist()
    [[9.0, 12.0], [12.0, 16.0]]
    """

    @strict_floats()
    def __init__(
        self, factors: Any, unobserved_weight: float = 1.0, *, backend: str | Backend | None = None
    ) -> None:
        self.factors = as_matrix(factors, "factors", "als")
        self.unobserved_weight = _number("unobserved_weight", unobserved_weight)
        self._backend = select(backend)
        self._shared = self._backend.als_shared(self.factors, self.unobserved_weight)
        self.gram = self._shared.gram

    @strict_floats()
    def solve(
        self,
        weights: Any,
        *,
        targets: Any = None,
        l2: Any = 0.01,
        start: Any = None,
        solver: str = "cholesky",
        steps: int = 3,
        block_size: int = 32,
    ) -> AlsRows:
        """Factors of rows; arguments and answer are those of `als`."""
        op = "als"
        matrix = as_sparse_rows(weights, "weights", op)
        n_columns, n_factors = self.factors.shape
        if matrix.n_columns != n_columns:
            raise ValueError(
                f"[{op}] expected weights with a column for each of {n_columns} rows of factors, got "
                f"{matrix.n_columns}; transpose them if the other side is held fixed"
            )
        if matrix.values.size and matrix.values.min() < 0:
            raise ValueError(
                f"[{op}] expected weights of at least 0, got {matrix.values.min()} in row "
                f"{matrix.owners[matrix.values.argmin()]}; give what is disliked a target below 0 instead"
            )
        pulls = _pulls(matrix, targets)
        if solver not in ALS_SOLVERS:
            raise ValueError(f"[{op}] expected solver of {', '.join(ALS_SOLVERS)}, got {solver!r}")
        rates = AlsRates(solver, as_k(steps, op, "steps"), as_k(block_size, op, "block_size"))
        penalties = _penalties(l2, matrix.n_rows)
        if start is not None:
            start = as_matrix(start, "start", op, n_columns=n_factors)
            if len(start) != matrix.n_rows:
                raise ValueError(
                    f"[{op}] expected start with a row for each of {matrix.n_rows}, got {len(start)}"
                )
        found = empty_on_lines((matrix.n_rows, n_factors))  # then rows are written past the caches
        loss = 0.0
        for rows in _parts(matrix.indptr, n_factors):
            part = _rows_of(matrix, rows)
            entries = slice(matrix.indptr[rows.start], matrix.indptr[rows.stop])
            loss += self._backend.als(
                self._shared,
                part,
                pulls[entries],
                penalties[rows],
                None if start is None else start[rows],
                rates,
                len(matrix.columns) >= n_columns,
                found[rows],
            )
        return AlsRows(found, loss)


def als(
    weights: Any,
    factors: Any,
    *,
    targets: Any = None,
    unobserved_weight: float = 1.0,
    l2: Any = 0.01,
    start: Any = None,
    solver: str = "cholesky",
    steps: int = 3,
    block_size: int = 32,
    backend: str | Backend | None = None,
) -> AlsRows:
    """Least squares of rows: factors x with the least sum of w (t - x.y)^2 + w0 (x.y)^2 + l2 |x|^2.

    The first term is summed over the entries of the row, the second over the columns without one.

    Parameters
    ----------
    weights : sparse matrix of SciPy or PyTorch, or dense array, shape (n_rows, n_columns)
        w, at least 0; of a dense array, zeros are no entries.
    factors : array, shape (n_columns, n_factors)
        y of each column; finite, rounded to float32.
    targets : float, or matrix with the same entries as `weights`, optional
        t of each entry; 1 if left out.
    unobserved_weight : float
        w0, at least 0: how much it counts that a row has no entry in a column. 0 for ratings.
    l2 : float or array, shape (n_rows,)
        Penalty of each row, above 0.
    start : array, shape (n_rows, n_factors), optional
        Where "cg" and "block" begin; 0 if left out. "cholesky" needs none.
    solver : {"cholesky", "cg", "block"}
        The exact solution; `steps` steps of conjugate gradients, preconditioned by what all rows share;
        `steps` passes over blocks of `block_size` eigenvectors of the Gram matrix, the largest first, each
        solved exactly while the others stand still.
    steps, block_size : int
    backend : str or Backend, optional
        "cuda" computes on the device as far as shared memory holds so many factors, "cupy" on the host.

    Returns
    -------
    AlsRows

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite, a weight is below 0, a number is out of range, or the
        entries of `targets` are others than those of `weights`.
    TypeError
        If a dtype is not one of numbers.

    Notes
    -----
    Float32 with Gram matrix, its eigenvectors and the loss in float64; sums have a fixed order, so the bits
    depend on backend and ISA, not on threads or on which rows are solved together. With A x = b the equations
    of a row, the exact solution's residual |A x - b| is within 3e-6 (n_factors + 16) (|A| |x| + |b|), and the
    loss within as much of the sum of |A| |x|^2 + w t^2. Cost of a
    row with n entries, in multiply-adds: n m d / 2 + m^3 / 6 with m the smaller of n and d = n_factors for
    "cholesky"; 2 n d a step for "cg"; n d block_size / 2 a pass for "block"; for a whole side n_columns d^2
    and n_rows d^2 once, and about 10 d^3 for the eigenvectors.

    Source: Hu, Koren and Volinsky 2008, "Collaborative filtering for implicit feedback datasets", section 4;
    Takacs, Pilaszy and Tikk 2011, "Applications of the conjugate gradient method for implicit feedback
    collaborative filtering"; Rendle, Krichene, Zhang and Koren 2021, "iALS++: speeding up matrix
    factorization with subspace optimization". The change of basis is ours: docs/design, "Alternating least
    squares".

    Examples
    --------
    >>> items = np.float32([[1, 0], [0, 1]])
    >>> als([[2.0, 0.0]], items, l2=1.0, unobserved_weight=1.0).factors.round(3).tolist()
    [[0.6669999957084656, 0.0]]
    """
    return HalfSweep(factors, unobserved_weight, backend=backend).solve(
        weights,
        targets=targets,
        l2=l2,
        start=start,
        solver=solver,
        steps=steps,
        block_size=block_size,
    )


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"[als] expected a number as {name}, got {type(value).__name__}")
    if not (np.isfinite(value) and value >= 0):
        raise ValueError(f"[als] expected {name} finite and at least 0, got {value}")
    return float(value)


def _pulls(matrix: SparseRows, targets: Any) -> np.ndarray:
    """What each entry adds to the right side, weight times target, float32."""
    if targets is None or (type(targets) in (int, float) and targets == 1):
        return matrix.values
    if isinstance(targets, (int, float, np.integer, np.floating)) and not isinstance(targets, bool):
        if not np.isfinite(targets):
            raise ValueError(f"[als] expected finite targets, got {targets}")
        return matrix.values * np.float32(targets)
    of_entries = as_sparse_rows(targets, "targets", "als")
    same = of_entries.shape == matrix.shape and np.array_equal(of_entries.indptr, matrix.indptr)
    if not (same and np.array_equal(of_entries.columns, matrix.columns)):
        raise ValueError(
            "[als] expected targets with the same entries as weights, got others; "
            "do: weights.copy() with other data"
        )
    return matrix.values * of_entries.values


def _penalties(l2: Any, n_rows: int) -> np.ndarray:
    if isinstance(l2, (bool, str)):
        raise TypeError(f"[als] expected l2 as a number or an array of them, got {l2!r}")
    penalties = np.asarray(l2, dtype=np.float64)
    if penalties.ndim == 0:
        penalties = np.full(n_rows, penalties)
    if penalties.shape != (n_rows,):
        raise ValueError(
            f"[als] expected l2 as a number or one for each of {n_rows} rows, got {penalties.shape}"
        )
    tiny, huge = np.finfo(np.float32).tiny, np.finfo(np.float32).max
    if penalties.size and not (tiny <= penalties.min() and penalties.max() <= huge):
        bad = int(np.argmin((penalties >= tiny) & (penalties <= huge)))
        raise ValueError(
            f"[als] expected l2 above 0 and finite in float32, got {penalties[bad]} for row {bad}"
        )
    return np.ascontiguousarray(penalties)


def _parts(indptr: np.ndarray, n_factors: int) -> list[slice]:
    """Rows in pieces of about as much work."""
    n_rows = len(indptr) - 1
    lengths = np.diff(indptr).astype(np.float64)
    work = np.cumsum(lengths * n_factors * np.minimum(lengths, n_factors) / 2 + n_factors**2)
    cuts = np.searchsorted(work, np.arange(_WORK_AT_ONCE, work[-1] if n_rows else 0, _WORK_AT_ONCE))
    ends = np.unique([0, *(cuts + 1).tolist(), n_rows])
    return [slice(a, b) for a, b in pairwise(ends.tolist())]


def _rows_of(matrix: SparseRows, rows: slice) -> SparseRows:
    if rows == slice(0, matrix.n_rows):
        return matrix
    indptr = matrix.indptr[rows.start : rows.stop + 1]
    entries = slice(indptr[0], indptr[-1])
    return SparseRows(indptr - indptr[0], matrix.columns[entries], matrix.values[entries], matrix.n_columns)

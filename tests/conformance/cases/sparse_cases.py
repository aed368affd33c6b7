"""Sparse matrices drawn by number, and the same matrix in every form that callers have."""

from __future__ import annotations

import numpy as np
import scipy.sparse

__all__ = ["SPARSE_KINDS", "disguise_sparse", "sparse_matrix"]


def _binary(rng, rows, columns):
    return np.ones(len(rows))


def _ratings(rng, rows, columns):
    return rng.integers(1, 6, len(rows))


def _halves(rng, rows, columns):
    return rng.integers(1, 11, len(rows)) / 2


def _signed(rng, rows, columns):
    return rng.standard_normal(len(rows))


def _order_matters(rng, rows, columns):
    """Sums that cancel: another order of terms gives another sum."""
    return rng.choice([2.0**40, -(2.0**40), 1.0, -1.0, 2.0**-14, 3.0], len(rows))


def _equal_rows(rng, rows, columns):
    """Values by column alone, or by column and one of three classes of rows: many rows score the same."""
    return 1.0 + (columns * 7 + rows % 3) % 5


def _constant_rows(rng, rows, columns):
    """A row's values are one number, mostly, which is no short binary fraction."""
    return np.where(rng.random(len(rows)) < 0.9, 0.1 * (1 + rows % 4), 0.7)


def _with_zeros(rng, rows, columns):
    return rng.integers(-1, 2, len(rows))


def _ulps_apart(rng, rows, columns):
    """Scores that differ in float64 and tie, or nearly, in float32."""
    return 1.0 + rng.integers(0, 4, len(rows)) * 2.0**-23


def _extreme(rng, rows, columns):
    """Scores beyond float32, subnormal ones, and norms whose squares float32 does not hold."""
    return rng.choice([1e38, -1e38, 1e-45, -1e-45, 1e-30, 1e19, 1.0], len(rows))


def _shifted(rng, rows, columns):
    """Small differences of large values."""
    return 1000.0 + rng.random(len(rows))


SPARSE_KINDS = (
    _binary,
    _ratings,
    _signed,
    _halves,
    _order_matters,
    _equal_rows,
    _constant_rows,
    _with_zeros,
    _ulps_apart,
    _extreme,
    _shifted,
)


def sparse_matrix(rng: np.random.Generator, number: int, n_rows: int, n_columns: int, density: float):
    """A CSR matrix of float32 with sorted indices; some rows and columns are empty, some popular."""
    kind = SPARSE_KINDS[number % len(SPARSE_KINDS)]
    if rng.random() < 0.5:
        popular = 1.0 / (1.0 + np.arange(n_columns))
        chances = np.clip(density * n_columns * popular / max(popular.sum(), 1e-9), 0, 0.9)
    else:
        chances = np.full(n_columns, density)
    present = rng.random((n_rows, n_columns)) < chances
    present[rng.random(n_rows) < 0.1] = False
    if kind is _equal_rows and n_rows > 4:
        present[n_rows // 2 :] = present[: n_rows - n_rows // 2]
    rows, columns = np.nonzero(present)
    with np.errstate(over="ignore"):
        values = np.asarray(kind(rng, rows, columns), np.float64).astype(np.float32)
    return scipy.sparse.csr_matrix((values, (rows, columns)), shape=(n_rows, n_columns)), kind.__name__


def disguise_sparse(rng: np.random.Generator, matrix: scipy.sparse.csr_matrix):
    """The matrix in another format, dtype or order of entries, that must be read as exactly this one."""
    forms = [
        "csr",
        "csc",
        "coo",
        "lil",
        "bsr",
        "dok",
        "unsorted",
        "wide_indices",
        "float64",
        "array",
        "twice",
    ]
    form = str(rng.choice(forms))
    if form == "unsorted":
        coo = matrix.tocoo()
        order = rng.permutation(len(coo.data))
        order = order[np.argsort(coo.row[order], kind="stable")]
        return scipy.sparse.csr_matrix((coo.data[order], coo.col[order], matrix.indptr), shape=matrix.shape)
    if form == "wide_indices":
        given = matrix.copy()
        given.indptr, given.indices = given.indptr.astype(np.int64), given.indices.astype(np.int64)
        return given
    if form == "float64":
        return matrix.astype(np.float64)
    if form == "array":
        return scipy.sparse.csr_array(matrix)
    if form == "twice":
        coo = matrix.tocoo()
        order = rng.permutation(2 * len(coo.data)) % max(len(coo.data), 1)
        halves = coo.data[order].astype(np.float64) / 2
        return scipy.sparse.coo_matrix((halves, (coo.row[order], coo.col[order])), shape=matrix.shape)
    if (form in ("lil", "bsr", "dok") and (matrix.data == 0).any()) or 0 in matrix.shape:
        return matrix  # these formats lose stored zeros, or know no empty matrix
    if form == "bsr":
        return matrix.tobsr(blocksize=(1, 1))  # larger blocks store zeros, which are entries
    return matrix.asformat(form)

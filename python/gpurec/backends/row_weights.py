"""What sparse rows are made of before they are compared: weights, centring, norms.

All of it is float64, rounded once to float32 where it becomes a matrix again. Sums run in the order of
entries. Only the operations that IEEE 754 rounds exactly are used, logarithms and powers included, so that a
matrix is the same on every processor and with every library of mathematics.
"""

from __future__ import annotations

import numpy as np

from .base import SparseRows
from .environment import strict_floats
from .reference_gram import ordered_sums

__all__ = ["bm25", "centre_columns", "centre_rows", "logarithm", "power", "squared_norms", "tf_idf"]

_LN2_HIGH, _LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")


def logarithm(x: np.ndarray) -> np.ndarray:
    """Natural logarithm of positive float64 numbers, to a few units in the last place.

    Notes
    -----
    x = m 2^e with m about 1; log m = 2 (z + z^3/3 + z^5/5 + ...) with z = (m - 1) / (m + 1), to z^27.

    Examples
    --------
    >>> logarithm(np.array([1.0, 10.0])).round(12).tolist()
    [0.0, 2.302585092994]
    """
    m, e = np.frexp(np.asarray(x, np.float64))
    small = m < np.sqrt(0.5)
    m, e = np.where(small, 2.0 * m, m), e - small
    z = (m - 1.0) / (m + 1.0)
    square, series = z * z, np.zeros_like(z)
    for i in range(13, -1, -1):
        series = series * square + 1.0 / (2 * i + 1)
    return e * _LN2_HIGH + (2.0 * z * series + e * _LN2_LOW)


def power(x: np.ndarray, exponent: float) -> np.ndarray:
    """x ** exponent of float64 numbers that are not negative, relative error below 1e-13; 0 stays 0.

    Notes
    -----
    An exponent of 0.5 is IEEE's square root, 1 is x and 0 is 1 (for x > 0). Others are exp(exponent log x),
    exp by its series to the 14th term after the next multiple of log 2 is taken off.

    Examples
    --------
    >>> power(np.array([0.0, 4.0, 8.0]), 1 / 3).round(12).tolist()
    [0.0, 1.587401051968, 2.0]
    """
    x = np.asarray(x, np.float64)
    positive = x > 0
    if exponent in (0.0, 0.5, 1.0):
        return np.sqrt(x) if exponent == 0.5 else np.where(positive, x if exponent else 1.0, 0.0)
    t = exponent * logarithm(np.where(positive, x, 1.0))
    whole = np.rint(t / (_LN2_HIGH + _LN2_LOW))
    rest = (t - whole * _LN2_HIGH) - whole * _LN2_LOW
    series = np.ones_like(rest)
    for i in range(14, 0, -1):
        series = series * (rest / i) + 1.0
    return np.where(positive, np.ldexp(series, whole.astype(np.int64)), 0.0)


@strict_floats()
def squared_norms(x: SparseRows) -> np.ndarray:
    """Sum of the squares of each row's values, float64, from +0.0 in ascending column order."""
    values = x.values.astype(np.float64)
    return ordered_sums(x.owners, values * values, x.n_rows)


@strict_floats()
def centre_rows(x: SparseRows) -> SparseRows:
    """Each row's stored values less their mean; those of a row of equal values become +0.

    Examples
    --------
    >>> rows = SparseRows(np.array([0, 2]), np.int32([0, 5]), np.float32([1, 4]), 9)
    >>> centre_rows(rows).values.tolist()
    [-1.5, 1.5]
    """
    return x.with_values(_centred(x.owners, x.values, x.n_rows))


@strict_floats()
def centre_columns(x: SparseRows) -> SparseRows:
    """Each column's stored values less their mean, its sum in ascending row order; equal values become +0.

    Examples
    --------
    >>> rows = SparseRows(np.array([0, 1, 2]), np.int32([5, 5]), np.float32([1, 4]), 9)
    >>> centre_columns(rows).values.tolist()
    [-1.5, 1.5]
    """
    return x.with_values(_centred(x.columns, x.values, x.n_columns))


def _centred(groups: np.ndarray, values: np.ndarray, n_groups: int) -> np.ndarray:
    wide = values.astype(np.float64)
    counts = np.bincount(groups, minlength=n_groups)
    means = ordered_sums(groups, wide, n_groups) / np.maximum(counts, 1)
    least, most = np.full(n_groups, np.inf), np.full(n_groups, -np.inf)
    np.minimum.at(least, groups, wide)
    np.maximum.at(most, groups, wide)
    with np.errstate(over="ignore"):
        return np.where((least < most)[groups], wide - means[groups], 0.0).astype(np.float32)


def _rarity(x: SparseRows) -> np.ndarray:
    """log(n_rows) - log(1 + entries of the column), for each column."""
    entries = np.bincount(x.columns, minlength=x.n_columns)
    return logarithm(np.array(max(x.n_rows, 1))) - logarithm(1.0 + entries)


@strict_floats()
def bm25(x: SparseRows, k1: float = 100.0, b: float = 0.8) -> SparseRows:
    """Okapi BM25: value (k1 + 1) / (k1 length + value) * rarity.

    Parameters
    ----------
    x : SparseRows
        Values that are not negative.
    k1, b : float
        How soon large values count no more, and how much long rows are held down: length is (1 - b) + b times
        the sum of the row's values beside the mean sum. Defaults are those of implicit's `bm25_weight`.

    Notes
    -----
    A column's rarity is log(n_rows) - log(1 + entries of the column); of one that nearly every row has it is
    about 0, or a little less.

    Source: Robertson and Zaragoza 2009, "The probabilistic relevance framework", section 3, as in implicit.

    Examples
    --------
    >>> rows = SparseRows(np.array([0, 1, 1, 1]), np.int32([0]), np.float32([2]), 1)
    >>> bm25(rows, k1=1.0, b=0.0).values.astype(float).round(4).tolist()
    [0.5406]
    """
    values, owners = x.values.astype(np.float64), x.owners
    sums = ordered_sums(owners, values, x.n_rows)
    mean = ordered_sums(np.zeros(x.n_rows, np.int64), sums, 1)[0] / max(x.n_rows, 1)
    length = (1.0 - b) + b * sums / (mean if mean > 0 else 1.0)
    scale = k1 * length[owners] + values
    weights = np.divide(values * (k1 + 1.0), scale, out=np.zeros_like(values), where=scale > 0)
    return x.with_values((weights * _rarity(x)[x.columns]).astype(np.float32))


@strict_floats()
def tf_idf(x: SparseRows) -> SparseRows:
    """The square root of each value, which is not negative, times its column's rarity as of `bm25`.

    Source: the form of implicit's `tfidf_weight`.

    Examples
    --------
    >>> rows = SparseRows(np.array([0, 1, 1, 1]), np.int32([0]), np.float32([4]), 1)
    >>> tf_idf(rows).values.astype(float).round(4).tolist()
    [0.8109]
    """
    roots = np.sqrt(x.values.astype(np.float64))
    return x.with_values((roots * _rarity(x)[x.columns]).astype(np.float32))

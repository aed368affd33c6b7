"""Op `gram_top_k`: the exact most similar rows of each row of a sparse matrix."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends import (
    Backend,
    GramScore,
    SparseRows,
    bm25,
    centre_columns,
    centre_rows,
    power,
    select,
    squared_norms,
    strict_floats,
    tf_idf,
)
from ..types import TopK
from .arguments import as_k, as_rows, check_result_size
from .filters import as_filters
from .sparse_arguments import as_sparse_rows, without_empty_columns

__all__ = ["GRAM_METRICS", "WEIGHTINGS", "gram_top_k"]

GRAM_METRICS = (
    "cosine",
    "dot",
    "pearson",
    "pearson_centred",
    "adjusted_cosine",
    "asymmetric_cosine",
    "jaccard",
    "tversky",
)
WEIGHTINGS = ("bm25", "tf-idf")
# What each metric's alpha and beta are where the caller gives none; others have no such number.
_ALPHA = {"asymmetric_cosine": 0.5, "tversky": 1.0}
_BETA = {"tversky": 1.0}


@strict_floats()
def gram_top_k(
    X: Any,
    k: int,
    *,
    metric: str = "cosine",
    weighting: str | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    shrinkage: float = 0.0,
    min_overlap: int = 1,
    rows: Any = None,
    include_self: bool = False,
    exclude: Any = None,
    allow: Any = None,
    deny: Any = None,
    backend: str | Backend | None = None,
) -> TopK:
    """The k rows of a sparse matrix most similar to each of its rows, best first, equal ones by smaller row.

    Two rows are a pair where both have an entry in at least `min_overlap` columns; others are never returned.
    The answer is exact and the same, bit for bit, on every backend, ISA and thread count, and no matrix of
    all pairs is made. Give items by users for similar items, users by items for similar users.

    Parameters
    ----------
    X : sparse matrix of SciPy or PyTorch in any format, or dense array, shape (n_rows, n_columns)
        Floats or integers; finite. Every stored entry counts, a stored zero too; entries that stand twice are
        added; of a dense array the values that are not zero are the entries.
    k : int
        At least 1; there is no upper limit.
    metric : str
        With a_c, b_c the values in the n common columns, n_a and n_b the numbers of entries:

        - "cosine": sum a_c b_c / (|a| |b|), norms over all entries; 0 where a norm is 0
        - "dot": sum a_c b_c
        - "pearson": the correlation of a_c and b_c, with means over the common columns; 0 where one of them
          does not vary
        - "pearson_centred": "cosine" after the mean of each row's entries is taken off
        - "adjusted_cosine": "cosine" after the mean of each column's entries is taken off
        - "asymmetric_cosine": sum a_c b_c / (|a|^(2 alpha) |b|^(2 - 2 alpha)), a being the row asked about
        - "jaccard": n / (n_a + n_b - n), whatever the values
        - "tversky": n / (n + alpha (n_a - n) + beta (n_b - n)), a being the row asked about
    weighting : {"bm25", "tf-idf"}, optional
        Makes other values of X before all else, see docs/ops/gram_top_k.md; values must not be negative.
    alpha, beta : float, optional
        Of "asymmetric_cosine" (alpha in 0..1, by default 0.5, which is "cosine") and of "tversky" (at least
        0, by default 1 and 1, which is "jaccard").
    shrinkage : float
        At least 0: the score is multiplied by n / (n + shrinkage), so that pairs with few columns in common
        count less.
    min_overlap : int
        Common columns that a pair has at least.
    rows : int array, shape (n_asked,), optional
        The rows asked about, in any order, repeats included; every row by default.
    include_self : bool
        Whether a row may be in its own answer. Left out is the row itself, not what merely equals it.
    exclude : scipy sparse (n_asked, n_rows), (indptr, indices), or list of n_asked row arrays, optional
        Rows that a row must not be given.
    allow, deny : optional
        As in `score_top_k`, the rows asked about being the queries.
    backend : str or Backend, optional
        See `gpurec.backends.select`. Devices have no kernel for it: "cuda" and "cupy" compute it on the host.

    Returns
    -------
    TopK
        `rows` int64 and `scores` float32, both (n_asked, k), in the order in which rows were asked about;
        missing places are row -1, score -inf. NumPy arrays.

    Raises
    ------
    ValueError
        If k < 1, a name is unknown, a number is out of range, indptr or indices do not fit the shape, a value
        is not finite or, with a weighting, negative, a row is out of range, or the result would exceed the
        byte limit.
    TypeError
        If a dtype is not one of numbers, or `rows` are not integers.

    Notes
    -----
    Canonical score: sums in float64 from +0.0 in ascending column order, norms the roots of such sums, the
    product of the two norms rounded to float64, one division, the shrinkage a second product; rounded once to
    float32. See docs/ops/gram_top_k.md for each metric's order of operations.

    Memory on `cpu` beyond X and the result: 20 bytes an entry, 32 bytes a row, 8 bytes a column and 8 more
    for each 65,536 rows, and for each thread 28 bytes a row ("pearson": 60) and 8 bytes a column.

    Sources: Sarwar and others 2001 (adjusted cosine); Aiolli 2013 (asymmetric cosine); Tversky 1977; Bell and
    Koren 2007 (shrinkage).

    Examples
    --------
    >>> import scipy.sparse
    >>> likes = scipy.sparse.csr_array([[1, 1, 0], [1, 1, 1], [0, 0, 1]])
    >>> found = gram_top_k(likes, 1)
    >>> found.rows.tolist(), found.scores.round(3).tolist()
    ([[1], [0], [1]], [[0.8159999847412109], [0.8159999847412109], [0.5770000219345093]])
    """
    op = "gram_top_k"
    _check_name(metric, GRAM_METRICS, "metric", op)
    k, min_overlap = as_k(k, op), as_k(min_overlap, op, "min_overlap")
    shrinkage = _number(shrinkage, "shrinkage", op)
    first, second = _exponents(metric, alpha, beta, op)
    x = without_empty_columns(as_sparse_rows(X, "X", op))
    if rows is None:
        check_result_size(x.n_rows, k, op)  # before there is a number for each
    asked = np.arange(x.n_rows) if rows is None else as_rows(rows, x.n_rows, op)
    check_result_size(len(asked), k, op)
    filters = as_filters(len(asked), x.n_rows, exclude, allow, deny, op=op)
    x = _prepared(x, metric, weighting, op)
    if metric in ("jaccard", "tversky", "pearson"):
        form = "pearson" if metric == "pearson" else "sets"
        how = GramScore(form, None, None, first, second, shrinkage, min_overlap)
    else:
        left = right = None
        if metric != "dot":
            squares = squared_norms(x)
            exponent = first if metric == "asymmetric_cosine" else 0.5
            left = power(squares, exponent)
            right = left if exponent == 0.5 else power(squares, 1.0 - exponent)
        how = GramScore("products", left, right, 1.0, 1.0, shrinkage, min_overlap)
    found = select(backend).gram_top_k(x, k, how, asked, bool(include_self), filters)
    return TopK(*found)


def _prepared(x: SparseRows, metric: str, weighting: str | None, op: str) -> SparseRows:
    if weighting is not None:
        _check_name(weighting, WEIGHTINGS, "weighting", op)
        if len(x.values) and x.values.min() < 0:
            row = int(x.owners[np.argmax(x.values < 0)])
            raise ValueError(
                f"[{op}] expected values >= 0 for {weighting}, got a negative one in row {row} of X"
            )
        x = bm25(x) if weighting == "bm25" else tf_idf(x)
    if metric == "pearson_centred":
        x = centre_rows(x)
    elif metric == "adjusted_cosine":
        x = centre_columns(x)
    if not np.isfinite(x.values).all():
        row = int(x.owners[np.argmin(np.isfinite(x.values))])
        raise ValueError(
            f"[{op}] expected values within float32 after {metric}, got infinity in row {row} of X"
        )
    return x


def _exponents(metric: str, alpha: Any, beta: Any, op: str) -> tuple[float, float]:
    for name, value, defaults in (("alpha", alpha, _ALPHA), ("beta", beta, _BETA)):
        if value is not None and metric not in defaults:
            raise ValueError(f"[{op}] expected no {name} with metric {metric!r}, got {value!r}; leave it out")
    first = _number(_ALPHA.get(metric, 1.0) if alpha is None else alpha, "alpha", op)
    second = _number(_BETA.get(metric, 1.0) if beta is None else beta, "beta", op)
    if metric == "asymmetric_cosine" and first > 1:
        raise ValueError(f"[{op}] expected alpha in 0..1 with metric {metric!r}, got {first}")
    return first, second


def _check_name(name: Any, known: tuple[str, ...], what: str, op: str) -> None:
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"[{op}] expected {what} to be one of {', '.join(known)}, got {name!r}")


def _number(value: Any, name: str, op: str) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"[{op}] expected a number as {name}, got {type(value).__name__}")
    number = float(value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"[{op}] expected {name} finite and at least 0, got {number}")
    return number

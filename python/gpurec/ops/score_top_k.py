"""Op `score_top_k`: the exact best k items of each query."""

from __future__ import annotations

from typing import Any

from ..arrays import for_caller
from ..backends import Backend, select, strict_floats
from ..device_arrays import device_number, is_on_device
from ..types import TopK
from .arguments import as_k, as_matrix, as_metric, as_precision, check_finite, check_result_size
from .filters import as_filters, as_hint
from .on_device import device_backend, host_matrix, top_k_on_device

__all__ = ["score_top_k"]


@strict_floats()
def score_top_k(
    queries: Any,
    items: Any,
    k: int,
    *,
    exclude: Any = None,
    allow: Any = None,
    deny: Any = None,
    hint: Any = None,
    metric: str = "dot",
    precision: str = "auto",
    backend: str | Backend | None = None,
) -> TopK:
    """Best k items of each query, higher score first, equal ones by smaller row.

    The answer is exact and the same, bit for bit, on every backend, ISA, thread count and precision. For many
    searches over the same items make an `ItemIndex`.

    Parameters
    ----------
    queries : array, shape (n_queries, d) or (d,)
        Floats or integers; finite. float64 and integers are rounded once to float32.
    items : array, shape (n_items, d)
    k : int
        At least 1; there is no upper limit.
    exclude : scipy sparse (n_queries, n_items), (indptr, indices), or list of n_queries row arrays, optional
        Items that a query must not be given; every stored entry counts.
    allow, deny : optional
        One set for all queries (rows or a boolean mask of n_items), per query in the forms of `exclude`, or
        `(sets, which)` with which[i] the set that query i uses.
    hint : optional
        Rows likely to be among the best: one array for all queries or the forms of `exclude`. Changes the
        speed, never the answer.
    metric : {"dot", "cosine", "pearson", "euclidean"}
        "euclidean" scores by the negative squared distance.
    precision : {"auto", "int8", "int4", "bf16", "fp32"}
        Arithmetic of the scan. Changes the speed, never the answer; a single call is quickest in float32.
    backend : str or Backend, optional

    Returns
    -------
    TopK
        `rows` int64 and `scores` float32, both (n_queries, k); missing places are row -1, score -inf.
        Arrays of the library that `queries` came in.

    Raises
    ------
    ValueError
        If k < 1, shapes do not fit, a value is not finite, a filter row is out of range, or the result would
        exceed the byte limit.
    TypeError
        If a dtype is not one of numbers, or an array lies on a device where the backend takes none.

    Notes
    -----
    A score is the float64 sum over 32 lanes, rounded once to float32; docs/design/0002-certificate.md proves
    that the cheap scan loses nothing. Items whose score overflows float32 are never returned.

    Examples
    --------
    >>> rows, scores = score_top_k([[1.0, 2.0]], [[3.0, 4.0], [0.0, 1.0], [5.0, 3.0]], 2)
    >>> rows.tolist(), scores.tolist()
    ([[0, 2]], [[11.0, 11.0]])
    """
    metric = as_metric(metric, "score_top_k")
    as_precision(precision, "score_top_k")
    k = as_k(k, "score_top_k")
    if is_on_device(queries) or is_on_device(items):
        return _on_device(queries, items, k, metric, backend, exclude=exclude, allow=allow, deny=deny)
    x = as_matrix(items, "items", "score_top_k", finite=False)  # the search looks at every item anyway
    q = as_matrix(queries, "queries", "score_top_k", n_columns=x.shape[1])
    check_result_size(len(q), k, "score_top_k")
    filters = as_filters(len(q), len(x), exclude, allow, deny, op="score_top_k")
    hints = as_hint(hint, len(q), len(x), op="score_top_k")
    try:
        rows, scores = select(backend).score_top_k(q, x, k, metric, filters, hints)
    except FloatingPointError:
        check_finite(x, "items", "score_top_k")
        raise
    return TopK(*for_caller(queries, rows, scores))


def _on_device(
    queries: Any, items: Any, k: int, metric: str, backend: str | Backend | None, **filters: Any
) -> TopK:
    """The same where queries or items lie on a device: the items, waited for, become an index."""
    op = "score_top_k"
    name, one = ("queries", queries) if is_on_device(queries) else ("items", items)
    chosen = select(backend, device=device_number(one))
    taking = device_backend(chosen, one, name, op)
    x = as_matrix(host_matrix(items, "items", op), "items", op)
    if not is_on_device(queries):
        return score_top_k(queries, x, k, metric=metric, backend=chosen, **filters)
    check_result_size(int(queries.shape[0]) if len(queries.shape) > 1 else 1, k, op)
    index = chosen.build_index(x, metric)
    return top_k_on_device(
        taking, index, len(x), queries, k, metric=metric, appended=False, version=None, op=op, **filters
    )

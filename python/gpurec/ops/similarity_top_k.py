"""Op `similarity_top_k`: the exact most similar rows of each row of a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import for_caller
from ..backends import Backend, RowSets, select, strict_floats
from ..types import TopK
from .arguments import as_k, as_matrix, as_metric, as_precision, as_rows, check_result_size
from .filters import as_filters, filters_of, with_denied

__all__ = ["similarity_top_k"]

# Rows asked about at once: enough to keep every thread busy, and few enough that their answers are few bytes.
_ROWS_AT_ONCE = 4096
_RESULT_BYTES_AT_ONCE = 8_000_000


@strict_floats()
def similarity_top_k(
    items: Any,
    k: int,
    *,
    metric: str = "cosine",
    rows: Any = None,
    include_self: bool = False,
    exclude: Any = None,
    allow: Any = None,
    deny: Any = None,
    precision: str = "auto",
    backend: str | Backend | None = None,
) -> TopK:
    """The k rows of a table that are most similar to each of its rows, best first, equal ones by smaller row.

    The answer is exact and the same, bit for bit, on every backend, ISA, thread count and precision: that of
    `score_top_k(items[rows], items, k, metric=metric)` with each row excluded from its own answer.

    Parameters
    ----------
    items : array, shape (n_items, d)
        Floats or integers; finite. float64 and integers are rounded once to float32.
    k : int
        At least 1; there is no upper limit.
    metric : {"dot", "cosine", "pearson", "euclidean"}
        "euclidean" scores by the negative squared distance. A zero row has cosine 0 and a constant row
        Pearson 0 with everything.
    rows : int array, shape (n_rows,), optional
        The rows asked about, in any order, repeats included; every row of the table by default.
    include_self : bool
        Whether a row may be in its own answer. Left out is the row itself, not what merely equals it.
    exclude : scipy sparse (n_rows, n_items), (indptr, indices), or list of n_rows row arrays, optional
        Items that a row must not be given; every stored entry counts.
    allow, deny : optional
        As in `score_top_k`, the rows asked about being the queries.
    precision : {"auto", "int8", "int4", "bf16", "fp32"}
        Arithmetic of the scan. Changes the speed, never the answer.
    backend : str or Backend, optional
        See `gpurec.backends.select`.

    Returns
    -------
    TopK
        `rows` int64 and `scores` float32, both (n_rows, k), in the order in which rows were asked about;
        missing places are row -1, score -inf. Arrays of the library that `items` came in.

    Raises
    ------
    ValueError
        If k < 1, a shape does not fit, a value is not finite, a row is out of range, or the result would
        exceed the byte limit.
    TypeError
        If a dtype is not one of numbers, `rows` are not integers, or an array lies on a device.

    Notes
    -----
    Time: a search of n_rows queries. Memory on `cpu` beyond the items, the filters and the result: at most
    two float32 copies of the items, 64 bytes an item, and 64 MB, however many rows are asked about. To ask
    again about the same items make an `ItemIndex` and use its `search_ids`.

    Examples
    --------
    >>> similarity_top_k([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0]], 1).rows.tolist()
    [[2], [2], [0]]
    """
    op = "similarity_top_k"
    metric = as_metric(metric, op)
    k = as_k(k, op)
    x = as_matrix(items, "items", op)
    asked = np.arange(len(x)) if rows is None else as_rows(rows, len(x), op)
    check_result_size(len(asked), k, op)
    filters = as_filters(len(asked), len(x), exclude, allow, deny, op=op)
    if not include_self:
        filters = with_denied(filters, RowSets(np.arange(len(asked) + 1), asked))
    chosen = select(backend)
    at_once = max(1, min(_ROWS_AT_ONCE, _RESULT_BYTES_AT_ONCE // (12 * k)))
    if len(asked) <= at_once:
        return TopK(*for_caller(items, *chosen.score_top_k(x[asked], x, k, metric, filters)))
    index = chosen.build_index(x, metric, precision=as_precision(precision, op))
    best_rows = np.empty((len(asked), k), np.int64)
    best_scores = np.empty((len(asked), k), np.float32)
    for first in range(0, len(asked), at_once):
        batch = slice(first, min(first + at_once, len(asked)))
        found = chosen.search(index, x[asked[batch]], k, filters_of(filters, batch))
        best_rows[batch], best_scores[batch] = found
    return TopK(*for_caller(items, best_rows, best_scores))

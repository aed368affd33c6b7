"""Op `score_pairs`: the canonical score of matched rows."""

from __future__ import annotations

from typing import Any

from ..arrays import for_caller
from ..backends import Backend, select, strict_floats
from .arguments import as_matrix, as_metric

__all__ = ["score_pairs"]


@strict_floats()
def score_pairs(
    queries: Any, items: Any, *, metric: str = "dot", backend: str | Backend | None = None
) -> Any:
    """Canonical score of row i of `queries` with row i of `items`.

    Parameters
    ----------
    queries, items : array, shape (n, d)
        Floats or integers; finite.
    metric : {"dot", "cosine", "pearson", "euclidean"}
        "euclidean" is the negative squared distance.
    backend : str or Backend, optional

    Returns
    -------
    float32 array, shape (n,)
        Bit for bit the scores that `score_top_k` gives these pairs; beyond float32's range they are infinite.
        Of the library that `queries` came in.

    Raises
    ------
    ValueError
        If shapes differ or a value is not finite.
    TypeError
        If a dtype is not one of numbers, or an array lies on a device.

    Examples
    --------
    >>> score_pairs([[1.0, 2.0], [0.0, 3.0]], [[3.0, 4.0], [1.0, 1.0]]).tolist()
    [11.0, 3.0]
    """
    metric = as_metric(metric, "score_pairs")
    x = as_matrix(items, "items", "score_pairs")
    q = as_matrix(queries, "queries", "score_pairs", n_columns=x.shape[1])
    if len(q) != len(x):
        raise ValueError(f"[score_pairs] expected as many queries as items, got {len(q)} and {len(x)}")
    return for_caller(queries, select(backend).score_pairs(q, x, metric))[0]

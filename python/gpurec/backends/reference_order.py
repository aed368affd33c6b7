"""How the reference rounds scores, filters rows and puts them in the total order."""

from __future__ import annotations

import numpy as np

from .base import Filters

__all__ = ["best_rows", "permitted", "round_scores", "stack"]


def round_scores(sums: np.ndarray) -> np.ndarray:
    """Round float64 sums once to float32; -0 becomes +0, what is beyond float32 becomes infinite."""
    with np.errstate(over="ignore"):
        return sums.astype(np.float32) + np.float32(0.0)  # -0 + +0 is +0, nothing else changes


def permitted(filters: Filters, query: int, n_items: int, active: np.ndarray | None = None) -> np.ndarray:
    """Which items a query may be given: bool array of shape (n_items,).

    An item passes iff it is active, in the shared mask, in the query's `allow`, and in none of its `deny`.
    """
    passes = np.ones(n_items, dtype=bool) if active is None else np.array(active, dtype=bool)
    if filters.mask is not None:
        passes &= filters.mask
    if filters.allow is not None:
        allowed = np.zeros(n_items, dtype=bool)
        allowed[filters.allow.of(query)] = True
        passes &= allowed
    for denied in filters.deny:
        passes[denied.of(query)] = False
    return passes


def best_rows(scores: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Order candidates and pad: higher score first, then smaller row; missing places are -1 and -inf.

    Parameters
    ----------
    scores : float32 array, shape (n,)
        Canonical scores; NaN and infinite ones are left out.
    rows : int64 array, shape (n,)
        Row of each score.
    k : int

    Returns
    -------
    rows : int64 array, shape (k,)
    scores : float32 array, shape (k,)

    Examples
    --------
    >>> best_rows(np.float32([1, 3, 3, np.inf]), np.array([0, 2, 1, 3]), k=4)[0].tolist()
    [1, 2, 0, -1]
    """
    finite = np.isfinite(scores)
    scores, rows = scores[finite], rows[finite]
    order = np.lexsort((rows, -scores))[:k]  # the last key is the first one compared
    out_rows = np.full(k, -1, dtype=np.int64)
    out_scores = np.full(k, -np.inf, dtype=np.float32)
    out_rows[: len(order)] = rows[order]
    out_scores[: len(order)] = scores[order]
    return out_rows, out_scores


def stack(results: list[tuple[np.ndarray, np.ndarray]], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Answers of single queries as one: rows int64 and scores float32, both (n_queries, k)."""
    rows = np.empty((len(results), k), dtype=np.int64)
    scores = np.empty((len(results), k), dtype=np.float32)
    for i, result in enumerate(results):
        rows[i], scores[i] = result
    return rows, scores

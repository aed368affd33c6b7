"""Filters that the benchmarks ask for: drawn once, kept in a file, cut to the queries of one search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

__all__ = ["draw", "inputs", "save_seen"]

_N_SETS = 8


def draw(file: Path, n_queries: int, n_items: int, n_seen: int, share: float) -> None:
    """Draw what every job of bench_filters.py needs.

    Parameters
    ----------
    file : Path
        An .npz file.
    n_queries, n_items : int
    n_seen : int
        Items that each query has seen, all different.
    share : float
        Part of the items in the list `rows`, in each of the shared sets, and in the set of each query.
    """
    rng = np.random.default_rng([n_queries, n_items])
    n_allowed = max(1, round(share * n_items))
    np.savez(
        file,
        n_items=n_items,
        seen_indptr=np.arange(n_queries + 1) * n_seen,
        seen_indices=_distinct(rng, n_queries, n_items, n_seen).ravel().astype(np.int32),
        rows=_distinct(rng, 1, n_items, n_allowed)[0],
        allowed=_distinct(rng, n_queries, n_items, n_allowed).astype(np.int32),
        sets=_distinct(rng, _N_SETS, n_items, n_allowed),
        which=rng.integers(0, _N_SETS, n_queries),
    )


def save_seen(file: Path, user_items: csr_matrix) -> None:
    """Keep the items that users have seen, for the job `exclude` alone."""
    np.savez(
        file,
        n_items=user_items.shape[1],
        seen_indptr=user_items.indptr.astype(np.int64),
        seen_indices=user_items.indices.astype(np.int32),
    )


def inputs(filters: Mapping[str, np.ndarray], job: str, first: int, n_queries: int) -> dict[str, Any]:
    """What a contender's method `job` is handed for a run of queries."""
    n_items = int(filters["n_items"]) if filters else 0
    run = slice(first, first + n_queries)
    if job == "search":
        return {}
    if job == "exclude":
        indptr = filters["seen_indptr"][first : first + n_queries + 1]
        indices = filters["seen_indices"][indptr[0] : indptr[-1]]
        return {"seen": _matrix(indptr - indptr[0], indices, n_items)}
    if job in ("allow_rows", "deny_rows"):
        return {"rows": filters["rows"]}
    if job == "allow_mask":
        mask = np.zeros(n_items, bool)
        mask[filters["rows"]] = True
        return {"mask": mask}
    if job == "allow_each":
        allowed = filters["allowed"][run]
        indptr = np.arange(n_queries + 1) * allowed.shape[1]
        return {"allowed": _matrix(indptr, allowed.ravel(), n_items)}
    if job == "allow_sets":
        return {"sets": list(filters["sets"]), "which": filters["which"][run]}
    raise ValueError(f"[filters] expected a job, got {job!r}")


def _matrix(indptr: np.ndarray, indices: np.ndarray, n_items: int) -> csr_matrix:
    values = np.ones(len(indices), np.float32)
    return csr_matrix((values, indices, indptr.astype(np.int32)), shape=(len(indptr) - 1, n_items))


def _distinct(rng: np.random.Generator, n_lists: int, n_items: int, length: int) -> np.ndarray:
    """Ascending lists of different rows."""
    return np.sort(
        [rng.choice(n_items, length, replace=False, shuffle=False) for _ in range(n_lists)], axis=1
    )

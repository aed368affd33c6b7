"""The forms in which callers give exclude, allow, deny and hint, brought into the one form backends take."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import as_numpy
from ..backends import NO_FILTERS, Filters, RowSets

__all__ = ["as_filters", "as_hint", "as_pair", "filters_of", "is_shared", "is_sparse", "with_denied"]


def as_filters(
    n_queries: int, n_items: int, exclude: Any = None, allow: Any = None, deny: Any = None, *, op: str
) -> Filters:
    """Checked filters.

    Parameters
    ----------
    n_queries, n_items : int
    exclude : scipy sparse (n_queries, n_items), (indptr, indices), or list of n_queries row arrays
        Every stored entry counts.
    allow, deny : None, or
        one set for all queries (array or list of rows, or boolean mask of n_items), per query in the forms of
        `exclude`, or `(sets, which)`: a list of row arrays and, for each query, the set it uses.

    Raises
    ------
    ValueError
        If a row lies outside -1..n_items-1 or a shape does not fit; -1 is ignored.
    TypeError
        If the form is none of these or rows are not integers.
    """
    if exclude is None and allow is None and deny is None:
        return NO_FILTERS
    mask: np.ndarray | None = None
    per_query: list[RowSets] = []
    if exclude is not None:
        per_query.append(_per_query(exclude, n_queries, n_items, "exclude", op))
    allow_sets: RowSets | None = None
    if allow is not None:
        if is_shared(allow):
            mask = _mask(allow, n_items, "allow", op)
        else:
            allow_sets = _per_query(allow, n_queries, n_items, "allow", op)
    if deny is not None:
        if is_shared(deny):
            denied = _mask(deny, n_items, "deny", op)
            mask = ~denied if mask is None else mask & ~denied
        else:
            per_query.append(_per_query(deny, n_queries, n_items, "deny", op))
    return Filters(mask=mask, allow=allow_sets, deny=tuple(per_query))


def with_denied(filters: Filters, sets: RowSets) -> Filters:
    """The same filters and one more set of rows that each query must not be given."""
    return Filters(filters.mask, filters.allow, (*filters.deny, sets))


def filters_of(filters: Filters, queries: slice) -> Filters:
    """The filters of some queries, one after another."""
    allow = None if filters.allow is None else _sets_of(filters.allow, queries)
    return Filters(filters.mask, allow, tuple(_sets_of(sets, queries) for sets in filters.deny))


def _sets_of(sets: RowSets, queries: slice) -> RowSets:
    if sets.which is not None:
        return RowSets(sets.indptr, sets.rows, sets.which[queries])
    ends = sets.indptr[queries.start : queries.stop + 1]
    return RowSets(ends - ends[0], sets.rows[ends[0] : ends[-1]])


def as_hint(hint: Any, n_queries: int, n_items: int, *, op: str) -> RowSets | None:
    """Rows to score first: one array for all queries or the forms of `exclude`."""
    if hint is None:
        return None
    if not is_shared(hint):
        return _per_query(hint, n_queries, n_items, "hint", op)
    rows = np.unique(_rows(hint, n_items, "hint", op))
    return RowSets(np.array([0, len(rows)], np.int64), rows, np.zeros(n_queries, np.int64))


def is_sparse(x: Any) -> bool:
    """Whether this is a sparse matrix of SciPy or of PyTorch."""
    return (hasattr(x, "tocsr") and hasattr(x, "shape")) or _is_sparse_tensor(x)


def _is_sparse_tensor(x: Any) -> bool:  # of PyTorch
    return hasattr(x, "to_sparse_csr") and "sparse" in str(x.layout)


def is_shared(x: Any) -> bool:
    """One set for all queries: an array of rows, a mask, or a list of integers (or of nothing)."""
    if isinstance(x, list):
        return all(isinstance(i, (int, np.integer)) for i in x)
    return not isinstance(x, tuple) and not is_sparse(x)


def _rows(x: Any, n_items: int, name: str, op: str) -> np.ndarray:
    """Item rows as int64 without the -1s."""
    rows = as_numpy(x, name, op)
    if rows.ndim != 1:
        raise ValueError(f"[{op}] expected {name} rows in one dimension, got {rows.ndim}")
    if rows.size == 0:
        return np.empty(0, np.int64)
    if rows.dtype.kind not in "iu":
        raise TypeError(f"[{op}] expected {name} rows of an integer dtype, got {rows.dtype}")
    low, high = (
        rows.min(),
        rows.max(),
    )  # cheaper than a mask of the bad ones, of which there are none as a rule
    if low < -1 or high >= n_items:
        bad = (rows >= n_items) if rows.dtype.kind == "u" else (rows < -1) | (rows >= n_items)
        first = rows[int(np.argmax(bad))]
        raise ValueError(f"[{op}] expected {name} rows in 0..{n_items - 1} (-1 is ignored), got {first}")
    rows = rows.astype(np.int64, copy=False)
    return rows if low >= 0 else rows[rows >= 0]


def _mask(x: Any, n_items: int, name: str, op: str) -> np.ndarray:
    array = as_numpy(x, name, op)
    if array.dtype == np.bool_:
        if array.shape != (n_items,):
            raise ValueError(f"[{op}] expected a boolean {name} of shape ({n_items},), got {array.shape}")
        return np.ascontiguousarray(array)
    mask = np.zeros(n_items, np.bool_)
    mask[_rows(array, n_items, name, op)] = True
    return mask


def _per_query(x: Any, n_queries: int, n_items: int, name: str, op: str) -> RowSets:
    if is_sparse(x):
        return _row_sets(*as_pair(x, n_queries, n_items, name, op), n_queries, n_items, name, op)
    if isinstance(x, tuple):
        if len(x) != 2:
            raise TypeError(f"[{op}] expected {name} as a pair, got a tuple of {len(x)}")
        first, second = x
        if isinstance(first, list):
            if name in ("exclude", "hint"):
                raise TypeError(
                    f"[{op}] expected {name} as sparse, (indptr, indices) or a list of row arrays"
                )
            return _sets_and_which(first, second, n_queries, n_items, name, op)
        return _row_sets(*as_pair(x, n_queries, n_items, name, op), n_queries, n_items, name, op)
    if isinstance(x, list):
        if len(x) != n_queries:
            raise ValueError(f"[{op}] expected {name} of {n_queries} row arrays, one a query, got {len(x)}")
        return _from_lists(x, n_items, name, op)
    raise TypeError(
        f"[{op}] expected {name} as scipy sparse, (indptr, indices) or a list of row arrays, "
        f"got {type(x).__name__}"
    )


def _sets_and_which(sets: list, which: Any, n_queries: int, n_items: int, name: str, op: str) -> RowSets:
    chosen = as_numpy(which, name, op)
    if chosen.shape != (n_queries,) or (chosen.size and chosen.dtype.kind not in "iu"):
        raise ValueError(f"[{op}] expected {name}'s which as {n_queries} integers, got shape {chosen.shape}")
    chosen = chosen.astype(np.int64)
    if chosen.size and (chosen.min() < 0 or chosen.max() >= len(sets)):
        raise ValueError(f"[{op}] expected {name}'s which in 0..{len(sets) - 1}")
    merged = _from_lists(sets, n_items, name, op)
    return RowSets(merged.indptr, merged.rows, chosen)


def _from_lists(sets: list, n_items: int, name: str, op: str) -> RowSets:
    distinct = [np.unique(_rows(rows, n_items, name, op)) for rows in sets]
    indptr = np.zeros(len(sets) + 1, np.int64)
    np.cumsum([len(rows) for rows in distinct], out=indptr[1:])
    return RowSets(indptr, np.concatenate(distinct) if distinct else np.empty(0, np.int64))


def as_pair(x: Any, n_queries: int, n_items: int, name: str, op: str) -> tuple[np.ndarray, np.ndarray]:
    """A sparse matrix or a pair as (indptr, indices) where they lie, of which `indptr` is checked."""
    if is_sparse(x):
        if tuple(x.shape) != (n_queries, n_items):
            raise ValueError(
                f"[{op}] expected a sparse {name} of shape ({n_queries}, {n_items}), got {tuple(x.shape)}"
            )
        if _is_sparse_tensor(x):
            csr = x.detach().to_sparse_csr()
            x = csr.crow_indices(), csr.col_indices()
        else:
            csr = x.tocsr()
            x = csr.indptr, csr.indices
    ends, rows = (as_numpy(part, name, op) for part in x)
    if ends.ndim != 1 or rows.ndim != 1 or ends.dtype.kind not in "iu":
        raise TypeError(f"[{op}] expected {name} as (indptr, indices), two integer arrays")
    if len(ends) != n_queries + 1:
        raise ValueError(f"[{op}] expected {name}'s indptr of {n_queries + 1} entries, got {len(ends)}")
    ends = ends.astype(np.int64)
    if ends[0] != 0 or ends[-1] != len(rows) or (np.diff(ends) < 0).any():
        raise ValueError(f"[{op}] expected {name}'s indptr to ascend from 0 to {len(rows)}")
    return ends, rows


def _row_sets(
    ends: np.ndarray, rows: np.ndarray, n_queries: int, n_items: int, name: str, op: str
) -> RowSets:
    lengths = np.diff(ends)
    kept = _rows(rows, n_items, name, op)
    if len(kept) < len(rows):
        owner = np.repeat(np.arange(n_queries), lengths)[rows >= 0]
        lengths = np.bincount(owner, minlength=n_queries)
        ends = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    rising = kept[1:] > kept[:-1]
    starts = ends[1:-1]
    rising[starts[(starts > 0) & (starts < len(kept))] - 1] = True  # steps from one set into the next
    if rising.all():
        return RowSets(ends, np.ascontiguousarray(kept))
    owner = np.repeat(np.arange(n_queries, dtype=np.int64), lengths)
    keys = np.unique(owner * max(n_items, 1) + kept)
    counts = np.bincount(keys // max(n_items, 1), minlength=n_queries)
    return RowSets(np.concatenate(([0], np.cumsum(counts))).astype(np.int64), keys % max(n_items, 1))

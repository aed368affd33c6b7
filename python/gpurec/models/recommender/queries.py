"""What a caller asks, checked and turned into rows: users, k, and filters in external ids."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from ...types import IdMap, TopK

__all__ = [
    "RowFilter",
    "Slices",
    "UnknownUsers",
    "as_pair",
    "checked_k",
    "checked_rows",
    "each_query",
    "every_or_each_query",
    "join_pairs",
    "pair_of_queries",
    "take_ids",
    "take_queries",
]

# Rows for all queries, or one array of rows a query, or no filter.
RowFilter = np.ndarray | list[np.ndarray] | None
_SETS = (list, set, frozenset, np.ndarray)


class UnknownUsers(ABC):
    """A policy for users whom a model does not know; see `ColdStart`."""

    @abstractmethod
    def sources(self, model: Any, users: Any) -> np.ndarray:
        """Who answers for each of the users, given by id: objects (n,), text, or None for no entry."""

    @abstractmethod
    def search(self, model: Any, users: Any, k: int, filters: dict[str, Any]) -> TopK:
        """The best k items of users; filters as rows, one set for all users or a list of one each."""


def each_query(name: str, ids: Any, item_map: IdMap, n_queries: int) -> list[np.ndarray] | None:
    """Rows of item ids given as one collection a query; ids that the map lacks are left out.

    An unknown item cannot be recommended, so leaving it out of any filter changes no answer.

    Raises
    ------
    TypeError
        If an element is not a list, set or array of ids.
    ValueError
        If there is not one element a query.
    """
    if ids is None:
        return None
    sets = list(ids)
    for element in sets:
        if not isinstance(element, _SETS):
            raise TypeError(
                f"[recommend] expected {name} as one list of item ids a user, got {element!r} as an element; "
                f"do: {name}=[[...], ...], or deny=[...] for all users alike"
            )
    if len(sets) != n_queries:
        raise ValueError(
            f"[recommend] expected {name} as one list of item ids a user, got {len(sets)} for {n_queries} "
            "users; give each user one, empty if need be"
        )
    return [_known_rows(element, item_map) for element in sets]


def every_or_each_query(name: str, ids: Any, item_map: IdMap, n_queries: int) -> RowFilter:
    """Rows of item ids: one collection of ids for all queries, or a list of collections, one a query."""
    if ids is None:
        return None
    if isinstance(ids, (str, bytes)):
        raise TypeError(f"[recommend] expected {name} as a list of item ids, got {ids!r}; do: [{ids!r}]")
    elements = list(ids)
    if any(isinstance(element, _SETS) for element in elements):
        return each_query(name, elements, item_map, n_queries)
    return _known_rows(elements, item_map)


def _known_rows(ids: Any, item_map: IdMap) -> np.ndarray:
    rows = item_map.rows(ids if isinstance(ids, np.ndarray) else list(ids), unknown="ignore")
    return rows[rows >= 0]


def take_queries(rows: RowFilter, queries: np.ndarray) -> RowFilter:
    """The filter of some of the queries only."""
    return [rows[query] for query in queries.tolist()] if isinstance(rows, list) else rows


def as_pair(sets: Any, n_queries: int) -> tuple[np.ndarray, np.ndarray]:
    """Row sets in any form of `exclude` as the pair (indptr, rows), both int64.

    Parameters
    ----------
    sets : scipy sparse matrix, pair (indptr, rows), or list of n_queries row arrays

    Raises
    ------
    ValueError
        If there is not one set a query.
    """
    if hasattr(sets, "tocsr"):
        matrix = sets.tocsr()
        pair = matrix.indptr, matrix.indices
    elif isinstance(sets, tuple) and len(sets) == 2:
        pair = sets
    else:
        arrays = [np.asarray(rows, dtype=np.int64).ravel() for rows in sets]
        pair = np.cumsum([0, *map(len, arrays)]), np.concatenate([np.empty(0, dtype=np.int64), *arrays])
    indptr, rows = (np.asarray(part, dtype=np.int64) for part in pair)
    if indptr.shape != (n_queries + 1,):
        raise ValueError(
            f"[recommend_rows] expected exclude with one set for each of {n_queries} users, "
            f"got {max(indptr.size - 1, 0)}; give each user one, empty if need be"
        )
    if indptr[0] != 0 or indptr[-1] != len(rows) or (np.diff(indptr) < 0).any():
        raise ValueError("[recommend_rows] expected exclude with indptr rising from 0 to its number of rows")
    return indptr, rows


def join_pairs(
    a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The union of two lists of row sets, set by set, as (indptr, rows); rows may repeat.

    Examples
    --------
    >>> join_pairs((np.array([0, 1, 3]), np.array([5, 6, 7])), (np.array([0, 1, 1]), np.array([9])))
    (array([0, 2, 4]), array([5, 9, 6, 7]))
    """
    (a_indptr, a_rows), (b_indptr, b_rows) = a, b
    rows = np.empty(len(a_rows) + len(b_rows), dtype=np.int64)
    # Before set i of the result stand the sets 0..i-1 of both, and before its part of b also set i of a.
    rows[np.arange(len(a_rows)) + np.repeat(b_indptr[:-1], np.diff(a_indptr))] = a_rows
    rows[np.arange(len(b_rows)) + np.repeat(a_indptr[1:], np.diff(b_indptr))] = b_rows
    return a_indptr + b_indptr, rows


def pair_of_queries(pair: tuple[np.ndarray, np.ndarray], queries: slice) -> tuple[np.ndarray, np.ndarray]:
    """The sets of some queries, one after another, as (indptr, rows).

    Examples
    --------
    >>> pair_of_queries((np.array([0, 1, 3]), np.array([5, 6, 7])), slice(1, 2))
    (array([0, 2]), array([6, 7]))
    """
    indptr, rows = pair
    ends = indptr[queries.start : queries.stop + 1]
    return ends - ends[0], rows[ends[0] : ends[-1]]


class Slices:
    """Something of a length of which a slice is made when it is asked for, and not kept.

    Examples
    --------
    >>> Slices(10**12, lambda rows: np.arange(rows.start, rows.stop))[7:9]
    array([7, 8])
    """

    def __init__(self, length: int, make: Callable[[slice], Any]) -> None:
        self._length, self._make = length, make

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, rows: slice) -> Any:
        return self._make(rows)


def checked_k(k: Any) -> int:
    """k as a Python integer of at least 1."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise TypeError(f"[recommend] expected k as an integer, got {type(k).__name__}; do: int(k)")
    if k < 1:
        raise ValueError(f"[recommend] expected k of 1 or more, got {k}; ask for at least one item")
    return int(k)


def checked_rows(rows: Any, n: int) -> np.ndarray:
    """User rows as int64 (n_queries,), all in 0..n-1."""
    rows = np.asarray(rows)
    if rows.ndim != 1:
        raise ValueError(f"[recommend_rows] expected user rows of one dimension, got {rows.shape}; do: [row]")
    if rows.size and rows.dtype.kind not in "iu":
        raise TypeError(
            f"[recommend_rows] expected integer user rows, got {rows.dtype}; see recommend for ids"
        )
    if rows.size and not 0 <= rows.min() <= rows.max() < n:
        raise ValueError(
            f"[recommend_rows] expected user rows in 0..{n - 1}, got {rows.min()}..{rows.max()}; see user_map"
        )
    return rows.astype(np.int64, copy=False)


def take_ids(ids: np.ndarray | list[Any], places: np.ndarray) -> np.ndarray:
    """Some of the ids that a caller gave, int64 or objects."""
    if isinstance(ids, np.ndarray):
        return ids[places]
    return np.fromiter((ids[place] for place in places.tolist()), dtype=object, count=len(places))

"""Filters of many queries, checked and brought into the one form of backends a block of queries at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends import Filters
from .filters import as_filters, as_pair, filters_of, is_shared, is_sparse

__all__ = ["FilterBlocks", "n_entries"]


class FilterBlocks:
    """The filters of `as_filters`, of which no more than a block's part is copied at a time.

    Parameters
    ----------
    n_queries, n_items : int
    exclude, allow, deny
        As of `as_filters`. Beside its forms, `exclude` may be anything of length n_queries whose slices are
        in them.

    Raises
    ------
    ValueError, TypeError
        As `as_filters`; rows of items are looked at when their block is made.

    Examples
    --------
    >>> blocks = FilterBlocks(3, 9, exclude=[[1, 2], [], [8]], op="search_all")
    >>> last = slice(1, 3)
    >>> blocks.checked(last, blocks.cut(last)).deny[0].rows.tolist()
    [8]
    """

    def __init__(
        self,
        n_queries: int,
        n_items: int,
        exclude: Any = None,
        allow: Any = None,
        deny: Any = None,
        *,
        op: str,
    ) -> None:
        self._n_items, self._op = n_items, op
        self._sliced: dict[str, Any] = {}
        whole: dict[str, Any] = {}
        for name, given in (("exclude", exclude), ("allow", allow), ("deny", deny)):
            if given is None:
                continue
            sets_and_which = isinstance(given, tuple) and len(given) > 0 and isinstance(given[0], list)
            if sets_and_which or (is_shared(given) and name != "exclude"):
                whole[name] = given  # what all queries use is looked at once
            else:
                self._sliced[name] = _sliceable(given, n_queries, n_items, name, op)
        self._whole = as_filters(n_queries, n_items, **whole, op=op)

    def cut(self, queries: slice) -> dict[str, Any]:
        """A block's part of the filters that differ from query to query, unchecked."""
        return {name: given[queries] for name, given in self._sliced.items()}

    def checked(self, queries: slice, cut: dict[str, Any]) -> Filters:
        """All filters of a block of which `cut` is a part."""
        whole = filters_of(self._whole, queries)
        part = as_filters(queries.stop - queries.start, self._n_items, **cut, op=self._op)
        return Filters(whole.mask, whole.allow or part.allow, (*whole.deny, *part.deny))


def n_entries(cut: dict[str, Any]) -> int:
    """Rows of items in a block's part of the filters.

    Examples
    --------
    >>> n_entries({"exclude": [[1, 2], []], "deny": (np.array([0, 1, 1]), np.array([5]))})
    3
    """
    return sum(map(_n_entries, cut.values()))


def _n_entries(given: Any) -> int:
    if is_sparse(given):
        return int(given.tocsr().nnz)
    return len(given[1]) if isinstance(given, tuple) else sum(map(len, given))


class _Pair:
    """(indptr, indices), sliced by queries; a slice shares the indices."""

    def __init__(self, indptr: np.ndarray, indices: np.ndarray) -> None:
        self._indptr, self._indices = indptr, indices

    def __getitem__(self, queries: slice) -> tuple[np.ndarray, np.ndarray]:
        ends = self._indptr[queries.start : queries.stop + 1]
        return ends - ends[0], self._indices[ends[0] : ends[-1]]


def _sliceable(given: Any, n_queries: int, n_items: int, name: str, op: str) -> Any:
    if is_sparse(given) or (isinstance(given, tuple) and len(given) == 2):
        return _Pair(*as_pair(given, n_queries, n_items, name, op))
    may_be_sliced = (
        hasattr(given, "__len__") and hasattr(given, "__getitem__") and not hasattr(given, "dtype")
    )
    if isinstance(given, tuple) or not may_be_sliced:
        raise TypeError(
            f"[{op}] expected {name} as scipy sparse, (indptr, indices) or a list of row arrays, "
            f"got {type(given).__name__}"
        )
    if len(given) != n_queries:
        raise ValueError(f"[{op}] expected {name} of {n_queries} row arrays, one a query, got {len(given)}")
    return given

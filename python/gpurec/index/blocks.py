"""Any number of queries cut into blocks, so that the memory of a search does not grow with them."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

from ..arrays import as_numpy, is_foreign
from ..ops.filter_blocks import FilterBlocks, n_entries

__all__ = ["BLOCK_BYTES", "QueryBlocks", "as_batch", "as_sliceable", "queries_at_once", "query_bytes"]

# What a block may take with batch="auto": its queries, filters, lists of candidates and answer.
BLOCK_BYTES = 64 << 20
# A filter's entry as it is given, as int64, and what it takes to see whether entries are in order.
_ENTRY_BYTES = 40
_LEAST_LIST = 32  # entries


class QueryBlocks:
    """Blocks of queries with their parts of the filters.

    Parameters
    ----------
    n_queries : int
    filters : FilterBlocks
    batch : int or None
        Queries of a block; None takes as many as fit into `BLOCK_BYTES`, at least one.
    query_bytes : int
        What a query takes beside its filters.

    Examples
    --------
    >>> filters = FilterBlocks(5, 9, op="search_all")
    >>> [(block.start, block.stop) for block, _ in QueryBlocks(5, filters, 2, query_bytes=1)]
    [(0, 2), (2, 4), (4, 5)]
    """

    def __init__(self, n_queries: int, filters: FilterBlocks, batch: int | None, query_bytes: int) -> None:
        self.n_queries = n_queries
        self._filters = filters
        self._batch, self._query_bytes = batch, query_bytes

    def __iter__(self) -> Iterator[tuple[slice, dict[str, Any]]]:
        first = 0
        while first < self.n_queries:
            block = self._block_at(first)
            yield block
            first = block[0].stop

    def _block_at(self, first: int) -> tuple[slice, dict[str, Any]]:
        most = self._batch or queries_at_once(self._query_bytes)
        n = min(most, self.n_queries - first)
        while True:
            queries = slice(first, first + n)
            cut = self._filters.cut(queries)
            if self._batch is not None or n == 1:
                return queries, cut
            needed = n * self._query_bytes + n_entries(cut) * _ENTRY_BYTES
            if needed <= BLOCK_BYTES:
                return queries, cut
            n = max(1, min(n - 1, n * BLOCK_BYTES // needed))


def query_bytes(k: int, d: int, n_items: int, with_ids: bool) -> int:
    """About what a query of a search takes beside its filters.

    Examples
    --------
    >>> 2000 < query_bytes(10, 64, 10**6, with_ids=False) < 4000
    True
    """
    vectors = 16 * d + 1024  # as given, as float32, prepared, in codes; bounds, and classes of what is denied
    candidates = 48 * max(min(k, n_items), _LEAST_LIST)
    answers = 2 * k * (12 + (40 if with_ids else 0))  # the caller holds one while the next is made
    return vectors + candidates + answers


def queries_at_once(query_bytes: int) -> int:
    """Queries of so many bytes each that a block takes; a quarter of it is left to their filters."""
    return max(1, BLOCK_BYTES // 4 * 3 // query_bytes)


def as_batch(batch: Any, op: str) -> int | None:
    """Queries of a block, None for "auto"."""
    if isinstance(batch, str) and batch == "auto":
        return None
    try:
        if isinstance(batch, bool):
            raise TypeError
        batch = operator.index(batch)
    except TypeError:
        raise TypeError(f"[{op}] expected batch as an integer or 'auto', got {batch!r}") from None
    if batch < 1:
        raise ValueError(f"[{op}] expected batch of 1 or more, got {batch}; do: batch='auto'")
    return batch


def as_sliceable(queries: Any, op: str) -> tuple[Any, int]:
    """Queries that can be sliced by rows, and how many they are; an array that cannot is read as NumPy's."""
    if is_foreign(queries) and not hasattr(queries, "__getitem__"):
        queries = as_numpy(queries, "queries", op)
    shape = getattr(queries, "shape", None)
    if not hasattr(queries, "__getitem__") or (shape is None and not hasattr(queries, "__len__")):
        raise TypeError(
            f"[{op}] expected queries that have a length and can be sliced, got {type(queries).__name__}"
        )
    if shape is None:
        return queries, len(queries)
    if len(shape) == 1:  # one query
        return queries[None, ...] if is_foreign(queries) else as_numpy(queries, "queries", op)[None, :], 1
    if len(shape) != 2:
        raise ValueError(f"[{op}] expected queries of shape (n, d), got {len(shape)} dimensions")
    return queries, int(shape[0])

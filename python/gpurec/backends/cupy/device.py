"""Arrays on the device as the namespace's, and answers in the library that they came from."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...device_arrays import DeviceArray, empty_like
from ..base import DeviceFilters, Filters, RowSets
from .index import to_host

__all__ = ["as_host_filters", "handed_back", "in_namespace", "on_stream", "require_finite_queries"]


@contextmanager
def on_stream(xp: Any, array: DeviceArray) -> Iterator[None]:
    """Run what follows on the array's device and stream."""
    if not hasattr(xp, "cuda"):
        yield
        return
    with xp.cuda.Device(array.device), xp.cuda.ExternalStream(array.stream):
        yield


def in_namespace(xp: Any, array: DeviceArray) -> Any:
    """The array as the namespace's, sharing memory."""
    if hasattr(xp, "cuda"):
        return xp.asarray(array.array)
    n_bytes = sum((n - 1) * s for n, s in zip(array.shape, array.strides) if n > 0) + 8
    memory: Any = b"\0" * 8
    if 0 not in array.shape:
        memory = (ctypes.c_ubyte * n_bytes).from_address(array.address)
    return np.ndarray(array.shape, array.dtype, memory, strides=array.strides)


def handed_back(xp: Any, like: DeviceArray, result: Any, op: str) -> Any:
    """A result in the library of the caller's array."""
    made = empty_like(like, result.shape, str(result.dtype), op)
    if result.size:
        in_namespace(xp, made)[...] = result
    return made.array


def require_finite_queries(xp: Any, queries: Any, op: str) -> None:
    """Raise ValueError that names the first query with NaN or infinity."""
    bad = np.flatnonzero(~to_host(xp.isfinite(queries).all(axis=1)))
    if len(bad):
        raise ValueError(
            f"[{op}] expected finite float32 values, got NaN or infinity in row {bad[0]} of queries"
        )


def as_host_filters(xp: Any, filters: DeviceFilters, n_queries: int, n_rows: int, op: str) -> Filters:
    """Filters as the namespace's searches take them, read back and put in order.

    Raises
    ------
    ValueError
        If a row is none of the index.
    """
    mask = None if filters.mask is None else to_host(in_namespace(xp, filters.mask))
    allow = None if filters.allow is None else _row_sets(xp, filters.allow, n_queries, n_rows, op)
    deny = tuple(_row_sets(xp, sets, n_queries, n_rows, op) for sets in filters.deny)
    return Filters(mask, allow, deny)


def _row_sets(
    xp: Any,
    sets: tuple[DeviceArray, DeviceArray, DeviceArray | None],
    n_queries: int,
    n_rows: int,
    op: str,
) -> RowSets:
    indptr, rows = (to_host(in_namespace(xp, part)).astype(np.int64) for part in sets[:2])
    which = None if sets[2] is None else to_host(in_namespace(xp, sets[2]))
    owner = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    outside = (rows < -1) | (rows >= n_rows)
    if outside.any():
        raise ValueError(
            f"[{op}] expected filter rows of this index, got others for query {owner[np.argmax(outside)]}"
        )
    keys = np.unique((owner * max(n_rows, 1) + rows)[rows >= 0])
    counts = np.bincount(keys // max(n_rows, 1), minlength=len(indptr) - 1)
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return RowSets(ends, keys % max(n_rows, 1), which)

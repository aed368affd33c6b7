"""Searches of an index whose queries lie on a device, where the answers stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import for_caller
from ..device_arrays import from_host, is_on_device
from ..ops.arguments import as_k, check_result_size
from ..ops.on_device import device_backend, host_filter, host_matrix, top_k_on_device
from ..types import TopK
from .versions import IndexVersion

__all__ = ["handed_back", "read_back", "search_on_device"]


def search_on_device(
    now: IndexVersion,
    queries: Any,
    k: int,
    ids_of: Callable[[np.ndarray], np.ndarray | None],
    *,
    exclude: Any = None,
    allow: Any = None,
    deny: Any = None,
) -> TopK:
    """Best k items of each query; a hint would be of no use there."""
    backend = device_backend(now.backend, queries, "queries", "search")
    k = as_k(k, "search")
    check_result_size(int(queries.shape[0]) if len(queries.shape) > 1 else 1, k, "search")
    return top_k_on_device(
        backend,
        now.index,
        now.n_rows,
        queries,
        k,
        metric=now.metric,
        appended=now.boosted,
        exclude=exclude,
        allow=allow,
        deny=deny,
        version=now.number,
        op="search",
        ids_of=ids_of,
    )


def read_back(
    now: IndexVersion, queries: Any, exclude: Any, allow: Any, deny: Any, op: str
) -> tuple[np.ndarray, Any, Any, Any]:
    """Queries and filters in host memory, for an answer that is waited for anyway."""
    device_backend(now.backend, queries, "queries", op)
    filters = ((exclude, "exclude"), (allow, "allow"), (deny, "deny"))
    return host_matrix(queries, "queries", op), *(host_filter(given, name, op) for given, name in filters)


def handed_back(caller: Any, *found: np.ndarray) -> tuple[Any, ...]:
    """NumPy results in the library of the caller's array, and on its device."""
    if is_on_device(caller):
        return tuple(from_host(caller, part) for part in found)
    return for_caller(caller, *found)

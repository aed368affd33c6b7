"""Arguments that lie on a device, checked without waiting for it; what is in them `TopK.check` tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import as_numpy, device_name
from ..backends import Backend, DeviceBackend, DeviceFilters, reasons_on_device, select
from ..device_arrays import (
    DeviceArray,
    device_array,
    device_number,
    from_host,
    is_on_device,
    joined,
    plain_matrix,
    plain_vector,
)
from ..types import TopK
from .filters import is_sparse

__all__ = [
    "as_device_filters",
    "device_backend",
    "host_filter",
    "host_matrix",
    "similarity_on_device",
    "top_k_on_device",
]


def device_backend(chosen: Backend, x: Any, name: str, op: str) -> DeviceBackend:
    """The backend as one that takes arrays on a device.

    Raises
    ------
    TypeError
        If it takes none.
    """
    if not hasattr(chosen, "search_on_device"):
        raise TypeError(
            f"[{op}] expected {name} in host memory, got {type(x).__name__} on {device_name(x)}, where "
            f"backend {chosen.name!r} does not compute; do: copy it to the host, or use a backend that does "
            f"({reasons_on_device(device_number(x) or 0)})"
        )
    return chosen  # type: ignore[return-value]


def as_device_filters(
    n_queries: int, n_items: int, exclude: Any = None, allow: Any = None, deny: Any = None, *, op: str
) -> DeviceFilters:
    """Filters on a device.

    Parameters
    ----------
    n_queries, n_items : int
    exclude : (indptr, indices) of arrays on the device, a sparse CSR matrix or a list of row arrays there
    allow, deny : boolean mask of n_items or row array on the device, or the forms of `exclude`
        All rows and boundaries are taken as they are: what is out of range is found by the search.

    Raises
    ------
    TypeError
        If the form is none of these, or a part lies in host memory.
    ValueError
        If a shape does not fit.
    """
    masks, sets = [], []
    allowed = None
    for name, given in (("exclude", exclude), ("deny", deny), ("allow", allow)):
        if given is None:
            continue
        if name != "exclude" and is_on_device(given) and str(given.dtype).endswith("bool"):
            mask = given if name == "allow" else ~given
            masks.append(mask)
        elif name == "allow":
            allowed = _pair(given, n_queries, name, op)
        else:
            sets.append(_pair(given, n_queries, name, op))
    mask = None
    if masks:
        both = masks[0] if len(masks) == 1 else masks[0] & masks[1]
        mask = plain_vector(both, "bool", "a mask", op)
        if mask.shape != (n_items,):
            raise ValueError(f"[{op}] expected a boolean mask of shape ({n_items},), got {mask.shape}")
    return DeviceFilters(mask, allowed, tuple(sets))


def _pair(
    given: Any, n_queries: int, name: str, op: str
) -> tuple[DeviceArray, DeviceArray, DeviceArray | None]:
    if isinstance(given, list) and len(given) == n_queries and given and all(map(is_on_device, given)):
        parts = [plain_vector(part, "int64", name, op) for part in given]
        ends = np.cumsum([0, *(part.shape[0] for part in parts)])
        given = from_host(given[0], ends), joined([part.array for part in parts], name, op)
    elif name != "exclude" and is_on_device(given) and len(given.shape) == 1:
        of_host = np.array([0, given.shape[0]]), np.zeros(n_queries, np.int64)
        indptr, which = (plain_vector(from_host(given, part), "int64", name, op) for part in of_host)
        return indptr, plain_vector(given, "int64", name, op), which
    if is_sparse(given):
        if hasattr(given, "crow_indices"):  # of PyTorch
            given = given.crow_indices(), given.col_indices()
        else:
            csr = given.tocsr()
            given = csr.indptr, csr.indices
    if not isinstance(given, tuple) or len(given) != 2 or not all(map(is_on_device, given)):
        raise TypeError(
            f"[{op}] expected {name} on the device of the queries, as (indptr, indices), as CSR, as a "
            f"list of {n_queries} row arrays or as a boolean mask, got {type(given).__name__}; "
            "do: make it one of these there"
        )
    indptr, rows = (plain_vector(part, "int64", name, op) for part in given)
    if indptr.shape != (n_queries + 1,):
        raise ValueError(f"[{op}] expected {name}'s indptr of {n_queries + 1} entries, got {indptr.shape[0]}")
    return indptr, rows, None


def top_k_on_device(
    backend: DeviceBackend,
    index: Any,
    n_rows: int,
    queries: Any,
    k: int,
    *,
    metric: str,
    appended: bool,
    exclude: Any,
    allow: Any,
    deny: Any,
    version: int | None,
    op: str,
    ids_of: Callable[[np.ndarray], np.ndarray | None] | None = None,
) -> TopK:
    """Best k items of queries that lie on a device; `check` asks for `ids_of` its rows."""
    q = plain_matrix(queries, "queries", op, n_columns=index.d - appended)
    filters = as_device_filters(q.shape[0], n_rows, exclude, allow, deny, op=op)
    rows, scores, check = backend.search_on_device(
        index, q, k, filters, metric=metric, appended=appended, op=op
    )

    def finish() -> np.ndarray | None:
        check()
        return None if ids_of is None else ids_of(np.asarray(host_matrix(rows, "rows", op)))

    return TopK(rows, scores, version, pending=finish)


def similarity_on_device(
    a: Any, b: Any, metric: str, out: Any, backend: str | Backend | None, op: str, names: tuple[str, str]
) -> Any:
    """All similarities of rows of arrays of which one at least lies on a device, as the others then must."""
    given = {names[0]: a, names[1]: b, "out": out}
    where, one = next((name, x) for name, x in given.items() if is_on_device(x))
    chosen = device_backend(select(backend, device=device_number(one)), one, where, op)
    for name, x in given.items():
        if x is not None and not is_on_device(x):
            raise TypeError(
                f"[{op}] expected all arrays on the device or none, got {name} in host memory "
                f"({type(x).__name__}); do: move it there, or the others to the host"
            )
    left = plain_matrix(a, names[0], op)
    right = left if b is None else plain_matrix(b, names[1], op, n_columns=left.shape[1])
    target = None if out is None else _device_out(out, (left.shape[0], right.shape[0]), op, left, right)
    found = chosen.similarity_on_device(left, right, metric, target, op)
    return found if out is None else out


def _device_out(out: Any, shape: tuple[int, int], op: str, *inputs: DeviceArray) -> DeviceArray:
    """The caller's result array on a device, checked."""
    found = device_array(out, "out", op)
    if found.dtype != "float32":
        raise TypeError(f"[{op}] expected out as a float32 array, got {found.dtype}")
    if found.shape != shape:
        raise ValueError(f"[{op}] expected out of shape {shape}, got {found.shape}")
    if not found.is_contiguous:
        raise ValueError(f"[{op}] expected out in C order, got strides of {found.strides} bytes")
    first, last = found.extent
    if any(low < last and first < high for low, high in (x.extent for x in inputs)):
        raise ValueError(
            f"[{op}] expected out apart from the rows that are scored, got memory of theirs; copy them"
        )
    return found


def host_filter(given: Any, name: str, op: str) -> Any:
    """A filter whose parts may lie on a device, read back: it is waited for."""
    if isinstance(given, (list, tuple)):
        parts = [host_filter(part, name, op) for part in given]
        return parts if isinstance(given, list) else tuple(parts)
    if not is_sparse(given):
        return host_matrix(given, name, op)
    if hasattr(given, "crow_indices"):  # of PyTorch
        return given.cpu()
    return given.get() if type(given).__module__.startswith("cupyx") else given


def host_matrix(x: Any, name: str, op: str) -> Any:
    """An array on a device as NumPy's, where it has to be looked at anyway: it is waited for."""
    if not is_on_device(x):
        return x
    for way in ("get", "cpu"):
        if hasattr(x, way):
            return as_numpy(getattr(x, way)(), name, op)
    return as_numpy(x, name, op)

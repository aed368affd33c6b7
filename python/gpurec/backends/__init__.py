"""Where an op runs: the backends there are, and the one rule that chooses among them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from ..errors import BackendUnavailableError
from .base import (
    METRICS,
    NO_DEVICE_FILTERS,
    NO_FILTERS,
    PRUNING,
    Backend,
    DeviceBackend,
    DeviceFilters,
    Filters,
    Index,
    RowSets,
    SparseRows,
)
from .environment import strict_floats
from .factor_ops import AlsRates
from .finite import first_invalid_row
from .gram_score import GramScore
from .report import SearchReport
from .row_weights import bm25, centre_columns, centre_rows, power, squared_norms, tf_idf

__all__ = [
    "METRICS",
    "NO_DEVICE_FILTERS",
    "NO_FILTERS",
    "PRUNING",
    "AlsRates",
    "Backend",
    "DeviceBackend",
    "DeviceFilters",
    "Filters",
    "GramScore",
    "Index",
    "RowSets",
    "SearchReport",
    "SparseRows",
    "available",
    "bm25",
    "centre_columns",
    "centre_rows",
    "first_invalid_row",
    "get",
    "power",
    "reasons_on_device",
    "select",
    "squared_norms",
    "strict_floats",
    "tf_idf",
    "use_backend",
]

_CLASSES = {
    "cpu": ("cpu", "CpuBackend"),
    "reference": ("reference", "ReferenceBackend"),
    "cuda": ("cuda", "CudaBackend"),
    "cupy": ("cupy", "CupyBackend"),
    "cuda_emulated": ("cuda", "EmulatedCudaBackend"),
}
# Which backends follow the data, best first. The emulated one is for tests and only there by name.
_OF_HOST_ARRAYS = ("cpu", "reference")

_in_context: ContextVar[str | Backend | None] = ContextVar("gpurec_backend", default=None)


@cache
def _load(name: str, *device: int) -> Backend:
    module, kind = _CLASSES[name]
    backend: Backend = getattr(importlib.import_module(f".{module}", __name__), kind)(*device)
    return backend


@cache
def _missing(name: str) -> str | None:
    try:
        get(name)
    except BackendUnavailableError as error:
        return str(error)
    return None


def available() -> dict[str, str | None]:
    """Every known backend with None where it works, else the reason why it does not.

    Examples
    --------
    >>> available()["reference"] is None
    True
    """
    return {name: _missing(name) for name in _CLASSES}


def get(name: str) -> Backend:
    """The backend of that name; "cuda:1" is that of the second device.

    Raises
    ------
    ValueError
        If no backend has that name.
    BackendUnavailableError
        If it cannot run here; the text says why.
    """
    kind, colon, number = name.partition(":")
    if kind not in _CLASSES or (colon and not (kind == "cuda" and number.isdecimal())):
        raise ValueError(f"[backend] expected one of {', '.join(_CLASSES)} or cuda:1, got {name!r}")
    return _load(kind, *([int(number)] if number and int(number) else []))


def select(backend: str | Backend | None = None, *, device: int | None = None) -> Backend:
    """The backend given, else of `use_backend`, else of `GPUREC_BACKEND`, else the best for where arrays lie.

    `device` is the number of the CUDA device on which they lie. A backend that is named and missing raises;
    it is never replaced silently.
    """
    chosen = backend if backend is not None else _in_context.get()
    if chosen is None:
        chosen = os.environ.get("GPUREC_BACKEND") or None
    if chosen is None:
        # One that takes no arrays on a device says so, when it is given some.
        names = _OF_HOST_ARRAYS if device is None else (*_on_device(device), *_OF_HOST_ARRAYS)
        return next(get(name) for name in names if _missing(name) is None)
    return get(chosen) if isinstance(chosen, str) else chosen


def _on_device(device: int) -> tuple[str, ...]:
    return f"cuda:{device}", "cupy"


def reasons_on_device(device: int) -> str:
    """What is told of the backends that take arrays on a device to whoever has chosen another one."""
    return "; ".join(_missing(name) or f"{name} is there" for name in _on_device(device))


@contextmanager
def use_backend(backend: str | Backend) -> Iterator[Backend]:
    """Run every op inside the `with` block on one backend.

    Parameters
    ----------
    backend : str or Backend
        A name of `gpurec.backends.available()`, or a backend object.

    Examples
    --------
    >>> import gpurec
    >>> with gpurec.use_backend("reference") as chosen:
    ...     chosen.name
    'reference'
    """
    token = _in_context.set(backend)
    try:
        yield select(backend)
    finally:
        _in_context.reset(token)

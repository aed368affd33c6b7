"""Where an op runs: the backends there are, and the one rule that chooses among them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from ..errors import BackendUnavailableError
from .base import METRICS, NO_FILTERS, PRUNING, Backend, Filters, Index, RowSets
from .environment import strict_floats
from .finite import first_invalid_row
from .report import SearchReport

__all__ = [
    "METRICS",
    "NO_FILTERS",
    "PRUNING",
    "Backend",
    "Filters",
    "Index",
    "RowSets",
    "SearchReport",
    "available",
    "first_invalid_row",
    "get",
    "select",
    "strict_floats",
    "use_backend",
]

# Best first among those that take host arrays.
_CLASSES = {"cpu": "CpuBackend", "reference": "ReferenceBackend"}

_in_context: ContextVar[str | Backend | None] = ContextVar("gpurec_backend", default=None)


@cache
def _load(name: str) -> Backend:
    return getattr(importlib.import_module(f".{name}", __name__), _CLASSES[name])()


def available() -> dict[str, str | None]:
    """Every known backend with None where it works, else the reason why it does not.

    Examples
    --------
    >>> available()["reference"] is None
    True
    """
    reasons: dict[str, str | None] = {}
    for name in _CLASSES:
        try:
            _load(name)
            reasons[name] = None
        except BackendUnavailableError as error:
            reasons[name] = str(error)
    return reasons


def get(name: str) -> Backend:
    """The backend of that name.

    Raises
    ------
    ValueError
        If no backend has that name.
    BackendUnavailableError
        If it cannot run here; the text says why.
    """
    if name not in _CLASSES:
        raise ValueError(f"[backend] expected one of {', '.join(_CLASSES)}, got {name!r}")
    return _load(name)


def select(backend: str | Backend | None = None) -> Backend:
    """The backend given, else of `use_backend`, else of `GPUREC_BACKEND`, else the best for host arrays.

    One that is named and missing raises; it is never replaced silently.
    """
    chosen = backend if backend is not None else _in_context.get()
    if chosen is None:
        chosen = os.environ.get("GPUREC_BACKEND") or None
    if chosen is None:
        return next(get(name) for name, reason in available().items() if reason is None)
    return get(chosen) if isinstance(chosen, str) else chosen


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

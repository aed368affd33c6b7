"""Loads the native modules, or records why one is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["cpu", "missing"]

missing: dict[str, str] = {"_cuda": "this version of gpurec has no CUDA module"}

if TYPE_CHECKING:
    from . import _cpu as cpu
else:
    try:
        from . import _cpu as cpu
    except ImportError as error:
        cpu = None
        missing["_cpu"] = str(error)

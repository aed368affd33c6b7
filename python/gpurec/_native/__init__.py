"""Loads the native modules, or records why one is missing."""

from __future__ import annotations

from types import ModuleType

__all__ = ["cpu", "missing"]

cpu: ModuleType | None
missing: dict[str, str] = {"_cuda": "this version of gpurec has no CUDA module"}

try:
    from . import _cpu as cpu
except ImportError as error:
    cpu = None
    missing["_cpu"] = str(error)

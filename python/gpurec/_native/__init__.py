"""Loads the native modules, or records why one is missing."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Any

__all__ = ["cpu", "device_module", "missing"]

missing: dict[str, str] = {}

if TYPE_CHECKING:
    from . import _cpu as cpu
else:
    try:
        from . import _cpu as cpu
    except ImportError as error:
        cpu = None
        missing["_cpu"] = str(error)

# What builds the modules with a device's runtime, which only come into a process that asks for them.
_BUILT_BY = {
    "_cuda": "GPUREC_CUDA=ON",
    "_cuda_emulated": "GPUREC_EMULATED=ON",
    "_cuda_traced": "GPUREC_EMULATED=ON",
}


@cache
def device_module(name: str) -> Any:
    """The module of that name, None where `missing` says why not."""
    try:
        return importlib.import_module(f".{name}", __name__)
    except ModuleNotFoundError:
        missing[name] = f"this build of gpurec has no module {name} ({_BUILT_BY[name]} makes it)"
    except ImportError as error:
        missing[name] = str(error)
    return None

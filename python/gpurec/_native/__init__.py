"""Loads the native modules, or records why one is missing."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import TYPE_CHECKING

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

if importlib.util.find_spec(f"{__name__}._cuda") is None:
    missing["_cuda"] = "built without GPUREC_CUDA=ON"

# `_cuda` runs on a GPU, the others run its kernels on the CPU, for tests; `_cuda.pyi` says what all have.
_SWITCHES = {"_cuda": "GPUREC_CUDA", "_cuda_emulated": "GPUREC_EMULATED", "_cuda_traced": "GPUREC_EMULATED"}


def device_module(name: str) -> ModuleType | None:
    """`_cuda`, `_cuda_emulated` or `_cuda_traced`; None where there is none, and `missing` says why."""
    try:
        return importlib.import_module(f".{name}", __name__)
    except ModuleNotFoundError:
        missing[name] = f"built without {_SWITCHES[name]}=ON"
    except ImportError as error:
        missing[name] = str(error)
    return None

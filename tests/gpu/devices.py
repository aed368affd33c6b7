"""The device modules that are built here, and memory of theirs as NumPy arrays."""

from __future__ import annotations

import importlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from .traffic import readable

SEEDS_APART = 20  # between runs of the tests with another GPUREC_EMULATED_SEED
MODULES = ("_cuda_emulated", "_cuda_traced", "_cuda")


def module(name: str) -> ModuleType:
    """A device module; skips, saying why, where it is not built or has no device."""
    try:
        found = importlib.import_module(f"gpurec._native.{name}")
    except ImportError as error:
        switch = "GPUREC_CUDA=ON" if name == "_cuda" else "GPUREC_EMULATED=ON"
        if name != "_cuda" and os.environ.get("GPUREC_REQUIRE_EMULATED") == "1":
            raise
        pytest.skip(f"{name} is not built ({switch} builds it): {error}")
    if found.device_count() == 0:
        pytest.skip(f"{name} has no device: {found.why_no_device()}")
    return found


class OpenDevice:
    """Buffers on one device and launches that read them; everything is freed at the end."""

    def __init__(self, native: ModuleType) -> None:
        self.native = native
        self.device = native.Device(0)
        self._arrays: dict[int, Any] = {}

    def put(self, array: np.ndarray) -> int:
        """Copies an array to the device."""
        array = np.ascontiguousarray(array)
        address: int = self.device.allocate(array.nbytes)
        self._arrays[address] = array
        self.device.copy(address, array.ctypes.data, array.nbytes)
        return address

    def empty(self, shape: Any, dtype: Any) -> int:
        """Room for an array that nobody has written."""
        array = np.empty(shape, dtype)
        address: int = self.device.allocate(array.nbytes)
        self._arrays[address] = array
        return address

    def get(self, address: int) -> np.ndarray:
        """What the array at an address holds now."""
        array = np.empty_like(self._arrays[address])
        self.device.copy(array.ctypes.data, address, array.nbytes)
        self.device.synchronise()
        return array

    def launch(
        self, kernel: str, grid: int, n_threads: int, shared_bytes: int, *params: int, stream: int = 0
    ) -> None:
        """Launches a kernel whose struct is these 8-byte numbers."""
        packed = struct.pack(f"{len(params)}q", *params)
        self.device.launch(kernel, (grid, 1, 1), n_threads, shared_bytes, stream, packed)

    def close(self) -> None:
        """Frees all."""
        for address in self._arrays:
            self.device.free(address)
        self._arrays.clear()


@contextmanager
def open_device(name: str, seed: int = 1) -> Iterator[OpenDevice]:
    """A device of a module; an emulated one begins with this seed, which GPUREC_EMULATED_SEED shifts."""
    native = module(name)
    if native.is_emulated:
        native.set_seed(seed + SEEDS_APART * (int(os.environ.get("GPUREC_EMULATED_SEED", "1")) - 1))
    if name == "_cuda_traced":
        native.reset_trace()
    opened = OpenDevice(native)
    try:
        yield opened
    finally:
        opened.close()


def clean(opened: OpenDevice) -> bool:
    """Whether a traced device saw nothing amiss; fails with the reports otherwise."""
    if not getattr(opened.native, "is_traced", False):
        return True
    trace = opened.native.trace()
    assert not trace["reports"], readable(opened.native, trace["reports"])
    return True

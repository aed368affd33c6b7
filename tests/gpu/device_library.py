"""A library of arrays on the emulated device, with as much of CuPy's manners as gpurec asks of one.

Like CuPy and PyTorch it keeps the memory of arrays that are gone for those to come, so that a warm program
allocates nothing.
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from typing import Any

import numpy as np

from gpurec._native import device_module

int32, int64, uint8, float32, float64 = (
    np.dtype(name) for name in ("int32", "int64", "uint8", "float32", "float64")
)
bool = np.dtype(np.bool_)

_free: defaultdict[int, list[int]] = defaultdict(list)  # addresses by size


class _Device:
    """The emulated device, opened once."""

    _opened: Any = None

    def __getattr__(self, name: str) -> Any:
        if _Device._opened is None:
            _Device._opened = device_module("_cuda_emulated").Device(0)
        return getattr(_Device._opened, name)


device = _Device()


class cuda:
    """The stream on which arrays are said to be worked on."""

    class _Stream:
        ptr = 0

    stream = _Stream()

    @staticmethod
    def get_current_stream() -> Any:
        return cuda.stream


class Array:
    """Some memory of the device in C order, or a view of it with strides."""

    def __init__(
        self, address: int, shape: tuple[int, ...], dtype: Any, strides: Any = None, base: Any = None
    ):
        self.address, self.shape, self.dtype = address, tuple(shape), np.dtype(dtype)
        self._strides, self._base = strides, base
        self.device = 0

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address, False),
            "strides": self._strides,
            "stream": cuda.stream.ptr or 1,
            "version": 3,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def get(self) -> np.ndarray:
        """A copy in host memory, waited for."""
        span = np.empty(self._span(), np.uint8)
        device.copy(span.ctypes.data, self.address, span.nbytes, 0)
        device.synchronise(0)
        return np.ndarray(self.shape, self.dtype, span, strides=self._strides).copy()

    def set(self, values: np.ndarray) -> None:
        """Overwrite what lies there."""
        values = np.ascontiguousarray(values, self.dtype)
        device.copy(self.address, values.ctypes.data, values.nbytes, 0)

    def astype(self, dtype: Any) -> Array:
        return asarray(self.get().astype(dtype))

    def __invert__(self) -> Array:
        return asarray(~self.get())

    def __and__(self, other: Array) -> Array:
        return asarray(self.get() & other.get())

    def __getitem__(self, key: Any) -> Array:
        shadow = np.ndarray(
            self.shape, self.dtype, np.empty(max(self._span(), 1), np.uint8), 0, self._strides
        )
        part = shadow[key]
        offset = part.__array_interface__["data"][0] - shadow.__array_interface__["data"][0]
        return Array(self.address + offset, part.shape, self.dtype, part.strides, self)

    def _span(self) -> int:
        if self._strides is None:
            return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        return sum((n - 1) * s for n, s in zip(self.shape, self._strides)) + self.dtype.itemsize


def empty(shape: tuple[int, ...], dtype: Any = float32) -> Array:
    n_bytes = max(int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize, 1)
    kept = _free[n_bytes]
    made = Array(kept.pop() if kept else device.allocate(n_bytes), shape, dtype)
    weakref.finalize(made, kept.append, made.address)
    return made


def asarray(values: Any) -> Array:
    values = np.asarray(values)
    made = empty(values.shape, values.dtype)
    made.set(values)
    return made


def concatenate(parts: list[Array]) -> Array:
    return asarray(np.concatenate([part.get() for part in parts]))


def ascontiguousarray(x: Array) -> Array:
    return asarray(x.get())

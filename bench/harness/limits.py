"""What this machine can do at most, measured beside each benchmark: multiply-adds and memory reads."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
from pathlib import Path

import numpy as np

from . import ROOT

__all__ = ["Limits"]

_SOURCE = Path(__file__).with_name("limits.cpp")
_BUILD = ROOT / "build" / "bench"
# Patterns of reading tried; the better one is the limit.
_STREAMS = (1, 4)
# A limit is a maximum: the best of short slices, which other work on the machine leaves alone now and then.
_SLICES, _SLICE_SECONDS = 10, 0.01


def _library() -> ctypes.CDLL:
    """The compiled limits.cpp, built where its source has changed."""
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:12]
    target = _BUILD / f"limits-{digest}.so"
    if not target.exists():
        _BUILD.mkdir(parents=True, exist_ok=True)
        command = [
            "g++",
            "-std=c++17",
            "-O2",
            "-shared",
            "-fPIC",
            "-pthread",
            str(_SOURCE),
            "-o",
            str(target),
        ]
        subprocess.run(command, check=True)
    library = ctypes.CDLL(str(target))
    library.limits_multiply_add.argtypes = [ctypes.c_int, ctypes.c_double]
    library.limits_multiply_add.restype = ctypes.c_double
    library.limits_multiply_add_i8.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_double]
    library.limits_multiply_add_i8.restype = ctypes.c_double
    library.limits_multiply_add_bf16.argtypes = [ctypes.c_int, ctypes.c_double]
    library.limits_multiply_add_bf16.restype = ctypes.c_double
    library.limits_read.argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_double,
    ]
    library.limits_read.restype = ctypes.c_double
    library.limits_write.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_double]
    library.limits_write.restype = ctypes.c_double
    return library


class Limits:
    """The two limits of a scan over an item table of a given size.

    Parameters
    ----------
    n_bytes : int
        Size of the table: reading is measured on an array as large, so that a table that fits a cache is
        compared with that cache.
    n_threads : int

    Raises
    ------
    RuntimeError
        If the processor has neither AVX-512 nor AVX2.
    """

    def __init__(self, n_bytes: int, n_threads: int) -> None:
        self._library = _library()
        self.vector_bits: int = self._library.limits_vector_bits()
        if self.vector_bits == 0:
            raise RuntimeError("[limits] expected a processor with AVX2 or AVX-512, got neither")
        self._n_threads = n_threads
        self._array = np.ones(n_bytes, np.uint8)

    def flops(self) -> float:
        """float32 operations per second out of registers; a multiply-add counts as two."""
        return max(self._library.limits_multiply_add(self._n_threads, _SLICE_SECONDS) for _ in range(_SLICES))

    def multiply_adds_i8(self, isa: str) -> float:
        """Multiply-adds of bytes per second out of registers, by the instructions of an ISA's int8 tile.

        Raises
        ------
        RuntimeError
            If the limits know none of that ISA, or the processor lacks them.
        """
        rate = max(
            self._library.limits_multiply_add_i8(isa.encode(), self._n_threads, _SLICE_SECONDS)
            for _ in range(_SLICES)
        )
        if rate == 0:
            raise RuntimeError(f"[limits] expected an ISA with known int8 instructions, got {isa}")
        return rate

    def multiply_adds_bf16(self) -> float:
        """Multiply-adds of bfloat16 per second out of registers."""
        return max(
            self._library.limits_multiply_add_bf16(self._n_threads, _SLICE_SECONDS) for _ in range(_SLICES)
        )

    def read_rate(self) -> float:
        """Bytes per second of reading the array again and again."""
        address, n_bytes = self._array.ctypes.data, self._array.nbytes
        return max(
            self._library.limits_read(address, n_bytes, self._n_threads, streams, _SLICE_SECONDS)
            for streams in _STREAMS
            for _ in range(_SLICES)
        )

    def write_rate(self) -> float:
        """Bytes per second of writing the array again and again, past the caches."""
        address, n_bytes = self._array.ctypes.data, self._array.nbytes
        return max(
            self._library.limits_write(address, n_bytes, self._n_threads, _SLICE_SECONDS)
            for _ in range(_SLICES)
        )

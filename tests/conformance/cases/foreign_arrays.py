"""The same table as arrays of other libraries: installed ones, and doubles that keep a protocol."""

from __future__ import annotations

import array
import ctypes
import importlib
import os
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import pytest


def library(name: str) -> ModuleType:
    """A library of arrays; where it is missing the test skips, or fails where it was asked for."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        message = f"{name} is not installed: pip install -r tests/requirements-arrays.txt"
        if os.environ.get("GPUREC_REQUIRE_ARRAY_LIBRARIES") == "1":
            pytest.fail(message)
        pytest.skip(message)


class Exported:
    """An array that can be read by DLPack and in no other way."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0

    def __dlpack__(self, **wanted: Any) -> Any:
        return self.values.__dlpack__(**wanted)


class ExportedOldStyle(Exported):
    """The same by the first version of the protocol, which knows no arguments but the stream."""

    def __dlpack__(self, stream: Any = None) -> Any:
        return self.values.__dlpack__()


class ExportedBfloat16(Exported):
    """bfloat16 by DLPack; `values` holds its bits as uint16."""

    def __dlpack__(self, **wanted: Any) -> Any:
        return _called_bfloat16(self.values.__dlpack__(**wanted))


class ExportedBfloat16OldStyle(Exported):
    def __dlpack__(self, stream: Any = None) -> Any:
        return _called_bfloat16(self.values.__dlpack__())


def _called_bfloat16(capsule: Any) -> Any:
    get_name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
    get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    name = get_name(capsule)
    # The type's code follows a pointer and three int32; a versioned capsule has 32 bytes in front.
    at = get_pointer(capsule, name) + 20 + (32 if name == b"dltensor_versioned" else 0)
    code, bits = ctypes.c_uint8.from_address(at), ctypes.c_uint8.from_address(at + 1)
    assert (code.value, bits.value) == (1, 16)
    code.value = 4
    return capsule


def bfloat16_bits(table: np.ndarray) -> np.ndarray:
    """The upper halves of float32 values that bfloat16 can hold."""
    bits = np.ascontiguousarray(table, np.float32).view(np.uint32)
    assert not (bits & 0xFFFF).any()
    return (bits >> 16).astype(np.uint16)


@contextmanager
def tensor_library() -> Iterator[ModuleType]:
    """A library like PyTorch, whose module hands out tensors of its own."""
    module = types.ModuleType("tensor_double")
    module.Tensor = type("Tensor", (Exported,), {"__module__": "tensor_double.tensors"})
    module.from_dlpack = lambda values: module.Tensor(np.from_dlpack(values))
    with mock.patch.dict("sys.modules", {"tensor_double": module}):
        yield module


def _strided(table: np.ndarray) -> np.ndarray:
    wide = np.full((2 * table.shape[0], 3 * table.shape[1]), np.nan, table.dtype)
    wide[::2, 1::3] = table
    return wide[::2, 1::3]


def _read_only(table: np.ndarray) -> np.ndarray:
    table = table.copy()
    table.flags.writeable = False
    return table


def _buffer(table: np.ndarray) -> memoryview:
    return memoryview(array.array("f", table.ravel().tolist())).cast("B").cast("f", table.shape)


def _ml_dtypes(table: np.ndarray) -> np.ndarray:
    return table.astype(library("ml_dtypes").bfloat16)


def _torch(change: Callable[[Any, Any], Any]) -> Callable[[np.ndarray], Any]:
    def make(table: np.ndarray) -> Any:
        torch = library("torch")
        return change(torch, torch.from_numpy(table.copy()))

    return make


# Every kind of array, made of a float32 table of values that float16 and bfloat16 can hold. Names that start
# with "float64" are refused by `top_k`.
KINDS: dict[str, Callable[[np.ndarray], Any]] = {
    "numpy": np.copy,
    "fortran": np.asfortranarray,
    "reversed": lambda t: t[::-1, ::-1].copy()[::-1, ::-1],
    "strided": _strided,
    "read_only": _read_only,
    "float16": lambda t: t.astype(np.float16),
    "float64": lambda t: t.astype(np.float64),
    "big_endian": lambda t: t.astype(">f4"),
    "buffer": _buffer,
    "dlpack": Exported,
    "dlpack_old_style": ExportedOldStyle,
    "dlpack_fortran": lambda t: Exported(np.asfortranarray(t)),
    "dlpack_reversed": lambda t: Exported(t[::-1, ::-1].copy()[::-1, ::-1]),
    "dlpack_float16": lambda t: Exported(t.astype(np.float16)),
    "dlpack_bfloat16": lambda t: ExportedBfloat16(bfloat16_bits(t)),
    "dlpack_bfloat16_strided": lambda t: ExportedBfloat16(_strided_bits(t)),
    "dlpack_bfloat16_old_style": lambda t: ExportedBfloat16OldStyle(bfloat16_bits(t)),
    "float64_dlpack": lambda t: Exported(t.astype(np.float64)),
    "ml_dtypes": _ml_dtypes,
    "ml_dtypes_reversed": lambda t: _ml_dtypes(t[::-1, ::-1])[::-1, ::-1],
    "array_api": lambda t: library("array_api_strict").asarray(t),
    "torch": _torch(lambda torch, t: t),
    "torch_fortran": _torch(lambda torch, t: t.T.contiguous().T),
    "torch_strided": _torch(lambda torch, t: torch.stack([t, t + 1], dim=2)[:, :, 0]),
    "torch_float16": _torch(lambda torch, t: t.half()),
    "torch_bfloat16": _torch(lambda torch, t: t.bfloat16()),
    "torch_bfloat16_strided": _torch(lambda torch, t: torch.stack([t, t + 1], dim=2).bfloat16()[:, :, 0]),
    "torch_gradient": _torch(lambda torch, t: t.requires_grad_()),
    "torch_bfloat16_gradient": _torch(lambda torch, t: t.bfloat16().requires_grad_()),
    "torch_computed": _torch(lambda torch, t: t.requires_grad_() * 1),
    "torch_parameter": _torch(lambda torch, t: torch.nn.Parameter(t)),
    "torch_negated": _torch(lambda torch, t: torch.complex(t, -t).conj().imag),
    "float64_torch": _torch(lambda torch, t: t.double()),
}


def _strided_bits(table: np.ndarray) -> np.ndarray:
    wide = np.zeros((2 * table.shape[0], 3 * table.shape[1]), np.uint16)
    wide[::2, 1::3] = bfloat16_bits(table)
    return wide[::2, 1::3]


def library_of(kind: str) -> str:
    """Where the result for a query of this kind must belong."""
    return {"torch": "torch", "array": "array_api_strict"}.get(
        kind.removeprefix("float64_").split("_")[0], "numpy"
    )

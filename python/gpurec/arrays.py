"""Arrays of other libraries: read where they lie, and results handed back in the library they came from.

No library is imported for this. Arrays come in by the protocols that they carry (DLPack, the buffer protocol,
`__array__`); results go out by the `from_dlpack` of the caller's library, which whoever made the array has
loaded.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = ["as_numpy", "device_name", "for_caller", "is_foreign", "widened_bfloat16"]

# DLPack's numbers of devices: those in memory that the processor reads, and what others are called.
_HOST_DEVICES = (1, 3, 11)
_DEVICES = {2: "cuda", 4: "opencl", 7: "vulkan", 8: "metal", 10: "rocm", 13: "cuda managed", 14: "oneapi"}


def is_foreign(x: Any) -> bool:
    """Whether this is an array of another library than NumPy."""
    return not isinstance(x, np.ndarray) and (
        hasattr(x, "__dlpack__") or hasattr(type(x), "__cuda_array_interface__")
    )


def as_numpy(x: Any, name: str, op: str, *, shared: bool = False) -> np.ndarray:
    """The array as NumPy's, without a copy where it lies in host memory; bfloat16 of DLPack becomes float32.

    Parameters
    ----------
    x : array of any library, buffer, or what `numpy.asarray` takes
    name, op : str
        What the error calls the array, and the op that asks.
    shared : bool
        Refuse what could only be copied, because the answer is to be written into the array.

    Raises
    ------
    TypeError
        If the array lies on a device, from which nothing is copied silently, or has no NumPy counterpart.

    Examples
    --------
    >>> import array
    >>> as_numpy(array.array("f", [1.0, 2.0]), "items", "score").dtype.name
    'float32'
    """
    if type(x) is np.ndarray:
        return x
    if not is_foreign(x):
        return np.asarray(x)
    try:
        device = device_name(x)
        if device is None:
            return np.asarray(x) if shared else _read(x)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(
            f"[{op}] expected {name} as an array that NumPy can read, got {type(x).__name__}: {error}"
        ) from error
    raise TypeError(
        f"[{op}] expected {name} in host memory, got {type(x).__name__} on {device}, from which nothing is "
        "copied silently; do: copy it to the host"
    )


def for_caller(caller: Any, *results: np.ndarray) -> tuple[Any, ...]:
    """NumPy results in the library of the caller's array, sharing memory.

    They stay NumPy's for an array without DLPack, and where its library has no `from_dlpack`.

    Examples
    --------
    >>> for_caller([[1.0]], np.ones(2))[0].tolist()
    [1.0, 1.0]
    """
    if type(caller) is np.ndarray or not is_foreign(caller):
        return results
    if hasattr(caller, "__array_namespace__"):
        take = caller.__array_namespace__().from_dlpack
    else:
        take = _from_dlpack_of(type(caller))  # type: ignore[arg-type]  # every type can be hashed
    return results if take is None else tuple(take(result) for result in results)


def widened_bfloat16(bits: np.ndarray) -> np.ndarray:
    """float32 of bfloat16 given as uint16: the upper half of the bits.

    Examples
    --------
    >>> widened_bfloat16(np.array([0x3F80, 0xC000], np.uint16)).tolist()
    [1.0, -2.0]
    """
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def device_name(x: Any) -> str | None:
    """Name of the device that an array lies on, None for host memory."""
    if not hasattr(x, "__dlpack_device__"):
        return "a CUDA device"  # `__cuda_array_interface__` alone, which does not say which one
    kind, number = map(int, x.__dlpack_device__())
    return None if kind in _HOST_DEVICES else f"{_DEVICES.get(kind, f'device type {kind}')}:{number}"


def _read(x: Any) -> np.ndarray:
    if hasattr(x, "resolve_neg"):
        # PyTorch's DLPack refuses what carries a gradient, and hands out a negated view without its sign.
        x = x.detach().resolve_neg()
    if hasattr(x, "__array__") and not str(getattr(x, "dtype", "")).endswith("bfloat16"):
        return np.asarray(x)
    capsule = _Bfloat16AsBits(x)
    array = np.from_dlpack(capsule)
    return widened_bfloat16(array) if capsule.was_bfloat16 else array


@lru_cache(maxsize=64)
def _from_dlpack_of(kind: type) -> Callable[[Any], Any] | None:
    # A subclass of a tensor may be defined anywhere; its bases lead to the library.
    for base in kind.__mro__:
        library = sys.modules.get(base.__module__.partition(".")[0])
        if hasattr(library, "from_dlpack"):
            return library.from_dlpack  # type: ignore[union-attr]
    return None


class _Bfloat16AsBits:
    """An array whose DLPack capsule calls bfloat16, which NumPy refuses, an unsigned integer of 16 bits.

    The capsule belongs to whoever asked for it, so that changing it does not touch the array.
    """

    def __init__(self, array: Any) -> None:
        self._array = array
        self.was_bfloat16 = False

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()

    def __dlpack__(self, **wanted: Any) -> Any:
        capsule = self._array.__dlpack__(**wanted)
        name = _capsule_name(capsule)
        struct = _VersionedTensor if name == b"dltensor_versioned" else _Tensor
        tensor = struct.from_address(_capsule_pointer(capsule, name))
        if tensor.code == _BFLOAT and tensor.bits == 16:
            tensor.code = _UINT
            self.was_bfloat16 = True
        return capsule


_UINT, _BFLOAT = 1, 4  # DLDataTypeCode

_capsule_name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
_capsule_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


class _Tensor(ctypes.Structure):
    """How DLPack's DLTensor begins, with which a DLManagedTensor begins too."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
    ]


class _VersionedTensor(ctypes.Structure):
    """How DLPack's DLManagedTensorVersioned begins."""

    _anonymous_ = ("tensor",)
    _fields_ = [
        ("version", ctypes.c_uint32 * 2),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    ]

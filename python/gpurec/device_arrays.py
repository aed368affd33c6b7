"""Arrays that lie on a CUDA device: read where they lie, and results in the library that they came from.

No library is imported for this: `__cuda_array_interface__` or DLPack tells where an array lies, and whoever
made it has loaded the library that makes more of them.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

__all__ = [
    "DeviceArray",
    "device_array",
    "device_number",
    "empty_like",
    "from_host",
    "is_on_device",
    "joined",
    "plain_matrix",
    "plain_vector",
]

_CUDA = (2, 13)  # DLPack's numbers of CUDA's memory, plain and managed
_LEGACY_STREAM = 0


@dataclass(frozen=True)
class DeviceArray:
    """What an array says of itself.

    Attributes
    ----------
    address : int
    shape : tuple of int
    strides : tuple of int
        In bytes.
    dtype : str
        NumPy's name, or "bfloat16".
    device : int
    stream : int
        On which the caller's work is, and ours shall be.
    array : object
        The caller's, which keeps the memory.
    capsule : object
        What else does, where the array was exported for us.
    """

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    device: int
    stream: int
    array: Any
    capsule: Any = None

    @property
    def is_contiguous(self) -> bool:
        """Whether it lies in C order without gaps."""
        step = np.dtype(self.dtype).itemsize
        for n, stride in zip(reversed(self.shape), reversed(self.strides)):
            if n > 1 and stride != step:
                return False
            step *= n
        return True

    @property
    def extent(self) -> tuple[int, int]:
        """Addresses of its first byte and of what comes after its last one."""
        if 0 in self.shape:
            return self.address, self.address
        steps = [(n - 1) * stride for n, stride in zip(self.shape, self.strides)]
        first = self.address + sum(step for step in steps if step < 0)
        last = self.address + sum(step for step in steps if step > 0)
        return first, last + np.dtype(self.dtype).itemsize


def is_on_device(x: Any) -> bool:
    """Whether an array lies on a CUDA device.

    Examples
    --------
    >>> is_on_device(np.zeros(3)), is_on_device([1.0])
    (False, False)
    """
    if type(x) is np.ndarray or isinstance(x, (list, tuple, int, float, np.generic)) or x is None:
        return False
    if hasattr(x, "__dlpack_device__"):
        return int(x.__dlpack_device__()[0]) in _CUDA
    return hasattr(x, "__cuda_array_interface__")


def device_number(x: Any) -> int | None:
    """The number of the CUDA device that an array lies on, None for host memory.

    Examples
    --------
    >>> device_number(np.zeros(3)) is None
    True
    """
    if not is_on_device(x):
        return None
    return int(x.__dlpack_device__()[1]) if hasattr(x, "__dlpack_device__") else 0


def device_array(x: Any, name: str, op: str) -> DeviceArray:
    """Where an array on a device lies.

    Raises
    ------
    TypeError
        If it cannot be told.
    """
    try:
        number = device_number(x) or 0
        if hasattr(x, "detach"):
            x = x.detach()  # PyTorch tells nobody where what carries a gradient lies
        if str(getattr(x, "dtype", "")).endswith("bfloat16") or not hasattr(x, "__cuda_array_interface__"):
            return _by_dlpack(x, number)
        return _by_interface(x, number)
    except (AttributeError, BufferError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(
            f"[{op}] expected {name} as an array on a CUDA device, got {type(x).__name__}: {error}"
        ) from error


def empty_like(like: DeviceArray, shape: tuple[int, ...], dtype: str, op: str) -> DeviceArray:
    """A new array of the library that an array came from, on its device.

    Raises
    ------
    TypeError
        If the library has no `empty`.
    """
    library = _library_of(like.array)
    if not hasattr(library, "empty") or not hasattr(library, dtype):
        raise TypeError(
            f"[{op}] expected an array of a library that can make another one on its device, got "
            f"{type(like.array).__name__}; do: pass CuPy's or PyTorch's"
        )
    kind = getattr(library, dtype)
    try:
        made = library.empty(shape, dtype=kind, device=like.array.device)
    except (AttributeError, TypeError):  # CuPy's lies on the current device
        with _current(like.array):
            made = library.empty(shape, dtype=kind)
    return device_array(made, "the answer", op)


def plain_matrix(x: Any, name: str, op: str, *, n_columns: int | None = None) -> DeviceArray:
    """A float32 matrix whose rows have no gaps; a vector becomes one row. Its library converts others.

    Raises
    ------
    ValueError
        If it has not one or two dimensions, no columns, or another width than `n_columns`.
    TypeError
        If the dtype is not one of numbers.
    """
    shape = tuple(x.shape)
    if len(shape) == 1:
        x, shape = x[None, :], (1, *shape)
    if len(shape) != 2:
        raise ValueError(f"[{op}] expected {name} of shape (n, d), got {len(shape)} dimensions")
    if shape[1] == 0:
        raise ValueError(f"[{op}] expected {name} with at least one component a row, got shape {shape}")
    if n_columns is not None and shape[1] != n_columns:
        raise ValueError(f"[{op}] expected {name} with {n_columns} components a row, got {shape[1]}")
    kind = _dtype_name(x)
    if not kind.startswith(("float", "bfloat", "int", "uint")):
        raise TypeError(f"[{op}] expected {name} of a float or integer dtype, got {x.dtype}")
    if kind != "float32":
        x = _converted(x, "float32", name, op)
    found = device_array(x, name, op)
    if (shape[1] > 1 and found.strides[1] != 4) or found.strides[0] < 0 or found.strides[0] % 4:
        found = device_array(_in_c_order(x, name, op), name, op)
    return found


def plain_vector(x: Any, dtype: str, name: str, op: str) -> DeviceArray:
    """A vector of a dtype without gaps, converted by its library where it is none."""
    if len(x.shape) != 1:
        raise ValueError(f"[{op}] expected {name} in one dimension, got {len(x.shape)}")
    kind = _dtype_name(x)
    if kind != dtype:
        if dtype == "bool" or not kind.startswith(("int", "uint")):
            raise TypeError(f"[{op}] expected {name} of dtype {dtype}, got {x.dtype}")
        x = _converted(x, dtype, name, op)
    found = device_array(x, name, op)
    return found if found.is_contiguous else device_array(_in_c_order(x, name, op), name, op)


def joined(parts: list[Any], name: str, op: str) -> Any:
    """Vectors one after another, by their library.

    Raises
    ------
    TypeError
        If the library cannot do that.
    """
    library = _library_of(parts[0])
    join = getattr(library, "concatenate", None) or getattr(library, "cat", None)
    if join is None:
        raise TypeError(f"[{op}] expected {name} of CuPy or PyTorch, got {type(parts[0]).__name__}")
    return join(parts)


def from_host(like: Any, values: np.ndarray) -> Any:
    """NumPy's values as an array of the library and on the device of another one."""
    library = _library_of(like)
    if hasattr(library, "as_tensor"):  # PyTorch
        return library.as_tensor(values, device=like.device)
    with _current(like):
        return library.asarray(values)


def _current(like: Any) -> Any:
    """A context in which an array's device is the current one, where its library has such (CuPy)."""
    device = getattr(like, "device", None)
    return device if hasattr(device, "__enter__") else nullcontext()


_names: dict[Any, str] = {}  # of the dtypes of libraries, whose own text takes microseconds to make


def _dtype_name(x: Any) -> str:
    name = _names.get(x.dtype)
    if name is None:
        name = _names[x.dtype] = str(x.dtype).rpartition(".")[2]
    return name


def _converted(x: Any, dtype: str, name: str, op: str) -> Any:
    kind = getattr(_library_of(x), dtype, dtype)
    if hasattr(x, "astype"):
        return x.astype(kind)
    if hasattr(x, "to"):
        return x.to(kind)
    raise TypeError(f"[{op}] expected {name} as {dtype} on a device, got {getattr(x, 'dtype', type(x))}")


def _in_c_order(x: Any, name: str, op: str) -> Any:
    if hasattr(x, "contiguous"):
        return x.contiguous()
    library = _library_of(x)
    if hasattr(library, "ascontiguousarray"):
        return library.ascontiguousarray(x)
    raise TypeError(f"[{op}] expected {name} in C order on a device, got {type(x).__name__}")


def _library_of(x: Any) -> Any:
    for base in type(x).__mro__:
        library = sys.modules.get(base.__module__.partition(".")[0])
        if library is not None and hasattr(library, "empty"):
            return library
    return sys.modules.get(type(x).__module__)


def _stream_of(x: Any, number: int) -> int:
    """The stream on which the array's library works now."""
    library = _library_of(x)
    cuda: Any = getattr(library, "cuda", None)
    if hasattr(cuda, "current_stream"):  # PyTorch
        return int(cuda.current_stream(number).cuda_stream)
    if hasattr(cuda, "get_current_stream"):  # CuPy
        return int(cuda.get_current_stream().ptr)
    return _LEGACY_STREAM


def _by_interface(x: Any, number: int) -> DeviceArray:
    about = x.__cuda_array_interface__
    dtype, itemsize = _name_and_size(about["typestr"])
    shape = tuple(map(int, about["shape"]))
    if about.get("mask") is not None:
        raise TypeError("it has a mask")
    strides = about.get("strides") or _c_strides(shape, itemsize)
    stream = about.get("stream")
    if stream is None:
        stream = _stream_of(x, number)
    return DeviceArray(int(about["data"][0]), shape, tuple(map(int, strides)), dtype, number, int(stream), x)


@cache
def _name_and_size(typestr: str) -> tuple[str, int]:
    dtype = np.dtype(typestr)
    if not dtype.isnative:
        raise TypeError("it has a foreign byte order")
    return dtype.name, dtype.itemsize


def _c_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    strides = [itemsize]
    for n in reversed(shape[1:]):
        strides.append(strides[-1] * n)
    return tuple(reversed(strides[: len(shape)]))


class _Tensor(ctypes.Structure):
    """DLPack's DLTensor, with which a DLManagedTensor begins."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


_KINDS = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 6: "bool"}


def _by_dlpack(x: Any, number: int) -> DeviceArray:
    stream = _stream_of(x, number)
    # The protocol's number of the legacy stream is 1: 0 would be ambiguous.
    capsule = x.__dlpack__(stream=stream or 1)
    get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    tensor = _Tensor.from_address(get_pointer(capsule, b"dltensor"))
    kind = _KINDS.get(tensor.code)
    if kind is None or tensor.lanes != 1:
        raise TypeError(f"its dtype has DLPack's code {tensor.code} and {tensor.lanes} lanes")
    dtype = "bool" if kind == "bool" else f"{kind}{tensor.bits}"
    shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
    itemsize = tensor.bits // 8
    strides = (
        tuple(tensor.strides[i] * itemsize for i in range(tensor.ndim))
        if tensor.strides
        else _c_strides(shape, itemsize)
    )
    address = (tensor.data or 0) + tensor.byte_offset
    # The capsule's own destructor gives the memory back; it must stay as long as the address is used.
    return DeviceArray(address, shape, strides, dtype, number, stream, x, capsule)

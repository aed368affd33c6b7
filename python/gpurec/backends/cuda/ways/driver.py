"""The device's runtime by way of libcuda alone, for kernels that NVRTC compiled and no module was built for.

`DriverDevice` has the methods of the native modules' `Device` (csrc/simt/runtime.hpp). It works in the
primary context, which CuPy and PyTorch share.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ctypes import byref, c_char_p, c_float, c_int, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any

from ....errors import DeviceError

__all__ = ["DriverDevice", "driver_version", "open_driver", "require_device"]

# CUdevice_attribute, CUfunction_attribute and flags, by the numbers that cuda.h gives them.
_MULTIPROCESSORS, _L2_BYTES, _THREADS_PER_MULTIPROCESSOR = 16, 38, 39
_CAPABILITY = (75, 76)
_SHARED_PER_MULTIPROCESSOR, _SHARED_PER_BLOCK = 81, 97
_MAX_THREADS, _STATIC_SHARED, _CONSTANT, _LOCAL, _REGISTERS, _DYNAMIC_SHARED = 0, 1, 2, 3, 4, 8
_NON_BLOCKING, _PORTABLE, _MAPPED, _CAPTURE_THREAD_LOCAL, _CAPTURING = 1, 1, 2, 1, 1
_PARAMS_END, _PARAMS_POINTER, _PARAMS_SIZE = c_void_p(0), c_void_p(1), c_void_p(2)
_OUT_OF_MEMORY, _NOT_FOUND = 2, 500


def open_driver() -> Any:
    """libcuda, started; DeviceError where there is none or it finds no device."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise DeviceError(f"[cuda] found no NVIDIA driver: {error}") from None
    _check(library, library.cuInit(0), "cuInit")
    if _device_count(library) == 0:
        raise DeviceError("[cuda] the driver finds no device")
    return library


def _device_count(library: Any) -> int:
    n = c_int()
    _check(library, library.cuDeviceGetCount(byref(n)), "cuDeviceGetCount")
    return n.value


def require_device(ordinal: int, n_devices: int) -> None:
    """Raise DeviceError where the driver does not find so many devices.

    Examples
    --------
    >>> require_device(1, 2)
    """
    if ordinal >= n_devices:
        there = "cuda:0 alone" if n_devices == 1 else f"cuda:0 to cuda:{n_devices - 1}"
        raise DeviceError(f"[cuda] expected a device that the driver finds ({there}), got cuda:{ordinal}")


def driver_version(library: Any) -> int:
    """Of CUDA that the driver knows: 12090 is 12.9."""
    version = c_int()
    _check(library, library.cuDriverGetVersion(byref(version)), "cuDriverGetVersion")
    return version.value


def _check(library: Any, result: int, what: str) -> None:
    if result == 0:
        return
    text = c_char_p()
    library.cuGetErrorString(result, byref(text))
    reason = (text.value or b"unknown error").decode()
    if result == _OUT_OF_MEMORY:
        raise MemoryError(f"[cuda] {what}: {reason}")
    raise DeviceError(f"[cuda] {what}: {reason} (error {result})")


class DriverDevice:
    """One device.

    Parameters
    ----------
    library : ctypes.CDLL
        Of `open_driver`.
    ordinal : int
    """

    def __init__(self, library: Any, ordinal: int = 0) -> None:
        require_device(ordinal, _device_count(library))
        self._library, self.ordinal = library, ordinal
        self._device, self._context = c_int(), c_void_p()
        self._functions: dict[str, c_void_p] = {}
        self._modules: list[c_void_p] = []
        self._graphs: dict[int, int] = {}
        _check(library, library.cuDeviceGet(byref(self._device), ordinal), "cuDeviceGet")
        retained = library.cuDevicePrimaryCtxRetain(byref(self._context), self._device)
        _check(library, retained, "cuDevicePrimaryCtxRetain")

    def load(self, code: bytes) -> None:
        """Add the kernels of a code object."""
        module = c_void_p()
        with self._current():
            self._call("cuModuleLoadData", byref(module), c_char_p(code))
        self._modules.append(module)

    @property
    def architecture(self) -> int:
        """Compute capability as one number: 90 for 9.0."""
        major, minor = map(self._attribute, _CAPABILITY)
        return 10 * major + minor

    def properties(self) -> dict[str, Any]:
        name = ctypes.create_string_buffer(256)
        free, total = c_size_t(), c_size_t()
        with self._current():
            self._call("cuDeviceGetName", name, len(name), self._device)
            self._call("cuMemGetInfo_v2", byref(free), byref(total))
        return {
            "name": name.value.decode(),
            "compute_capability": tuple(map(self._attribute, _CAPABILITY)),
            "n_multiprocessors": self._attribute(_MULTIPROCESSORS),
            "total_memory": total.value,
            "free_memory": free.value,
            "shared_per_block": self._attribute(_SHARED_PER_BLOCK),
            "shared_per_multiprocessor": self._attribute(_SHARED_PER_MULTIPROCESSOR),
            "l2_bytes": self._attribute(_L2_BYTES),
            "max_threads_per_multiprocessor": self._attribute(_THREADS_PER_MULTIPROCESSOR),
        }

    def attributes(self, kernel: str) -> dict[str, int]:
        function = self._function(kernel)

        def of(attribute: int) -> int:
            value = c_int()
            self._call("cuFuncGetAttribute", byref(value), attribute, function)
            return value.value

        with self._current():
            return {
                "max_threads": of(_MAX_THREADS),
                "n_registers": of(_REGISTERS),
                "static_shared": of(_STATIC_SHARED),
                "local_bytes": of(_LOCAL),
                "constant_bytes": of(_CONSTANT),
                "max_dynamic_shared": of(_DYNAMIC_SHARED),
            }

    def resident_blocks(self, kernel: str, n_threads: int, shared_bytes: int) -> int:
        n, function = c_int(), self._function(kernel)
        with self._current():
            self._call(
                "cuOccupancyMaxActiveBlocksPerMultiprocessor",
                byref(n),
                function,
                n_threads,
                c_size_t(shared_bytes),
            )
        return n.value

    def allocate(self, n_bytes: int) -> int:
        address = c_uint64()
        with self._current():
            self._call("cuMemAlloc_v2", byref(address), c_size_t(n_bytes))
        return address.value

    def free(self, address: int) -> None:
        with self._current():
            self._call("cuMemFree_v2", c_uint64(address))

    def allocate_host(self, n_bytes: int) -> int:
        address = c_void_p()
        with self._current():
            self._call("cuMemHostAlloc", byref(address), c_size_t(n_bytes), _PORTABLE | _MAPPED)
        return address.value or 0

    def free_host(self, address: int) -> None:
        with self._current():
            self._call("cuMemFreeHost", c_void_p(address))

    def copy(self, to: int, source: int, n_bytes: int, stream: int = 0) -> None:
        if n_bytes:
            with self._current():
                self._call(
                    "cuMemcpyAsync", c_uint64(to), c_uint64(source), c_size_t(n_bytes), c_void_p(stream)
                )

    def fill(self, to: int, byte: int, n_bytes: int, stream: int = 0) -> None:
        if n_bytes:
            with self._current():
                self._call(
                    "cuMemsetD8Async", c_uint64(to), ctypes.c_ubyte(byte), c_size_t(n_bytes), c_void_p(stream)
                )

    def create_stream(self) -> int:
        return self._make("cuStreamCreate", _NON_BLOCKING)

    def destroy_stream(self, stream: int) -> None:
        with self._current():
            self._call("cuStreamDestroy_v2", c_void_p(stream))

    def synchronise(self, stream: int = 0) -> None:
        with self._current():
            self._call("cuStreamSynchronize", c_void_p(stream))

    def create_event(self) -> int:
        return self._make("cuEventCreate", 0)

    def destroy_event(self, event: int) -> None:
        with self._current():
            self._call("cuEventDestroy_v2", c_void_p(event))

    def record(self, event: int, stream: int = 0) -> None:
        with self._current():
            self._call("cuEventRecord", c_void_p(event), c_void_p(stream))

    def wait(self, stream: int, event: int) -> None:
        with self._current():
            self._call("cuStreamWaitEvent", c_void_p(stream), c_void_p(event), 0)

    def milliseconds_between(self, first: int, last: int) -> float:
        took = c_float()
        with self._current():
            self._call("cuEventElapsedTime", byref(took), c_void_p(first), c_void_p(last))
        return took.value

    def launch(
        self,
        kernel: str,
        grid: Sequence[int],
        n_threads: int,
        shared_bytes: int,
        stream: int,
        params: bytes,
    ) -> None:
        function = self._function(kernel)
        buffer, size = ctypes.create_string_buffer(params, len(params)), c_size_t(len(params))
        extra = (c_void_p * 5)(
            _PARAMS_POINTER.value,
            ctypes.addressof(buffer),
            _PARAMS_SIZE.value,
            ctypes.addressof(size),
            _PARAMS_END.value,
        )
        with self._current():
            self._call(
                "cuLaunchKernel",
                function,
                *(c_uint(n) for n in (*grid, n_threads, 1, 1, shared_bytes)),
                c_void_p(stream),
                None,
                extra,
            )

    def begin_capture(self, stream: int) -> None:
        with self._current():
            self._call("cuStreamBeginCapture_v2", c_void_p(stream), _CAPTURE_THREAD_LOCAL)

    def end_capture(self, stream: int) -> int:
        graph, runnable = c_void_p(), c_void_p()
        with self._current():
            self._call("cuStreamEndCapture", c_void_p(stream), byref(graph))
            self._call("cuGraphInstantiateWithFlags", byref(runnable), graph, ctypes.c_ulonglong(0))
        handle = runnable.value or 0
        self._graphs[handle] = graph.value or 0
        return handle

    def is_capturing(self, stream: int) -> bool:
        status = c_int()
        with self._current():
            self._call("cuStreamIsCapturing", c_void_p(stream), byref(status))
        return status.value == _CAPTURING

    def launch_graph(self, graph: int, stream: int) -> None:
        with self._current():
            self._call("cuGraphLaunch", c_void_p(graph), c_void_p(stream))

    def destroy_graph(self, graph: int) -> None:
        with self._current():
            self._call("cuGraphExecDestroy", c_void_p(graph))
            self._call("cuGraphDestroy", c_void_p(self._graphs.pop(graph)))

    def _function(self, kernel: str) -> c_void_p:
        known = self._functions.get(kernel)
        if known is not None:
            return known
        function = c_void_p()
        with self._current():
            for module in self._modules:
                result = self._library.cuModuleGetFunction(byref(function), module, kernel.encode())
                if result == 0:
                    most = self._attribute(_SHARED_PER_BLOCK)
                    self._call("cuFuncSetAttribute", function, _DYNAMIC_SHARED, most)
                    self._functions[kernel] = function
                    return function
                if result != _NOT_FOUND:
                    _check(self._library, result, "cuModuleGetFunction")
        raise ValueError(f"[cuda] expected the name of a kernel, got {kernel!r}")

    def _attribute(self, number: int) -> int:
        value = c_int()
        self._call("cuDeviceGetAttribute", byref(value), number, self._device)
        return value.value

    def _make(self, function: str, flags: int) -> int:
        handle = c_void_p()
        with self._current():
            self._call(function, byref(handle), flags)
        return handle.value or 0

    def _call(self, function: str, *arguments: Any) -> None:
        _check(self._library, getattr(self._library, function)(*arguments), function)

    @contextmanager
    def _current(self) -> Iterator[None]:
        self._call("cuCtxPushCurrent_v2", self._context)
        try:
            yield
        finally:
            self._call("cuCtxPopCurrent_v2", byref(c_void_p()))

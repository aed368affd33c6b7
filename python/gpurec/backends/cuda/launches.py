"""Launches and copies on one device, with its errors made ours."""

from __future__ import annotations

from ctypes import Structure
from functools import cached_property
from typing import Any

import numpy as np

from ...errors import DeviceError
from .memory import Buffer, Memory, device_errors
from .ways import Runtime

__all__ = ["MOST_BLOCKS_Y", "Launcher"]

_WAVES = 2  # of blocks that the device holds at once: so many get what a launch has to do
MOST_BLOCKS_Y = 65535
_FEW_CHANGES = 32  # entries that are written one by one rather than with all others


class Launcher:
    """A device with a stream of our own, on which items are made ready and what host arrays ask is computed.

    Attributes
    ----------
    device : Device
    memory : Memory
    stream : int
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime, self.device = runtime, runtime.device
        self.memory = Memory(self.device)
        self._fitting: dict[tuple[str, int], tuple[int, int]] = {}
        with device_errors():
            self.stream = self.device.create_stream()

    @cached_property
    def properties(self) -> dict[str, Any]:
        """Of the device."""
        with device_errors():
            return self.device.properties()

    def launch(
        self,
        kernel: str,
        params: Structure | bytes,
        *,
        blocks: int | None = None,
        y: int = 1,
        shared: int = 0,
        stream: int | None = None,
    ) -> None:
        """Launch a kernel with as many threads a block as it was compiled for.

        `blocks` is how many would find something to do, None for very many: no more are launched than fill
        the device a few times over, and kernels take what there is to do in turn.
        """
        threads, most = self._fitting.get((kernel, shared)) or self._fit(kernel, shared)
        x = most if blocks is None or blocks > most else blocks or 1
        if y > MOST_BLOCKS_Y:  # of these each has something of its own to do
            raise DeviceError(f"[cuda] expected at most {MOST_BLOCKS_Y} blocks high, got {y} of {kernel}")
        grid = (x, max(1, y), 1)
        where = self.stream if stream is None else stream
        packed = params if isinstance(params, bytes) else bytes(params)
        try:  # not `device_errors`, which takes as long as a launch
            self.device.launch(kernel, grid, threads, shared, where, packed)
        except DeviceError:
            raise
        except RuntimeError as error:
            raise DeviceError(f"[cuda] {error}") from error

    def _fit(self, kernel: str, shared: int) -> tuple[int, int]:
        """Threads of a kernel's blocks, and how many of them are launched at most."""
        with device_errors():
            threads = self.device.attributes(kernel)["max_threads"]
            resident = self.device.resident_blocks(kernel, threads, shared)
        if resident < 1:
            raise DeviceError(f"[cuda] {kernel} with {shared} bytes of shared memory fits nowhere")
        found = threads, _WAVES * resident * self.properties["n_multiprocessors"]
        self._fitting[kernel, shared] = found
        return found

    def write(self, address: int, array: np.ndarray, stream: int | None = None) -> None:
        """Copy a host array in C order to the device; it must stay until the stream has been waited for."""
        with device_errors():
            self.device.copy(
                address, array.ctypes.data, array.nbytes, self.stream if stream is None else stream
            )

    def read(self, address: int, shape: tuple[int, ...], dtype: Any, stream: int | None = None) -> np.ndarray:
        """A host array of what lies on the device; waits for the stream."""
        array = np.empty(shape, dtype)
        self.read_into(address, array, stream)
        self.synchronise(stream)
        return array

    def read_into(self, address: int, array: np.ndarray, stream: int | None = None) -> None:
        """Copy to a host array in C order, which is there once the stream has been waited for."""
        with device_errors():
            self.device.copy(
                array.ctypes.data, address, array.nbytes, self.stream if stream is None else stream
            )

    def fill(self, address: int, byte: int, n_bytes: int, stream: int | None = None) -> None:
        """Set bytes of the device."""
        with device_errors():
            self.device.fill(address, byte, n_bytes, self.stream if stream is None else stream)

    def synchronise(self, stream: int | None = None) -> None:
        """Wait for a stream."""
        with device_errors():
            self.device.synchronise(self.stream if stream is None else stream)

    def uploaded(self, array: np.ndarray, what: str) -> Buffer:
        """A new allocation with what a host array holds."""
        buffer = self.memory.take(array.nbytes, what)
        self.write(buffer.address, array)
        return buffer

    def changed(self, buffer: Buffer, before: np.ndarray | None, now: np.ndarray) -> Buffer:
        """What `now` holds on the device, where `buffer` holds `before` (None: something else).

        The buffer itself where nothing changed, a copy made on the device where little did.
        """
        if before is None or before.shape != now.shape:
            return self.uploaded(now, "an index")
        differing = np.flatnonzero(before != now)
        if len(differing) == 0:
            return buffer
        if len(differing) > _FEW_CHANGES:
            return self.uploaded(now, "an index")
        other = self.memory.take(now.nbytes, "an index")
        with device_errors():
            self.device.copy(other.address, buffer.address, now.nbytes, self.stream)
        for at in differing.tolist():
            self.write(other.address + at * now.itemsize, now[at : at + 1])
        return other

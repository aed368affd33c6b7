"""Memory on a device and pinned memory of the host, freed when nothing refers to it any more."""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ...errors import DeviceError
from .ways import Device

__all__ = ["ALIGNMENT", "Buffer", "Memory", "device_errors", "layout"]

ALIGNMENT = 256  # bytes: what an allocation begins at, and a piece of one


@contextmanager
def device_errors(*, out_of_memory: bool = True) -> Iterator[None]:
    """What a runtime raises as `DeviceError`, what it raises without memory only where asked."""
    try:
        yield
    except DeviceError:
        raise
    except MemoryError as error:
        if not out_of_memory:
            raise
        raise DeviceError(f"[cuda] the device's memory is at its end: {error}") from error
    except RuntimeError as error:
        raise DeviceError(f"[cuda] {error}") from error


class Buffer:
    """One allocation.

    Attributes
    ----------
    address : int
    n_bytes : int
    pinned : bool
        In memory of the host that kernels read, too.
    """

    def __init__(self, memory: Memory, address: int, n_bytes: int, pinned: bool) -> None:
        self.address, self.n_bytes, self.pinned = address, n_bytes, pinned
        weakref.finalize(self, memory.discard, address, pinned).atexit = False

    def as_array(self) -> np.ndarray:
        """Pinned memory as bytes for NumPy; the buffer must outlive it."""
        assert self.pinned
        return np.ctypeslib.as_array((ctypes.c_ubyte * self.n_bytes).from_address(self.address))


class Memory:
    """What allocates on a device.

    What is no longer used is freed before the next allocation, never at once: the last reference may vanish
    while a stream is being captured, when nothing may be freed.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self._discarded: deque[tuple[int, bool]] = deque()
        self._lock = threading.Lock()

    def take(self, n_bytes: int, what: str, *, pinned: bool = False) -> Buffer:
        """A new allocation, not initialised.

        Raises
        ------
        DeviceError
            If there is too little memory; the text has both figures.
        """
        n_bytes = max(n_bytes, 1)
        self.free_discarded()
        if not pinned:
            self.require(n_bytes, what)
        try:
            allocate = self.device.allocate_host if pinned else self.device.allocate
            with device_errors(out_of_memory=False):
                address = allocate(n_bytes)
        except MemoryError:
            raise self._too_little(n_bytes, what, pinned) from None
        return Buffer(self, address, n_bytes, pinned)

    def require(self, n_bytes: int, what: str) -> None:
        """Raise DeviceError where so many bytes are not free on the device."""
        if n_bytes > self.free_bytes():
            raise self._too_little(n_bytes, what, pinned=False)

    def free_bytes(self) -> int:
        """Bytes of the device that are free now."""
        return int(self.device.properties()["free_memory"])

    def discard(self, address: int, pinned: bool) -> None:
        """Remember to free an allocation."""
        self._discarded.append((address, pinned))

    def free_discarded(self) -> None:
        """Free what nobody refers to any more; waits for the device where there is any."""
        if not self._discarded:
            return
        with self._lock, device_errors():
            # Freeing device memory waits for kernels; memory of the host that they read is freed after it.
            for wanted in (False, True):
                for _ in range(len(self._discarded)):
                    address, pinned = self._discarded[0]
                    if pinned == wanted:
                        (self.device.free_host if pinned else self.device.free)(address)
                        self._discarded.popleft()
                    else:
                        self._discarded.rotate(-1)

    def _too_little(self, n_bytes: int, what: str, pinned: bool) -> DeviceError:
        if pinned:
            return DeviceError(f"[cuda] expected {n_bytes} bytes of pinned host memory for {what}, got none")
        free = self.free_bytes()
        return DeviceError(
            f"[cuda] expected {n_bytes} bytes of device memory for {what}, got {free} that are free; do: use "
            "fewer items or queries at a time, or originals='host'"
        )


def layout(sizes: dict[str, int]) -> tuple[dict[str, int], int]:
    """Where pieces of so many bytes lie in one allocation, and what all of them take.

    Examples
    --------
    >>> layout({"rows": 5, "scores": 300})
    ({'rows': 0, 'scores': 256}, 768)
    """
    offsets, end = {}, 0
    for name, size in sizes.items():
        offsets[name] = end
        end += -(-size // ALIGNMENT) * ALIGNMENT
    return offsets, end

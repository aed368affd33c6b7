"""The way to a device: the built module, the same kernels compiled by NVRTC, or the emulator of tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ...._native import device_module, missing
from ....errors import BackendUnavailableError, DeviceError
from .driver import DriverDevice, driver_version, open_driver, require_device
from .nvrtc import compiled, find_nvrtc

__all__ = ["Device", "Runtime", "open_built", "open_cuda", "open_emulated", "open_nvrtc"]


class Device(Protocol):
    """What the host asks of a device; csrc/simt/runtime.hpp says more of each."""

    @property
    def ordinal(self) -> int: ...
    def properties(self) -> dict[str, Any]: ...
    def attributes(self, kernel: str) -> dict[str, int]: ...
    def resident_blocks(self, kernel: str, n_threads: int, shared_bytes: int) -> int: ...
    def allocate(self, n_bytes: int) -> int: ...
    def free(self, address: int) -> None: ...
    def allocate_host(self, n_bytes: int) -> int: ...
    def free_host(self, address: int) -> None: ...
    def copy(self, to: int, source: int, n_bytes: int, stream: int = 0) -> None: ...
    def fill(self, to: int, byte: int, n_bytes: int, stream: int = 0) -> None: ...
    def create_stream(self) -> int: ...
    def synchronise(self, stream: int = 0) -> None: ...
    def launch(
        self,
        kernel: str,
        grid: Sequence[int],
        n_threads: int,
        shared_bytes: int,
        stream: int,
        params: bytes,
    ) -> None: ...
    def is_capturing(self, stream: int) -> bool: ...


@dataclass(frozen=True)
class Runtime:
    """A device and the way that leads to it.

    Attributes
    ----------
    way : {"built", "nvrtc", "emulated"}
    device : Device
    details : dict of str
        Versions, for `gpurec doctor`.
    why_not : dict of str
        Better ways, each with the reason why it is not taken.
    module : module or None
        The native module, where there is one.
    """

    way: str
    device: Device
    details: dict[str, str] = field(default_factory=dict)
    why_not: dict[str, str] = field(default_factory=dict)
    module: Any = None


def open_cuda(ordinal: int = 0) -> Runtime:
    """The best way to a device that works here.

    Raises
    ------
    BackendUnavailableError
        If none does; the text has the reason of each.
    """
    why_not: dict[str, str] = {}
    ways: dict[str, Callable[[int], Runtime]] = {"built": open_built, "nvrtc": open_nvrtc}
    for way, open_way in ways.items():
        try:
            found = open_way(ordinal)
            return Runtime(found.way, found.device, found.details, why_not, found.module)
        except (DeviceError, RuntimeError, ValueError, MemoryError) as error:
            why_not[way] = str(error)
    raise BackendUnavailableError(
        f"[backend] cuda{f':{ordinal}' if ordinal else ''}: "
        + "; ".join(f"{way}: {reason}" for way, reason in why_not.items())
    )


def open_built(ordinal: int = 0) -> Runtime:
    """By the module that the build made; DeviceError where it is missing or does not fit driver or device."""
    module = _module("_cuda")
    if module.device_count() == 0:
        raise DeviceError(module.why_no_device())
    require_device(ordinal, module.device_count())
    driver, built_with = module.versions()
    # A driver runs what was built with its own major version of CUDA or an older one.
    if driver // 1000 < built_with // 1000:
        raise DeviceError(
            f"built with CUDA {_version(built_with)}, the driver knows {_version(driver)} at most"
        )
    device = module.Device(ordinal)
    device.attributes("prepare_queries")  # fails where no code was built for this architecture
    details = {"driver": _version(driver), "built with CUDA": _version(built_with)}
    return Runtime("built", device, details, module=module)


def open_nvrtc(ordinal: int = 0) -> Runtime:
    """By kernels that NVRTC compiles now; DeviceError where driver, NVRTC or sources are missing."""
    library = open_driver()
    version = driver_version(library)
    device = DriverDevice(library, ordinal)
    nvrtc = find_nvrtc(version // 1000)
    for code in compiled(nvrtc, device.architecture):
        device.load(code)
    details = {"driver": _version(version), "NVRTC": "{}.{}".format(*nvrtc.version), "NVRTC at": nvrtc.path}
    return Runtime("nvrtc", device, details)


def open_emulated(module: str = "_cuda_emulated") -> Runtime:
    """The emulator, which runs the kernels on the CPU for tests."""
    try:
        native = _module(module)
    except DeviceError as error:
        raise BackendUnavailableError(f"[backend] cuda_emulated: {error}") from None
    return Runtime("emulated", native.Device(0), module=native)


def _module(name: str) -> Any:
    module = device_module(name)
    if module is None:
        raise DeviceError(missing[name])
    return module


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"

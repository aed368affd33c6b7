"""`gpurec doctor` says which way leads to the device, and why none does."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from gpurec.backends.cuda import ways
from gpurec.backends.cuda.ways import runtime
from gpurec.cli import diagnosis
from gpurec.cli.commands.doctor import _device_lines
from gpurec.errors import BackendUnavailableError, DeviceError


def test_the_way_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    about = {"name": "A GPU", "compute_capability": (9, 0), "total_memory": 80 << 30}
    opened = ways.Runtime(
        "nvrtc", SimpleNamespace(), {"driver": "12.8", "NVRTC": "12.9"}, {"built": "built without it"}
    )
    backend = SimpleNamespace(launcher=SimpleNamespace(properties=about, runtime=opened))
    monkeypatch.setattr(diagnosis.backends, "get", lambda name: backend)
    assert list(_device_lines(diagnosis._device())) == [
        ("device", "A GPU, compute capability 9.0, 81920 MB"),
        ("way to the device", "nvrtc (driver 12.8, NVRTC 12.9)"),
        ("not built", "built without it"),
    ]


class Module:
    """A native module as it is beside some driver."""

    def __init__(self, driver: int, built_with: int, n_devices: int = 1, fits: bool = True) -> None:
        self._versions, self._n_devices, self._fits = (driver, built_with), n_devices, fits

    def device_count(self) -> int:
        return self._n_devices

    def why_no_device(self) -> str:
        return "no CUDA-capable device is detected"

    def versions(self) -> tuple[int, int]:
        return self._versions

    def Device(self, ordinal: int) -> SimpleNamespace:
        def attributes(kernel: str) -> dict[str, int]:
            if not self._fits:
                raise RuntimeError("no kernel image is available for execution on the device")
            return {"max_threads": 256}

        return SimpleNamespace(ordinal=ordinal, attributes=attributes)


def test_what_fits_is_taken_as_it_was_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "device_module", lambda name: Module(13000, 13000))
    opened = ways.open_cuda(0)
    assert (opened.way, opened.why_not) == ("built", {})
    assert opened.details == {"driver": "13.0", "built with CUDA": "13.0"}


@pytest.mark.parametrize(
    "module, reason",
    [
        (Module(12080, 13000), "built with CUDA 13.0, the driver knows 12.8 at most"),
        (Module(13000, 13000, n_devices=0), "no CUDA-capable device is detected"),
        (Module(13000, 13000, fits=False), "no kernel image is available"),
    ],
)
def test_what_does_not_fit_is_compiled_anew(
    module: Module, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "device_module", lambda name: module)
    monkeypatch.setattr(runtime, "open_driver", lambda: "driver")
    monkeypatch.setattr(runtime, "driver_version", lambda library: 12080)
    loaded = []
    device = SimpleNamespace(architecture=89, load=loaded.append)
    monkeypatch.setattr(runtime, "DriverDevice", lambda library, ordinal: device)
    nvrtc = SimpleNamespace(version=(12, 9), path="libnvrtc.so.12")
    monkeypatch.setattr(runtime, "find_nvrtc", lambda newest: nvrtc if newest == 12 else None)
    monkeypatch.setattr(runtime, "compiled", lambda nvrtc, architecture: [b"a", b"b"])
    opened = ways.open_cuda(0)
    assert opened.way == "nvrtc" and opened.device is device and loaded == [b"a", b"b"]
    assert reason in opened.why_not["built"]


def test_without_a_driver_each_way_has_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver() -> None:
        raise DeviceError("[cuda] found no NVIDIA driver")

    monkeypatch.setattr(runtime, "device_module", lambda name: None)
    monkeypatch.setitem(runtime.missing, "_cuda", "built without GPUREC_CUDA=ON")
    monkeypatch.setattr(runtime, "open_driver", no_driver)
    with pytest.raises(BackendUnavailableError, match=r"built: built without .*; nvrtc: .* no NVIDIA driver"):
        ways.open_cuda(0)


def test_a_device_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "device_module", lambda name: Module(13000, 13000, n_devices=1))
    monkeypatch.setattr(runtime, "open_driver", lambda: "driver")
    monkeypatch.setattr(runtime, "driver_version", lambda library: 13000)
    monkeypatch.setattr(runtime, "DriverDevice", lambda library, ordinal: runtime.require_device(ordinal, 1))
    text = r"^\[backend\] cuda:1: built: .* \(cuda:0 alone\), got cuda:1; nvrtc: .*, got cuda:1$"
    with pytest.raises(BackendUnavailableError, match=text):
        ways.open_cuda(1)

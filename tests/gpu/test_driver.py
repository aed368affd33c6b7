"""What driver.py says to libcuda, heard by a made-up one: handles whole, the context current, errors ours."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gpurec.backends.cuda.memory import Memory
from gpurec.backends.cuda.params import SearchParams
from gpurec.backends.cuda.ways import driver
from gpurec.errors import DeviceError


class Launch(ctypes.Structure):
    _fields_ = (
        ("function", ctypes.c_void_p),
        ("shape", ctypes.c_uint * 7),
        ("stream", ctypes.c_void_p),
        ("n_bytes", ctypes.c_size_t),
        ("params", ctypes.c_ubyte * 4096),
    )


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    if shutil.which("g++") is None:
        pytest.skip("the made-up driver is compiled by g++")
    path = tmp_path_factory.mktemp("driver") / "libcuda.so.1"
    source = Path(__file__).with_name("fake_driver.cpp")
    subprocess.run(["g++", "-std=c++17", "-shared", "-fPIC", "-Wall", source, "-o", path], check=True)
    return ctypes.CDLL(str(path))


@pytest.fixture
def device(library: ctypes.CDLL) -> driver.DriverDevice:
    made = driver.DriverDevice(library, 0)
    made.load(b"s\0\1\2")  # a module with the kernel "scan"
    made.load(b"f\0\1\2")
    return made


@pytest.fixture(autouse=True)
def no_context_stays(library: ctypes.CDLL):
    yield
    assert library.contexts() == 0


def test_what_the_device_says(device):
    about = device.properties()
    assert about["name"] == "A made-up GPU" and about["compute_capability"] == (9, 0)
    assert (about["n_multiprocessors"], about["l2_bytes"]) == (132, 50 << 20)
    assert (about["total_memory"], about["free_memory"]) == (80 << 30, 1 << 20)
    assert device.architecture == 90
    assert driver.driver_version(device._library) == 12080


def test_memory(device):
    values = np.arange(1000, dtype=np.float32)
    address = device.allocate(values.nbytes)
    device.copy(address, values.ctypes.data, values.nbytes)
    device.fill(address, 0, 400)
    back = np.empty_like(values)
    device.copy(back.ctypes.data, address, values.nbytes)
    assert not back[:100].any() and np.array_equal(back[100:], values[100:])
    device.free(address)
    memory = Memory(device)
    pinned = memory.take(64, "a test", pinned=True)
    pinned.as_array()[:] = 7
    with pytest.raises(
        DeviceError, match=f"expected {1 << 21} bytes .* for a test, got {1 << 20} that are free"
    ):
        memory.take(1 << 21, "a test")
    with pytest.raises(MemoryError):
        device.allocate(1 << 40)


def test_a_launch(device, library):
    params = SearchParams(k=10, capacity=1 << 40)
    params.items.rows = 0x7F0012345678
    stream = device.create_stream()
    assert device.attributes("scan")["max_threads"] == 256
    assert device.resident_blocks("finish", 256, 1024) == 8
    device.launch("finish", (3, 2, 1), 256, 4096, stream, bytes(params))
    library.last_launch.restype = ctypes.POINTER(Launch)
    told = library.last_launch().contents
    assert list(told.shape) == [3, 2, 1, 256, 1, 1, 4096] and told.stream == stream == 0x7FFF12345678
    assert bytes(told.params[: told.n_bytes]) == bytes(params)
    assert ctypes.string_at(told.function, 1) == b"f"
    with pytest.raises(ValueError, match="name of a kernel, got 'other'"):
        device.launch("other", (1, 1, 1), 32, 0, stream, b"")
    device.synchronise(stream)
    device.destroy_stream(stream)


def test_events_and_graphs(device):
    stream, event = device.create_stream(), device.create_event()
    device.record(event, stream)
    device.wait(stream, event)
    assert device.milliseconds_between(event, event) == 1.5
    device.destroy_event(event)
    assert not device.is_capturing(stream)
    device.begin_capture(stream)
    assert device.is_capturing(stream)
    graph = device.end_capture(stream)
    device.launch_graph(graph, stream)
    device.destroy_graph(graph)
    with pytest.raises(DeviceError, match=r"cuStreamSynchronize: made-up error \(error 400\)"):
        device.synchronise(stream + 1)


def test_no_such_device(library):
    with pytest.raises(DeviceError, match=r"the driver finds \(cuda:0 to cuda:1\), got cuda:5"):
        driver.DriverDevice(library, 5)


def test_no_driver(monkeypatch):
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(DeviceError, match="found no NVIDIA driver"):
        driver.open_driver()

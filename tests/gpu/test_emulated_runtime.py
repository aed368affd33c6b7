"""Memory, streams and graphs of the emulated device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from .devices import OpenDevice, open_device


@pytest.fixture
def s() -> Iterator[OpenDevice]:
    with open_device("_cuda_emulated") as opened:
        yield opened


def launch(s: OpenDevice, out: int, source: int, counter: int, stream: int) -> None:
    s.launch("defect_shuffle", 1, 64, 0, 0, 0, out, source, counter, stream=stream)


def test_a_graph_repeats_what_was_captured(s: OpenDevice) -> None:
    values = np.arange(64, dtype=np.uint32)
    source, out, counter = s.put(values), s.put(np.zeros(64, np.uint32)), s.put(np.zeros(4, np.uint32))
    stream = s.device.create_stream()
    s.device.begin_capture(stream)
    assert s.device.is_capturing(stream)
    launch(s, out, source, counter, stream)
    graph = s.device.end_capture(stream)
    assert not s.get(out).any(), "a launch that is captured does not run"
    s.native.reset_counters()
    for step in range(3):
        changed = values + np.uint32(step)
        s.device.copy(source, changed.ctypes.data, changed.nbytes)
        s.device.launch_graph(graph, stream)
        np.testing.assert_array_equal(s.get(out), np.repeat(changed.reshape(2, 32).sum(axis=1), 32))
    counters = s.native.counters()
    assert (counters["graph_launches"], counters["launches"], counters["allocations"]) == (3, 3, 0)
    s.device.destroy_graph(graph)
    s.device.destroy_stream(stream)


def test_capture_refuses_what_a_device_would(s: OpenDevice) -> None:
    out = s.put(np.zeros(64, np.uint32))
    pageable = np.zeros(64, np.uint32)
    stream = s.device.create_stream()
    s.device.begin_capture(stream)
    s.native.reset_counters()
    refused = [
        lambda: s.device.allocate(8),
        lambda: s.device.allocate_host(8),
        lambda: s.device.free(out),
        lambda: s.device.synchronise(stream),
        lambda: s.device.copy(out, pageable.ctypes.data, pageable.nbytes, stream),
        lambda: s.device.fill(out, 0, 8, 0),
    ]
    for call in refused:
        with pytest.raises(s.native.DeviceFailure, match="while a stream is being captured"):
            call()
    s.device.fill(out, 1, 256, stream)
    graph = s.device.end_capture(stream)
    assert s.native.counters()["refused"] == len(refused)
    s.device.launch_graph(graph, stream)
    assert (s.get(out) == 0x01010101).all()


def test_memory_has_an_end(s: OpenDevice) -> None:
    before = s.device.properties()
    assert before["free_memory"] <= before["total_memory"]
    try:
        s.native.set_memory_limit(before["total_memory"] - before["free_memory"] + 1000)
        p = s.device.allocate(600)
        with pytest.raises(MemoryError):
            s.device.allocate(600)
        s.device.free(p)
        s.device.free(s.device.allocate(600))
    finally:
        s.native.set_memory_limit(before["total_memory"])
    with pytest.raises(ValueError, match="expected an allocation"):
        s.device.free(p)


def test_copies_stay_within_allocations(s: OpenDevice) -> None:
    out = s.put(np.zeros(64, np.uint32))
    host = np.zeros(65, np.uint32)
    with pytest.raises(s.native.DeviceFailure, match="leaves its allocation"):
        s.device.copy(out, host.ctypes.data, host.nbytes)
    with pytest.raises(s.native.DeviceFailure, match="leaves its allocation"):
        s.device.fill(out + 4, 0, 256)


def test_pinned_memory_is_read_by_kernels(s: OpenDevice) -> None:
    pinned = s.device.allocate_host(256)
    values = np.arange(64, dtype=np.uint32)
    s.device.copy(pinned, values.ctypes.data, values.nbytes)
    out, counter = s.put(np.zeros(64, np.uint32)), s.put(np.zeros(4, np.uint32))
    launch(s, out, pinned, counter, 0)
    assert s.get(out)[0] == values[:32].sum()
    s.device.free_host(pinned)


def test_attributes(s: OpenDevice) -> None:
    attributes = s.device.attributes("quantise_tiles")
    assert attributes["max_threads"] == 256
    assert attributes["params_bytes"] % 8 == 0
    assert s.device.resident_blocks("quantise_tiles", 256, 1024) >= 1
    assert {"quantise_tiles", "check_words"} <= set(s.native.kernel_names())

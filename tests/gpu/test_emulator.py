"""The emulator finds each kind of defect that kernels have, and nothing wrong with right ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from .devices import OpenDevice, module, open_device

SEEDS = 20


@dataclass(frozen=True)
class Kernel:
    name: str
    n_threads: int
    expected: Callable[[np.ndarray], np.ndarray]
    grid: int = 1
    shared_bytes: int = 0
    n_in: int = 0
    n: int = 0


def warp_sums(v: np.ndarray) -> np.ndarray:
    return np.repeat(v.reshape(-1, 32).sum(axis=1, dtype=np.uint32), 32)


def last_block(v: np.ndarray) -> np.ndarray:
    return np.concatenate([[5 * v.sum(dtype=np.uint64)], np.tile(v, 5)]).astype(np.uint32)


KERNELS = {
    kernel.name: kernel
    for kernel in (
        Kernel("defect_barrier", 128, lambda v: v[::-1], shared_bytes=512),
        Kernel("defect_shuffle", 64, warp_sums),
        Kernel("defect_warp", 32, lambda v: v, shared_bytes=128),
        Kernel("defect_blocks", 32, lambda v: np.ones(150, np.uint32), grid=5, n=150),
        Kernel("defect_last_block", 32, last_block, grid=5, shared_bytes=16),
        Kernel("defect_copy", 32, lambda v: np.roll(v, -64), shared_bytes=512, n_in=128),
        Kernel("defect_shared", 32, lambda v: v, shared_bytes=128),
        Kernel("defect_struct", 32, lambda v: v, shared_bytes=256),
        Kernel("defect_deadlock", 64, lambda v: np.zeros(64, np.uint32)),
    )
}
FAST, TRACED = "_cuda_emulated", "_cuda_traced"
# kernel, mode, which module finds it, and words of what it says; empty: the answer is wrong on some seeds
DEFECTS = [
    ("defect_barrier", 1, FAST, ""),
    ("defect_barrier", 1, TRACED, "race in shared memory"),
    ("defect_barrier", 2, FAST, "ended while others wait for it in sync_block"),
    ("defect_barrier", 3, FAST, "ended while others wait for it in sync_block"),
    ("defect_barrier", 4, FAST, "different barriers"),
    ("defect_shuffle", 1, FAST, "not in its mask 0x0000ffff"),
    ("defect_shuffle", 2, FAST, ""),
    ("defect_shuffle", 3, FAST, "ended while its warp waits for it in a shuffle"),
    ("defect_shuffle", 4, FAST, "lanes of one warp meet in different words"),
    ("defect_warp", 1, FAST, ""),
    ("defect_warp", 1, TRACED, "race in shared memory"),
    ("defect_warp", 2, FAST, ""),
    ("defect_warp", 2, TRACED, "shared memory that nobody wrote"),
    ("defect_blocks", 1, FAST, "write outside of global memory"),
    ("defect_blocks", 1, TRACED, "a write outside of an allocation"),
    ("defect_blocks", 2, FAST, "write outside of global memory"),
    ("defect_blocks", 3, TRACED, "race in global memory"),
    ("defect_blocks", 4, TRACED, "race in global memory"),
    ("defect_blocks", 5, TRACED, "a read outside of an allocation"),
    ("defect_last_block", 1, TRACED, "race in global memory"),
    ("defect_last_block", 2, TRACED, "race in global memory"),
    ("defect_copy", 1, FAST, ""),
    ("defect_copy", 1, TRACED, "shared memory that nobody wrote"),
    ("defect_copy", 2, FAST, "copies that it never waited for"),
    ("defect_copy", 3, FAST, ""),
    ("defect_copy", 3, TRACED, "race in shared memory"),
    ("defect_copy", 5, FAST, "no multiple of that"),
    ("defect_shared", 1, FAST, "more shared memory is used than the launch gave"),
    ("defect_shared", 2, FAST, "past shared memory"),
    ("defect_shared", 2, TRACED, "outside of an allocation or of shared memory"),
    ("defect_shared", 3, FAST, "given an address in shared memory"),
    ("defect_struct", 1, TRACED, "shared memory that nobody wrote"),
    ("defect_struct", 2, TRACED, "race in shared memory"),
    ("defect_deadlock", 1, FAST, "deadlock: thread"),
    ("defect_deadlock", 2, FAST, "ended while its warp waits for it in sync_warp"),
]


def run(s: OpenDevice, kernel: Kernel, mode: int) -> str | None:
    """What is found amiss: what the emulator or the trace says, "" for a wrong answer, None for nothing."""
    n_in = kernel.n_in or kernel.n_threads
    values = np.random.default_rng(s.native.seed()).integers(1, 2**31, n_in, dtype=np.uint32)
    expected = kernel.expected(values)
    out, counter = s.put(np.zeros(len(expected), np.uint32)), s.put(np.zeros(4, np.uint32))
    try:
        s.launch(
            kernel.name,
            kernel.grid,
            kernel.n_threads,
            kernel.shared_bytes,
            mode,
            kernel.n,
            out,
            s.put(values),
            counter,
        )
        said = []
    except s.native.DeviceFailure as error:
        said = [str(error)]
    if s.native.is_traced:
        said += s.native.trace()["reports"]
    if said:
        return "; ".join(said)
    right = np.array_equal(s.get(out), expected)
    if kernel.name in ("defect_blocks", "defect_last_block"):
        right = right and s.get(counter)[0] == kernel.grid
    return None if right else ""


@pytest.mark.parametrize(("name", "mode", "where", "says"), DEFECTS)
def test_defects_are_found(name: str, mode: int, where: str, says: str) -> None:
    found = []
    for seed in range(SEEDS):
        with open_device(where, seed) as s:
            said = run(s, KERNELS[name], mode)
        if said is not None:
            found.append(said)
    assert found, "no seed finds it"
    assert any(says in said for said in found), found[:3]


@pytest.mark.parametrize("where", [FAST, TRACED])
@pytest.mark.parametrize("kernel", KERNELS.values(), ids=lambda kernel: kernel.name)
def test_no_false_alarms(kernel: Kernel, where: str) -> None:
    for seed in range(SEEDS):
        with open_device(where, seed) as s:
            assert run(s, kernel, mode=0) is None, f"seed {seed}"


def test_memory_of_the_host_is_told() -> None:
    with open_device(TRACED) as s:
        host, out = np.zeros(64, np.uint32), s.put(np.zeros(64, np.uint32))
        counter = s.put(np.zeros(4, np.uint32))
        s.launch("defect_blocks", 1, 32, 0, 6, host.ctypes.data, out, s.put(host), counter)
        trace = s.native.trace()
    assert trace["outside"] == 32
    assert "a read outside of an allocation" in trace["reports"][0]


def test_a_failed_launch_leaves_nothing_behind() -> None:
    with open_device(FAST) as s:
        for _ in range(3):
            assert "deadlock" in (run(s, KERNELS["defect_deadlock"], 1) or "")
            assert run(s, KERNELS["defect_barrier"], 0) is None


def test_the_same_seed_runs_the_same_schedule() -> None:
    switches = []
    for _ in range(2):
        with open_device(FAST, seed=5) as s:
            s.native.reset_counters()
            run(s, KERNELS["defect_barrier"], 0)
            switches.append(s.native.counters()["switches"])
    assert switches[0] == switches[1]


def test_launches_are_checked() -> None:
    native = module(FAST)
    device = native.Device(0)
    with pytest.raises(ValueError, match="expected 40 bytes of parameters, got 8"):
        device.launch("defect_barrier", (1, 1, 1), 32, 0, 0, bytes(8))
    with pytest.raises(ValueError, match="expected 1 to 256 threads a block, got 512"):
        device.launch("defect_barrier", (1, 1, 1), 512, 0, 0, bytes(40))
    with pytest.raises(ValueError, match="expected the name of a kernel, got 'nobody'"):
        device.launch("nobody", (1, 1, 1), 32, 0, 0, b"")
    with pytest.raises(ValueError, match="expected device 0, got 1"):
        native.Device(1)
    with pytest.raises(ValueError, match="expected at most 232448 bytes of shared memory"):
        device.launch("defect_barrier", (1, 1, 1), 32, 300_000, 0, bytes(40))

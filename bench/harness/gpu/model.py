"""What each workload should take, written down before any was measured: python -m harness.gpu.model

Bytes, operations, instructions a score and launches are counted from the kernels; what a device does of them
a second is a data sheet's figure times what such kernels reach. A first measurement is there to refute it.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpurec.backends.cuda.planning import Limits, plan_search

from .workloads import WORKLOADS, Workload

__all__ = ["H100", "Device", "predicted"]


@dataclass(frozen=True)
class Device:
    """What a device does a second, and what a launch costs."""

    bandwidth: float  # bytes, streamed
    at_random: float  # bytes, rows of some hundred bytes each
    int8_tiles: float  # operations by mma.sync, which reaches about 62 % of what wgmma does
    float32: float  # operations by the threads
    instructions: float  # of warps, by all schedulers
    launch: float  # seconds between two kernels of a graph
    eager: float  # seconds that Python takes for a launch


H100 = Device(
    bandwidth=0.9 * 3.35e12,
    at_random=0.5 * 3.35e12,
    int8_tiles=0.62 * 1979e12,
    float32=0.7 * 67e12,
    instructions=132 * 4 * 1.755e9,
    launch=2.5e-6,
    eager=45e-6,  # 240 us a search of five launches on a busy EPYC, against a driver that does nothing
)
# Of the tiles' epilogue, a lane and score: the start of a sum, half of an AND, and what surrounds them.
INSTRUCTIONS_A_SCORE = 2.1
LAUNCHES = {True: 5, False: 7}  # fused or not


def predicted(workload: Workload, k: int, with_codes: bool, device: Device = H100) -> dict[str, float]:
    """Milliseconds of one search: of its scan, as a graph, and where Python launches each kernel."""
    m, n, d = workload.n_queries, workload.n_items, workload.d
    n_tiles = -(-n // 64)
    plan = plan_search(m, n_tiles, n, k, with_codes, Limits())
    row = -(-d // 64) * 64 if with_codes else 4 * d
    passes = 1 if m <= 8 else -(-m // (128 if with_codes else 64))
    # Items that stay in the second-level cache are read from memory once whatever the passes.
    bytes_read = n * row * (passes if n * row > 40e6 else 1)
    operations = 2.0 * m * n * d
    if m <= 8:
        scan = max(bytes_read / device.bandwidth, operations / (4 if with_codes else 1) / device.float32)
    elif with_codes:
        epilogue = INSTRUCTIONS_A_SCORE * m * n / 32 / device.instructions
        # Passes run beside each other and share what the cache holds, so reading rarely is the limit.
        scan = max(n * row / device.bandwidth, operations / device.int8_tiles + epilogue)
    else:
        scan = max(n * row / device.bandwidth, operations / device.float32)
    sample = 0.0 if plan.sample is None else scan / plan.sample.every
    expected = n if plan.sample is None else 1.5 * max(plan.sample.n_expected, k)
    # A key is read and written about eight times by selection and order.
    finish = m * expected * (4 * d / device.at_random + 64 / device.bandwidth)
    launches = LAUNCHES[m == 1]
    graph = scan + sample + finish + launches * device.launch
    eager = max(graph, launches * device.eager)
    return {"scan": 1e3 * scan, "graph": 1e3 * graph, "eager": 1e3 * eager}


def table() -> str:
    """The predictions for an H100 as Markdown."""
    lines = [
        "| workload | k | arithmetic | scan | all, in a graph | all, launched by Python |",
        "| --- | ---: | --- | ---: | ---: | ---: |",
    ]
    for name, workload in WORKLOADS.items():
        for k in workload.ks:
            for with_codes in (True, False):
                found = predicted(workload, k, with_codes)
                times = " | ".join(f"{found[part]:.3g}" for part in ("scan", "graph", "eager"))
                lines.append(f"| {name} | {k:,} | {'int8' if with_codes else 'fp32'} | {times} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())

"""What a search costs besides its arithmetic: the call itself, and memory.

    python bench/bench_overhead.py            writes bench/results/overhead.*
    python bench/bench_overhead.py --quick    small; writes nothing
    python bench/bench_overhead.py --calls    the call alone

Every figure is taken in a process of its own. Needs /proc (Linux).
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from harness.tables import RESULTS, keep, number, rounds_text, spread_text, table, where_measured
from harness.timing import machine, ratio, spread, take_turns

import gpurec
from gpurec.config import n_threads

# Promised: scratch beyond inputs and result, and what an index holds beyond one float32 copy, and for int8
# beyond a byte and a half more a component.
_SCRATCH, _SCRATCH_A_PLACE, _A_ROW = 64_000_000, 16, 16
_COMPONENT_BYTES = {"fp32": 4, "int8": 5.5}
_MB = 1e6
_THREADS = ("GPUREC_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

SEARCHES: list[dict[str, Any]] = [
    {"n_items": 1_000_000, "d": 128, "n_queries": 1024, "k": 10},
    {"n_items": 100_000, "d": 64, "n_queries": 256, "k": 10_000},
    {"n_items": 100_000, "d": 64, "n_queries": 4096, "k": 1_000},
    {"n_items": 100_000, "d": 64, "n_queries": 64, "k": 100_000},
    {"n_items": 100_000, "d": 64, "n_queries": 1024, "k": 10, "items": "all equal"},
    {"n_items": 100_000, "d": 64, "n_queries": 256, "k": 1_000, "items": "of 10 kinds"},
    {"n_items": 1_000_000, "d": 128, "n_queries": 16, "k": 1_000},
    {"n_items": 1_000_000, "d": 128, "n_queries": 1024, "k": 10, "one_shot": True},
]
TABLES: list[dict[str, Any]] = [
    {**cell, "precision": precision}
    for cell in (
        {"n_items": 1_000_000, "d": 128},
        {"n_items": 100_000, "d": 64, "metric": "euclidean"},
        {"n_items": 100_000, "d": 64, "metric": "cosine", "boost": True},
        {"n_items": 100_000, "d": 64, "appends": 100},
        {"n_items": 1_000, "d": 16},
    )
    for precision in _COMPONENT_BYTES
]
QUICK_TABLES = TABLES[-len(_COMPONENT_BYTES) :]
QUICK_SEARCHES: list[dict[str, Any]] = [
    {"n_items": 10_000, "d": 32, "n_queries": 64, "k": 100},
    {"n_items": 10_000, "d": 32, "n_queries": 64, "k": 1_000, "items": "all equal", "one_shot": True},
]


def measure_calls(n_items: int, d: int, k: int, n_calls: int, n_rounds: int) -> dict[str, Any]:
    """Microseconds of a search for one query, beside NumPy's product, partition and sort."""
    rng = np.random.default_rng(0)
    items = rng.standard_normal((n_items, d), dtype=np.float32)
    queries = rng.standard_normal((n_calls, 1, d), dtype=np.float32)
    index = gpurec.ItemIndex(items)

    def ours(query: np.ndarray) -> np.ndarray:
        return index.search(query, k).rows

    def numpy(query: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores = items @ query[0]
        best = np.argpartition(scores, n_items - k)[-k:]
        values = scores[best]
        order = np.argsort(-values)
        return best[order], values[order]

    def turn(search: Callable[[np.ndarray], object]) -> Callable[[], float]:
        def microseconds() -> float:
            seconds = []
            for query in queries:
                start = time.perf_counter()
                search(query)
                seconds.append(time.perf_counter() - start)
            return 1e6 * median(seconds)

        return microseconds

    assert all((ours(query) == numpy(query)[0]).all() for query in queries[:64])
    figures = take_turns({"gpurec": turn(ours), "numpy": turn(numpy)}, n_rounds, pause=0)
    return {
        "n_items": n_items,
        "d": d,
        "k": k,
        "microseconds": {name: spread(rounds) for name, rounds in figures.items()},
        "ours_to_numpy": ratio(figures["gpurec"], figures["numpy"]),
    }


def resident(field: str = "VmRSS") -> int:
    """Bytes of this process in memory; its peak with "VmHWM"."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def resident_at_rest() -> int:
    """Bytes in memory once the allocator has given back what it can; the peak begins here again."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return resident()


def measure_scratch(
    n_items: int, d: int, n_queries: int, k: int, items: str = "normal", one_shot: bool = False
) -> dict[str, Any]:
    """Peak of three searches beyond what was in memory before them and the result."""
    rng = np.random.default_rng(0)
    n_kinds = {"normal": n_items, "of 10 kinds": 10, "all equal": 1}[items]
    drawn = rng.standard_normal((n_kinds, d), dtype=np.float32)
    given = drawn if n_kinds == n_items else drawn[np.arange(n_items) % n_kinds]
    queries = rng.standard_normal((n_queries, d), dtype=np.float32)
    index = None if one_shot else gpurec.ItemIndex(given)
    if index is not None:
        del given, drawn

    def search(queries: np.ndarray, k: int) -> gpurec.TopK:
        return gpurec.score_top_k(queries, given, k) if index is None else index.search(queries, k)

    search(queries[:1], 1)  # code and threads are there
    before = resident_at_rest()
    peaks = []
    for _ in range(3):
        found = search(queries, k)
        peaks.append(resident("VmHWM") - before)
        n_bytes = found.rows.nbytes + found.scores.nbytes
        del found
    return {
        "result_bytes": n_bytes,
        "scratch_bytes": max(peaks) - n_bytes,
        "allowed_bytes": _SCRATCH + _SCRATCH_A_PLACE * n_queries * k,
    }


def measure_held(
    n_items: int, d: int, precision: str, metric: str = "dot", boost: bool = False, appends: int = 0
) -> dict[str, Any]:
    """What an index says it holds, and by how much the process grew."""
    rng = np.random.default_rng(0)
    items = rng.standard_normal((n_items, d), dtype=np.float32)
    gpurec.ItemIndex(items[:100], metric=metric, precision=precision).search(items[:1], 1)
    at_rest = resident_at_rest()
    boosts = rng.standard_normal(n_items) if boost else None
    index = gpurec.ItemIndex(items, metric=metric, boost=boosts, precision=precision)
    for _ in range(appends):
        index.append(rng.standard_normal((1_000, d), dtype=np.float32))
    return {
        "rows": index.n_items,
        "nbytes": index.nbytes,
        "resident_bytes": resident_at_rest() - at_rest,
        "component_bytes": _COMPONENT_BYTES[precision] * index.n_items * d,
        "allowed_bytes": index.n_items * (_COMPONENT_BYTES[precision] * d + _A_ROW),
    }


_MEASURES: dict[str, Callable[..., dict[str, Any]]] = {
    "calls": measure_calls,
    "scratch": measure_scratch,
    "held": measure_held,
}


def alone(what: str, arguments: dict[str, Any], **variables: str) -> dict[str, Any]:
    """Arguments and figures of one measurement in a new process."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", what, json.dumps(arguments)],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {**arguments, **json.loads(done.stdout)}


def run(searches: list[dict[str, Any]], tables: list[dict[str, Any]], n_rounds: int) -> dict[str, Any]:
    one_thread = dict.fromkeys(_THREADS, "1")
    calls = {"n_items": 1_000, "d": 16, "k": 10, "n_calls": 2_000, "n_rounds": n_rounds}
    return {
        "machine": machine(n_threads()),
        "rounds": n_rounds,
        "calls": alone("calls", calls, **one_thread),
        "scratch": [alone("scratch", cell) for cell in searches],
        "held": [alone("held", cell) for cell in tables],
    }


def markdown(result: dict[str, Any]) -> str:
    """Tables of a result."""
    calls = result["calls"]
    parts = [
        "# What a search costs besides its arithmetic",
        where_measured(result["machine"]),
        "## The call",
        f"{calls['n_items']:,} items x {calls['d']}, one query, k={calls['k']}, one thread; medians of "
        f"{calls['n_calls']:,} calls, each of another query. {rounds_text(result['rounds'])}",
        table(
            ["what", "microseconds"],
            [
                ["`ItemIndex.search`", spread_text(calls["microseconds"]["gpurec"])],
                ["numpy: product, argpartition, sort", spread_text(calls["microseconds"]["numpy"])],
                ["gpurec / numpy", spread_text(calls["ours_to_numpy"])],
            ],
        ),
    ]
    if result["scratch"]:
        parts += [
            "## Scratch",
            "Peak of three searches in a new process, less what was in memory before and less the result. "
            f"Allowed: {_SCRATCH / _MB:.0f} MB + {_SCRATCH_A_PLACE} bytes x queries x k.",
            table(
                ["search", "result, MB", "scratch, MB", "allowed, MB", "scratch / allowed"],
                [_scratch_line(cell) for cell in result["scratch"]],
            ),
        ]
    if result["held"]:
        parts += [
            "## What an index holds",
            f"Allowed: one float32 copy, for codes 1.5 bytes more a component, and {_A_ROW} bytes a row. "
            "Growth: of the memory of the process.",
            table(
                ["index", "`nbytes`, MB", "allowed, MB", "bytes a row beside the components", "growth, MB"],
                [_held_line(cell) for cell in result["held"]],
            ),
        ]
    return "\n\n".join(parts) + "\n"


def _scratch_line(cell: dict[str, Any]) -> list[str]:
    kind = "score_top_k" if cell.get("one_shot") else "index"
    items = f", items {cell['items']}" if "items" in cell else ""
    return [
        f"{kind}, {cell['n_items']:,} x {cell['d']}{items}, {cell['n_queries']} queries, k={cell['k']:,}",
        *(number(cell[name] / _MB) for name in ("result_bytes", "scratch_bytes", "allowed_bytes")),
        number(cell["scratch_bytes"] / cell["allowed_bytes"]),
    ]


def _held_line(cell: dict[str, Any]) -> list[str]:
    traits = [cell["metric"]] if "metric" in cell else []
    traits += ["boosted"] if cell.get("boost") else []
    traits += [f"{cell['appends']} appends"] if cell.get("appends") else []
    return [
        ", ".join([cell["precision"], f"{cell['rows']:,} x {cell['d']}", *traits]),
        number(cell["nbytes"] / _MB),
        number(cell["allowed_bytes"] / _MB),
        number((cell["nbytes"] - cell["component_bytes"]) / cell["rows"]),
        number(cell["resident_bytes"] / _MB),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small")
    parser.add_argument("--calls", action="store_true", help="the call alone, nothing written")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, help="folder of the results; bench/results, with --quick none")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        what, cell = arguments.measure
        print(json.dumps(_MEASURES[what](**json.loads(cell))))
    elif arguments.calls:
        print(markdown(run([], [], arguments.rounds)))
    else:
        searches, tables, rounds = SEARCHES, TABLES, arguments.rounds
        if arguments.quick:
            searches, tables, rounds = QUICK_SEARCHES, QUICK_TABLES, 3
        result = run(searches, tables, rounds)
        text = markdown(result)
        keep(arguments.out or (None if arguments.quick else RESULTS), "overhead", result, text)
        print(text)


if __name__ == "__main__":
    main()

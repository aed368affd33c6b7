"""How the time of a search grows with items, components, queries, k and threads.

    python bench/bench_growth.py            writes bench/results/growth.json, .md and .png
    python bench/bench_growth.py --quick    small; writes nothing

The picture needs matplotlib (the extra `plot`) and is left out with a notice where it is missing. 4,000,000
items need 4 GB of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from harness.limits import Limits
from harness.tables import number, rounds_text, spread_text, table, where_measured
from harness.timing import machine, milliseconds, ratio, take_turns

import gpurec
from gpurec.config import n_threads

_RESULTS = Path(__file__).parent / "results"
_N_QUERIES_DRAWN = 4096
_MOST_CALLS = 100


@dataclass(frozen=True)
class Point:
    """One search of normal random queries among normal random items."""

    n_items: int = 100_000
    d: int = 64
    n_queries: int = 256
    k: int = 10
    threads: int = 2


_AXES = {"n_items": "items", "d": "components", "n_queries": "queries", "k": "k", "threads": "threads"}


def curves(n_threads: int) -> dict[str, list[Point]]:
    """For each thing that grows, the points measured."""
    base = Point(threads=n_threads)
    numbers = sorted({1, n_threads})
    return {
        "n_items": [
            replace(base, n_items=n, n_queries=q)
            for q in (1, 256)
            for n in (10_000, 30_000, 100_000, 300_000, 1_000_000, 4_000_000)
        ],
        "d": [replace(base, d=d, n_queries=q) for q in (1, 256) for d in (16, 32, 64, 128, 256, 512, 1024)],
        "n_queries": [replace(base, n_queries=q) for q in (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096)],
        "k": [replace(base, k=k) for k in (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000)],
        "threads": [replace(base, threads=t, n_queries=q) for q in (1, 256) for t in numbers],
    }


def quick_curves(n_threads: int) -> dict[str, list[Point]]:
    """A few points, to see that all of it runs."""
    base = Point(n_items=4_000, d=16, n_queries=64, threads=n_threads)
    return {
        "n_items": [replace(base, n_items=n, n_queries=q) for q in (1, 64) for n in (1_000, 4_000, 16_000)],
        "k": [replace(base, k=k) for k in (1, 10, 100)],
    }


class Table:
    """Items of one size in an index, and the limits for them."""

    def __init__(self, n_items: int, d: int) -> None:
        rng = np.random.default_rng([n_items, d])
        self._index = gpurec.ItemIndex(rng.standard_normal((n_items, d), dtype=np.float32))
        self._queries = rng.standard_normal((_N_QUERIES_DRAWN, d), dtype=np.float32)
        self._limits: dict[int, Limits] = {}

    def measure(self, point: Point, n_rounds: int, turn_seconds: float) -> dict[str, Any]:
        """Time and floor of one point, in the same rounds."""
        if point.threads not in self._limits:
            self._limits[point.threads] = Limits(4 * point.n_items * point.d, point.threads)
        limits = self._limits[point.threads]
        os.environ["GPUREC_NUM_THREADS"] = str(point.threads)
        search = self._search_of(point)
        search()
        n_calls = min(_MOST_CALLS, max(1, round(turn_seconds / search())))
        turns = {
            "search": lambda: median(search() for _ in range(n_calls)),
            "flops": limits.flops,
            "read_rate": limits.read_rate,
        }
        figures = take_turns(turns, n_rounds, pause=0)
        reads = [4 * point.n_items * point.d / rate for rate in figures["read_rate"]]
        sums = [2 * point.n_items * point.d * point.n_queries / rate for rate in figures["flops"]]
        floors = [max(pair) for pair in zip(reads, sums)]
        return {
            **asdict(point),
            "ms": milliseconds(figures["search"]),
            "floor_ms": milliseconds(floors),
            "fraction": ratio(floors, figures["search"]),
        }

    def _search_of(self, point: Point) -> Callable[[], float]:
        """A function that searches for other queries each time and tells the seconds."""
        first = 0

        def search() -> float:
            nonlocal first
            if first + point.n_queries > _N_QUERIES_DRAWN:
                first = 0
            queries = self._queries[first : first + point.n_queries]
            first += point.n_queries
            start = perf_counter()
            self._index.search(queries, point.k)
            return perf_counter() - start

        return search


def run(wanted: dict[str, list[Point]], n_rounds: int, turn_seconds: float) -> dict[str, Any]:
    """Every point once, table by table, however many curves it lies on."""
    result: dict[str, Any] = {"machine": machine(n_threads()), "rounds": n_rounds}
    points = dict.fromkeys(point for curve in wanted.values() for point in curve)
    measured: dict[Point, dict[str, Any]] = {}
    for n_items, d in dict.fromkeys((point.n_items, point.d) for point in points):
        items = Table(n_items, d)
        for point in points:
            if (point.n_items, point.d) == (n_items, d):
                measured[point] = items.measure(point, n_rounds, turn_seconds)
        print(f"measured {n_items:,} x {d}", file=sys.stderr, flush=True)
        del items  # before the next table is made
    result["curves"] = {name: [measured[point] for point in curve] for name, curve in wanted.items()}
    return result


def markdown(result: dict[str, Any]) -> str:
    """A table for each thing that grows."""
    parts = [
        "# How the time of a search grows",
        f"{where_measured(result['machine'])} {rounds_text(result['rounds'])} Normal random items and "
        "queries; `ItemIndex.search`, with the floor (reading the items once, or all multiply-adds, on as "
        "many threads) measured in the same rounds. A fraction above 1 means that norms ruled items out.",
    ]
    for name, curve in result["curves"].items():
        parts.append(f"## {_AXES[name]}")
        rows = [
            [
                *(f"{point[column]:,}" for column in _AXES),
                spread_text(point["ms"]),
                number(point["floor_ms"]["median"]),
                number(point["fraction"]["median"]),
            ]
            for point in curve
        ]
        parts.append(table([*_AXES.values(), "ms", "floor, ms", "fraction"], rows))
    return "\n\n".join(parts) + "\n"


def plot(result: dict[str, Any], file: Path) -> None:
    """One panel for each thing that grows: time as a line, the floor dashed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("no picture: matplotlib is missing; pip install 'gpurec[plot]'", file=sys.stderr)
        return
    figure = Figure(figsize=(15, 3.4), layout="constrained")
    axes = figure.subplots(1, len(result["curves"]), squeeze=False)[0]
    for axis, (name, curve) in zip(axes, result["curves"].items()):
        batches = [0] if name == "n_queries" else sorted({point["n_queries"] for point in curve})
        for color, batch in enumerate(batches):
            points = [point for point in curve if batch in (0, point["n_queries"])]
            at = [point[name] for point in points]
            for key, style in (("ms", "o-"), ("floor_ms", "--")):
                heights = [point[key]["median"] for point in points]
                label = None if key == "floor_ms" or batch == 0 else f"queries: {batch}"
                axis.loglog(at, heights, style, color=f"C{color}", markersize=3, label=label)
        axis.set_xlabel(_AXES[name])
        if batches != [0]:
            axis.legend(frameon=False)
    axes[0].set_ylabel("ms (dashed: floor)")
    figure.savefig(file, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small, nothing written")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=_RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    if arguments.quick:
        print(markdown(run(quick_curves(n_threads()), n_rounds=2, turn_seconds=0.02)))
        return
    result = run(curves(n_threads()), arguments.rounds, turn_seconds=0.15)
    text = markdown(result)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "growth.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "growth.md").write_text(text)
    plot(result, arguments.out / "growth.png")
    print(text)


if __name__ == "__main__":
    main()

"""What it costs to change an index and to start one from disk.

    python bench/bench_index.py [--quick]

Costs are CPU seconds of the whole process (all threads, user and system), which other processes disturb less
than the time on the wall; both are given. Writes bench/results/index.{json,md}; `--quick` uses small tables
and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from harness.tables import where_measured
from harness.timing import machine, spread

import gpurec
from gpurec.config import n_threads

_RESULTS = Path(__file__).parent / "results"
_BATCH = 1000


def cost(work: Callable[..., Any], *arguments: Any) -> tuple[float, float]:
    """CPU and wall seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work(*arguments)
    return time.process_time() - cpu, time.perf_counter() - wall


def search_cost(index: gpurec.ItemIndex, queries: np.ndarray) -> float:
    """CPU seconds of a search for ten items a query."""
    return median(cost(index.search, queries, 10)[0] for _ in range(5))


def measure_changes(n: int, d: int, rounds: int) -> dict[str, Any]:
    """Rebuild; append as many items again, which meets every kind of merge; update, remove, compact."""
    rng = np.random.default_rng(0)
    items = rng.standard_normal((n, d), dtype=np.float32)
    queries = rng.standard_normal((64, d), dtype=np.float32)
    n_batches = n // _BATCH
    figures: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        build_cpu, build_wall = cost(gpurec.ItemIndex, items)
        index = gpurec.ItemIndex(items)
        fresh = search_cost(index, queries)
        appends, in_pieces = [], []
        for i in range(n_batches):
            appends.append(cost(index.append, _batch(rng, d)))
            if i % (n_batches // 8) == 0:
                in_pieces.append(search_cost(index, queries) * n / index.n_items)
        single = median(cost(index.append, _batch(rng, d)[:1])[0] for _ in range(50))
        mean = sum(cpu for cpu, _ in appends) / n_batches
        rows = rng.permutation(n)[:_BATCH]
        for name, value in {
            "build, CPU s": build_cpu,
            "build, wall s": build_wall,
            "append, mean CPU ms": 1e3 * mean,
            "append, median CPU ms": 1e3 * median(cpu for cpu, _ in appends),
            "append, longest CPU ms": 1e3 * max(cpu for cpu, _ in appends),
            "append of one item, CPU ms": 1e3 * single,
            "append, mean / build, CPU": mean / build_cpu,
            "search between appends / fresh, CPU an item": median(in_pieces) / fresh,
            "update, CPU ms": 1e3 * cost(index.update, rows, items[rows])[0],
            "remove, CPU ms": 1e3 * cost(index.remove, rows)[0],
            "compact, CPU s": cost(index.compact)[0],
        }.items():
            figures[name].append(value)
    return {"n_items": n, "d": d, "batch": _BATCH, "n_batches": n_batches, **spreads(figures)}


def _batch(rng: np.random.Generator, d: int) -> np.ndarray:
    return rng.standard_normal((_BATCH, d), dtype=np.float32)


_LOAD = """
import sys, time, numpy as np, gpurec
from gpurec.backends import select
select()  # the native module is loaded
path, d = sys.argv[1], int(sys.argv[2])
wall, cpu = time.perf_counter(), time.process_time()
index = gpurec.ItemIndex.load(path, mmap=True)
print(time.process_time() - cpu, time.perf_counter() - wall)
wall, cpu = time.perf_counter(), time.process_time()
index.search(np.ones((1, d), np.float32), 10)
print(time.process_time() - cpu, time.perf_counter() - wall)
"""


def measure_loads(n: int, d: int, rounds: int) -> dict[str, Any]:
    """`load(mmap=True)` and the first search, in a process of their own; the file is in the page cache."""
    figures: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        items = np.random.default_rng(0).standard_normal((n, d), dtype=np.float32)
        for clock, seconds in zip(("CPU", "wall"), cost(gpurec.ItemIndex(items).save, folder)):
            figures[f"save, {clock} s"].append(seconds)
        for _ in range(rounds):
            command = [sys.executable, "-c", _LOAD, folder, str(d)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            for name, line in zip(("load", "first search"), done.stdout.splitlines()):
                for clock, seconds in zip(("CPU", "wall"), line.split()):
                    figures[f"{name}, {clock} s"].append(float(seconds))
    return {"n_items": n, "d": d, **spreads(figures)}


def spreads(figures: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    return {name: spread(values) for name, values in figures.items()}


def markdown(result: dict[str, Any]) -> str:
    """The result as tables: median of the rounds, smallest and largest in brackets."""
    parts = [
        "# Changing an index, and starting one from disk",
        f"{where_measured(result['machine'])} Medians of {result['rounds']} rounds, smallest and largest in "
        "brackets. CPU times are those of all threads together.",
    ]
    for part, title in (("changes", "Changes"), ("loads", "`load(mmap=True)`")):
        table = result[part]
        rows = [
            f"| {name} | {value['median']:.3g} ({value['low']:.3g} to {value['high']:.3g}) |"
            for name, value in table.items()
            if isinstance(value, dict)
        ]
        parts.append(f"## {title}: {table['n_items']:,} items x {table['d']}")
        parts.append("\n".join(["| what | figure |", "| --- | --- |", *rows]))
    changes = result["changes"]
    parts.append(
        f"Append, update and remove take {changes['batch']:,} items each. The appends are "
        f"{changes['n_batches']} in a row, which double the index and merge it again and again. Searches are "
        "for ten items of 64 queries. A load is in a new process, the file in the page cache."
    )
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small tables, nothing is written")
    quick = parser.parse_args().quick
    rounds = 1 if quick else 3
    result = {
        "machine": machine(n_threads()),
        "rounds": rounds,
        "changes": measure_changes(*((20_000, 64) if quick else (1_000_000, 64)), rounds),
        "loads": measure_loads(*((20_000, 128) if quick else (1_000_000, 128)), rounds),
    }
    text = markdown(result)
    print(text)
    if not quick:
        _RESULTS.mkdir(exist_ok=True)
        (_RESULTS / "index.json").write_text(json.dumps(result, indent=1) + "\n")
        (_RESULTS / "index.md").write_text(text)


if __name__ == "__main__":
    main()

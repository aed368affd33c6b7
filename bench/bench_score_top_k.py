"""Exact top k beside other libraries and beside the machine's limits.

python bench/bench_score_top_k.py                   k of 10 and 100, written to bench/results/score_top_k.*
python bench/bench_score_top_k.py --grid large_k    k of 1,000 and 10,000, to bench/results/large_k.*
python bench/bench_score_top_k.py --quick           a few small cells beside NumPy: a check that it runs
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from harness.contenders import CONTENDERS
from harness.limits import Limits
from harness.report import markdown
from harness.timing import machine, ratio, spread, take_turns
from harness.workers import Worker

OURS, ONE_SHOT = "gpurec", "gpurec-one-shot"
_RESULTS = Path(__file__).parent / "results"
_N_QUERIES_DRAWN = 4096
# Answers are compared on this many queries; float32 libraries may disagree where scores are an ulp apart.
_N_ANSWERS, _AGREEMENT = 64, 0.998
_MOST_CALLS = 400


@dataclass(frozen=True)
class Cell:
    """One line of the result: a table of normal random items, a batch size, k."""

    n_items: int
    d: int
    k: int
    n_queries: int


GRIDS = {
    "score_top_k": [
        Cell(n_items, d, k, n_queries)
        for n_items, d, ks in ((100_000, 64, (10, 100)), (1_000_000, 128, (10,)))
        for k in ks
        for n_queries in (1, 16, 256, 1024)
    ],
    "large_k": [Cell(100_000, 64, k, 256) for k in (1_000, 10_000)],
}
QUICK = [*(Cell(4_000, 32, 10, n_queries) for n_queries in (1, 16, 64)), Cell(4_000, 32, 1_000, 16)]


class Table:
    """The contenders, each holding the same items in a process of its own, and the limits for that size."""

    def __init__(self, n_items: int, d: int, names: list[str], n_threads: int, folder: Path) -> None:
        rng = np.random.default_rng([n_items, d])
        self._folder = folder
        items, queries = folder / "items.npy", folder / "queries.npy"
        np.save(items, rng.standard_normal((n_items, d), dtype=np.float32))
        np.save(queries, rng.standard_normal((_N_QUERIES_DRAWN, d), dtype=np.float32))
        self.limits = Limits(n_items * d * 4, n_threads)
        self.workers: dict[str, list[Worker]] = {}
        self.build_seconds: dict[str, float] = {}
        for name in names:
            self.workers[name] = [Worker(name, n_threads) for _ in range(CONTENDERS[name].processes)]
            self.build_seconds[name] = min(
                worker.ask("build", items=str(items), queries=str(queries)) for worker in self.workers[name]
            )
        items.unlink()

    def agreement(self, cell: Cell) -> dict[str, float]:
        """Share of our rows that each contender found.

        Raises
        ------
        RuntimeError
            If a contender's answer is another one: nobody is timed on a wrong answer.
        """
        shares = {}
        ours: np.ndarray | None = None
        for name, workers in self.workers.items():
            file = self._folder / "rows.npy"
            workers[0].ask("answer", n_queries=cell.n_queries, k=cell.k, n_answers=_N_ANSWERS, rows=str(file))
            rows = np.load(file)
            if ours is None:
                ours = rows  # gpurec comes first
            shares[name] = float(np.mean([len(np.intersect1d(a, b)) for a, b in zip(ours, rows)]) / cell.k)
            if shares[name] < _AGREEMENT:
                raise RuntimeError(f"[bench] {name} and {OURS} agree on {shares[name]:.4f} of rows in {cell}")
        return shares

    def measure(self, cell: Cell, n_rounds: int, turn_seconds: float) -> dict[str, Any]:
        """All figures of one cell."""
        size = {"n_queries": cell.n_queries, "k": cell.k}
        turns: dict[str, Any] = {"flops": self.limits.flops, "read_rate": self.limits.read_rate}
        settings = {}
        for name, workers in self.workers.items():
            for i, worker in enumerate(workers):
                tuned = worker.ask("tune", **size)
                n_calls = min(_MOST_CALLS, max(1, round(turn_seconds / tuned["seconds"])))
                turns[f"{name}/{i}"] = partial(worker.ask, "turn", n_calls=n_calls, **size)
            settings[name] = tuned["setting"]
        agreement = self.agreement(cell)
        figures = take_turns(turns, n_rounds)
        seconds = {
            name: min((figures[f"{name}/{i}"] for i in range(len(workers))), key=median)
            for name, workers in self.workers.items()
        }
        return {**vars(cell), "limits": _limits(cell, figures, seconds[OURS])} | {
            "contenders": {
                name: {
                    "ms": spread([1e3 * s for s in seconds[name]]),
                    "ours_to_it": ratio(seconds[OURS], seconds[name]),
                    "one_shot_to_it": ratio(seconds[ONE_SHOT], seconds[name]),
                    "agreement": agreement[name],
                    "setting": settings[name],
                }
                for name in seconds
            },
        }

    def close(self) -> None:
        for workers in self.workers.values():
            for worker in workers:
                worker.close()


def _limits(cell: Cell, figures: dict[str, list[float]], ours: list[float]) -> dict[str, Any]:
    """The shortest time that reading the items once, or all multiply-adds, takes; and our share of it."""
    reads = [cell.n_items * cell.d * 4 / rate for rate in figures["read_rate"]]
    sums = [2 * cell.n_items * cell.d * cell.n_queries / rate for rate in figures["flops"]]
    floors = [max(pair) for pair in zip(reads, sums)]
    return {
        "gflops": spread([rate / 1e9 for rate in figures["flops"]]),
        "read_gb_per_s": spread([rate / 1e9 for rate in figures["read_rate"]]),
        "bound_by": "reads" if median(reads) > median(sums) else "multiply-adds",
        "floor_ms": spread([1e3 * floor for floor in floors]),
        "fraction": ratio(floors, ours),
    }


def run(
    cells: list[Cell],
    names: list[str],
    n_rounds: int,
    turn_seconds: float,
    save: Callable[[dict[str, Any]], None] = lambda result: None,
) -> dict[str, Any]:
    """Measure cells table by table, one table in memory at a time; each cell is saved when measured."""
    n_threads = len(os.sched_getaffinity(0))
    result: dict[str, Any] = {"machine": machine(n_threads), "rounds": n_rounds, "versions": {}, "tables": []}
    for n_items, d in dict.fromkeys((cell.n_items, cell.d) for cell in cells):
        with tempfile.TemporaryDirectory() as folder:
            table = Table(n_items, d, names, n_threads, Path(folder))
            measured: list[dict[str, Any]] = []
            result["versions"] = {name: workers[0].version for name, workers in table.workers.items()}
            result["tables"].append(
                {"n_items": n_items, "d": d, "build_seconds": table.build_seconds, "cells": measured}
            )
            try:
                for cell in cells:
                    if (cell.n_items, cell.d) == (n_items, d):
                        measured.append(table.measure(cell, n_rounds, turn_seconds))
                        save(result)
                        print(f"measured {cell}", file=sys.stderr, flush=True)
            finally:
                table.close()
    return result


def _save(folder: Path, name: str, result: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / f"{name}.md").write_text(markdown(result))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--grid", choices=list(GRIDS), default="score_top_k")
    parser.add_argument("--quick", action="store_true", help="small cells, NumPy only, nothing written")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=_RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    if arguments.quick:
        print(markdown(run(QUICK, [OURS, ONE_SHOT, "numpy-here"], n_rounds=3, turn_seconds=0.02)))
        return
    names = [OURS, ONE_SHOT, *(name for name, kind in CONTENDERS.items() if kind.own_environment)]
    save = partial(_save, arguments.out, arguments.grid)
    print(markdown(run(GRIDS[arguments.grid], names, arguments.rounds, turn_seconds=0.25, save=save)))


if __name__ == "__main__":
    main()

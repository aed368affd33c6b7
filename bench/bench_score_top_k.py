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
from harness.contenders import RIVALS
from harness.limits import Limits
from harness.tables import number, rounds_text, spread_text, table, where_measured
from harness.team import OURS, Team
from harness.timing import machine, milliseconds, ratio, spread, take_turns

from gpurec.backends.cpu import CpuBackend

FLOAT32, ONE_SHOT = "gpurec-fp32", "gpurec-one-shot"
_RESULTS = Path(__file__).parent / "results"
_N_QUERIES_DRAWN = 4096


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
        items, queries = folder / "items.npy", folder / "queries.npy"
        np.save(items, rng.standard_normal((n_items, d), dtype=np.float32))
        np.save(queries, rng.standard_normal((_N_QUERIES_DRAWN, d), dtype=np.float32))
        self.limits = Limits(n_items * d * 4, n_threads)
        self.team = Team(names, n_threads, folder, items=items, queries=queries)
        items.unlink()

    def measure(self, cell: Cell, n_rounds: int, turn_seconds: float) -> dict[str, Any]:
        """All figures of one cell."""
        turns, notes = self.team.prepare("search", cell.n_queries, cell.k, turn_seconds)
        limits = {
            "flops": self.limits.flops,
            "int8_ops": lambda: 2 * self.limits.multiply_adds_i8(CpuBackend().isa),
            "read_rate": self.limits.read_rate,
        }
        figures = take_turns({**limits, **turns}, n_rounds)
        seconds = self.team.seconds("search", figures)
        return {
            **vars(cell),
            "limits": {
                FLOAT32: _limits(cell, 4, figures["flops"], figures["read_rate"], seconds[FLOAT32]),
                OURS: _limits(cell, 1, figures["int8_ops"], figures["read_rate"], seconds[OURS]),
            },
        } | {
            "contenders": {
                name: {
                    "ms": milliseconds(seconds[name]),
                    "ours_to_it": ratio(seconds[OURS], seconds[name]),
                    "float32_to_it": ratio(seconds[FLOAT32], seconds[name]),
                    "one_shot_to_it": ratio(seconds[ONE_SHOT], seconds[name]),
                    **notes[name],
                }
                for name in seconds
            },
        }


def _limits(
    cell: Cell, component_bytes: int, operations: list[float], read_rates: list[float], ours: list[float]
) -> dict[str, Any]:
    """The shortest time that reading the items once, or all multiply-adds, takes; and our share of it."""
    reads = [cell.n_items * cell.d * component_bytes / rate for rate in read_rates]
    sums = [2 * cell.n_items * cell.d * cell.n_queries / rate for rate in operations]
    floors = [max(pair) for pair in zip(reads, sums)]
    return {
        "gops": spread([rate / 1e9 for rate in operations]),
        "read_gb_per_s": spread([rate / 1e9 for rate in read_rates]),
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
            result["versions"] = table.team.versions
            result["tables"].append(
                {"n_items": n_items, "d": d, "build_seconds": table.team.build_seconds, "cells": measured}
            )
            try:
                for cell in cells:
                    if (cell.n_items, cell.d) == (n_items, d):
                        measured.append(table.measure(cell, n_rounds, turn_seconds))
                        save(result)
                        print(f"measured {cell}", file=sys.stderr, flush=True)
            finally:
                table.team.close()
    return result


def markdown(result: dict[str, Any]) -> str:
    """Tables of a result: times beside limits, ratios to rivals, and what was measured where."""
    cells = [cell for part in result["tables"] for cell in part["cells"]]
    rivals = [name for name in cells[0]["contenders"] if name not in (OURS, FLOAT32, ONE_SHOT)]
    parts = [
        "# Exact top k beside other libraries",
        f"{where_measured(result['machine'])} {rounds_text(result['rounds'])} Normal random items and "
        "queries, float32. `bench/README.md` says how it is measured. A ratio below 1 means that gpurec is "
        "faster.",
    ]
    for part in result["tables"]:
        parts.append(f"## {part['n_items']:,} items x {part['d']}")
        parts += [_limits_table(part["cells"], OURS), _limits_table(part["cells"], FLOAT32)]
        parts.append(_times_table(part["cells"], rivals))
        builds = ", ".join(f"{name} {seconds:.2f}" for name, seconds in part["build_seconds"].items())
        parts.append(f"Seconds to build: {builds}.")
    parts.append(_verdict(cells, rivals))
    parts.append("Versions: " + ", ".join(f"{name} {v}" for name, v in result["versions"].items()) + ".")
    return "\n\n".join(parts) + "\n"


def _limits_table(cells: list[dict[str, Any]], name: str) -> str:
    head = ["k", "queries", f"{name}, ms", "floor, ms", "set by", "fraction of it reached"]
    rows = [
        [
            str(cell["k"]),
            str(cell["n_queries"]),
            spread_text(cell["contenders"][name]["ms"]),
            number(cell["limits"][name]["floor_ms"]["median"]),
            f"{cell['limits'][name]['bound_by']} ({_rate(cell['limits'][name])})",
            spread_text(cell["limits"][name]["fraction"]),
        ]
        for cell in cells
    ]
    return table(head, rows)


def _rate(limits: dict[str, Any]) -> str:
    if limits["bound_by"] == "reads":
        return f"{limits['read_gb_per_s']['median']:.0f} GB/s"
    return f"{limits['gops']['median']:.0f} G operations/s"


def _times_table(cells: list[dict[str, Any]], rivals: list[str]) -> str:
    head = ["k", "queries", *(f"{name}, ms" for name in (OURS, FLOAT32, ONE_SHOT, *rivals))]
    head += ["best rival", "gpurec / best", "fp32 / best", "gpurec / numpy", "one shot / numpy"]
    rows = []
    for cell in cells:
        found = cell["contenders"]
        best = min(rivals, key=lambda name: found[name]["ms"]["median"])
        rows.append(
            [
                str(cell["k"]),
                str(cell["n_queries"]),
                *(number(found[name]["ms"]["median"]) for name in (OURS, FLOAT32, ONE_SHOT, *rivals)),
                best,
                spread_text(found[best]["ours_to_it"]),
                spread_text(found[best]["float32_to_it"]),
                spread_text(found[_numpy(rivals)]["ours_to_it"]),
                spread_text(found[_numpy(rivals)]["one_shot_to_it"]),
            ]
        )
    return table(head, rows)


def _verdict(cells: list[dict[str, Any]], rivals: list[str]) -> str:
    slower = [
        f"{cell['n_items']:,} x {cell['d']}, k={cell['k']}, {cell['n_queries']} queries ({way})"
        for cell in cells
        for way, key in (("index", "ours_to_it"), ("one shot", "one_shot_to_it"))
        if cell["contenders"][_numpy(rivals)][key]["median"] > 1
    ]
    return f"Cells slower than NumPy: {'; '.join(slower) or 'none'}."


def _numpy(rivals: list[str]) -> str:
    return next(name for name in rivals if name.startswith("numpy"))


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
        print(markdown(run(QUICK, [OURS, FLOAT32, ONE_SHOT, "numpy-here"], n_rounds=3, turn_seconds=0.02)))
        return
    names = [OURS, FLOAT32, ONE_SHOT, *RIVALS]
    save = partial(_save, arguments.out, arguments.grid)
    print(markdown(run(GRIDS[arguments.grid], names, arguments.rounds, turn_seconds=0.25, save=save)))


if __name__ == "__main__":
    main()

"""Exact top k beside other libraries and beside the machine's limits.

python bench/bench_score_top_k.py                 k of 10 and 100, written to bench/results/score_top_k.*
python bench/bench_score_top_k.py --grid large_k  k of 1,000 and 10,000, to bench/results/large_k.*; so also:
                                  gowalla         factors fitted to gowalla, its users ask
                                  gowalla_bpr     factors of BPR whose norms differ more, and ours
                                  item_kinds      a steep spectrum, equal norms, skewed norms, ties
python bench/bench_score_top_k.py --quick         small cells of the grid beside NumPy: a check that it runs

gowalla lies in the folder of the data sets: GPUREC_DATA, else ../shared/data. The rivals' environment fits
the factors once (harness/data/gowalla.py, into build/bench); those of `--quick` need none.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from harness.contenders import OURS, RIVALS
from harness.data.kinds import Items
from harness.limits import Limits
from harness.tables import RESULTS, keep, number, rounds_text, spread_text, table, where_measured
from harness.team import Team
from harness.timing import machine, milliseconds, ratio, spread, take_turns

from gpurec.backends.cpu import CpuBackend

FLOAT32, INT8, ONE_SHOT = "gpurec-fp32", "gpurec-int8", "gpurec-one-shot"
OWN = (OURS, FLOAT32, INT8, ONE_SHOT)
_BATCHES = (1, 16, 256, 1024)


@dataclass(frozen=True)
class Cell:
    """One line of the result: items, k, a batch size."""

    items: Items = field(default_factory=Items)
    k: int = 10
    n_queries: int = 256


def _cells(
    tables: list[Items], ks: tuple[int, ...] = (10,), batches: tuple[int, ...] = _BATCHES
) -> list[Cell]:
    return [Cell(items, k, n_queries) for items in tables for k in ks for n_queries in batches]


GRIDS = {
    "score_top_k": _cells([Items()], (10, 100)) + _cells([Items(n_items=1_000_000, d=128)]),
    "large_k": _cells([Items()], (1_000, 10_000), (256,)),
    "gowalla": _cells([Items("gowalla als", 40_981, 64), Items("gowalla bpr", 40_981, 65)]),
    "gowalla_bpr": _cells([Items("gowalla bpr mild", 40_981, 65), Items("gowalla bpr ours", 40_981, 65)]),
    "item_kinds": _cells([Items(kind) for kind in ("steep", "flat", "skewed", "tied")]),
}
_SMALL = (1, 64)
QUICK = {
    "score_top_k": _cells([Items(n_items=4_000, d=32)], (10,), _SMALL),
    "large_k": _cells([Items(n_items=4_000, d=32)], (1_000,), (16,)),
    "gowalla": _cells([Items("gowalla svd", 40_981, 16)], (10,), (1, 16)),
    "gowalla_bpr": _cells([Items("gowalla svd", 40_981, 16)], (10,), (1, 16)),
    "item_kinds": _cells([Items("tied", 4_000, 32)], (10,), _SMALL),
}


class Field:
    """The contenders, each holding the same items in a process of its own, and the limits for that size."""

    def __init__(self, items: Items, names: list[str], n_threads: int, folder: Path) -> None:
        files = {"items": folder / "items.npy", "queries": folder / "queries.npy"}
        for file, array in zip(files.values(), items.make()):
            np.save(file, array)
        self.limits = Limits(items.n_items * items.d * 4, n_threads)
        self.team = Team(names, n_threads, folder, **files)

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
        ours = {name: seconds[name] for name in OWN}
        best = min((ours[FLOAT32], ours[INT8]), key=median)
        return {
            "k": cell.k,
            "n_queries": cell.n_queries,
            "limits": {
                FLOAT32: _limits(cell, 4, figures["flops"], figures["read_rate"], ours[FLOAT32]),
                OURS: _limits(cell, 1, figures["int8_ops"], figures["read_rate"], ours[OURS]),
            },
            "int8_to_float32": ratio(ours[INT8], ours[FLOAT32]),
            "auto_to_better": ratio(ours[OURS], best),
            "contenders": {
                name: {
                    "ms": milliseconds(rounds),
                    **{f"{own}_to_it": ratio(ours[own], rounds) for own in OWN},
                    **notes[name],
                }
                for name, rounds in seconds.items()
            },
        }


def _limits(
    cell: Cell, component_bytes: int, operations: list[float], read_rates: list[float], ours: list[float]
) -> dict[str, Any]:
    """The shortest time that reading the items once, or all multiply-adds, takes; and our share of it."""
    reads = [cell.items.n_items * cell.items.d * component_bytes / rate for rate in read_rates]
    sums = [2 * cell.items.n_items * cell.items.d * cell.n_queries / rate for rate in operations]
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
    save: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Measure cells table by table, one table in memory at a time; each cell is saved when measured."""
    n_threads = len(os.sched_getaffinity(0))
    result: dict[str, Any] = {"machine": machine(n_threads), "rounds": n_rounds, "versions": {}, "tables": []}
    for items in dict.fromkeys(cell.items for cell in cells):
        with tempfile.TemporaryDirectory() as folder:
            field = Field(items, names, n_threads, Path(folder))
            try:
                measured: list[dict[str, Any]] = []
                result["versions"] = field.team.versions
                seconds, n_bytes = field.team.build_seconds, field.team.n_bytes
                result["tables"].append(
                    {**vars(items), "build_seconds": seconds, "n_bytes": n_bytes, "cells": measured}
                )
                for cell in cells:
                    if cell.items == items:
                        measured.append(field.measure(cell, n_rounds, turn_seconds))
                        save(result)
                        print(f"measured {cell}", file=sys.stderr, flush=True)
            finally:
                field.team.close()
    return result


def markdown(result: dict[str, Any]) -> str:
    """Tables of a result: times beside limits, ratios to rivals, and what was measured where."""
    rivals = [name for name in result["tables"][0]["cells"][0]["contenders"] if name not in OWN]
    parts = [
        "# Exact top k beside other libraries",
        f"{where_measured(result['machine'])} {rounds_text(result['rounds'])} `bench/README.md` says how it "
        "is measured and what the kinds of items are. A ratio below 1 means that gpurec is faster.",
    ]
    for part in result["tables"]:
        parts.append(f"## {part['kind']}, {part['n_items']:,} items x {part['d']}")
        parts += [_limits_table(part["cells"], OURS), _limits_table(part["cells"], FLOAT32)]
        parts += [_times_table(part["cells"], rivals), _own_table(part["cells"], rivals)]
        held = ", ".join(
            f"{name} {n_bytes / 1e6:.1f} MB ({n_bytes / part['n_items']:.1f} bytes an item)"
            for name, n_bytes in part["n_bytes"].items()
        )
        builds = ", ".join(f"{name} {seconds:.2f}" for name, seconds in part["build_seconds"].items())
        parts.append(f"Memory of the index: {held}. Seconds to build: {builds}.")
    parts.append(_verdict(result["tables"], rivals))
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
    head = ["k", "queries", *(f"{name}, ms" for name in (*OWN, *rivals))]
    head += ["best rival", "gpurec / best", "gpurec / numpy", "one shot / numpy"]
    rows = []
    for cell in cells:
        found = cell["contenders"]
        best = min(rivals, key=lambda name: found[name]["ms"]["median"])
        rows.append(
            [
                str(cell["k"]),
                str(cell["n_queries"]),
                *(number(found[name]["ms"]["median"]) for name in (*OWN, *rivals)),
                best,
                spread_text(found[best][f"{OURS}_to_it"]),
                spread_text(found[_numpy(rivals)][f"{OURS}_to_it"]),
                spread_text(found[_numpy(rivals)][f"{ONE_SHOT}_to_it"]),
            ]
        )
    return table(head, rows)


def _own_table(cells: list[dict[str, Any]], rivals: list[str]) -> str:
    head = ["k", "queries", *(f"{name} / best rival" for name in (FLOAT32, INT8))]
    head += ["int8 / fp32", "auto / better of the two", "recall"]
    rows = []
    for cell in cells:
        found = cell["contenders"]
        best = min(rivals, key=lambda name: found[name]["ms"]["median"])
        rows.append(
            [
                str(cell["k"]),
                str(cell["n_queries"]),
                *(spread_text(found[best][f"{name}_to_it"]) for name in (FLOAT32, INT8)),
                spread_text(cell["int8_to_float32"]),
                spread_text(cell["auto_to_better"]),
                f"{min(found[name]['recall'] for name in OWN):.3f}",
            ]
        )
    return table(head, rows)


def _verdict(tables: list[dict[str, Any]], rivals: list[str]) -> str:
    slower = [
        f"{part['kind']} {part['n_items']:,} x {part['d']}, k={cell['k']}, {cell['n_queries']} queries, {way}"
        for part in tables
        for cell in part["cells"]
        for way, name in (("index", OURS), ("one shot", ONE_SHOT))
        if cell["contenders"][_numpy(rivals)][f"{name}_to_it"]["median"] > 1
    ]
    return f"Cells slower than NumPy: {'; '.join(slower) or 'none'}."


def _numpy(rivals: list[str]) -> str:
    return next(name for name in rivals if name.startswith("numpy"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--grid", choices=list(GRIDS), default="score_top_k")
    parser.add_argument("--quick", action="store_true", help="small cells, NumPy only")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="folder of the results; bench/results, with --quick none")
    arguments = parser.parse_args()
    folder: Path | None = arguments.out or (None if arguments.quick else RESULTS)

    def save(result: dict[str, Any]) -> None:
        keep(folder, arguments.grid, result, markdown(result))

    if arguments.quick:
        names, turn_seconds, rounds = [*OWN, "numpy-here"], 0.02, 2
    else:
        names, turn_seconds, rounds = [*OWN, *RIVALS], 0.25, arguments.rounds
    cells = (QUICK if arguments.quick else GRIDS)[arguments.grid]
    print(markdown(run(cells, names, rounds, turn_seconds, save)))


if __name__ == "__main__":
    main()

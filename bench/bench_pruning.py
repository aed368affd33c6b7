"""What each shortcut of a search saves: blocks of large norm first, the norm cut, leading directions.

    python bench/bench_pruning.py            writes bench/results/pruning.{json,md}; needs gowalla
    python bench/bench_pruning.py --quick    a few seconds; writes nothing

Seconds are of the processor, one thread, so that other work on the machine hardly disturbs them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from harness.data.kinds import Items
from harness.tables import RESULTS, keep, number, rounds_text, spread_text, table, where_measured
from harness.timing import machine, milliseconds, ratio, take_turns, typical

import gpurec
from gpurec.backends.cpu import CpuBackend

K = 10
WAYS: dict[str, Any] = {
    "plain": (),
    "norms": ("norms",),
    "head, norms": ("head", "norms"),
    "head, norms, directions": ("head", "norms", "directions"),
    "auto": "auto",
}
_TABLES = [
    Items("normal"),
    Items("steep"),
    Items("flat"),
    Items("skewed"),
    Items("tied"),
    Items("gowalla als", 40_981, 64),
    Items("gowalla bpr", 40_981, 65),
    Items("steep", 1_000_000),
]
_BATCHES = [1, 16, 256]
_TURN_SECONDS, _MOST_TURNS = 0.08, 64
_GROWN = 1_000_000


def grown(kind: str, d: int) -> tuple[np.ndarray, np.ndarray]:
    """A million items from gowalla's: each one of them, chosen at random, and as much noise as they spread.

    The noise of a component is a third of its standard deviation.
    """
    items, queries = Items(kind, 40_981, d).make()
    rng = np.random.default_rng(d)
    noise = rng.standard_normal((_GROWN, d), dtype=np.float32) * (items.std(axis=0) / 3)
    return items[rng.integers(0, len(items), _GROWN)] + noise, queries


def measure(
    name: str, items: np.ndarray, queries: np.ndarray, batches: list[int], n_rounds: int
) -> dict[str, Any]:
    """A table's cells, and what its indices cost."""
    backend = CpuBackend(n_threads=1)
    indices, built = {}, {}
    for way, pruning in WAYS.items():
        begin = time.thread_time()
        indices[way] = gpurec.ItemIndex(items, precision="int8", pruning=pruning, backend=backend)
        built[way] = {"seconds": time.thread_time() - begin, "n_bytes": indices[way].nbytes}
    found = {}
    for way, index in indices.items():
        explained = index.explain_search(queries[: max(batches)], K)
        found[way] = explained.answer.rows.tobytes() + explained.answer.scores.tobytes()
        built[way]["counts"] = {what: float(counts.mean()) for what, counts in explained.counts.items()}
        built[way]["pruning"] = str(explained.choices["pruning"][0])
    if len(set(found.values())) != 1:
        raise AssertionError(f"[bench] expected one answer, got several for {name}")
    cells = []
    for n_queries in batches:
        turns: dict[str, Callable[[], float]] = {
            way: partial(_turn, index, queries, n_queries) for way, index in indices.items()
        }
        seconds = take_turns(turns, n_rounds, pause=0)
        cells.append(
            {
                "n_queries": n_queries,
                "milliseconds": {way: milliseconds(rounds) for way, rounds in seconds.items()},
                "of_norms": {way: ratio(rounds, seconds["head, norms"]) for way, rounds in seconds.items()},
            }
        )
    return {"name": name, "n_items": len(items), "d": items.shape[1], "built": built, "cells": cells}


def _turn(index: gpurec.ItemIndex, queries: np.ndarray, n_queries: int) -> float:
    """Seconds of a search, of searches for different queries that take a turn together."""
    found: list[float] = []
    while sum(found) < _TURN_SECONDS and len(found) < _MOST_TURNS:
        first = len(found) * n_queries % (len(queries) - n_queries + 1)
        begin = time.thread_time()
        index.search(queries[first : first + n_queries], K)
        found.append(time.thread_time() - begin)
    return typical(found)


def markdown(result: dict[str, Any]) -> str:
    times, shares = [], []
    for made in result["tables"]:
        label = f"{made['name']} {made['n_items']:,} x {made['d']}"
        for cell in made["cells"]:
            ms = [number(cell["milliseconds"][way]["median"]) for way in WAYS]
            gains = [spread_text(cell["of_norms"][way]) for way in ("head, norms, directions", "auto")]
            times.append([f"{label}, {cell['n_queries']}", *ms, *gains])
        for way in WAYS:
            built = made["built"][way]
            counts = built["counts"]
            n_tiles = -(-made["n_items"] // 64)
            shares.append(
                [
                    f"{label}, {way}",
                    f"{100 * counts['tiles_scanned'] / n_tiles:.1f} %",
                    f"{100 * counts['leading_tiles'] / n_tiles:.1f} %",
                    *(number(counts[what]) for what in ("candidates", "scored_at_once", "rescored")),
                    f"{built['seconds']:.2f}",
                    f"{built['n_bytes'] / 1e6:.1f}",
                ]
            )
    parts = [
        "# What each shortcut saves",
        f"{where_measured(result['machine'])} {rounds_text(result['rounds'])} Milliseconds of the processor, "
        f"one thread, k={K}, precision int8. Every way gave the same answer, bit for bit.",
        table(["items, queries", *WAYS, "directions / norms", "auto / norms"], times),
        f"Of each of {result['queries']} queries, and of making the index:",
        table(
            [
                "items, way",
                "tiles scanned",
                "by directions",
                "candidates",
                "near in directions",
                "rescored",
                "build, s",
                "MB",
            ],
            shares,
        ),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small, nothing written")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    where, rounds = machine(1), 3 if arguments.quick else arguments.rounds
    batches = [1, 16] if arguments.quick else _BATCHES
    tables = []
    for items in [Items("steep", 70_000), Items("normal", 4_000)] if arguments.quick else _TABLES:
        tables.append(measure(items.kind, *items.make(), batches, rounds))
    for kind, d in [] if arguments.quick else [("gowalla als", 64), ("gowalla bpr", 65)]:
        tables.append(measure(f"{kind} grown", *grown(kind, d), batches, rounds))
    result = {"machine": where, "rounds": rounds, "queries": max(batches), "tables": tables}
    text = markdown(result)
    print(text)
    keep(None if arguments.quick else arguments.out, "pruning", result, text)


if __name__ == "__main__":
    main()

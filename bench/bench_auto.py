"""The precision that "auto" chooses beside each fixed one.

python bench/bench_auto.py            both grids; writes bench/results/auto.{json,md}
python bench/bench_auto.py --quick    a few seconds; writes nothing
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from harness.tables import RESULTS, keep, number, rounds_text, spread_text, table, where_measured
from harness.timing import machine, milliseconds, ratio, take_turns, typical

import gpurec
from gpurec.config import n_threads

_GRIDS = [(100_000, 64), (1_000_000, 128)]
_PLACES, _QUERIES = [10, 100, 1000, 10_000], [1, 16, 256, 1024]
_FIXED = ("int8", "int4", "bf16", "fp32")
_MOST_QUERIES_IN_INT4 = 16  # two at a time pass over the codes
_TURN_SECONDS = 0.2


def measure(
    n_items: int, d: int, places: list[int], batches: list[int], n_rounds: int
) -> list[dict[str, Any]]:
    rng = np.random.default_rng([n_items, d])
    items = rng.standard_normal((n_items, d), dtype=np.float32)
    queries = rng.standard_normal((max(batches), d), dtype=np.float32)
    indices = {name: gpurec.ItemIndex(items, precision=name) for name in ("auto", *_FIXED)}
    indices["auto"].search(queries, 10)  # measures what precisions cost, where no file tells
    cells = []
    for k, n_queries in itertools.product(places, batches):
        fixed = [name for name in _FIXED if name != "int4" or n_queries <= _MOST_QUERIES_IN_INT4]
        chosen = str(indices["auto"].explain_search(queries[:n_queries], k).choices["precision"][0])
        turns: dict[str, Callable[[], float]] = {
            name: partial(_turn, indices[name], queries, n_queries, k) for name in ("auto", *fixed)
        }
        seconds = take_turns(turns, n_rounds, pause=0.02)
        best = min(fixed, key=lambda name: milliseconds(seconds[name])["median"])
        cells.append(
            {
                "n_items": n_items,
                "d": d,
                "k": k,
                "n_queries": n_queries,
                "chosen": chosen,
                "best": best,
                "milliseconds": {name: milliseconds(rounds) for name, rounds in seconds.items()},
                "of_best": ratio(seconds["auto"], seconds[best]),
            }
        )
    return cells


def _turn(index: gpurec.ItemIndex, queries: np.ndarray, n_queries: int, k: int) -> float:
    """Seconds of a search, of searches that take a turn together; each asks for other queries."""
    found: list[float] = []
    first = 0
    while sum(found) < _TURN_SECONDS:
        batch = queries[first : first + n_queries]
        begin = time.perf_counter()
        index.search(batch, k)
        found.append(time.perf_counter() - begin)
        first = (first + n_queries) % len(queries)
    return typical(found)


def markdown(result: dict[str, Any]) -> str:
    rows = [
        [
            f"{cell['n_items']:,} x {cell['d']}, k={cell['k']}, {cell['n_queries']}",
            cell["chosen"],
            *(_median(cell["milliseconds"].get(name)) for name in ("auto", *_FIXED)),
            cell["best"],
            spread_text(cell["of_best"]),
        ]
        for cell in result["cells"]
    ]
    parts = [
        "# What auto chooses",
        f"{where_measured(result['machine'])} {rounds_text(result['rounds'])} Milliseconds of a search of "
        "normal items; every index has one precision, and `auto` chooses its own for each search.",
        table(["items, k, queries", "chosen", "auto", *_FIXED, "best", "auto / best"], rows),
    ]
    return "\n\n".join(parts) + "\n"


def _median(milliseconds: dict[str, float] | None) -> str:
    return "" if milliseconds is None else number(milliseconds["median"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small, nothing written")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    where, rounds = machine(n_threads()), 3 if arguments.quick else arguments.rounds
    if arguments.quick:
        cells = measure(20_000, 32, [10, 2000], [1, 256], rounds)
    else:
        cells = [cell for n, d in _GRIDS for cell in measure(n, d, _PLACES, _QUERIES, rounds)]
    result = {"machine": where, "rounds": rounds, "cells": cells}
    text = markdown(result)
    print(text)
    keep(None if arguments.quick else arguments.out, "auto", result, text)


if __name__ == "__main__":
    main()

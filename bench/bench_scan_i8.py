"""Tiles of fewer bits in the first cache, beside their instructions' own rate and the float32 tiles.

python bench/bench_scan_i8.py            every ISA of this processor; writes bench/results/scan_i8.{json,md}
python bench/bench_scan_i8.py --quick    a few seconds; writes nothing
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from harness.limits import Limits
from harness.tables import number, rounds_text, spread_text, table, where_measured
from harness.timing import machine, ratio, spread, take_turns

from gpurec._native import cpu as native
from gpurec.backends.cpu import available_isas

_RESULTS = Path(__file__).parent / "results"
_ITEMS = 64
# A figure is the best of short slices, as a limit is: other work on the machine leaves some of them alone.
_SLICES, _SLICE_SECONDS = 10, 0.01
# ISAs with a tile of their own, the first in bfloat16; float32 tiles differ by the width of vectors alone.
_ISAS = ("avx512bf16", "avx512vnni", "avxvnni", "avx2")


def measure(d: int, n_queries: int, isas: list[str], limits: Limits, n_rounds: int) -> dict[str, Any]:
    rng = np.random.default_rng([d, n_queries])
    n_groups = -(-d // 4)
    codes = rng.integers(1, 256, (n_groups, _ITEMS, 4)).astype(np.uint8)
    queries = rng.integers(-127, 128, (n_queries, 4 * n_groups)).astype(np.int8)
    start = np.full(n_queries, -(2**30), np.int32)  # nothing comes near
    floats = queries[:, :d].astype(np.float32)
    panels = rng.standard_normal((_ITEMS // 16, d, 16)).astype(np.float32)
    products = n_queries * _ITEMS * d

    turns: dict[str, Callable[[], float]] = {}
    for isa in isas:
        tile = partial(native.scan_tile_i8_seconds, queries, start, codes)
        float_tile = partial(native.scan_tile_f32_seconds, floats, panels)
        turns[f"{isa} instructions"] = partial(limits.multiply_adds_i8, isa)
        if isa == "avx512bf16":
            tile = partial(native.scan_tile_bf16_seconds, floats, panels)
            turns[f"{isa} instructions"] = limits.multiply_adds_bf16
        turns[isa] = partial(_rate, tile, isa, products)
        turns[f"{isa} float32"] = partial(_rate, float_tile, isa, products)
    rates = take_turns(turns, n_rounds, pause=0)
    return {
        "d": d,
        "n_queries": n_queries,
        "rates": {name: spread(rounds) for name, rounds in rates.items()},
        "of_instructions": {isa: ratio(rates[isa], rates[f"{isa} instructions"]) for isa in isas},
        "of_float32": {isa: ratio(rates[isa], rates[f"{isa} float32"]) for isa in isas},
    }


def _rate(seconds: Callable[[int, str], float], isa: str, products: int) -> float:
    """Multiply-adds a second."""
    n_calls = max(1, round(_SLICE_SECONDS / seconds(3, isa)))
    return products / min(seconds(n_calls, isa) for _ in range(_SLICES))


def markdown(result: dict[str, Any]) -> str:
    rows = []
    for cell in result["cells"]:
        for isa in cell["of_instructions"]:
            rows.append(
                [
                    f"{isa}, {cell['n_queries']} x {_ITEMS} x {cell['d']}",
                    number(cell["rates"][isa]["median"] / 1e9),
                    number(cell["rates"][f"{isa} instructions"]["median"] / 1e9),
                    spread_text(cell["of_instructions"][isa]),
                    spread_text(cell["of_float32"][isa]),
                ]
            )
    parts = [
        "# Tiles of the int8 and bfloat16 scans",
        f"{where_measured(result['machine'])} {rounds_text(result['rounds'])} Billions of multiply-adds a "
        "second on one thread, one tile again and again, no item near; beside them the instructions that the "
        "tile is made of, out of registers.",
        table(
            ["queries x items x d", "tile", "instructions", "tile / instructions", "tile / float32 tile"],
            rows,
        ),
    ]
    return "\n\n".join(parts) + "\n"


def run(widths: list[int], batches: list[int], n_rounds: int) -> dict[str, Any]:
    isas = [isa for isa in _ISAS if isa in available_isas()]
    where, limits = machine(1), Limits(1 << 20, 1)
    cells = [measure(d, n, isas, limits, n_rounds) for d in widths for n in batches]
    return {"machine": where, "rounds": n_rounds, "cells": cells}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small, nothing written")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=_RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    if arguments.quick:
        print(markdown(run([64], [126], n_rounds=3)))
        return
    result = run([32, 64, 128, 256], [1, 2, 6, 126], arguments.rounds)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "scan_i8.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "scan_i8.md").write_text(markdown(result))
    print(markdown(result))


if __name__ == "__main__":
    main()

"""The most similar rows of all rows of a table beside a plain search, and the memory it takes.

python bench/bench_similarity_top_k.py            100,000 x 64, k=10, cosine; writes bench/results/
python bench/bench_similarity_top_k.py --quick    small; writes nothing
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from harness.limits import Limits
from harness.tables import number, rounds_text, spread_text, table, where_measured
from harness.timing import machine, milliseconds, ratio, take_turns

import gpurec

_RESULTS = Path(__file__).parent / "results"


def run(n_items: int, d: int, k: int, n_rounds: int) -> dict[str, Any]:
    n_threads = len(os.sched_getaffinity(0))
    where = machine(n_threads)
    items = np.random.default_rng([n_items, d]).standard_normal((n_items, d), dtype=np.float32)
    similar = partial(gpurec.similarity_top_k, items, k)
    jobs: dict[str, Callable[[], Any]] = {
        "similarity_top_k": similar,
        "with include_self=True": partial(similar, include_self=True),
        "score_top_k of the same": partial(gpurec.score_top_k, items, items, k, metric="cosine"),
    }
    similar(rows=np.arange(min(n_items, 5000)))  # libraries are loaded, threads started
    extra = _peak_bytes(similar)
    limits = Limits(1 << 20, n_threads)
    turns: dict[str, Callable[[], float]] = {name: partial(_seconds, job) for name, job in jobs.items()}
    figures = take_turns(turns | {"flops": limits.flops}, n_rounds)
    floor = [2 * n_items**2 * d / rate for rate in figures["flops"]]
    seconds = {name: figures[name] for name in jobs}
    return {
        "machine": where,
        "rounds": n_rounds,
        "n_items": n_items,
        "d": d,
        "k": k,
        "floor_ms": milliseconds(floor),
        "ms": {name: milliseconds(rounds) for name, rounds in seconds.items()},
        "fraction": {name: ratio(floor, rounds) for name, rounds in seconds.items()},
        "to_search": {
            name: ratio(rounds, seconds["score_top_k of the same"]) for name, rounds in seconds.items()
        },
        "peak_bytes_beyond_result": extra - 12 * n_items * k,
        "promised_bytes": 2 * items.nbytes + 64 * n_items + 64_000_000,
    }


def _seconds(job: Callable[[], Any]) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def _peak_bytes(job: Callable[[], Any]) -> int:
    """By how much the process's memory grows at most while it does the job (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = _high_water()
    job()
    return _high_water() - before


def _high_water() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def markdown(result: dict[str, Any]) -> str:
    rows = [
        [
            name,
            spread_text(ms),
            spread_text(result["fraction"][name]),
            spread_text(result["to_search"][name]),
        ]
        for name, ms in result["ms"].items()
    ]
    extra, promised = (result[name] / 1e6 for name in ("peak_bytes_beyond_result", "promised_bytes"))
    parts = [
        "# The most similar rows of every row",
        f"{where_measured(result['machine'])} {rounds_text(result['rounds'])} {result['n_items']:,} normal "
        f"random rows of {result['d']} components, cosine, k={result['k']}, all rows asked about. The floor, "
        "2 n n d operations at the rate measured in the same rounds, is "
        f"{number(result['floor_ms']['median'])} ms.",
        table(["", "ms", "fraction of the floor", "beside score_top_k"], rows),
        f"Memory beyond the items and the result, at its peak: {number(extra)} MB; promised: at most "
        f"{number(promised)} MB. A matrix of all similarities has {4e-6 * result['n_items'] ** 2:,.0f} MB.",
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small, nothing written")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=_RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    if arguments.quick:
        print(markdown(run(5_000, 32, 10, n_rounds=3)))
        return
    result = run(100_000, 64, 10, arguments.rounds)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "similarity_top_k.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "similarity_top_k.md").write_text(markdown(result))
    print(markdown(result))


if __name__ == "__main__":
    main()

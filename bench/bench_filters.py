"""What filters cost: beside our own search without them, and beside other libraries doing the same job.

python bench/bench_filters.py            100,000 x 64, 256 queries, k=10; writes bench/results/filters.*
python bench/bench_filters.py --quick    small, beside NumPy; writes nothing
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from harness.contenders import OURS, RIVALS
from harness.data.filters import draw
from harness.data.kinds import Items
from harness.tables import RESULTS, keep, number, rounds_text, spread_text, table, where_measured
from harness.team import Team
from harness.timing import machine, milliseconds, ratio, take_turns

FLOAT32 = "gpurec-fp32"
_OWN = (OURS, FLOAT32)
_N_SEEN, _SHARE = 50, 0.01
# What a job is called in the table; those with rivals are measured beside them.
_JOBS = {
    "search": "no filter",
    "exclude": f"exclude: {_N_SEEN} seen items a query (CSR)",
    "allow_rows": "allow: 1 % of the items (rows)",
    "allow_mask": "allow: the same (mask)",
    "deny_rows": "deny: 1 % of the items (rows)",
    "allow_each": "allow: 1 % of the items, others for each query (CSR)",
    "allow_sets": "allow: one of 8 sets of 1 % for each query ((sets, which))",
}
_BESIDE_RIVALS = ("exclude", "allow_rows")


def run(
    n_items: int, d: int, n_queries: int, k: int, rivals: list[str], n_rounds: int, turn_seconds: float
) -> dict[str, Any]:
    """All jobs in the same rounds, so that each can be compared with the search without filters."""
    n_threads = len(os.sched_getaffinity(0))
    result: dict[str, Any] = {"machine": machine(n_threads), "rounds": n_rounds}
    result |= {"n_items": n_items, "d": d, "n_queries": n_queries, "k": k}
    items, queries = Items("normal", n_items, d).make()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        filters = folder / "filters.npz"
        draw(filters, len(queries), n_items, _N_SEEN, _SHARE)
        files = {"items": folder / "items.npy", "queries": folder / "queries.npy"}
        np.save(files["items"], items)
        np.save(files["queries"], queries)
        team = Team([*_OWN, *rivals], n_threads, folder, filters=filters, **files)
        result["versions"] = team.versions
        turns: dict[str, Callable[[], float]] = {}
        notes = {}
        try:
            for job in _JOBS:
                only = None if job in _BESIDE_RIVALS else _OWN
                job_turns, notes[job] = team.prepare(job, n_queries, k, turn_seconds, only=only)
                turns |= job_turns
            figures = take_turns(turns, n_rounds)
        finally:
            team.close()
    plain = team.seconds("search", figures)
    result["jobs"] = {}
    for job in _JOBS:
        seconds = team.seconds(job, figures)
        result["jobs"][job] = {
            "to_unfiltered": {name: ratio(seconds[name], plain[name]) for name in _OWN},
            "contenders": {
                name: {"ms": milliseconds(rounds)}
                | {f"{own}_to_it": ratio(seconds[own], rounds) for own in _OWN}
                | notes[job][name]
                for name, rounds in seconds.items()
            },
        }
    return result


def markdown(result: dict[str, Any]) -> str:
    """Tables of a result."""
    ours = []
    for job, figures in result["jobs"].items():
        line = [_JOBS[job]]
        for name in _OWN:
            line.append(spread_text(figures["contenders"][name]["ms"]))
            line.append(spread_text(figures["to_unfiltered"][name]))
        ours.append(line)
    parts = [
        "# What filters cost",
        f"{where_measured(result['machine'])} {rounds_text(result['rounds'])} {result['n_items']:,} items x "
        f"{result['d']}, {result['n_queries']} queries, k={result['k']}; normal random items and queries, "
        "filters drawn evenly. Every answer of gpurec is that of the reference backend, bit for bit. "
        "`bench/README.md` says how it is measured.",
        table(["filter", *(text for name in _OWN for text in (f"{name}, ms", "/ without filter"))], ours),
        "## The same job in other libraries",
        "The best exact way that each has: excluded scores overwritten with -inf (numpy, torch), items "
        "refused in the search (implicit) or dropped from an answer of k + 50 (faiss, scann; faiss also "
        "with a selector a query, if that is faster); allowed items gathered first, then searched.",
    ]
    for job in _BESIDE_RIVALS:
        found = result["jobs"][job]["contenders"]
        rivals = sorted(
            (name for name in found if name not in _OWN), key=lambda name: found[name]["ms"]["median"]
        )
        rows = [
            [
                name,
                spread_text(found[name]["ms"]),
                *(spread_text(found[name][f"{own}_to_it"]) for own in _OWN),
            ]
            for name in rivals
        ]
        times = ", ".join(f"{name} {number(found[name]['ms']['median'])} ms" for name in _OWN)
        parts.append(f"**{_JOBS[job]}**: {times}.")
        parts.append(table(["rival", "ms", *(f"{name} / it" for name in _OWN)], rows))
    parts.append("Versions: " + ", ".join(f"{name} {v}" for name, v in result["versions"].items()) + ".")
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small, beside NumPy only")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="folder of the results; bench/results, with --quick none")
    arguments = parser.parse_args()
    if arguments.quick:
        result = run(10_000, 32, 64, 10, ["numpy-here"], n_rounds=2, turn_seconds=0.02)
    else:
        result = run(100_000, 64, 256, 10, RIVALS, arguments.rounds, turn_seconds=0.25)
    text = markdown(result)
    keep(arguments.out or (None if arguments.quick else RESULTS), "filters", result, text)
    print(text)


if __name__ == "__main__":
    main()

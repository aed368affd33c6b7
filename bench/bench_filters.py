"""What filters cost: beside our own search without them, and beside other libraries doing the same job.

python bench/bench_filters.py            100,000 x 64, 256 queries, k=10; writes bench/results/filters.*
python bench/bench_filters.py --quick    small, beside NumPy; writes nothing
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from harness.contenders import RIVALS
from harness.filters import draw
from harness.tables import number, rounds_text, spread_text, table, where_measured
from harness.team import OURS, Team
from harness.timing import machine, milliseconds, ratio, take_turns

_RESULTS = Path(__file__).parent / "results"
_N_QUERIES_DRAWN, _N_SEEN, _SHARE = 2048, 50, 0.01
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


def run(n_items: int, d: int, n_queries: int, k: int, rivals: list[str], n_rounds: int) -> dict[str, Any]:
    """All jobs in the same rounds, so that each can be compared with the search without filters."""
    n_threads = len(os.sched_getaffinity(0))
    result: dict[str, Any] = {"machine": machine(n_threads), "rounds": n_rounds}
    result |= {"n_items": n_items, "d": d, "n_queries": n_queries, "k": k}
    rng = np.random.default_rng([n_items, d])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {"items": folder / "items.npy", "queries": folder / "queries.npy"}
        for file, rows in zip(files.values(), (n_items, _N_QUERIES_DRAWN)):
            np.save(file, rng.standard_normal((rows, d), dtype=np.float32))
        filters = folder / "filters.npz"
        draw(filters, _N_QUERIES_DRAWN, n_items, _N_SEEN, _SHARE)
        team = Team([OURS, *rivals], n_threads, folder, filters=filters, **files)
        result["versions"] = team.versions
        turns: dict[str, Callable[[], float]] = {}
        notes = {}
        try:
            for job in _JOBS:
                only = None if job in _BESIDE_RIVALS else OURS
                job_turns, notes[job] = team.prepare(job, n_queries, k, turn_seconds=0.25, only=only)
                turns |= job_turns
            figures = take_turns(turns, n_rounds)
        finally:
            team.close()
    plain = team.seconds("search", figures)[OURS]
    result["jobs"] = {}
    for job in _JOBS:
        seconds = team.seconds(job, figures)
        result["jobs"][job] = {
            "ours_to_unfiltered": ratio(seconds[OURS], plain),
            "contenders": {
                name: {"ms": milliseconds(rounds), "ours_to_it": ratio(seconds[OURS], rounds)}
                | notes[job][name]
                for name, rounds in seconds.items()
            },
        }
    return result


def markdown(result: dict[str, Any]) -> str:
    """Tables of a result."""
    ours = [
        [
            _JOBS[job],
            spread_text(figures["contenders"][OURS]["ms"]),
            spread_text(figures["ours_to_unfiltered"]),
        ]
        for job, figures in result["jobs"].items()
    ]
    parts = [
        "# What filters cost",
        f"{where_measured(result['machine'])} {rounds_text(result['rounds'])} {result['n_items']:,} items x "
        f"{result['d']}, {result['n_queries']} queries, k={result['k']}; normal random items and queries, "
        "filters drawn evenly. `bench/README.md` says how it is measured.",
        table(["filter", "gpurec, ms", "gpurec / gpurec without filter"], ours),
        "## The same job in other libraries",
        "The best exact way that each has: excluded scores overwritten with -inf (numpy, torch), items "
        "refused in the search (implicit) or dropped from an answer of k + 50 (faiss, scann; faiss also "
        "with a selector a query, if that is faster); allowed items gathered first, then searched.",
    ]
    for job in _BESIDE_RIVALS:
        found = result["jobs"][job]["contenders"]
        rivals = sorted(
            (name for name in found if name != OURS), key=lambda name: found[name]["ms"]["median"]
        )
        rows = [
            [name, spread_text(found[name]["ms"]), spread_text(found[name]["ours_to_it"])] for name in rivals
        ]
        parts.append(f"**{_JOBS[job]}**: gpurec {number(found[OURS]['ms']['median'])} ms.")
        parts.append(table(["rival", "ms", "gpurec / it"], rows))
    parts.append("Versions: " + ", ".join(f"{name} {v}" for name, v in result["versions"].items()) + ".")
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small, NumPy only, nothing written")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=_RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    if arguments.quick:
        print(markdown(run(10_000, 32, 64, 10, ["numpy-here"], n_rounds=2)))
        return
    result = run(100_000, 64, 256, 10, RIVALS, arguments.rounds)
    text = markdown(result)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "filters.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "filters.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()

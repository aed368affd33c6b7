"""The best 20 unseen items of every user of gowalla, beside implicit's `recommend`.

    python bench/bench_recommend.py            all 29,858 users; writes bench/results/recommend.*
    python bench/bench_recommend.py --quick    100 users, beside NumPy; writes nothing

Needs gowalla in the folder of the data sets (GPUREC_DATA, else ../shared/data) and the rivals' environment,
which fits the factors once (harness/data/gowalla.py, into build/bench); `--quick` needs no rivals.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from harness.contenders import OURS
from harness.data.filters import save_seen
from harness.data.gowalla import factors, few_factors, read, training_file
from harness.tables import RESULTS, keep, rounds_text, spread_text, table, where_measured
from harness.team import Team
from harness.timing import machine, milliseconds, ratio, take_turns

from gpurec.config import data_folder

FLOAT32 = "gpurec-fp32"
_OWN = (OURS, FLOAT32)
_RIVALS = ["implicit-recommend", "implicit-recommend-1t"]
_K = 20


def run(n_users: int | None, rivals: list[str], n_rounds: int) -> dict[str, Any]:
    """One request for all users, or the first n_users, by each contender in each round."""
    train = training_file(data_folder())
    seen = read(train)[:n_users]
    if n_users is None:
        model, (users, items) = "implicit's ALS", factors("als", train)
    else:
        model, (users, items) = "a truncated SVD", few_factors(seen, 16)
    n_threads = len(os.sched_getaffinity(0))
    result: dict[str, Any] = {"machine": machine(n_threads), "rounds": n_rounds, "k": _K, "model": model}
    result |= {"n_users": seen.shape[0], "n_items": seen.shape[1], "d": items.shape[1], "seen": seen.nnz}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "items.npy", items)
        np.save(folder / "queries.npy", users)
        save_seen(folder / "filters.npz", seen)
        files = {
            "items": folder / "items.npy",
            "queries": folder / "queries.npy",
            "filters": folder / "filters.npz",
        }
        team = Team([*_OWN, *rivals], n_threads, folder, **files)
        result["versions"] = team.versions
        try:
            turns, notes = team.prepare("exclude", seen.shape[0], _K, turn_seconds=0)
            seconds = team.seconds("exclude", take_turns(turns, n_rounds))
        finally:
            team.close()
    result["contenders"] = {
        name: {"ms": milliseconds(rounds)}
        | {f"{own}_to_it": ratio(seconds[own], rounds) for own in _OWN}
        | notes[name]
        for name, rounds in seconds.items()
    }
    return result


def markdown(result: dict[str, Any]) -> str:
    """The table of a result."""
    rows = [
        [
            name,
            ", ".join(f"{what} {value}" for what, value in found["setting"].items()) or "one call",
            spread_text(found["ms"]),
            *(spread_text(found[f"{own}_to_it"]) for own in _OWN),
        ]
        for name, found in result["contenders"].items()
    ]
    return "\n\n".join(
        [
            f"# The best {result['k']} unseen items of all users",
            f"{where_measured(result['machine'])} {rounds_text(result['rounds'])}",
            f"gowalla: {result['n_users']:,} users, {result['n_items']:,} items, {result['seen']:,} seen "
            f"pairs excluded; {result['d']} factors of {result['model']} (recipe: "
            "`bench/harness/data/gowalla.py`). gpurec: `ItemIndex.search_all(user_factors, 20, "
            "exclude=user_items)`, its blocks put together. implicit: `recommend(users, user_items[users], "
            "N=20)`, in batches of the size that was fastest, with BLAS threads and without (`-1t`). Both "
            "use all cores and are handed a CSR matrix; building is not counted. Every answer of gpurec is "
            "that of the reference backend, bit for bit.",
            table(["contender", "setting", "ms", *(f"{own} / it" for own in _OWN)], rows),
            "Versions: " + ", ".join(f"{name} {v}" for name, v in result["versions"].items()) + ".\n",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small, beside NumPy only")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="folder of the results; bench/results, with --quick none")
    arguments = parser.parse_args()
    if arguments.quick:
        result = run(100, ["numpy-here"], n_rounds=2)
    else:
        result = run(None, _RIVALS, arguments.rounds)
    text = markdown(result)
    keep(arguments.out or (None if arguments.quick else RESULTS), "recommend", result, text)
    print(text)


if __name__ == "__main__":
    main()

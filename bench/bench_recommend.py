"""The best 20 unseen items of every user of gowalla, beside implicit's `recommend`.

    python bench/bench_recommend.py            all 29,858 users; writes bench/results/recommend.*
    python bench/bench_recommend.py --quick    2,000 users, beside NumPy; writes nothing

Needs the rivals' environment, which fits the factors once (harness/gowalla.py, into build/bench), and gowalla
in the folder of the data sets: GPUREC_DATA, else ../shared/data.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from harness import BENCH, ROOT
from harness.contenders import CONTENDERS
from harness.filters import save_seen
from harness.gowalla import read
from harness.tables import rounds_text, spread_text, table, where_measured
from harness.team import OURS, Team
from harness.timing import machine, milliseconds, ratio, take_turns
from harness.workers import environment_python, environment_variables

from gpurec.config import data_folder

_RESULTS = Path(__file__).parent / "results"
_RIVALS = ["implicit-recommend", "implicit-recommend-1t"]
_K = 20


def factors(train: Path) -> tuple[np.ndarray, np.ndarray]:
    """User and item factors, fitted where build/bench does not hold them yet."""
    file = ROOT / "build" / "bench" / "gowalla-factors.npz"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        print("fitting the factors, once", file=sys.stderr, flush=True)
        fitted = file.with_suffix(".new.npz")
        recipe = [environment_python(), BENCH / "harness" / "gowalla.py", train, fitted]
        variables = environment_variables(CONTENDERS["implicit-1t"], len(os.sched_getaffinity(0)))
        subprocess.run(recipe, env=variables, check=True)
        fitted.replace(file)
    with np.load(file) as found:
        return found["users"], found["items"]


def run(n_users: int | None, rivals: list[str], n_rounds: int) -> dict[str, Any]:
    """One request for all users by each contender in each round."""
    train = data_folder() / "gowalla" / "train.txt"
    if not train.exists():
        sys.exit(f"[recommend] expected gowalla's train.txt in {train.parent}; set GPUREC_DATA")
    users, items = factors(train.resolve())
    seen = read(str(train))[:n_users]
    n_threads = len(os.sched_getaffinity(0))
    result: dict[str, Any] = {"machine": machine(n_threads), "rounds": n_rounds, "k": _K}
    result |= {"n_users": seen.shape[0], "n_items": seen.shape[1], "d": items.shape[1], "seen": seen.nnz}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "items.npy", items)
        np.save(folder / "queries.npy", users[:n_users])
        save_seen(folder / "filters.npz", seen)
        files = {
            "items": folder / "items.npy",
            "queries": folder / "queries.npy",
            "filters": folder / "filters.npz",
        }
        team = Team([OURS, *rivals], n_threads, folder, **files)
        result["versions"] = team.versions
        try:
            turns, notes = team.prepare("exclude", seen.shape[0], _K, turn_seconds=0)
            seconds = team.seconds("exclude", take_turns(turns, n_rounds))
        finally:
            team.close()
    result["contenders"] = {
        name: {"ms": milliseconds(rounds), "ours_to_it": ratio(seconds[OURS], rounds)} | notes[name]
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
            spread_text(found["ours_to_it"]),
        ]
        for name, found in result["contenders"].items()
    ]
    return "\n\n".join(
        [
            f"# The best {result['k']} unseen items of all users",
            f"{where_measured(result['machine'])} {rounds_text(result['rounds'])}",
            f"gowalla: {result['n_users']:,} users, {result['n_items']:,} items, {result['seen']:,} seen "
            f"pairs excluded; {result['d']} factors of implicit's ALS (recipe: `bench/harness/gowalla.py`). "
            "gpurec: `ItemIndex.search(user_factors, 20, exclude=user_items)`. implicit: `recommend(users, "
            "user_items[users], N=20)`, in batches of the size that was fastest, with BLAS threads and "
            "without (`-1t`). Both use all cores and are handed a CSR matrix; building is not counted.",
            table(["contender", "setting", "ms", "gpurec / it"], rows),
            "Versions: " + ", ".join(f"{name} {v}" for name, v in result["versions"].items()) + ".\n",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few users, beside NumPy, nothing written")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=_RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    if arguments.quick:
        print(markdown(run(2_000, ["numpy-here"], n_rounds=2)))
        return
    result = run(None, _RIVALS, arguments.rounds)
    text = markdown(result)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "recommend.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "recommend.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()

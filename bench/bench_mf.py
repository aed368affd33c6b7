"""Seconds until `MF` has an RMSE of .93 on fold u1 of ml-100k, beside Surprise's SVD.

    python bench/bench_mf.py            side by side; writes bench/results/mf.*
    python bench/bench_mf.py --search   the settings with which each is there soonest; five minutes
    python bench/bench_mf.py --quick    ours alone, nothing written

Timed is `fit` alone, from ratings in memory: of ours `Interactions`, of Surprise's its `Trainset`; epochs are
as few as reach .93, and held-out ratings play no part. Settings of all are those that were there soonest on
this very fold, out of a grid: this is about time, not about how well settings can be found. Predictions are
clipped to the training range, and no test row is dropped.

Needs ml-100k in the folder of the data sets (GPUREC_DATA, else ../shared/data), and Surprise with NumPy 1 in
an environment of its own:

    python -m venv build/surprise && build/surprise/bin/pip install 'numpy<2' scikit-surprise
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
_DATA = Path(os.environ.get("GPUREC_DATA") or _ROOT.parent / "shared" / "data")
GOAL, N_ROUNDS, N_FITS = 0.93, 5, 5
# Epochs that suffice for the goal come last. Found by --search, but for what is left at its defaults.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "MF, als": ("gpurec", {"n_factors": 2, "implicit": "items", "max_epochs": 2}),
    "MF, als, its default of 20 factors": ("gpurec", {"max_epochs": 2}),
    "MF, sgd": (
        "gpurec",
        {
            "method": "sgd",
            "n_factors": 4,
            "learning_rate": 0.18,
            "learning_rate_decay": 0.6,
            "penalty": 0.4,
            "bias_learning_rate": 0.06,
            "max_epochs": 4,
        },
    ),
    **{
        f"Surprise's SVD, {n} factors": (
            "surprise",
            {"n_factors": n, "lr_all": rate, "reg_all": penalty, "n_epochs": n_epochs},
        )
        for n, rate, penalty, n_epochs in ((10, 0.015, 0.1, 28), (20, 0.015, 0.08, 22), (50, 0.02, 0.1, 20))
    },
    "Surprise's SVD, its defaults": ("surprise", {}),
}
# A grid a contender: every setting is fitted with as many epochs as reach the goal, if any do.
EPOCHS = {"gpurec": range(1, 41), "surprise": range(6, 51, 2)}
GRIDS: dict[str, list[dict[str, Any]]] = {
    "MF, als": [
        {"n_factors": n, "implicit": implicit}
        for n, implicit in product((1, 2, 3, 5, 10, 20), ("both", "users", "items"))
    ],
    "MF, sgd": [
        {
            "method": "sgd",
            "n_factors": n,
            "learning_rate": rate,
            "learning_rate_decay": decay,
            "penalty": penalty,
            "bias_learning_rate": bias_rate,
        }
        for n, rate, decay, penalty, bias_rate in product(
            (4, 8, 16), (0.08, 0.12, 0.18, 0.25), (1.0, 0.8, 0.6), (0.4, 0.87), (0.02, 0.04, 0.06)
        )
    ],
    "Surprise's SVD": [
        {"n_factors": n, "lr_all": rate, "reg_all": penalty}
        for n, rate, penalty in product(
            (5, 10, 20, 50), (0.015, 0.02, 0.03, 0.04, 0.06), (0.06, 0.08, 0.1, 0.12)
        )
    ],
}


class Ours:
    """`MF` on a fold."""

    def __init__(self) -> None:
        from gpurec import Interactions

        parts = (Interactions.from_file(_DATA / "ml-100k" / f"u1.{part}") for part in ("base", "test"))
        self.train, self.test = parts

    def fit(self, settings: dict[str, Any]) -> tuple[float, float]:
        """Seconds, and the RMSE that was reached."""
        from gpurec import MF
        from gpurec.evaluation import evaluate_ratings

        began = time.perf_counter()
        model = MF(**settings, validation_fraction=0).fit(self.train, progress=False)
        return time.perf_counter() - began, evaluate_ratings(model, self.test).rmse


class Theirs:
    """The same of Surprise."""

    def __init__(self) -> None:
        from surprise import Dataset, Reader
        from surprise.model_selection import PredefinedKFold

        reader = Reader(line_format="user item rating timestamp", sep="\t")
        files = [tuple(str(_DATA / "ml-100k" / f"u1.{part}") for part in ("base", "test"))]
        ((self.train, self.test),) = PredefinedKFold().split(Dataset.load_from_folds(files, reader))

    def fit(self, settings: dict[str, Any]) -> tuple[float, float]:
        from surprise import SVD, accuracy

        algorithm = SVD(random_state=0, **settings)
        began = time.perf_counter()
        algorithm.fit(self.train)
        seconds = time.perf_counter() - began
        return seconds, accuracy.rmse(algorithm.test(self.test), verbose=False)


def worker(library: str, task: str, given: str) -> None:
    """Measurements of one library, printed as JSON."""
    contender = Ours() if library == "gpurec" else Theirs()
    if task == "fits":
        settings = json.loads(given)
        fits = [contender.fit(settings) for _ in range(N_FITS + 1)][1:]
        print(json.dumps({"seconds": [seconds for seconds, _ in fits], "rmse": fits[0][1]}))
        return
    name = "max_epochs" if library == "gpurec" else "n_epochs"
    for settings in GRIDS[given]:
        best = math.inf
        for n_epochs in EPOCHS[library]:
            seconds, rmse = contender.fit({**settings, name: n_epochs})
            if rmse <= GOAL or rmse > best:  # reached, or past the best: it will not be
                break
            best = rmse
        if rmse <= GOAL:
            seconds = min(contender.fit({**settings, name: n_epochs})[0] for _ in range(3))
            print(f"{seconds * 1e3:8.1f} ms  {rmse:.4f}  {settings} in {n_epochs}", flush=True)


def run_worker(python: Path, library: str, task: str, given: str, n_threads: int) -> str:
    variables = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "GPUREC_NUM_THREADS": str(n_threads)}
    command = [str(python), __file__, "--worker", library, task, given]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=variables).stdout


def run(pythons: dict[str, Path], n_rounds: int) -> dict[str, Any]:
    from harness.timing import machine

    n_threads = len(os.sched_getaffinity(0))
    result: dict[str, Any] = {"machine": machine(n_threads), "cases": {}}
    for _ in range(n_rounds):  # in turn, so that a machine that drifts is the same for all
        for name, (library, settings) in CASES.items():
            for t in (1, n_threads) if "als" in name else (1,):  # the others descend on one thread
                if library in pythons:
                    found = json.loads(run_worker(pythons[library], library, "fits", json.dumps(settings), t))
                    case = result["cases"].setdefault(
                        f"{name} ({t} thread{'s' * (t > 1)})",
                        {"settings": settings, "rmse": found["rmse"], "seconds": []},
                    )
                    case["seconds"].append(median(found["seconds"]))
    return result


def markdown(result: dict[str, Any]) -> str:
    """The table of a result."""
    from harness.tables import number, table, where_measured

    cases = result["cases"]
    there = [
        median(c["seconds"]) for name, c in cases.items() if name.startswith("Surp") and c["rmse"] <= GOAL
    ]
    rows = []
    for name, case in cases.items():
        ms = [seconds * 1e3 for seconds in case["seconds"]]
        ratio = f"{median(ms) / 1e3 / min(there):.3f}" if there and case["rmse"] <= GOAL else "-"
        settings = ", ".join(f"{key} {value}" for key, value in case["settings"].items()) or "defaults"
        spread = f"{number(median(ms))} [{number(min(ms))}-{number(max(ms))}]"
        rows.append([name, f"{case['rmse']:.4f}", spread, ratio, settings])
    return (
        "\n\n".join(
            [
                f"# Time to an RMSE of {GOAL} on fold u1 of ml-100k",
                where_measured(result["machine"]),
                f"`fit` alone, from ratings in memory, with as few epochs as reach {GOAL} and with the "
                "settings that are there soonest on this fold, for either library the best of a grid "
                f"(`--search`). Medians of {N_ROUNDS} processes of {N_FITS} fits each, in turn; the ratio is "
                "to Surprise's best. By its defaults (100 factors, 20 epochs) Surprise's SVD does not get "
                "there.",
                table(["", "RMSE", "ms", "of Surprise's best", "settings"], rows),
            ]
        )
        + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--search", action="store_true")
    parser.add_argument(
        "--surprise", type=Path, default=_ROOT / "build" / "surprise" / "bin" / "python", help="its Python"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(*arguments.worker)
        return
    pythons = {"gpurec": Path(sys.executable)}
    if not arguments.quick:
        pythons["surprise"] = arguments.surprise
    if arguments.search:
        for name in GRIDS:
            library = "gpurec" if name.startswith("MF") else "surprise"
            print(f"{name}\n{run_worker(pythons[library], library, 'search', name, 1)}", flush=True)
        return
    result = run(pythons, 1 if arguments.quick else N_ROUNDS)
    print(markdown(result))
    if not arguments.quick:
        from harness.tables import keep

        keep(arguments.out, "mf", result, markdown(result))


if __name__ == "__main__":
    main()

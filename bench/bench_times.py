"""What the times of ratings, and the attributes of users and items, bring `mf` and `bayesian-mf` on ml-100k.

    python bench/bench_times.py                  u1..u5; writes bench/results/times.*
    python bench/bench_times.py --quick          u1 alone; writes nothing

Settings are the defaults but for the length of a user's bins of time, an hour: what won on ml-latest-small
(search_features.py). A test rating is predicted as of its own time, as published figures with times do.
Predictions are clipped to the training range, and no test row is dropped. Seconds are those of `fit`, the
search for the number of sweeps of `mf` included.

The folder of the data sets: GPUREC_DATA, else ../shared/data.
"""

from __future__ import annotations

import argparse
import os
from time import perf_counter
from typing import Any

import numpy as np
from harness.tables import RESULTS, keep, spread_text, table, where_measured
from harness.timing import machine
from search_features import TIMES, films_of_100k, users_of_100k

from gpurec import MF, BayesianMF, Interactions
from gpurec.config import data_folder
from gpurec.evaluation import evaluate_ratings


def run(folds: list[int]) -> dict[str, Any]:
    """RMSE, MAE and seconds of each case, fold by fold."""
    films = {"item_features": films_of_100k()}
    both = films | {"user_features": users_of_100k()}
    cases: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
        "mf": (MF, {}, {}),
        "mf, times": (MF, TIMES, {}),
        "bayesian-mf": (BayesianMF, {}, {}),
        "bayesian-mf, times": (BayesianMF, TIMES, {}),
        "bayesian-mf, films": (BayesianMF, {}, films),
        "bayesian-mf, films and users": (BayesianMF, {}, both),
        "bayesian-mf, times and films": (BayesianMF, TIMES, films),
    }
    result: dict[str, Any] = {"machine": machine(len(os.sched_getaffinity(0))), "folds": folds}
    result["cases"] = {name: {"rmse": [], "mae": [], "seconds": []} for name in cases}
    for fold in folds:
        files = [data_folder() / "ml-100k" / f"u{fold}.{part}" for part in ("base", "test")]
        train, test = map(Interactions.from_file, files)
        for name, (model, settings, features) in cases.items():
            began = perf_counter()
            fitted = model(**settings).fit(train, **features, progress=False)
            seconds, errors = perf_counter() - began, evaluate_ratings(fitted, test)
            found = result["cases"][name]
            for key, figure in (("rmse", errors.rmse), ("mae", errors.mae), ("seconds", seconds)):
                found[key].append(figure)
            print(f"{name}: {errors.rmse:.4f} in {seconds:.1f} s", flush=True)
    return result


def markdown(result: dict[str, Any]) -> str:
    """The page of a result."""
    rows = []
    for name, found in result["cases"].items():
        means = {key: float(np.mean(figures)) for key, figures in found.items()}
        alone = float(np.mean(result["cases"][name.split(",")[0]]["rmse"]))
        gain = f"{means['rmse'] - alone:+.4f}" if "," in name else ""
        each = [f"{rmse:.4f}" for rmse in found["rmse"]]
        seconds = {"median": float(np.median(found["seconds"])), "low": min(found["seconds"])}
        spread = spread_text(seconds | {"high": max(found["seconds"])})
        rows.append([name, *each, f"{means['rmse']:.4f}", gain, f"{means['mae']:.4f}", spread])
    head = ["", *(f"u{fold}" for fold in result["folds"]), "mean RMSE", "gain", "mean MAE", "seconds a fold"]
    return (
        "\n\n".join(
            [
                "# What times and attributes bring on ml-100k",
                where_measured(result["machine"]),
                "RMSE of each published fold, clipped to the training range, no test row dropped; the gain "
                "is of the mean RMSE, over the same model on ratings alone. Settings are the defaults, with "
                "bins of an hour where times are taken: a test rating is predicted as of its own time. "
                "Attributes are genres and years of films, and age, sex and job of users. Seconds of `fit`, "
                "their median, smallest and largest.",
                table(head, rows),
            ]
        )
        + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    result = run([1] if arguments.quick else [1, 2, 3, 4, 5])
    print(markdown(result))
    if not arguments.quick:
        keep(RESULTS, "times", result, markdown(result))


if __name__ == "__main__":
    main()

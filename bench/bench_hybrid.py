"""Hybrids beside their parts on the five published folds of ml-100k.

    python bench/bench_hybrid.py            writes bench/results/hybrid.*
    python bench/bench_hybrid.py --quick    one fold; writes nothing

Needs ml-100k in the folder of the data sets (GPUREC_DATA, else ../shared/data). Settings are the defaults
but for fewer vectors of gf-cf; weights are equal, or learnt from the training part: none by the test
part.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from harness.tables import RESULTS, keep, table, where_measured
from harness.timing import machine

from gpurec import MF, Hybrid, evaluate
from gpurec.config import data_folder
from gpurec.data import published_folds
from gpurec.evaluation import bootstrap_interval

_K = 10
_GF_CF = ("gf-cf", {"n_vectors": 64})  # of 943 users there are few more
_PARTS: dict[str, Any] = {"popularity": "popularity", "gf-cf": _GF_CF, "rp3beta": "rp3beta", "ease": "ease"}
_METRICS = (f"recall@{_K}", f"ndcg@{_K}")
_HYBRIDS: dict[str, dict[str, Any]] = {
    "weighted": {},
    "weighted, rp3beta and gf-cf": {"parts": ("rp3beta", _GF_CF)},
    "weighted, ease and gf-cf": {"parts": ("ease", _GF_CF)},
    "rrf": {"method": "rrf"},
    "borda, depth 100": {"method": "borda", "depth": 100},
    "switching, popularity below 20": {
        "method": "switching",
        "parts": ("popularity", _GF_CF),
        "switch_at": [20],
    },
    "cascade, ease of 100 of gf-cf": {"method": "cascade", "parts": (_GF_CF, "ease")},
    "stacking": {"method": "stacking"},
}


def run(folds: list[int]) -> dict[str, Any]:
    """Metrics of each user and fold, ratings' errors of each fold."""
    lists: dict[str, dict[str, list[np.ndarray]]] = {}
    seconds: dict[str, list[float]] = {}
    learnt: list[list[float]] = []
    rmse: dict[str, list[float]] = {}
    for train, test in published_folds(data_folder() / "ml-100k", folds):
        models: dict[str, Any] = {name: Hybrid([part]).parts[0] for name, part in _PARTS.items()}
        every = [*_PARTS.values()]
        models |= {name: Hybrid(**({"parts": every} | given)) for name, given in _HYBRIDS.items()}
        for name, model in models.items():
            began = perf_counter()
            found = evaluate(model.fit(train), test, k=_K)
            seconds.setdefault(name, []).append(perf_counter() - began)
            for metric in _METRICS:
                lists.setdefault(name, {}).setdefault(metric, []).append(found.per_user[metric])
        scaled = models["stacking"].coefficients
        learnt.append((scaled / np.abs(scaled).sum()).tolist())
        descent = {"method": "sgd", "n_factors": 50}
        seeds: list[Any] = [("mf", {**descent, "random_state": seed}) for seed in range(4)]
        raters: dict[str, Any] = {
            "mf": MF(),
            "mf by descent": MF(50, method="sgd"),
            "mean of 4 mf by descent": Hybrid(seeds),
            "stacked 4 mf by descent": Hybrid(seeds, method="stacking"),
            "stacked mf by descent of 10, 50, 200": Hybrid(
                [("mf", {**descent, "n_factors": n}) for n in (10, 50, 200)], method="stacking"
            ),
        }
        for name, model in raters.items():
            rmse.setdefault(name, []).append(evaluate(model.fit(train), test, k=_K).mean("rmse"))
    joined = {n: {m: np.concatenate(v) for m, v in metrics.items()} for n, metrics in lists.items()}
    best = max(_PARTS, key=lambda name: joined[name][_METRICS[1]].mean())
    result: dict[str, Any] = {"machine": machine(len(os.sched_getaffinity(0))), "k": _K, "folds": folds}
    result |= {"best_part": best, "rmse": rmse, "stacking_coefficients": learnt, "lists": {}}
    for name, metrics in joined.items():
        own: dict[str, Any] = {"seconds": float(np.mean(seconds[name]))}
        for metric, values in metrics.items():
            change = bootstrap_interval(values, minus=joined[best][metric])
            own[metric] = {"mean": float(values.mean()), "change": change.estimate}
            own[metric] |= {"low": change.low, "high": change.high}
        result["lists"][name] = own
    return result


def markdown(result: dict[str, Any]) -> str:
    """The tables of a result."""
    rows = []
    for name, own in result["lists"].items():
        cells = [name]
        for metric in _METRICS:
            found = own[metric]
            cells.append(
                f"{found['mean']:.4f} ({found['change']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}])"
            )
        rows.append([*cells, f"{own['seconds']:.1f}"])
    ratings = [
        [name, " ".join(f"{value:.4f}" for value in values), f"{np.mean(values):.4f}"]
        for name, values in result["rmse"].items()
    ]
    return "\n\n".join(
        [
            "# Hybrids beside their parts",
            where_measured(result["machine"]),
            f"ml-100k, folds {', '.join(map(str, result['folds']))}, lists of {result['k']}, every test pair "
            "relevant. Hybrids are of all four parts where none are named, with equal weights. In brackets "
            f"the difference from `{result['best_part']}`, the best part by ndcg, with 95 % intervals over "
            "users of all folds. Seconds are of fitting and judging, one run.",
            table(["lists by", *_METRICS, "seconds"], rows),
            "RMSE by fold:",
            table(["ratings by", "folds", "mean"], ratings) + "\n",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one fold; writes nothing")
    parser.add_argument("--out", type=Path, help="folder of the results; bench/results, with --quick none")
    arguments = parser.parse_args()
    result = run([1] if arguments.quick else [1, 2, 3, 4, 5])
    text = markdown(result)
    keep(arguments.out or (None if arguments.quick else RESULTS), "hybrid", result, text)
    print(text)


if __name__ == "__main__":
    main()

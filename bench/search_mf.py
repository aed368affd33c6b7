"""The search for the defaults of `mf`, on ml-latest-small alone, and their measurement on ml-100k.

    python bench/search_mf.py search              # by least squares; minutes on one core; prints what wins
    python bench/search_mf.py search --method sgd # the same of gradient descent
    python bench/search_mf.py measure             # fits u1..u5 with the defaults; prints RMSE, MAE, seconds
    python bench/search_mf.py measure --model bayesian-mf

The search is successive halving over random settings. A setting is judged by the lowest RMSE on held-out
folds that its descent reaches, averaged over three views of the ratings: all of them; those of items with at
least 15, four fifths for training; the same, half for training. The views differ in how many ratings an item
and a user have, so that what wins does not hang on one density. Each round keeps the best and gives them more
folds. Random numbers come from fixed seeds, so the same version of the package prints the same settings.

The folder of the data sets: GPUREC_DATA, else ../shared/data.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from gpurec import MF, Interactions
from gpurec.config import data_folder
from gpurec.models import MODELS

SEED = 1
MIN_ITEM_RATINGS = 15
# (settings that enter the round, folds of each view on which it judges them)
ROUNDS = ((60, 1), (15, 2))
# Of alternating least squares, in the same way; n_factors is one of 5, 10 and 20.
ALS_RANGES = {
    "als_penalty": (2.0, 40.0),
    "als_bias_penalty": (0.3, 16.0),
    "implicit_penalty": (2.0, 100.0),
    "implicit_bias_penalty": (2.0, 100.0),
}
# Each setting is drawn uniformly in its logarithm from low to high; of the decay, its distance from 1.
RANGES = {
    "learning_rate": (0.004, 0.03),
    "learning_rate_decay": (0.002, 0.03),
    "penalty": (0.6, 1.6),
    "bias_learning_rate": (0.001, 0.01),
    "bias_penalty": (0.1, 1.5),
    "init_scale": (0.004, 0.06),
}


def draw(generator: np.random.Generator, method: str) -> dict[str, Any]:
    """One random setting, rounded so that it can be written down."""
    if method == "als":
        n_factors = int(generator.choice([5, 10, 20]))
        bounds = {name: (math.log(low), math.log(high)) for name, (low, high) in ALS_RANGES.items()}
        drawn = {name: math.exp(generator.uniform(*between)) for name, between in bounds.items()}
        return {"n_factors": n_factors, **{name: float(f"{value:.2g}") for name, value in drawn.items()}}
    drawn = {
        name: math.exp(generator.uniform(math.log(low), math.log(high)))
        for name, (low, high) in RANGES.items()
    }
    drawn["learning_rate_decay"] = 1 - drawn["learning_rate_decay"]
    rounded = {
        name: float(f"{value:.4g}" if "decay" in name else f"{value:.2g}") for name, value in drawn.items()
    }
    return {"n_factors": 50, "method": "sgd", **rounded}


def best_rmse(settings: dict[str, Any], train: Interactions, held_out: Interactions) -> float:
    """Lowest RMSE on the held-out part; infinite for a descent that diverges."""
    reached = []

    def watch(epoch: int, model: MF, metrics: dict) -> None:
        reached.append(metrics["validation_rmse"])

    try:
        MF(**settings).fit(train, validation=held_out, callback=watch, progress=False)
    except ValueError:
        return math.inf
    return min(reached)


def views() -> list[list[tuple[Interactions, Interactions]]]:
    """Folds (training part, held-out part) of each of the three views."""
    ratings = Interactions.from_file(data_folder() / "ml-latest-small" / "ratings.csv")
    often = np.bincount(ratings.item_rows)[ratings.item_rows] >= MIN_ITEM_RATINGS
    generator = np.random.default_rng(SEED)
    result = []
    for part, n_folds in ((ratings, 5), (ratings.take(often), 5), (ratings.take(often), 2)):
        fold_of = generator.permutation(len(part)) % n_folds
        result.append([(part.take(fold_of != fold), part.take(fold_of == fold)) for fold in range(2)])
    return result


def search(method: str) -> None:
    """Print every round's results, best first, and at the end the setting that won."""
    parts = views()
    generator = np.random.default_rng(SEED)
    settings = [draw(generator, method) for _ in range(ROUNDS[0][0])]
    entered = list(range(len(settings)))
    known: dict[int, list[list[float]]] = {trial: [] for trial in entered}  # per fold, one RMSE a view
    for n_entered, n_folds in ROUNDS:
        entered = entered[:n_entered]
        for trial in entered:
            for fold in range(len(known[trial]), n_folds):
                known[trial].append([best_rmse(settings[trial], *view[fold]) for view in parts])
        by_view = {trial: np.mean(known[trial], axis=0) for trial in entered}
        entered.sort(key=lambda trial: by_view[trial].mean())
        print(f"{len(entered)} settings, {n_folds} folds; mean, the three views, settings of the best ten:")
        for trial in entered[:10]:
            figures = "  ".join(f"{rmse:.4f}" for rmse in by_view[trial])
            print(f"  {by_view[trial].mean():.5f}  {figures}  {json.dumps(settings[trial])}", flush=True)
    print("chosen:", json.dumps(settings[entered[0]]))


def measure(name: str) -> None:
    """Print RMSE and MAE (clipped to the training range) of the defaults on the five published folds."""
    folder = data_folder() / "ml-100k"
    results = []
    for fold in range(1, 6):
        train, test = (Interactions.from_file(Path(folder, f"u{fold}.{part}")) for part in ("base", "test"))
        began = time.perf_counter()
        model = MODELS[name]().fit(train, progress=False)
        seconds = time.perf_counter() - began
        predicted = model.predict(test.user_ids(), test.item_ids(), unknown="baseline")
        errors = np.clip(predicted.astype(np.float64), *model.weight_range) - test.weights
        results.append((math.sqrt(np.mean(errors**2)), np.mean(np.abs(errors)), seconds))
        rmse, mae, _ = results[-1]
        print(f"u{fold}: RMSE {rmse:.4f}  MAE {mae:.4f}  {seconds:.1f} s", flush=True)
    rmse, mae, seconds = np.mean(results, axis=0)
    print(f"mean: RMSE {rmse:.4f}  MAE {mae:.4f}  {seconds:.1f} s a fold")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("search", "measure"))
    parser.add_argument("--method", choices=("als", "sgd"), default="als")
    parser.add_argument("--model", choices=("mf", "bayesian-mf"), default="mf")
    arguments = parser.parse_args()
    if arguments.task == "search":
        search(arguments.method)
    else:
        measure(arguments.model)

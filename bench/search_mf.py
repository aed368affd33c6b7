"""The search for the defaults of `mf`, on ml-latest-small alone, and their measurement on ml-100k.

    python bench/search_mf.py search    # about 10 minutes on one core; prints the settings that win
    python bench/search_mf.py measure   # fits u1..u5 with the defaults; prints RMSE, MAE and seconds

The search is successive halving over random settings. Every round judges a setting by the lowest RMSE on
held-out folds that the descent reaches; each round keeps the best and gives them more folds. Random numbers
come from fixed seeds, so the same version of the package prints the same settings again.

The folder of the data sets: GPUREC_DATA, else ../shared/data.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np

from gpurec import MF, Interactions
from gpurec.config import data_folder

SEED = 1
N_FOLDS = 5
# (settings that enter the round, folds on which it judges them)
ROUNDS = ((160, 1), (40, 2), (10, 5))
# Each setting is drawn uniformly in its logarithm from low to high; of the decay, its distance from 1.
RANGES = {
    "learning_rate": (0.004, 0.03),
    "learning_rate_decay": (0.001, 0.03),
    "penalty": (0.5, 2.0),
    "bias_learning_rate": (0.001, 0.02),
    "bias_penalty": (0.03, 1.5),
    "init_scale": (0.003, 0.1),
}


def draw(generator: np.random.Generator) -> dict[str, float]:
    """One random setting, rounded so that it can be written down."""
    drawn = {
        name: math.exp(generator.uniform(math.log(low), math.log(high)))
        for name, (low, high) in RANGES.items()
    }
    drawn["learning_rate_decay"] = 1 - drawn["learning_rate_decay"]
    return {
        name: float(f"{value:.4g}" if "decay" in name else f"{value:.2g}") for name, value in drawn.items()
    }


def best_rmse(settings: dict[str, float], train: Interactions, held_out: Interactions) -> float:
    """Lowest RMSE on the held-out part; infinite for a descent that diverges."""
    reached = []

    def watch(epoch: int, model: MF, metrics: dict) -> None:
        reached.append(metrics["validation_rmse"])

    try:
        MF(**settings).fit(train, validation=held_out, callback=watch, progress=False)
    except ValueError:
        return math.inf
    return min(reached)


def search() -> None:
    """Print every round's results, best first, and at the end the setting that won."""
    ratings = Interactions.from_file(data_folder() / "ml-latest-small" / "ratings.csv")
    generator = np.random.default_rng(SEED)
    fold_of = generator.permutation(len(ratings)) % N_FOLDS
    folds = [(ratings.take(fold_of != fold), ratings.take(fold_of == fold)) for fold in range(N_FOLDS)]
    settings = [draw(generator) for _ in range(ROUNDS[0][0])]
    known: dict[tuple[int, int], float] = {}
    entered = list(range(len(settings)))
    for n_entered, n_folds in ROUNDS:
        entered = entered[:n_entered]
        for trial in entered:
            for fold in range(n_folds):
                if (trial, fold) not in known:
                    known[trial, fold] = best_rmse(settings[trial], *folds[fold])
        mean = {trial: np.mean([known[trial, fold] for fold in range(n_folds)]) for trial in entered}
        entered.sort(key=mean.__getitem__)
        print(f"{len(entered)} settings, {n_folds} folds; the best ten:")
        for trial in entered[:10]:
            print(f"  {mean[trial]:.5f}  {json.dumps(settings[trial])}", flush=True)
    print("chosen:", json.dumps(settings[entered[0]]))


def measure() -> None:
    """Print RMSE and MAE (clipped to the training range) of the defaults on the five published folds."""
    folder = data_folder() / "ml-100k"
    results = []
    for fold in range(1, 6):
        train, test = (Interactions.from_file(Path(folder, f"u{fold}.{part}")) for part in ("base", "test"))
        began = time.perf_counter()
        model = MF().fit(train, progress=False)
        seconds = time.perf_counter() - began
        predicted = model.predict(test.user_ids(), test.item_ids(), unknown="baseline")
        errors = np.clip(predicted.astype(np.float64), *model.weight_range) - test.weights
        results.append((math.sqrt(np.mean(errors**2)), np.mean(np.abs(errors)), seconds))
        rmse, mae, _ = results[-1]
        print(
            f"u{fold}: RMSE {rmse:.4f}  MAE {mae:.4f}  {model.n_epochs} epochs  {seconds:.1f} s", flush=True
        )
    rmse, mae, seconds = np.mean(results, axis=0)
    print(f"mean: RMSE {rmse:.4f}  MAE {mae:.4f}  {seconds:.1f} s a fold")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("search", "measure"))
    {"search": search, "measure": measure}[parser.parse_args().task]()

"""The search for the defaults of `als`, and what it reaches with more and more factors.

    python bench/search_als.py lists --factors 64 --trials 40   # a split of gowalla's training part
    python bench/search_als.py sweeps --factors 64               # the same split, after each sweep
    python bench/search_als.py curve --factors 64 256             # three such splits, chosen settings
    python bench/search_als.py measure --factors 64 128 256      # the test part, likewise

Settings are drawn at random, then around the best, and judged by recall@20 and ndcg@20 on a run of a fifth of
each list of gowalla's training part, for 5,000 users: `search_sums.runs`, which ranks models as the test part
does. Only `measure` reads that.

The folder of the data sets: GPUREC_DATA, else ../shared/data.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
from search_sums import runs

from gpurec import Interactions
from gpurec.config import data_folder
from gpurec.evaluation import evaluate
from gpurec.models import ImplicitALS

SEED = 1
N_USERS, DRAWS = 5000, (21, 22, 23)
# Ranges that settings are drawn from, uniformly in their logarithm; the exponent uniformly. In place of the
# regularisation stands the penalty of a user or item of the mean size, which depends least on the others.
PENALTY, UNOBSERVED, EXPONENT, POWER = (1.0, 15.0), (1e-3, 0.05), (0.3, 1.0), (-0.8, 0.0)
MEAN_ENTRIES, MEAN_OTHERS = 22.0, 35_000.0
# How far around the best later trials are drawn: factors, and a step of the exponents.
NEAR, STEP = 2.0, 0.2


def parts(draw: int = DRAWS[0]) -> tuple[Interactions, Interactions]:
    """What is learnt from and what judges it, both of the training part."""
    records = Interactions.from_file(data_folder() / "gowalla" / "train.txt", format="adjacency")
    train, held = runs(records, draw)
    users = np.random.default_rng(SEED).permutation(np.unique(held.user_rows))[:N_USERS]
    return train, held.take(np.isin(held.user_rows, users))


def figures(model: ImplicitALS, test: Interactions) -> tuple[float, float]:
    found = evaluate(model, test, k=20, progress=False)
    return found.mean("recall@20"), found.mean("ndcg@20")


def drawn(random: np.random.Generator, best: dict[str, Any] | None) -> dict[str, Any]:
    """Settings from the whole ranges, or near the best ones."""

    def between(low: float, high: float) -> float:
        return float(np.exp(random.uniform(np.log(low), np.log(high))))

    if best is None:
        w0, exponent = between(*UNOBSERVED), float(random.uniform(*EXPONENT))
        size = (MEAN_ENTRIES + w0 * MEAN_OTHERS) ** exponent
        return {
            "regularisation": between(*PENALTY) / size,
            "unobserved_weight": w0,
            "regularisation_exponent": exponent,
            "item_power": float(random.uniform(*POWER)),
        }
    return {
        "regularisation": best["regularisation"] * between(1 / NEAR, NEAR),
        "unobserved_weight": best["unobserved_weight"] * between(1 / NEAR, NEAR),
        "regularisation_exponent": max(0.0, best["regularisation_exponent"] + random.uniform(-STEP, STEP)),
        "item_power": best["item_power"] + random.uniform(-STEP, STEP),
    }


def search(
    n_factors: int, n_trials: int, start: dict[str, Any] | None, seconds: float, n_sweeps: int
) -> None:
    """Print what each setting reaches, and in the end the best ones."""
    train, test = parts()
    random = np.random.default_rng([SEED, n_factors, start is not None])
    found: list[tuple[float, dict[str, Any]]] = [] if start is None else [(0.0, start)]
    began = time.perf_counter()
    for trial in range(n_trials):
        if time.perf_counter() - began > seconds:
            break
        explores = start is None and trial < n_trials // 2
        settings = drawn(random, None if explores else max(found, key=lambda pair: pair[0])[1])
        if trial == 0 and start is not None:
            settings = start
        fitting = time.perf_counter()
        model = ImplicitALS(n_factors, n_sweeps=n_sweeps, **settings).fit(train, progress=False)
        fitted = time.perf_counter() - fitting
        recall, ndcg = figures(model, test)
        found.append((recall + ndcg, settings))
        shown = {name: float(f"{value:.4g}") for name, value in settings.items()}
        print(f"{recall:.4f} {ndcg:.4f}  {json.dumps(shown)}  fit {fitted:.1f} s", flush=True)
    print("best:", json.dumps(max(found, key=lambda pair: pair[0])[1]))


def sweeps(n_factors: int, settings: dict[str, Any]) -> None:
    """Print what each sweep reaches on the split."""
    train, test = parts()

    def tell(sweep: int, model: Any, metrics: dict[str, Any]) -> bool:
        recall, ndcg = figures(model, test)
        print(f"sweep {sweep}: loss {metrics['loss']:.1f}  {recall:.4f} {ndcg:.4f}", flush=True)
        return False

    ImplicitALS(n_factors, **settings).fit(train, callback=tell, progress=False)


def curve(n_factors: list[int], settings: dict[str, Any]) -> None:
    """Print what settings reach on each draw of the split."""
    for draw in DRAWS:
        train, test = parts(draw)
        for d in n_factors:
            recall, ndcg = figures(ImplicitALS(d, **settings).fit(train, progress=False), test)
            print(f"draw {draw}, {d} factors: {recall:.4f} {ndcg:.4f}", flush=True)


def measure(n_factors: list[int], settings: dict[str, Any]) -> None:
    """Print recall and ndcg on the test part, and how long a fit takes."""
    train = Interactions.from_file(data_folder() / "gowalla" / "train.txt", format="adjacency")
    test = Interactions.from_file(data_folder() / "gowalla" / "test.txt", format="adjacency")
    for d in n_factors:
        fitting = time.perf_counter()
        model = ImplicitALS(d, **settings).fit(train, progress=False)
        fitted = time.perf_counter() - fitting
        recall, ndcg = figures(model, test)
        print(f"{d} factors: {recall:.4f} {ndcg:.4f}  fit {fitted:.1f} s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=("lists", "sweeps", "curve", "measure"))
    parser.add_argument("--factors", type=int, nargs="+", default=[64])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--sweeps", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=300.0, help="after which no trial begins")
    parser.add_argument("--settings", type=json.loads, help="as JSON: where trials begin, or what is used")
    asked = parser.parse_args()
    if asked.task == "lists":
        search(asked.factors[0], asked.trials, asked.settings, asked.seconds, asked.sweeps)
    elif asked.task == "sweeps":
        sweeps(asked.factors[0], asked.settings or {})
    elif asked.task == "curve":
        curve(asked.factors, asked.settings or {})
    else:
        measure(asked.factors, asked.settings or {})

"""The search for the defaults of `item-knn` and `user-knn`, and what these reach.

    python bench/search_neighbours.py ratings   # ml-latest-small alone: settings of predicted ratings
    python bench/search_neighbours.py measure   # ml-100k u1..u5 with the defaults: RMSE, MAE, seconds
    python bench/search_neighbours.py lists     # a split of gowalla's training part: settings of lists

Ratings are judged by RMSE on a held-out fold of each of two views of ml-latest-small: the ratings of items
with at least 15, four fifths for training; the same, half for training. Lists are judged by recall@20 and
ndcg@20 on a fifth of gowalla's training part, drawn at random, for 8,000 users; the test part is not read.

The folder of the data sets: GPUREC_DATA, else ../shared/data.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from gpurec import Interactions
from gpurec.config import data_folder
from gpurec.data import random_split
from gpurec.evaluation import evaluate
from gpurec.models import ItemKNN, UserKNN
from gpurec.models.neighbours.neighbour_model import NeighbourModel

SEED = 1
MIN_ITEM_RATINGS = 15
N_USERS = 8000
MODELS = (UserKNN, ItemKNN)
RATINGS = ("baseline", "centred", "weighted")
METRICS = ("pearson", "pearson_centred", "cosine", "adjusted_cosine", "jaccard")
SHRINKAGES = (0.0, 10.0, 25.0, 50.0, 100.0)
FIRST = {"n_neighbours": 30, "damping": 0.5}  # of the first round, which chooses metric and shrinkage
N_NEIGHBOURS, DAMPINGS = (10, 20, 30, 45, 70), (0.0, 0.25, 0.5, 1.0, 2.0)


def rmse_and_mae(model: NeighbourModel, test: Interactions) -> tuple[float, float]:
    """Of predictions clipped to the training range."""
    predicted = model.predict(test.user_ids(), test.item_ids(), unknown="baseline").astype(np.float64)
    errors = np.clip(predicted, *model.weight_range) - test.weights
    return math.sqrt(np.mean(errors**2)), float(np.mean(np.abs(errors)))


def views() -> list[tuple[Interactions, Interactions]]:
    """Training part and held-out part of each of the two views."""
    ratings = Interactions.from_file(data_folder() / "ml-latest-small" / "ratings.csv")
    often = ratings.take(np.bincount(ratings.item_rows)[ratings.item_rows] >= MIN_ITEM_RATINGS)
    generator = np.random.default_rng(SEED)
    folds = [generator.permutation(len(often)) % n for n in (5, 2)]
    return [(often.take(fold != 0), often.take(fold == 0)) for fold in folds]


def tried(
    kind: type[NeighbourModel], parts: list[tuple[Interactions, Interactions]], settings: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The settings by rising mean of the views' RMSE; prints the best five."""
    found = []
    for place, of_these in enumerate(settings):
        reached = [
            rmse_and_mae(kind(**of_these).fit(train, progress=False), test)[0] for train, test in parts
        ]
        found.append((float(np.mean(reached)), place, reached))
    found.sort()
    for mean, place, reached in found[:5]:
        of_views = " ".join(f"{rmse:.4f}" for rmse in reached)
        print(f"  {mean:.4f}  {of_views}  {settings[place]}", flush=True)
    return [settings[place] for _, place, _ in found]


def search_ratings() -> None:
    """Print the best settings of each model and form: metric and shrinkage first, then the others."""
    parts = views()
    for kind, rating in itertools.product(MODELS, RATINGS):
        print(f"{kind.name} {rating}: mean RMSE, that of each view, settings")
        best, *_ = tried(
            kind,
            parts,
            [
                {"rating": rating, "metric": metric, "shrinkage": shrinkage, **FIRST}
                for metric, shrinkage in itertools.product(METRICS, SHRINKAGES)
            ],
        )
        tried(
            kind,
            parts,
            [
                best | {"n_neighbours": n_neighbours, "damping": damping}
                for n_neighbours, damping in itertools.product(N_NEIGHBOURS, DAMPINGS)
            ],
        )


def measure() -> None:
    """Print RMSE and MAE of the defaults on the five published folds."""
    folder = data_folder() / "ml-100k"
    parts = [
        [Interactions.from_file(folder / f"u{fold}.{part}") for part in ("base", "test")]
        for fold in range(1, 6)
    ]
    for kind, rating in itertools.product(MODELS, RATINGS):
        results = []
        for train, test in parts:
            began = time.perf_counter()
            model = kind(rating=rating).fit(train, progress=False)
            fitted = time.perf_counter()
            results.append((*rmse_and_mae(model, test), fitted - began, time.perf_counter() - fitted))
        folds = " ".join(f"{rmse:.4f}" for rmse, *_ in results)
        rmse, mae, fit, predict = np.mean(results, axis=0)
        print(
            f"{kind.name} {rating}: RMSE {folds} mean {rmse:.4f}  MAE {mae:.4f}  "
            f"fit {fit:.1f} s, predict {predict:.1f} s a fold",
            flush=True,
        )


def of_lists() -> Iterator[tuple[type[NeighbourModel], dict[str, Any]]]:
    """Models and settings that are tried."""
    for kind, weighting in itertools.product(MODELS, ("none", "tf-idf", "bm25")):
        yield kind, {"metric": "cosine", "weighting": weighting}
        for alpha in (0.3, 0.7, 0.8, 0.9, 1.0):
            yield kind, {"metric": "asymmetric_cosine", "alpha": alpha, "weighting": weighting}
    for kind, metric in itertools.product(MODELS, ("jaccard", "cosine")):
        yield kind, {"metric": metric, "weighting": "none", "shrinkage": 10.0}
    for kind, n_neighbours in itertools.product(MODELS, (50, 200, 400)):
        yield kind, {"n_neighbours": n_neighbours}


def search_lists() -> None:
    """Print recall and ndcg of each setting."""
    records = Interactions.from_file(data_folder() / "gowalla" / "train.txt", format="adjacency")
    split = random_split(records, 0.2, random_state=0)
    users = np.random.default_rng(SEED).permutation(records.n_users)[:N_USERS]
    test = split.test.take(np.isin(split.test.user_rows, users))
    for kind, settings in of_lists():
        began = time.perf_counter()
        model = kind(**settings).fit(split.train, progress=False)
        seconds = time.perf_counter() - began
        found = evaluate(model, test, k=20, progress=False)
        figures = f"{found.mean('recall@20'):.4f} {found.mean('ndcg@20'):.4f}"
        print(f"{figures}  {kind.name} {settings}  fit {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=("ratings", "measure", "lists"))
    {"ratings": search_ratings, "measure": measure, "lists": search_lists}[parser.parse_args().task]()

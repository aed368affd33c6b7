"""What the times of ratings, and the attributes of users and items, add to `bayesian-mf`.

    python bench/search_features.py     # lengths of bins and attributes on ml-latest-small; minutes

Settings are judged as in search_mf.py, on three views of ml-latest-small, one fold each. Films have genres
and a year in both data sets; users have an age, sex and job in ml-100k alone, so that nothing about these was
chosen. A test rating is predicted as of its own time, as published figures with times do. What won is
measured on ml-100k by bench_times.py.

The folder of the data sets: GPUREC_DATA, else ../shared/data.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import numpy as np
from search_mf import views

from gpurec import BayesianMF, Interactions
from gpurec.config import data_folder
from gpurec.evaluation import evaluate_ratings
from gpurec.features import Categorical, FeatureTable, MultiLabel, Numeric

SEARCH_SWEEPS = 150
MINUTES, HOUR = 5 / 1440, 1 / 24
# What is tried: settings, and whether the films' attributes are given.
TRIED: list[tuple[dict[str, float], bool]] = [
    ({}, False),
    *[({"user_days": days}, False) for days in (MINUTES, HOUR, 1.0)],
    *[({"item_days": days}, False) for days in (365.0, 1460.0)],
    ({}, True),
    ({"user_days": 1.0}, True),
]
# What won there.
TIMES = {"user_days": HOUR}
FILM = {"genres": MultiLabel(idf=False), "year": Numeric(n_knots=8)}
USER = {"age": Numeric(n_knots=8), "sex": Categorical(), "job": Categorical()}


def films_of_latest_small() -> FeatureTable:
    with Path(data_folder(), "ml-latest-small", "movies.csv").open(encoding="utf-8", newline="") as file:
        ids, titles, genres = zip(*list(csv.reader(file))[1:])
    years = [title.strip()[-5:-1] for title in titles]
    columns = {
        "genres": ["" if text == "(no genres listed)" else text for text in genres],
        "year": [float(year) if year.isdigit() else None for year in years],
    }
    return FeatureTable([int(key) for key in ids], columns, FILM)


def films_of_100k() -> FeatureTable:
    lines = Path(data_folder(), "ml-100k", "u.item").read_text(encoding="latin-1").splitlines()
    fields = [line.split("|") for line in lines]
    columns = {
        "genres": ["|".join(f"g{g}" for g, flag in enumerate(of[5:]) if flag == "1") for of in fields],
        "year": [float(of[2][-4:]) if of[2] else None for of in fields],
    }
    return FeatureTable([int(of[0]) for of in fields], columns, FILM)


def users_of_100k() -> FeatureTable:
    fields = [line.split("|") for line in Path(data_folder(), "ml-100k", "u.user").read_text().splitlines()]
    columns = {"age": [float(of[1]) for of in fields], **{"sex": [of[2] for of in fields]}}
    return FeatureTable([int(of[0]) for of in fields], {**columns, "job": [of[3] for of in fields]}, USER)


def reached(
    settings: dict[str, Any], train: Interactions, test: Interactions, features: dict[str, FeatureTable]
) -> tuple[float, float]:
    """RMSE, clipped to the training range, and the seconds of the fit."""
    began = time.perf_counter()
    model = BayesianMF(**settings).fit(train, **features, progress=False)
    return evaluate_ratings(model, test).rmse, time.perf_counter() - began


def search() -> None:
    parts, films = views(), films_of_latest_small()
    for settings, described in TRIED:
        features = {"item_features": films} if described else {}
        more = {"n_sweeps": SEARCH_SWEEPS, **settings}
        found = [reached(more, *view[0], features) for view in parts]
        figures = "  ".join(f"{rmse:.4f}" for rmse, _ in found)
        mean, seconds = np.mean(found, axis=0)
        print(
            f"{mean:.4f}  {figures}  {seconds:.1f} s  {settings} {'films' if described else ''}", flush=True
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    search()

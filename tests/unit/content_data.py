"""Films and people with planted tastes, for tests of content models."""

from __future__ import annotations

import numpy as np

from gpurec import ContentBased, Interactions
from gpurec.features import Categorical, Dense, FeatureTable, MultiLabel, Numeric, Text

GENRES = ["sf", "war", "crime", "love"]
N_USERS, N_ITEMS, N_NEW = 40, 48, 8
SCHEMA = {
    "genre": MultiLabel(),
    "plot": Text(),
    "image": Dense(),
    "year": Numeric(),
    "country": Categorical(),
}


def films(ids=range(N_ITEMS + N_NEW), schema=None) -> FeatureTable:
    """Films of which each genre has a quarter; every ninth has no image, every seventh no plot."""
    rng = np.random.default_rng(5)
    ids = list(ids)
    images = rng.standard_normal((N_ITEMS + N_NEW, 6))
    columns = {
        "genre": [f"{GENRES[i % 4]}|only{i}" for i in ids],
        "plot": ["" if i % 7 == 0 else f"a {GENRES[i % 4]} story of number{i} and word{i % 5}" for i in ids],
        "image": np.array([images[i] + 3 * np.eye(6)[i % 4] if i % 9 else np.full(6, np.nan) for i in ids]),
        "year": [1950 + i if i % 5 else None for i in ids],
        "country": ["us" if i % 3 else "de" for i in ids],
    }
    return FeatureTable(ids, columns, SCHEMA if schema is None else schema)


def people(ids=range(N_USERS + 4)) -> FeatureTable:
    """User i likes genre i % 4; it shows in the hobby, and in the age a little."""
    ids = list(ids)
    columns = {"hobby": [GENRES[i % 4] for i in ids], "age": [20 + 10 * (i % 4) + i % 3 for i in ids]}
    return FeatureTable(ids, columns, {"hobby": Categorical(), "age": Numeric()})


def plays(seed: int = 2, **more) -> Interactions:
    rng = np.random.default_rng(seed)
    likes = rng.random((N_USERS, N_ITEMS)) < 0.25
    likes &= np.arange(N_USERS)[:, np.newaxis] % 4 == np.arange(N_ITEMS) % 4
    users, items = np.nonzero(likes)
    return Interactions.from_arrays(users, items, **more)


def fitted(**settings) -> ContentBased:
    model = ContentBased(**{"n_components": 12, **settings})
    return model.fit(plays(), item_features=films(), user_features=people())

"""The chain of a `BayesianMF` before its first sweep, from interactions and features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .....ops.sparse_arguments import as_sparse_rows, transposed
from ..moments import Moments
from ..side_features import encoded_columns, side_features
from .gibbs_chain import GibbsChain

if TYPE_CHECKING:
    from .....data import Interactions
    from .....features import FeatureTable
    from ....recommender.training import TrainingPart

__all__ = ["first_chain"]


def first_chain(
    settings: dict[str, Any],
    training: TrainingPart,
    interactions: Interactions,
    item_table: FeatureTable | None,
    user_table: FeatureTable | None,
) -> tuple[GibbsChain, float, float]:
    """The chain, the mean of the ratings, and their standard deviation, in units of which they are learnt."""
    from .....data.matrix import user_items_matrix

    times = interactions.timestamps
    users, items = Moments.of_sides(training, settings, interactions)
    places = users.rows_at(interactions.user_rows, times), items.rows_at(interactions.item_rows, times)
    matrix = user_items_matrix(*places, interactions.weights, (users.n_rows, items.n_rows))
    by_users = as_sparse_rows(matrix, "interactions", "fit")
    mean = float(by_users.values.mean(dtype=np.float64))
    # Where all ratings are equal, what priors make of nothing must not show.
    scale = float(by_users.values.std(dtype=np.float64)) or 1e-6
    by_users = by_users.with_values(((by_users.values - mean) / scale).astype(np.float32))
    rated = as_sparse_rows(training.user_items, "interactions", "fit")
    of_users = encoded_columns(user_table, training.user_map, training.user_counts > 0, "user")
    of_items = encoded_columns(item_table, training.item_map, training.item_counts > 0, "item")
    implicit = settings["implicit"]
    rating = transposed(rated)
    user_features = side_features(users, rated, rating, implicit, "users", of_users)
    item_features = side_features(items, rating, rated, implicit, "items", of_items)
    chain = GibbsChain.of_settings(settings, by_users, users, items, user_features, item_features)
    return chain, mean, scale

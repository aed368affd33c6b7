"""Vectors of users and items that `bpr` did not learn from, by visits that move nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...backends import SparseRows

if TYPE_CHECKING:
    from .ranking import RankingDescent

__all__ = ["drawn_items", "of_items", "of_users"]

# Items among which negatives of newcomers are drawn.
_ITEMS_DRAWN = 1024


def drawn_items(model: RankingDescent) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows of some items with interactions, the same for all newcomers; and every item's weight, if any."""
    known = np.flatnonzero(model.training.item_counts > 0)
    chooser = np.random.Generator(np.random.PCG64(model.settings["random_state"]))
    drawn = np.sort(chooser.permutation(known)[:_ITEMS_DRAWN]).astype(np.int32)
    return drawn, model._weights() if model.settings["negatives"] == "popularity" else None


def of_users(model: RankingDescent, positives: SparseRows, n_epochs: int) -> np.ndarray:
    """Vectors of new users, float32 (n, n_factors + 1); see `fold_in_rows`."""
    vectors = np.ones((positives.n_rows, model.item_factors.shape[1] + 1), np.float32)
    users = np.zeros((positives.n_rows, model.item_factors.shape[1]), np.float32)
    # One key for all, so that nobody's draws depend on the place in the list.
    how = {"keys": np.zeros(positives.n_rows, np.int64), "moves": ("users",), "n_epochs": n_epochs}
    how["among"], weights = model._drawn_items()
    model._epoch(positives, (users, model.item_factors, model.item_biases), weights, 0, **how)
    vectors[:, :-1] = users
    return vectors


def of_items(model: RankingDescent, given: SparseRows, n_epochs: int) -> np.ndarray:
    """Vectors of new items, float32 (n, n_factors + 1), the bias last; see `fold_in_rows`."""
    drawn, weights = model._drawn_items()
    n_factors = model.item_factors.shape[1]
    items = np.zeros((len(drawn) + 1, n_factors), np.float32)
    items[:-1] = model.item_factors[drawn]
    biases = np.append(model.item_biases[drawn], np.float32(0))
    # The new item is never drawn.
    weights = np.append(np.ones(len(drawn), np.uint32) if weights is None else weights[drawn], np.uint32(0))
    place_of = np.full(model.training.n_items, -1, np.int32)
    place_of[drawn] = np.arange(len(drawn))
    vectors = np.empty((given.n_rows, n_factors + 1), np.float32)
    for i in range(given.n_rows):
        users = given.of(i)[0]
        positives = _seen_among(model, users, place_of, len(drawn))
        items[-1], biases[-1] = 0, 0
        how = {"visited": positives.columns == len(drawn), "keys": users.astype(np.int64), "n_blocks": 1}
        tables = model.user_factors[users], items, biases
        how |= {"moves": ("positives",), "n_epochs": n_epochs}
        model._epoch(positives, tables, weights, 0, **how)
        vectors[i, :-1], vectors[i, -1] = items[-1], biases[-1]
    return vectors


def _seen_among(model: RankingDescent, users: np.ndarray, place_of: np.ndarray, n: int) -> SparseRows:
    """What users have of the drawn items, and a new one after them, which all of them have."""
    indptr, rows = model.training.seen(users)
    places = place_of[rows]
    owners = np.repeat(np.arange(len(users)), np.diff(indptr))[places >= 0]
    places = places[places >= 0]
    counts = np.bincount(owners, minlength=len(users)) + 1
    bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    columns = np.full(bounds[-1], n, np.int32)
    # Each user's own come first, in their order; as many new ones stand before them as users do.
    columns[np.arange(len(places)) + owners] = places
    return SparseRows(bounds, columns, np.ones(len(columns), np.float32), n + 1)

"""Vectors of users and items that `bpr` did not learn from, by visits that move nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...backends import SparseRows
from ...ops.sparse_arguments import as_sparse_rows
from ..recommender.queries import as_pair

if TYPE_CHECKING:
    from .ranking import RankingDescent

__all__ = ["of_items", "of_users"]

# Items among which negatives of a new item's users are drawn.
_ITEMS_DRAWN = 1024


def of_users(model: RankingDescent, sets: Any, n_epochs: int) -> np.ndarray:
    """Vectors of new users, float32 (n, n_factors + 1); see `fold_in`."""
    positives = _positives(sets, model.training.n_items)
    vectors = np.ones((positives.n_rows, model.item_factors.shape[1] + 1), np.float32)
    users = np.zeros((positives.n_rows, model.item_factors.shape[1]), np.float32)
    # One key for all, so that nobody's draws depend on the place in the list.
    how = {"keys": np.zeros(positives.n_rows, np.int64), "moves": ("users",), "n_epochs": n_epochs}
    model._epoch(positives, (users, model.item_factors, model.item_biases), model._weights(), 0, **how)
    vectors[:, :-1] = users
    return vectors


def of_items(model: RankingDescent, sets: Any, n_epochs: int) -> np.ndarray:
    """Vectors of new items, float32 (n, n_factors + 1), the bias last; see `fold_in`."""
    given = _positives(sets, model.training.n_users)
    drawn = _drawn_items(model)
    n_factors = model.item_factors.shape[1]
    items = np.zeros((len(drawn) + 1, n_factors), np.float32)
    items[:-1] = model.item_factors[drawn]
    biases = np.append(model.item_biases[drawn], np.float32(0))
    weights = model._weights()
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


def _positives(sets: Any, n_columns: int) -> SparseRows:
    """Row sets in any form as a matrix of ones."""
    from scipy.sparse import csr_array

    n = (
        sets.shape[0]
        if hasattr(sets, "tocsr")
        else len(sets[0]) - 1
        if isinstance(sets, tuple)
        else len(sets)
    )
    indptr, rows = as_pair(sets, n)
    if len(rows) and not 0 <= rows.min() <= rows.max() < n_columns:
        raise ValueError(
            f"[fold_in] expected rows in 0..{n_columns - 1}, got {rows.min()}..{rows.max()}; see the map"
        )
    matrix = csr_array((np.ones(len(rows), np.float32), rows, indptr), shape=(n, n_columns))
    return as_sparse_rows(matrix, "sets", "fold_in")


def _drawn_items(model: RankingDescent) -> np.ndarray:
    """Some of the items with interactions, the same for every new item, rising."""
    known = np.flatnonzero(model.training.item_counts > 0)
    if len(known) <= _ITEMS_DRAWN:
        return known
    chooser = np.random.Generator(np.random.PCG64(model.settings["random_state"]))
    return np.sort(chooser.permutation(known)[:_ITEMS_DRAWN])


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

"""How much each interaction says of a user's taste, and what comes of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...backends import SparseRows, select
from ...data.matrix import user_items_matrix

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from ...data import Interactions

__all__ = ["checked_feedback", "history_matrix", "mean_divisors", "weighted_means"]

_DAY = 86400.0


def checked_feedback(feedback: Any) -> str | float:
    """A word for how weights count, or the weight from which an item is liked."""
    if feedback in ("ones", "weights", "centred"):
        return feedback
    is_number = isinstance(feedback, (int, float, np.integer, np.floating)) and not isinstance(feedback, bool)
    if is_number and np.isfinite(feedback):
        return float(feedback)
    raise ValueError(
        f"[content] expected feedback of 'ones', 'weights', 'centred' or a finite weight, got {feedback!r}"
    )


def history_matrix(
    interactions: Interactions, feedback: str | float, dislike_weight: float, half_life: float | None
) -> csr_array:
    """How much each user likes each item of theirs, float32 (n_users, n_items); below 0 is dislike.

    Raises
    ------
    ValueError
        If there is a half-life and there are no timestamps.
    """
    users = interactions.user_rows
    liking = _liking(interactions, feedback)
    liking = np.where(liking < 0, liking * dislike_weight, liking)
    if half_life is not None:
        if interactions.timestamps is None:
            raise ValueError("[content] expected timestamps for half_life, got none; leave half_life out")
        latest = np.full(interactions.n_users, np.iinfo(np.int64).min)
        np.maximum.at(latest, users, interactions.timestamps)
        age = (latest[users] - interactions.timestamps).astype(np.float64)
        liking = liking * np.exp2(-age / (half_life * _DAY))
    shape = (interactions.n_users, interactions.n_items)
    return user_items_matrix(users, interactions.item_rows, liking, shape)


def _liking(interactions: Interactions, feedback: str | float) -> np.ndarray:
    """What each record says, float64 (n,)."""
    weights = interactions.weights.astype(np.float64)
    if feedback == "ones":
        return np.ones(len(weights))
    if feedback == "weights":
        return weights
    if feedback == "centred":
        users = interactions.user_rows
        counts = np.maximum(np.bincount(users, minlength=interactions.n_users), 1)
        means = np.bincount(users, weights, minlength=interactions.n_users) / counts
        centred = weights - means[users]
        # Of a user who gives everything the same nothing would be left.
        spread = np.bincount(users, np.abs(centred), minlength=interactions.n_users)
        return np.where(spread[users] > 1e-6 * np.abs(means[users]), centred, 1.0)
    return np.where(weights >= float(feedback), 1.0, -1.0)


def weighted_means(
    histories: SparseRows, vectors: np.ndarray, foretold: np.ndarray | None, pull: np.ndarray
) -> np.ndarray:
    """Users' vectors, float32 (n, d): means of their items' and of a foretold vector that counts `pull`.

    Parameters
    ----------
    histories : SparseRows, shape (n, n_items)
        How much each item counts; below 0 is dislike.
    vectors : float32 array, shape (n_items, d)
    foretold : float32 array, shape (n, d), or None
    pull : float64 array, shape (n,)
        How many items the foretold vector counts as.

    Notes
    -----
    Divided by the sum of absolute counts. A user of whom nothing is known has zeros.
    """
    counts = mean_divisors(histories, pull)
    shares = (histories.values / counts[histories.owners]).astype(np.float32)
    means = np.empty((histories.n_rows, vectors.shape[1]), np.float32)
    select().spmm(histories.with_values(shares), vectors, None, 0.0, means)
    if foretold is not None:
        means += (pull / counts).astype(np.float32)[:, np.newaxis] * foretold
    return means


def mean_divisors(histories: SparseRows, pull: np.ndarray) -> np.ndarray:
    """What the sums of `weighted_means` are divided by, float64 (n,)."""
    counts = np.bincount(
        histories.owners, np.abs(histories.values).astype(np.float64), minlength=histories.n_rows
    )
    counts = counts + pull  # of no user at all, the counts would be integers
    return np.where(counts > 0, counts, 1.0)

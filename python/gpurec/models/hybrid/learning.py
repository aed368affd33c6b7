"""What a hybrid learns beside its parts: their scales, and the weights of stacking."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ops import top_k
from ..recommender import Recommender
from .parts import has_vectors, part_rows
from .stacking import choice_weights, ridge_weights

if TYPE_CHECKING:
    from ...data import Interactions
    from .hybrid import Hybrid

__all__ = ["learn_weights", "spread"]

# Users whose scores tell a scale, users whose choices tell weights, and candidates of each part and user.
_SCALE_USERS, _CHOICE_USERS, _CANDIDATES = 1024, 2048, 100
_HELD_OUT = 0.1
_AT_ONCE = 128


def spread(part: Recommender) -> float:
    """The root of the mean variance, over users, of their scores of all items; 1 where it is 0."""
    users = _evenly(np.flatnonzero(part.training.user_counts > 0), _SCALE_USERS)
    squares = 0.0
    for first in range(0, len(users), _AT_ONCE):
        rows = _all_scores(part, users[first : first + _AT_ONCE])
        squares += float(rows.var(axis=1).sum())
    return math.sqrt(squares / len(users)) or 1.0


def learn_weights(
    hybrid: Hybrid, interactions: Interactions, more: dict[str, Any]
) -> tuple[list[float], float, bool]:
    """Weights of a stacking hybrid's parts, its intercept, and whether its parts are fitted by now.

    Raises
    ------
    ValueError
        If nothing can be held out, or nothing of the validation part is known.
    """
    validation, settings = more["validation"], hybrid.settings
    parts, train, fitted = hybrid.parts, interactions, validation is not None
    if validation is None:
        from ...data import user_holdout

        state = settings["random_state"]
        train, validation = user_holdout(interactions, fraction=_HELD_OUT, random_state=state)
        more = more | {"validation": validation}
    for part in parts:
        part.fit(train, **more)
    training = parts[0].training
    users = training.known_rows("user", validation.user_map.ids())[validation.user_rows]
    items = training.known_rows("item", validation.item_map.ids())[validation.item_rows]
    if all(part.predicts_ratings for part in parts):
        scores = np.stack([part._score_pairs(users, items) for part in parts], axis=1)
        ratings = validation.weights.astype(np.float64)
        weights, intercept = ridge_weights(scores.astype(np.float64), ratings, settings["l2"])
        return weights.tolist(), intercept, fitted
    known = (users >= 0) & (items >= 0)
    if not known.any():
        raise ValueError("[hybrid] expected validation interactions of known users and items, got none")
    scales = np.ones(len(parts)) if settings["scale"] == "none" else np.array([spread(p) for p in parts])
    scores, chosen, indptr = _choices(parts, users[known], items[known])
    return choice_weights(scores / scales, chosen, indptr, settings["l2"]).tolist(), 0.0, fitted


def _choices(
    parts: list[Recommender], users: np.ndarray, items: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (n, n_parts) of candidates user by user, which of them were chosen, and where users begin."""
    training = parts[0].training
    scores, chosen, lengths = [], [], []
    asked = _evenly(np.unique(users), _CHOICE_USERS)
    for first in range(0, len(asked), _AT_ONCE):
        block = asked[first : first + _AT_ONCE]
        rows = np.stack([_all_scores(part, block) for part in parts], axis=2)
        indptr, seen = training.seen(block)
        for i, user in enumerate(block.tolist()):
            unseen = rows[i].astype(np.float32)
            unseen[seen[indptr[i] : indptr[i + 1]]] = -np.inf
            listed = top_k(np.ascontiguousarray(unseen.T), min(_CANDIDATES, len(unseen))).rows
            candidates = np.unique(listed[listed >= 0])
            held = np.isin(candidates, items[users == user])
            # Held items that no part lists do not count: nor do the many others that none lists.
            if held.any():
                scores.append(rows[i, candidates])
                chosen.append(held)
                lengths.append(len(candidates))
    if not lengths:
        raise ValueError(
            "[hybrid] expected held-out items among the best of the parts, got none; do: method='weighted'"
        )
    return np.concatenate(scores), np.concatenate(chosen), np.cumsum([0, *lengths])


def _all_scores(part: Recommender, users: np.ndarray) -> np.ndarray:
    """Scores of all items, float64 (n, n_items), 0 where nothing speaks for one."""
    vectors = part._item_vectors(np.arange(part.training.n_items)) if has_vectors(part) else None  # type: ignore[attr-defined]
    rows = part_rows(part, users, vectors).astype(np.float64)
    rows[np.isneginf(rows)] = 0
    return rows


def _evenly(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, evenly spaced."""
    return rows if len(rows) <= most else rows[np.arange(most) * len(rows) // most]

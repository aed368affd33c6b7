"""Small models whose right answer is known by construction, for the tests of evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from gpurec.data import Interactions
from gpurec.types import IdMap, TopK


def records(triples: list[tuple], users: list | None = None, items: list | None = None) -> Interactions:
    """Records of (user id, item id, weight), ids numbered as they first come unless maps are given."""
    user_ids, item_ids, weights = zip(*triples)
    return Interactions.from_arrays(
        user_ids,
        item_ids,
        weights,
        user_map=None if users is None else IdMap(users),
        item_map=None if items is None else IdMap(items),
    )


class ScoreModel:
    """Recommends by a score matrix given at birth, in the order that gpurec promises."""

    def __init__(self, scores, seen, users, items, name="scores"):
        self.scores = np.asarray(scores, dtype=np.float32)
        self.user_items = scipy.sparse.csr_array(np.asarray(seen, dtype=np.float32))
        self.user_map, self.item_map = IdMap(users), IdMap(items)
        self.name = name
        self.asked: list[int] = []

    def recommend_rows(self, user_rows, k, *, exclude_seen=True, **filters: Any) -> TopK:
        self.asked.append(len(user_rows))
        scores = self.scores[user_rows].copy()
        if exclude_seen:
            scores[self.user_items.toarray()[user_rows] > 0] = -np.inf
        rows = np.full((len(user_rows), k), -1, dtype=np.int64)
        kept = np.full((len(user_rows), k), -np.inf, dtype=np.float32)
        for query, row in enumerate(scores):
            best = [item for item in np.argsort(-row, kind="stable") if row[item] > -np.inf][:k]
            rows[query, : len(best)], kept[query, : len(best)] = best, row[best]
        return TopK(rows, kept)


class RatingModel(ScoreModel):
    predicts_ratings = True
    weight_range = (1.0, 5.0)

    def __init__(self, rating, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        self.rating = rating

    def predict(self, user_ids, item_ids, *, unknown="raise"):
        assert unknown == "baseline"
        assert len(user_ids) == len(item_ids)
        return np.array([self.rating(user, item) for user, item in zip(user_ids, item_ids)], dtype=np.float32)


def checkerboard(n: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Users like items of their own parity: (training part, test part), a third of the likes held back."""
    likes = np.add.outer(np.arange(n), np.arange(n)) % 2 == 0
    held = likes & (np.add.outer(np.arange(n), 2 * np.arange(n)) % 3 == 0)
    return likes & ~held, held


def board_model(scores, seen, **keywords) -> ScoreModel:
    n_users, n_items = np.shape(seen)
    users, items = [f"u{row}" for row in range(n_users)], [f"i{row}" for row in range(n_items)]
    return ScoreModel(scores, seen, users, items, **keywords)


def board_records(held: np.ndarray) -> Interactions:
    return records([(f"u{user}", f"i{item}", 1.0) for user, item in zip(*np.nonzero(held))])


def rating_model(rating, **keywords) -> RatingModel:
    return RatingModel(rating, [[2, 1]], [[0, 0]], ["u0"], ["i0", "i1"], **keywords)

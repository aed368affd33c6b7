"""What a model answers: the best items of each user, as a table or user by user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...tables import Tabular, ranks
from ...types import IdMap, TopK
from .explanation import Explanation

__all__ = ["Recommendations"]


class Recommendations(Tabular):
    """The best items of each user, best first, in external ids. A user with fewer than k has fewer rows.

    Attributes
    ----------
    user_ids : array, shape (n_users,)
        The users asked about, in the order they were asked about; int64, or objects.
    indptr : int64 array, shape (n_users + 1,)
        The rows of user i in the table are `indptr[i]` to `indptr[i + 1] - 1`.
    item_ids : array, shape (n_rows,)
    scores : float32 array, shape (n_rows,)
        Higher is better; falling, for one user.
    sources : array of str, shape (n_users,), or None
        Who answered: "model", or, for a user the model does not know, "popularity" or the source that a
        `ColdStart` found.
    explanations : list of Explanation, one a row of the table, or None
        Where they were asked for.
    columns : (str, str)
        Names of the two id columns of the table: ("user_id", "item_id") for recommendations,
        ("item_id", "similar_item_id") for similar items.

    Notes
    -----
    The table has the id columns, `score`, `rank` (1 is the best) and, where there are some, `source` and
    `explanation`, a line of text.

    Examples
    --------
    >>> recommendations = Recommendations(
    ...     np.array([7, 8]), np.array([0, 2, 3]), np.array([30, 10, 20]), np.float32([4.5, 4.25, 3.5])
    ... )
    >>> recommendations
    Recommendations(3 rows for 2 users)
    >>> dict(recommendations)[7]
    [(30, 4.5), (10, 4.25)]
    >>> recommendations.to_dicts()[1]
    {'user_id': 7, 'item_id': 10, 'score': 4.25, 'rank': 2}
    """

    def __init__(
        self,
        user_ids: np.ndarray,
        indptr: np.ndarray,
        item_ids: np.ndarray,
        scores: np.ndarray,
        *,
        sources: np.ndarray | None = None,
        columns: tuple[str, str] = ("user_id", "item_id"),
    ) -> None:
        self.user_ids = user_ids
        self.indptr = indptr
        self.item_ids = item_ids
        self.scores = scores
        self.sources = sources
        self.explanations: list[Explanation] | None = None
        self.columns = columns

    @classmethod
    def from_top_k(cls, user_ids: np.ndarray, found: TopK, item_map: IdMap, **more: Any) -> Recommendations:
        """Turn rows into ids and leave the padding out; `more` goes to the constructor."""
        there = found.rows >= 0
        indptr = np.zeros(len(found.rows) + 1, dtype=np.int64)
        np.cumsum(there.sum(axis=1), out=indptr[1:])
        return cls(user_ids, indptr, item_map.ids(found.rows[there]), found.scores[there], **more)

    @property
    def ranks(self) -> np.ndarray:
        """Place of each row in its user's list, int64 (n_rows,); the best is 1."""
        return ranks(self.indptr)

    @property
    def _lengths(self) -> np.ndarray:
        return np.diff(self.indptr)

    def _table(self) -> dict[str, np.ndarray]:
        table = {
            self.columns[0]: np.repeat(self.user_ids, self._lengths),
            self.columns[1]: self.item_ids,
            "score": self.scores,
            "rank": self.ranks,
        }
        if self.sources is not None:
            table["source"] = np.repeat(self.sources, self._lengths)
        if self.explanations is not None:
            table["explanation"] = np.array([str(why) for why in self.explanations], object)
        return table

    def __iter__(self) -> Iterator[tuple[Any, list[tuple[Any, float]]]]:
        """Each user with the list of (item id, score); the list is empty where nothing was permitted."""
        pairs = list(zip(self.item_ids.tolist(), self.scores.tolist()))
        bounds = self.indptr.tolist()
        for user_id, start, stop in zip(self.user_ids.tolist(), bounds, bounds[1:]):
            yield user_id, pairs[start:stop]

    def __len__(self) -> int:
        """Number of users, which is how many times the iteration goes round."""
        return len(self.user_ids)

    def __repr__(self) -> str:
        asked = self.columns[0].removesuffix("_id")
        return f"Recommendations({len(self.scores)} rows for {len(self)} {asked}s)"

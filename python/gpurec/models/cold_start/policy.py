"""Who answers for users without history, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import UnknownIdError
from ...types import TopK
from ..recommender import UnknownUsers
from ..recommender.queries import take_ids, take_queries
from .sources import NewUserSource, Popular

__all__ = ["ColdStart"]


class ColdStart(UnknownUsers):
    """Names what a user without training interactions gets: the first source that can answer.

    Given as `unknown=` to `recommend` and `recommend_all`; `Recommendations.sources` says for each user which
    source it was.

    Parameters
    ----------
    sources : sequence of NewUserSource
        Such as `FriendsVotes`, `Registration`, `Segments`, `AnotherModel`, in the order in which they are
        asked.
    otherwise : {"popularity", "skip", "raise"}
        What a user gets for whom none answers.

    Examples
    --------
    >>> from gpurec import Interactions, Popularity
    >>> from gpurec.models import FriendsVotes, Links
    >>> plays = Interactions.from_arrays(["ann", "bob", "bob"], ["a", "b", "a"])
    >>> policy = ColdStart([FriendsVotes(Links.from_arrays(["eve"], ["bob"]))])
    >>> Popularity().fit(plays).recommend(["ann", "eve", "joe"], k=1, unknown=policy).sources.tolist()
    ['model', 'social', 'popularity']
    """

    def __init__(self, sources: Sequence[NewUserSource], *, otherwise: str = "popularity") -> None:
        if otherwise not in ("popularity", "skip", "raise"):
            raise ValueError(
                f"[cold_start] expected otherwise of popularity, skip or raise, got {otherwise!r}; choose one"
            )
        sources = list(sources)
        for source in sources:
            if not isinstance(source, NewUserSource):
                raise TypeError(
                    f"[cold_start] expected sources for new users, got {source!r:.60}; see ColdStart"
                )
        self.otherwise = otherwise
        self._sources = [*sources, Popular()] if otherwise == "popularity" else sources

    def _who(self, model: Any, users: Any) -> np.ndarray:
        """Number of the source of each user, -1 if none answers."""
        numbers = np.full(len(users), -1)
        for number, source in enumerate(self._sources):
            left = np.flatnonzero(numbers < 0)
            if left.size:
                numbers[left[source.answers(model, take_ids(users, left))]] = number
        if self.otherwise == "raise" and (numbers < 0).any():
            raise UnknownIdError(
                f"[recommend] expected users for whom a source answers, got "
                f"{list(users)[int(np.argmin(numbers))]!r}; do: otherwise='popularity'"
            )
        return numbers

    def sources(self, model: Any, users: Any) -> np.ndarray:
        names = np.array([*(source.source for source in self._sources), None], dtype=object)
        return names[self._who(model, users)]

    def search(self, model: Any, users: Any, k: int, filters: dict[str, Any]) -> TopK:
        numbers, n = self._who(model, users), len(users)
        rows, scores = np.full((n, k), -1, np.int64), np.full((n, k), -np.inf, np.float32)
        for number in np.unique(numbers[numbers >= 0]).tolist():
            places = np.flatnonzero(numbers == number)
            part = {name: take_queries(given, places) for name, given in filters.items()}
            found = self._sources[number].search(model, take_ids(users, places), k, part)
            rows[places], scores[places] = found.rows, found.scores
        return TopK(rows, scores)

"""Who may answer for a user of whom a model knows nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ...ops import top_k
from ...ops.filters import as_filters
from ...types import TopK
from ..hybrid.parts import has_vectors
from ..recommender import Recommender, ScoreRowModel
from ..recommender.score_rows import hide
from .links import Links
from .mixtures import mixed_rows, mixed_vectors, shares_of_friends

__all__ = ["AnotherModel", "FriendsVotes", "NewUserSource", "Popular", "best_of_rows"]

_BLOCK_BYTES = 64 << 20


class NewUserSource(ABC):
    """Something that answers for users without training interactions.

    Attributes
    ----------
    source : str
        What the answer says it came from, in `Recommendations.sources`.
    """

    source: str

    @abstractmethod
    def answers(self, model: Recommender, users: Any) -> np.ndarray:
        """Which of the users, given by id, it can answer for: bool (n,)."""

    @abstractmethod
    def search(self, model: Recommender, users: Any, k: int, filters: dict[str, Any]) -> TopK:
        """The best k items of users that it can answer for; filters in the forms of `score_top_k`."""


class Popular(NewUserSource):
    """The items that most users have had; it answers for everyone.

    Examples
    --------
    >>> Popular().source
    'popularity'
    """

    source = "popularity"

    def answers(self, model: Recommender, users: Any) -> np.ndarray:
        return np.ones(len(users), dtype=bool)

    def search(self, model: Recommender, users: Any, k: int, filters: dict[str, Any]) -> TopK:
        return model._most_popular(len(users), k, **filters)


class FriendsVotes(NewUserSource):
    """What the model says to the user's friends, in the mean by the links' weights.

    It answers for users with at least one friend who has interactions. Of a model of vectors the mean vector
    is searched with; of other models the rows of scores are added.

    Parameters
    ----------
    links : Links

    Examples
    --------
    >>> from gpurec import Interactions, RP3beta
    >>> from gpurec.models import ColdStart, Links
    >>> plays = Interactions.from_arrays(["ann", "bob", "bob"], ["a", "a", "b"])
    >>> policy = ColdStart([FriendsVotes(Links.from_arrays(["eve"], ["ann"]))])
    >>> found = RP3beta().fit(plays).recommend(["eve"], k=1, unknown=policy)
    >>> found.item_ids.tolist(), found.sources.tolist()
    (['b'], ['social'])
    """

    source = "social"

    def __init__(self, links: Links) -> None:
        if not isinstance(links, Links):
            raise TypeError(f"[cold_start] expected Links, got {links!r:.60}; see Links.from_arrays")
        self._links = links

    def _shares(self, model: Recommender, users: Any) -> Any:
        training = model.training
        return shares_of_friends(self._links.among(users, training.user_map), training.user_counts)

    def answers(self, model: Recommender, users: Any) -> np.ndarray:
        return np.diff(self._shares(model, users).indptr) > 0

    def search(self, model: Recommender, users: Any, k: int, filters: dict[str, Any]) -> TopK:
        shares = self._shares(model, users)
        if has_vectors(model):
            return model._item_index().search(mixed_vectors(shares, model), k, **filters)  # type: ignore[attr-defined]
        if not isinstance(model, ScoreRowModel):
            raise TypeError(
                f"[cold_start] expected a model of vectors or of rows of scores, got {model!r:.60}"
            )
        return best_of_rows(
            lambda places: mixed_rows(shares[places], model), len(users), model.training.n_items, k, filters
        )


class AnotherModel(NewUserSource):
    """Another fitted model over the same items, for the users whom it knows: one of content, say.

    Parameters
    ----------
    model : Recommender
    source : str
        What the answer says it came from; the model's name if not given.

    Examples
    --------
    >>> from gpurec import Interactions, Popularity
    >>> AnotherModel(Popularity().fit(Interactions.from_arrays([1], ["a"])), source="content").source
    'content'
    """

    def __init__(self, model: Recommender, source: str | None = None) -> None:
        self._model = model
        self.source = model.name if source is None else str(source)

    def answers(self, model: Recommender, users: Any) -> np.ndarray:
        if self._model.item_map != model.item_map:
            raise ValueError(
                "[cold_start] expected another model over the same items, got other items; fit it anew"
            )
        return self._model.training.known_rows("user", users) >= 0

    def search(self, model: Recommender, users: Any, k: int, filters: dict[str, Any]) -> TopK:
        rows = self._model.training.known_rows("user", users)
        return self._model.recommend_rows(rows, k, **filters)


def best_of_rows(make: Any, n: int, n_items: int, k: int, filters: dict[str, Any]) -> TopK:
    """The best k of rows of scores that are made a block at a time, `make(slice)` float32 (n, n_items)."""
    from ...ops.filters import filters_of

    checked = as_filters(n, n_items, op="recommend", **filters)
    rows, best = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    size = max(1, _BLOCK_BYTES // (4 * n_items))
    for first in range(0, n, size):
        places = slice(first, min(first + size, n))
        scores = make(places)
        hide(scores, filters_of(checked, places))
        rows[places], best[places] = top_k(scores, k)
    return TopK(rows, best)

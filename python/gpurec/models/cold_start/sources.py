"""Who may answer for a user of whom a model knows nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ...ops import top_k
from ...ops.filters import as_filters
from ...types import TopK
from ..hybrid.parts import has_vectors
from ..recommender import Recommender, ScoreRowModel, real_setting
from ..recommender.score_rows import hide
from ..recommender.training import TrainingPart
from .links import Links
from .mixtures import mixed_rows, mixed_vectors, shares_of_all, shares_of_friends

__all__ = ["AnotherModel", "FriendsVotes", "NewUserSource", "Popular", "best_of_rows"]

_BLOCK_BYTES = 64 << 20
# Users of whom everyone's taste is made.
_EVERYONE = 1024


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
    shrink : float
        So many friends of everyone's taste are added, 0 or more: few friends say little. Everyone's taste is
        the mean over up to 1,024 training users, evenly spaced.

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

    def __init__(self, links: Links, *, shrink: float = 3.0) -> None:
        if not isinstance(links, Links):
            raise TypeError(f"[cold_start] expected Links, got {links!r:.60}; see Links.from_arrays")
        self._links, self.shrink = links, real_setting("cold_start", "shrink", shrink, 0, 1e9)
        self._everyone: tuple[TrainingPart, np.ndarray] | None = None

    def _shares(self, model: Recommender, users: Any) -> Any:
        training = model.training
        return shares_of_friends(self._links.among(users, training.user_map), training.user_counts)

    def answers(self, model: Recommender, users: Any) -> np.ndarray:
        return np.diff(self._shares(model, users).indptr) > 0

    def search(self, model: Recommender, users: Any, k: int, filters: dict[str, Any]) -> TopK:
        shares = self._shares(model, users)
        n_friends = np.diff(shares.indptr)[:, np.newaxis]
        of_friends = (n_friends / (n_friends + self.shrink)).astype(np.float32)

        def drawn(of_them: np.ndarray, places: slice) -> np.ndarray:
            """Friends' means drawn to everyone's, where anything is said."""
            if not self.shrink:
                return of_them
            own = of_friends[places]
            everyone = self._of_everyone(model)
            mixed = own * _spoken(of_them) + (np.float32(1) - own) * _spoken(everyone)
            mixed[np.isneginf(of_them) & np.isneginf(everyone)] = -np.inf
            return mixed

        if has_vectors(model):
            queries = drawn(mixed_vectors(shares, model), slice(None))
            return model._item_index().search(queries, k, **filters)  # type: ignore[attr-defined]
        if not isinstance(model, ScoreRowModel):
            raise TypeError(
                f"[cold_start] expected a model of vectors or of rows of scores, got {model!r:.60}"
            )
        return best_of_rows(
            lambda places: drawn(mixed_rows(shares[places], model), places),
            len(users),
            model.training.n_items,
            k,
            filters,
        )

    def _of_everyone(self, model: Recommender) -> np.ndarray:
        """Mean vector or row of training users, float32 (1, d) or (1, n_items), made once for each model."""
        training = model.training
        if self._everyone is None or self._everyone[0] is not training:
            known = np.flatnonzero(training.user_counts > 0)
            if len(known) > _EVERYONE:
                known = known[np.arange(_EVERYONE) * len(known) // _EVERYONE]
            shares = shares_of_all(known, training.n_users)
            mixed = mixed_vectors if has_vectors(model) else mixed_rows
            self._everyone = training, mixed(shares, model)
        return self._everyone[1]


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


def _spoken(scores: np.ndarray) -> np.ndarray:
    """Scores with 0 where nothing is said."""
    return np.where(np.isneginf(scores), np.float32(0), scores)


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

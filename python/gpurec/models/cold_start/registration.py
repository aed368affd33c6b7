"""Answers of a registration as what a new user's first list is made of."""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ...index import ItemIndex
from ...types import TopK
from ..recommender import Recommender, real_setting, whole_setting
from ..recommender.training import TrainingPart
from .answers import Answers
from .sources import NewUserSource, best_of_rows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Registration", "Segments"]

_MOST_OPTIONS = 4096


class _OfAnswers(NewUserSource):
    """What answers say is learnt from the training users of the model that asks, once for each model."""

    def __init__(self, answers: Answers) -> None:
        if not isinstance(answers, Answers):
            raise TypeError(f"[cold_start] expected Answers, got {answers!r:.60}; see Answers")
        self._answers = answers
        self._learnt_from: TrainingPart | None = None

    @abstractmethod
    def _learn(self, given: csr_array, seen: csr_array) -> None:
        """Learn from answers (n, n_options) and items (n, n_items), both as ones, of users who gave some."""

    def _ready(self, model: Recommender) -> None:
        training = model.training
        if self._learnt_from is training:
            return
        given = self._answers.of(training.user_map.ids())
        both = np.flatnonzero((np.diff(given.indptr) > 0) & (training.user_counts > 0))
        seen = training.user_items[both].astype(np.float64)
        seen.data[:] = 1
        self._learn(given[both], seen)
        self._learnt_from = training


class Registration(_OfAnswers):
    """A linear model of items by answers: what those like who answer as the user did.

    Parameters
    ----------
    answers : Answers
        Of the training users, from whom it is learnt, and of new ones.
    l2 : float
        Penalty, above 0: the number of users whose likes it takes to believe an answer by half.

    Notes
    -----
    An item's score is base + the sum over the user's answers of a weight, of the ridge regression of the
    training users' items, as ones, on their answers and a constant (which is not penalised). Answers that no
    training user gave say nothing; a user with no other answers is not answered for. The items' weights are
    vectors in an index: exact. Memory: 8 n_options n_items bytes while it learns, at most 4,096 options.

    Source: the linear map from attributes of Gantner et al. 2010, "Learning attribute-to-feature mappings for
    cold-start recommendations", ICDM, to the items themselves.

    Examples
    --------
    >>> from gpurec import Interactions, Popularity
    >>> from gpurec.models import ColdStart
    >>> plays = Interactions.from_arrays([1, 2, 3], ["a", "a", "b"])
    >>> asked = Answers([1, 2, 3, 4], {"land": ["no", "no", "se", "se"]})
    >>> policy = ColdStart([Registration(asked, l2=0.1)])
    >>> list(Popularity().fit(plays).recommend([4], k=1, unknown=policy))[0][1][0][0]
    'b'
    """

    source = "registration"

    def __init__(self, answers: Answers, *, l2: float = 10.0) -> None:
        super().__init__(answers)
        self.l2 = real_setting("registration", "l2", l2, 1e-9, 1e12)
        if len(answers.options) > _MOST_OPTIONS:
            raise ValueError(
                f"[registration] expected at most {_MOST_OPTIONS} different answers, got "
                f"{len(answers.options)}; bring them into bands"
            )

    def _learn(self, given: csr_array, seen: csr_array) -> None:
        n = max(given.shape[0], 1)
        answers, popularity = given.toarray(), np.asarray(seen.sum(axis=0)).ravel() / n
        means = answers.sum(axis=0) / n
        # Centred columns: then the constant need not be solved for, and stays without a penalty.
        gram = (given.T @ given).toarray() - n * np.outer(means, means)
        products = (given.T @ seen).toarray() - n * np.outer(means, popularity)
        weights = np.linalg.solve(gram + self.l2 * np.eye(len(gram)), products)
        base = popularity - means @ weights
        self._heard = answers.any(axis=0)
        self._index = ItemIndex(np.vstack([weights, base]).T.astype(np.float32))

    def answers(self, model: Recommender, users: Any) -> np.ndarray:
        self._ready(model)
        return self._answers.of(users) @ self._heard.astype(np.float64) > 0

    def search(self, model: Recommender, users: Any, k: int, filters: dict[str, Any]) -> TopK:
        self._ready(model)
        given = (self._answers.of(users).toarray() * self._heard).astype(np.float32)
        return self._index.search(np.hstack([given, np.ones((len(given), 1), np.float32)]), k, **filters)


class Segments(_OfAnswers):
    """The most popular items among the users who gave the same answers to all questions.

    Parameters
    ----------
    answers : Answers
    shrink : float
        So many users with everyone's taste are added to each segment, 0 or more.
    least : int
        Segments of fewer training users do not answer.

    Notes
    -----
    An item's score is (users of the segment who have had it + shrink * share of all users who have) /
    (users of the segment + shrink).

    Examples
    --------
    >>> from gpurec import Interactions, Popularity
    >>> from gpurec.models import ColdStart
    >>> plays = Interactions.from_arrays([1, 2, 3], ["a", "a", "b"])
    >>> asked = Answers([1, 2, 3, 4, 5], {"land": ["no", "no", "se", "se", "dk"]})
    >>> policy = ColdStart([Segments(asked, shrink=1, least=1)])
    >>> found = Popularity().fit(plays).recommend([4, 5], k=1, unknown=policy)
    >>> found.item_ids.tolist(), found.sources.tolist()
    (['b', 'a'], ['segment', 'popularity'])
    """

    source = "segment"

    def __init__(self, answers: Answers, *, shrink: float = 10.0, least: int = 5) -> None:
        super().__init__(answers)
        self.shrink = real_setting("segments", "shrink", shrink, 0, 1e9)
        self.least = whole_setting("segments", "least", least, 1)

    def _learn(self, given: csr_array, seen: csr_array) -> None:
        from scipy.sparse import csr_array

        self._number: dict[tuple[int, ...], int] = {}
        own = [self._number.setdefault(key, len(self._number)) for key in _keys(given)]
        n = len(self._number)
        member = csr_array((np.ones(len(own)), (own, np.arange(len(own)))), shape=(n, len(own)))
        self._counts, self._sizes = (member @ seen).tocsr(), np.bincount(own, minlength=n)
        self._share = np.asarray(seen.sum(axis=0)).ravel() / max(len(own), 1)

    def _segments(self, users: Any) -> np.ndarray:
        """Number of each user's segment, -1 if it does not answer."""
        found = np.array([self._number.get(key, -1) for key in _keys(self._answers.of(users))], np.int64)
        large = np.append(self._sizes >= self.least, False)  # -1 is the last
        return np.where(large[found], found, -1)

    def answers(self, model: Recommender, users: Any) -> np.ndarray:
        self._ready(model)
        return self._segments(users) >= 0

    def search(self, model: Recommender, users: Any, k: int, filters: dict[str, Any]) -> TopK:
        self._ready(model)
        segments = self._segments(users)

        def scores(places: slice) -> np.ndarray:
            own = segments[places]
            counts = self._counts[own].toarray() + self.shrink * self._share
            return (counts / (self._sizes[own] + self.shrink)[:, np.newaxis]).astype(np.float32)

        return best_of_rows(scores, len(segments), model.training.n_items, k, filters)


def _keys(given: csr_array) -> list[tuple[int, ...]]:
    """The options that each user chose, as one thing to compare."""
    columns, bounds = given.indices.tolist(), given.indptr.tolist()
    return [tuple(columns[first:end]) for first, end in pairwise(bounds)]

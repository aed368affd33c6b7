"""What models of neighbours share: how alike rows are, and what a user's score is made of."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...artifacts import Artifact
from ...backends import strict_floats
from ...ops.gram_top_k import GRAM_METRICS, WEIGHTINGS
from ...progress import Progress
from ...types import TopK
from ..recommender import Callback, Reasons, ScoreRowModel, one_of, real_setting, whole_setting
from .biases import Biases
from .neighbour_lists import NeighbourLists, Similarity

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from typing_extensions import Self

    from ...data import Interactions

__all__ = ["NeighbourModel", "Votes", "ones"]

# What settings are if a model says nothing else.
_USUAL: dict[str, Any] = {
    "weighting": "none",
    "alpha": None,
    "shrinkage": 0.0,
    "n_candidates": 2000,
    "damping": 0.0,
}
_RATINGS = ("weighted", "centred", "baseline")


@dataclass(frozen=True)
class Votes:
    """What neighbours say about items, for one user: those of one item together, the most similar first.

    Attributes
    ----------
    items : integer array, shape (n,)
        Rising.
    voters : integer array, shape (n,)
        Rows of the neighbours: users, or items that the user rated.
    similarities : float32 array, shape (n,)
    deviations : float64 array, shape (n,)
        How far the neighbour's rating lies above what was to be expected.
    """

    items: np.ndarray
    voters: np.ndarray
    similarities: np.ndarray
    deviations: np.ndarray

    def first(self, n: int) -> Votes:
        """At most n votes of each item."""
        begins = np.flatnonzero(np.diff(self.items, prepend=-1))
        counts = np.diff(begins, append=len(self.items))
        kept = np.arange(len(self.items)) - np.repeat(begins, counts) < n
        return Votes(*(part[kept] for part in (self.items, self.voters, self.similarities, self.deviations)))


class NeighbourModel(ScoreRowModel):
    """A model of similar rows of one side; see `ItemKNN` for what the settings mean."""

    # "item" or "user": the rows that are compared.
    _side: ClassVar[str]
    # What settings are where none is given: of scores that are sums, of ratings, and of one form of these.
    _of_sums: ClassVar[dict[str, Any]]
    _of_ratings: ClassVar[dict[str, Any]]
    _of_weighted: ClassVar[dict[str, Any]] = {}

    _lists: NeighbourLists
    # Of scores that are sums of similarities: these, float64.
    _sums: csr_array
    # Of ratings: what they are without neighbours, what the form expects, how far each lies above it.
    _fallback: Biases
    _expected: Biases
    _deviations: csr_array

    def __init__(
        self,
        *,
        rating: str | None = None,
        n_neighbours: int | None = None,
        n_candidates: int | None = None,
        metric: str | None = None,
        weighting: str | None = None,
        alpha: float | None = None,
        beta: float | None = None,
        shrinkage: float | None = None,
        min_overlap: int = 1,
        damping: float | None = None,
        user_penalty: float = 15.0,
        item_penalty: float = 10.0,
    ) -> None:
        name = self.name
        if rating is not None:
            one_of(name, "rating", rating, _RATINGS)
        usual = _USUAL | (self._of_sums if rating is None else self._of_ratings)
        if rating == "weighted":
            usual |= self._of_weighted
        if metric is not None:
            usual["alpha"] = None  # which goes with the usual metric
        given = {
            "n_neighbours": n_neighbours,
            "n_candidates": n_candidates,
            "metric": metric,
            "weighting": weighting,
            "alpha": alpha,
            "shrinkage": shrinkage,
            "damping": damping,
        }
        chosen = {key: usual[key] if value is None else value for key, value in given.items()}
        super().__init__(
            rating=rating,
            n_neighbours=whole_setting(name, "n_neighbours", chosen["n_neighbours"], 1),
            n_candidates=whole_setting(name, "n_candidates", chosen["n_candidates"], 1),
            metric=one_of(name, "metric", chosen["metric"], GRAM_METRICS),
            weighting=one_of(name, "weighting", chosen["weighting"], ("none", *WEIGHTINGS)),
            **{
                key: None if value is None else real_setting(name, key, value, 0, 1e6)
                for key, value in (("alpha", chosen["alpha"]), ("beta", beta))
            },
            shrinkage=real_setting(name, "shrinkage", chosen["shrinkage"], 0, 1e6),
            min_overlap=whole_setting(name, "min_overlap", min_overlap, 1),
            damping=real_setting(name, "damping", chosen["damping"], 0, 1e6),
            user_penalty=real_setting(name, "user_penalty", user_penalty, 0, 1e6),
            item_penalty=real_setting(name, "item_penalty", item_penalty, 0, 1e6),
        )
        self.predicts_ratings = rating is not None

    # Which neighbours there are.

    def _similarity(self) -> Similarity:
        settings = self.settings
        how = {key: settings[key] for key in ("metric", "alpha", "beta", "shrinkage", "min_overlap")}
        how["weighting"] = None if settings["weighting"] == "none" else settings["weighting"]
        return Similarity(settings["n_neighbours" if settings["rating"] is None else "n_candidates"], how)

    def _compared(self) -> csr_array:
        """The rows that are compared, (n_users, n_items) or the other way round: ones or ratings."""
        matrix = self.training.user_items if self.predicts_ratings else ones(self.training.user_items)
        return matrix if self._side == "user" else matrix.T.tocsr()

    def _learn(
        self,
        interactions: Interactions,
        validation: Interactions | None,
        callback: Callback | None,
        progress: Progress,
    ) -> None:
        self._use(self._similarity().lists(self._compared(), progress, f"fitting {self.name}"))

    def fit_partial(self, interactions: Interactions, *, progress: Progress = None) -> Self:
        """Learn from more interactions, of old and of new users and items.

        Parameters
        ----------
        interactions : Interactions
            New ids get the rows after the old ones, in the order of its maps.
        progress : bool or callable, optional
            As of `fit`.

        Returns
        -------
        The model itself, equal bit for bit to one fitted on the old and the new interactions together.

        Notes
        -----
        A model that is not fitted is fitted. Weights of a pair that is there already are added, as `fit` adds
        those of a pair that stands twice. An error or Ctrl-C on the way leaves the model as it was.

        Cost: of the compared side, rows are compared anew that have a user or an item in common with one that
        got an interaction, which is their share of the cost of `fit`; biases are learnt anew, and the rest is
        linear in the interactions. With the metric "adjusted_cosine" or a weighting, every similarity depends
        on all interactions, and it costs what `fit` does.
        """
        if self._training is None:
            return self.fit(interactions, progress=progress)
        before = self._training
        try:
            with strict_floats():
                self._training = before.with_more(interactions)
                self._use(self._updated_lists(interactions, progress))
        except BaseException:
            self._training = before
            raise
        self._indexes.clear()
        return self

    def _updated_lists(self, interactions: Interactions, progress: Progress) -> NeighbourLists:
        x = self._compared()
        id_map = self.user_map if self._side == "user" else self.item_map
        ids = interactions.user_ids() if self._side == "user" else interactions.item_ids()
        changed = np.zeros(x.shape[0], bool)
        changed[id_map.rows(ids)] = True
        return self._similarity().updated(self._lists, x, changed, progress, f"fitting {self.name}")

    def _use(self, lists: NeighbourLists) -> None:
        """Take over lists of neighbours, all at the end, and what follows from them."""
        rating, ratings = self.settings["rating"], self.training.user_items
        if rating is None:
            learnt: dict[str, Any] = {"_sums": lists.matrix()}
        else:
            fallback = Biases.learnt(ratings, self.settings["user_penalty"], self.settings["item_penalty"])
            expected = {
                "weighted": lambda: Biases.none(ratings),
                "centred": lambda: Biases.of_means(ratings, self._side),
                "baseline": lambda: fallback,
            }[rating]()
            users = np.repeat(np.arange(ratings.shape[0]), np.diff(ratings.indptr))
            deviations = ratings.astype(np.float64)
            deviations.data -= expected.expected(users, ratings.indices)
            learnt = {"_fallback": fallback, "_expected": expected, "_deviations": deviations}
        vars(self).update(learnt | self._prepared(lists), _lists=lists)

    def _prepared(self, lists: NeighbourLists) -> dict[str, Any]:
        """What a subclass needs beside the lists."""
        return {}

    @abstractmethod
    def _votes(self, user_row: int, wanted: np.ndarray | None) -> Votes:
        """What neighbours say about the items, or about those that a bool array (n_items,) marks."""

    # What they say.

    @abstractmethod
    def _summed(self, user_rows: np.ndarray) -> np.ndarray:
        """Scores of users that are sums of similarities, as `_score_rows`."""

    def _score_rows(self, user_rows: np.ndarray) -> np.ndarray:
        if not self.predicts_ratings:
            return self._summed(user_rows)
        scores = np.empty((len(user_rows), self.training.n_items), np.float32)
        for row, user in zip(scores, user_rows.tolist()):
            row[:] = self._rated(user)
        return scores

    def _rated(self, user_row: int, item_rows: np.ndarray | None = None) -> np.ndarray:
        """Ratings of a user for all items, or for some, float32."""
        n_items = self.training.n_items
        wanted = None
        if item_rows is not None:
            wanted = np.zeros(n_items, bool)
            wanted[item_rows] = True
        asked = np.arange(n_items) if item_rows is None else item_rows
        user = np.full(len(asked), user_row)
        votes = self._votes(user_row, wanted).first(self.settings["n_neighbours"])
        similarities, damping = votes.similarities.astype(np.float64), self.settings["damping"]
        sums = sums_of(votes.items, similarities * votes.deviations, n_items)[asked]
        weights = sums_of(votes.items, similarities, n_items)[asked]
        said = weights > 0
        ratings = self._fallback.expected(user, asked)
        sums[said] += weights[said] * self._expected.expected(user[said], asked[said])
        sums[said] += damping * ratings[said]
        ratings[said] = sums[said] / (weights[said] + damping)
        return ratings.astype(np.float32) + np.float32(0)  # -0 becomes +0

    def _rated_pairs(self, user_rows: np.ndarray, item_rows: np.ndarray) -> np.ndarray:
        ratings = self._fallback.expected(user_rows, item_rows).astype(np.float32) + np.float32(0)
        pairs = np.flatnonzero((user_rows >= 0) & (item_rows >= 0))
        pairs = pairs[np.argsort(user_rows[pairs], kind="stable")]
        users, begins = np.unique(user_rows[pairs], return_index=True)
        for user, of_user in zip(users.tolist(), np.split(pairs, begins[1:])):
            ratings[of_user] = self._rated(user, item_rows[of_user])
        return ratings

    def _score_pairs(self, user_rows: np.ndarray, item_rows: np.ndarray) -> np.ndarray:
        if not self.predicts_ratings:
            return super()._score_pairs(user_rows, item_rows)
        with strict_floats():
            return self._rated_pairs(user_rows, item_rows)

    def _reasons(self, user_row: int, item_rows: np.ndarray) -> list[Reasons]:
        if not self.predicts_ratings:
            return [self._summands(user_row, item_rows)]
        wanted = np.zeros(self.training.n_items, bool)
        wanted[item_rows] = True
        votes = self._votes(user_row, wanted).first(self.settings["n_neighbours"])
        voters, place_of = np.unique(votes.voters, return_inverse=True)
        similarities, n_items = votes.similarities.astype(np.float64), self.training.n_items
        weights = sums_of(votes.items, similarities, n_items)
        divisors = weights + self.settings["damping"]
        added = np.zeros((n_items, len(voters)))
        added[votes.items, place_of] = similarities * votes.deviations / divisors[votes.items]
        said = weights > 0
        share = np.divide(weights, divisors, out=np.zeros(n_items), where=said)[item_rows, np.newaxis]
        user = np.full(len(item_rows), user_row)
        baselines = share * self._expected.parts(user, item_rows)
        baselines += (1 - share) * self._fallback.parts(user, item_rows)
        return [
            Reasons("baseline", ["mean", "user bias", "item bias"], baselines),
            Reasons(self._side, voters, added[item_rows]),
        ]

    @abstractmethod
    def _summands(self, user_row: int, item_rows: np.ndarray) -> Reasons:
        """What each neighbour adds to scores that are sums."""

    def _similar_rows(self, side: str, rows: np.ndarray, k: int) -> TopK:
        if side != self._side:
            return super()._similar_rows(side, rows, k)
        found, similarities = np.full((len(rows), k), -1), np.full((len(rows), k), -np.inf, np.float32)
        for i, row in enumerate(rows.tolist()):
            neighbours, similar = (part[:k] for part in self._lists.of(row))
            found[i, : len(neighbours)], similarities[i, : len(similar)] = neighbours, similar
        return TopK(found, similarities)

    # Saving.

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return self._lists.to_tensors(), {}

    def _restore(self, artifact: Artifact) -> None:
        n_rows = self.training.n_users if self._side == "user" else self.training.n_items
        with strict_floats():
            self._use(NeighbourLists.from_artifact(artifact, n_rows))


def sums_of(groups: np.ndarray, terms: np.ndarray, n_groups: int) -> np.ndarray:
    """Sums of float64 terms by group, in their order; zeros, and no integers, where there is no term."""
    return np.bincount(groups, terms, n_groups).astype(np.float64, copy=False)


def ones(matrix: csr_array) -> csr_array:
    """The same entries, each of them 1; float32."""
    from scipy.sparse import csr_array

    parts = np.ones(len(matrix.data), np.float32), matrix.indices, matrix.indptr
    return csr_array(parts, shape=matrix.shape)

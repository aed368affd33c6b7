"""What every model can do: recommend, predict, find similar ones, save and load."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..backends import strict_floats
from ..errors import UnknownIdError
from ..id_stores import id_at, plain_ids
from ..index import ItemIndex
from ..ops import score_pairs
from ..progress import Progress
from ..types import TopK
from .fitted import FittedModel
from .queries import (
    RowFilter,
    as_pair,
    checked_k,
    checked_rows,
    each_query,
    every_or_each_query,
    join_pairs,
    take_ids,
    take_queries,
)
from .recommendations import Recommendations
from .training import TrainingPart

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..data import Interactions

__all__ = ["Callback", "Recommender"]

Callback = Callable[[int, "Recommender", dict[str, Any]], "bool | None"]

# Pairs are scored in pieces of this many, to bound the memory of their gathered vectors.
_PAIRS_AT_ONCE = 1 << 17


class Recommender(FittedModel):
    """A model that scores a user and an item by the dot product of two vectors, biases being coordinates.

    A subclass says how it learns (`_learn`), what the vectors are (`_user_vectors`, `_item_vectors`) and
    what is to be saved (`_state`, `_restore`); everything else is here.

    Attributes
    ----------
    name : str
        The word for this kind of model: "mf".
    predicts_ratings : bool
        Whether scores are on the scale of the weights, so that RMSE means something.
    settings : dict
        Every argument of the constructor; JSON can hold it.
    user_map, item_map : IdMap
        The ids of the training part. These four only after `fit`.
    user_items : scipy CSR, shape (n_users, n_items)
        The training part.
    weight_range : (float, float)
        Smallest and largest training weight.

    Notes
    -----
    A *known* user or item is one with at least one training interaction. An id that stands in the maps
    without any, as the maps of a split may hold, is unknown to the model.
    """

    predicts_ratings: ClassVar[bool] = False

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._indexes: dict[str, ItemIndex] = {}

    # What a subclass says.

    @abstractmethod
    def _learn(
        self,
        interactions: Interactions,
        validation: Interactions | None,
        callback: Callback | None,
        progress: Progress,
    ) -> None:
        """Learn from the interactions; `self.training` is already in place."""

    @abstractmethod
    def _user_vectors(self, user_rows: np.ndarray) -> np.ndarray:
        """Vectors of users, float32 (n, d); row -1 is a user of whom nothing is known."""

    @abstractmethod
    def _item_vectors(self, item_rows: np.ndarray) -> np.ndarray:
        """Vectors of items, float32 (n, d); row -1 is an item of which nothing is known."""

    def _factors(self, side: str) -> np.ndarray:
        """Factors of the "user" or "item" side, float32 (n, n_factors), by which rows are similar."""
        raise ValueError(
            f"[similar_{side}s] expected a model with factors, got {self.name}, which has none; fit 'mf'"
        )

    def _popularity(self) -> np.ndarray:
        """How popular each item is, float32 (n_items,): the number of its users."""
        return self.training.item_counts.astype(np.float32)

    # Fitting.

    def fit(
        self,
        interactions: Interactions,
        *,
        validation: Interactions | None = None,
        callback: Callback | None = None,
        progress: Progress = None,
    ) -> Self:
        """Learn from interactions, forgetting whatever was learnt before.

        Parameters
        ----------
        interactions : Interactions
        validation : Interactions, optional
            Decides when to stop, for models that learn in epochs; others ignore it.
        callback : callable, optional
            `callback(epoch, model, metrics)` after every epoch, counted from 1, with the model usable as it
            stands; returning True stops.
        progress : bool or callable, optional
            True or False for a bar or none; by default a bar if stderr is a terminal and rich is there.
            A callable gets (epochs done, most epochs).

        Returns
        -------
        The model itself.

        Raises
        ------
        ValueError
            If there is no interaction, or a weight is not finite.

        Notes
        -----
        An error or Ctrl-C on the way leaves the model unfitted.
        """
        self._indexes.clear()
        try:
            with strict_floats():
                self._training = TrainingPart.of(interactions)
                self._learn(interactions, validation, callback, progress)
        except BaseException:
            self._training = None
            raise
        return self

    # Recommending.

    def recommend(
        self,
        users: Any,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        exclude: Any = None,
        allow: Any = None,
        deny: Any = None,
        unknown: str = "raise",
    ) -> Recommendations:
        """The best k items of each user, in external ids.

        Parameters
        ----------
        users : sequence of ids
        k : int
            At least 1; a user for whom fewer items are permitted gets fewer.
        exclude_seen : bool
            Leave out the items of the user's training part.
        exclude : list of collections of item ids, one a user, optional
            Left out for that user.
        allow, deny : collection of item ids, or list of collections, one a user, optional
            The only items permitted; items not permitted. An empty `allow` permits nothing.
        unknown : {"raise", "popularity", "skip"}
            What an unknown user does: raise, get the most popular of the permitted items, or get no entry.

        Returns
        -------
        Recommendations
            In the order of `users`. Scores are those of `predict`.

        Raises
        ------
        UnknownIdError
            If a user is unknown and `unknown="raise"`.
        ValueError
            If `k`, `unknown` or the length of a filter is out of range.

        Notes
        -----
        Item ids that the model has never seen are without effect in the filters: such items are never
        recommended. Ids keep their type, so "12" in `deny` does not deny the item 12.
        """
        if unknown not in ("raise", "popularity", "skip"):
            raise ValueError(
                f"[recommend] expected unknown of raise, popularity or skip, got {unknown!r}; choose one"
            )
        training = self.training
        users = plain_ids(users)
        user_rows = training.known_rows("user", users)
        n_asked = len(user_rows)
        given = {
            "exclude": each_query("exclude", exclude, training.item_map, n_asked),
            "allow": every_or_each_query("allow", allow, training.item_map, n_asked),
            "deny": every_or_each_query("deny", deny, training.item_map, n_asked),
        }
        known, others = np.flatnonzero(user_rows >= 0), np.flatnonzero(user_rows < 0)
        if others.size and unknown == "raise":
            raise UnknownIdError(
                f"[recommend] expected users with training interactions, got {id_at(users, others[0])!r}; "
                "do: unknown='popularity' or 'skip'"
            )
        # More than all items cannot come back, so a huge k need not be paid for.
        k = min(checked_k(k), max(training.n_items, 1))
        found = self.recommend_rows(
            user_rows[known],
            k,
            exclude_seen=exclude_seen,
            **{name: take_queries(rows, known) for name, rows in given.items()},
        )
        asked = known
        if unknown == "popularity" and others.size:
            popular = self._most_popular(
                others.size, k, **{name: take_queries(rows, others) for name, rows in given.items()}
            )
            asked = np.arange(n_asked)
            place = np.argsort(np.concatenate([known, others]))
            found = TopK(
                np.concatenate([found.rows, popular.rows])[place],
                np.concatenate([found.scores, popular.scores])[place],
            )
        return Recommendations.from_top_k(
            take_ids(users, asked),
            found,
            training.item_map,
            sources=np.where(user_rows[asked] >= 0, "model", "popularity").astype(object),
        )

    @strict_floats()
    def recommend_rows(
        self,
        user_rows: Any,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        exclude: Any = None,
        allow: Any = None,
        deny: Any = None,
    ) -> TopK:
        """The best k items of users given by their rows, as rows.

        Parameters
        ----------
        user_rows : integer array, shape (n,)
            Rows of the training maps.
        k : int
        exclude_seen : bool
            Leave out the items of the user's training part.
        exclude, allow, deny
            Rows of items, in the forms that `score_top_k` takes.

        Returns
        -------
        TopK
            rows int64 and scores float32, both (n, k), padded with -1 and -inf.

        Raises
        ------
        ValueError
            If a row lies outside the maps, or as `score_top_k`.
        """
        user_rows = checked_rows(user_rows, self.training.n_users)
        if exclude_seen:
            seen = self.training.seen(user_rows)
            exclude = seen if exclude is None else join_pairs(seen, as_pair(exclude, len(user_rows)))
        index = self._index("items", lambda: self._item_vectors(np.arange(self.training.n_items)))
        return index.search(self._user_vectors(user_rows), k, exclude=exclude, allow=allow, deny=deny)

    def popular_rows(self, k: int = 10) -> np.ndarray:
        """Rows of the k most popular items, best first; fewer if there are fewer (int64)."""
        rows = self._most_popular(1, min(checked_k(k), max(self.training.n_items, 1))).rows[0]
        return rows[rows >= 0]

    def _most_popular(self, n_queries: int, k: int, **filters: RowFilter) -> TopK:
        index = self._index("popular", lambda: self._popularity()[:, np.newaxis])
        return index.search(np.ones((n_queries, 1), dtype=np.float32), k, **filters)

    def _index(self, name: str, vectors: Callable[[], np.ndarray], metric: str = "dot") -> ItemIndex:
        if name not in self._indexes:
            self._indexes[name] = ItemIndex(vectors(), metric=metric)
        return self._indexes[name]

    def predict(self, user_ids: Any, item_ids: Any, *, unknown: str = "raise") -> np.ndarray:
        """The score of each user with the item beside it, float32 (n,): what `recommend` would show.

        Parameters
        ----------
        user_ids, item_ids : sequences of ids, of one length
        unknown : {"raise", "baseline"}
            What an unknown id does: raise, or count as a user or item of whom nothing is known.

        Raises
        ------
        UnknownIdError
            If an id is unknown and `unknown="raise"`.
        ValueError
            If the lengths differ.

        Notes
        -----
        Not clipped to the training range: clipping would tie the best items. Clip before RMSE.
        """
        if unknown not in ("raise", "baseline"):
            raise ValueError(
                f"[predict] expected unknown of 'raise' or 'baseline', got {unknown!r}; choose one"
            )
        user_ids, item_ids = plain_ids(user_ids), plain_ids(item_ids)
        if len(user_ids) != len(item_ids):
            raise ValueError(
                f"[predict] expected one item a user, got {len(user_ids)} users and {len(item_ids)} items; "
                "repeat the shorter"
            )
        rows = {}
        for side, ids in (("user", user_ids), ("item", item_ids)):
            rows[side] = self.training.known_rows(side, ids)
            if unknown == "raise" and (rows[side] < 0).any():
                raise UnknownIdError(
                    f"[predict] expected {side}s with training interactions, got "
                    f"{id_at(ids, np.argmin(rows[side]))!r}; do: unknown='baseline'"
                )
        return self._score_rows(rows["user"], rows["item"])

    @strict_floats()
    def _score_rows(self, user_rows: np.ndarray, item_rows: np.ndarray) -> np.ndarray:
        scores = np.empty(len(user_rows), dtype=np.float32)
        for start in range(0, len(scores), _PAIRS_AT_ONCE):
            piece = slice(start, start + _PAIRS_AT_ONCE)
            scores[piece] = score_pairs(
                self._user_vectors(user_rows[piece]), self._item_vectors(item_rows[piece])
            )
        return scores

    # Similar ones.

    def similar_items(self, item_ids: Any, k: int = 10) -> Recommendations:
        """The k items whose factors have the highest cosine with each given item, itself left out.

        Returns
        -------
        Recommendations
            With columns item_id, similar_item_id, score, rank. Biases play no part.

        Raises
        ------
        UnknownIdError
            If an item is unknown.
        """
        return self._similar("item", item_ids, k)

    def similar_users(self, user_ids: Any, k: int = 10) -> Recommendations:
        """The k users whose factors have the highest cosine with each given user, as `similar_items`."""
        return self._similar("user", user_ids, k)

    def _similar(self, side: str, ids: Any, k: int) -> Recommendations:
        training = self.training
        factors = self._factors(side)
        ids = plain_ids(ids)
        rows = training.known_rows(side, ids)
        if (rows < 0).any():
            raise UnknownIdError(
                f"[similar_{side}s] expected {side}s with training interactions, got "
                f"{id_at(ids, np.argmin(rows))!r}; leave it out"
            )
        id_map = training.user_map if side == "user" else training.item_map
        counts = training.user_counts if side == "user" else training.item_counts
        found = self._index(f"similar_{side}s", lambda: factors, "cosine").search_ids(
            rows, min(checked_k(k), max(len(factors), 1)), allow=counts > 0
        )
        return Recommendations.from_top_k(
            take_ids(ids, np.arange(len(rows))), found, id_map, columns=(f"{side}_id", f"similar_{side}_id")
        )

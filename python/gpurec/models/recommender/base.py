"""What every model can do: recommend, predict, find similar ones, save and load."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...backends import strict_floats
from ...errors import UnknownIdError
from ...id_stores import id_at, plain_ids
from ...progress import Progress
from ...types import TopK
from .queries import checked_k, take_ids
from .recommendations import Recommendations
from .recommending import RecommendingModel
from .training import TrainingPart

if TYPE_CHECKING:
    from typing_extensions import Self

    from ...data import Interactions

__all__ = ["Callback", "Recommender"]

Callback = Callable[[int, "Recommender", dict[str, Any]], "bool | None"]


class Recommender(RecommendingModel):
    """What every model can do.

    A subclass says how it learns (`_learn`), how it scores (`_search`, `_score_pairs`, `_query_bytes`: see
    `VectorModel`, `ScoreRowModel` and `HistoryModel`), what a score is made of (`_reasons`) and what is to be
    saved (`_state`, `_restore`).

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

    predicts_ratings: bool = False

    @property
    def predicts_at_times(self) -> bool:
        """Whether `predict` also takes `timestamps`, the time of each rating."""
        return False

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

    def _factors(self, side: str) -> np.ndarray:
        """Factors of the "user" or "item" side, float32 (n, n_factors), by which rows are similar."""
        raise ValueError(
            f"[similar_{side}s] expected a model that compares {side}s, got {self.name}, which does not; "
            f"fit 'mf' or '{side}-knn'"
        )

    def _similar_rows(self, side: str, rows: np.ndarray, k: int) -> TopK:
        """The k known rows of a side most similar to each of some rows, themselves left out."""
        index = self._index(f"similar_{side}s", lambda: self._factors(side), "cosine")
        return index.search_ids(rows, k, allow=self.training.known(side))

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
        return self._score_pairs(*self._rows_of_pairs(user_ids, item_ids, unknown))

    def _rows_of_pairs(self, user_ids: Any, item_ids: Any, unknown: str) -> tuple[np.ndarray, np.ndarray]:
        """Rows of users and items that `predict` is asked about, -1 for an unknown one."""
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
        return rows["user"], rows["item"]

    # Similar ones.

    def similar_items(self, item_ids: Any, k: int = 10) -> Recommendations:
        """The k items most similar to each given item, itself left out.

        Returns
        -------
        Recommendations
            With columns item_id, similar_item_id, score, rank. The score is the cosine of factors, without
            biases, or of a model of neighbours the similarity by which it recommends.

        Raises
        ------
        UnknownIdError
            If an item is unknown.
        ValueError
            If the model does not compare items.
        """
        return self._similar("item", item_ids, k)

    def similar_users(self, user_ids: Any, k: int = 10) -> Recommendations:
        """The k users most similar to each given user, as `similar_items`."""
        return self._similar("user", user_ids, k)

    def _similar(self, side: str, ids: Any, k: int) -> Recommendations:
        training = self.training
        ids = plain_ids(ids)
        rows = training.known_rows(side, ids)
        if (rows < 0).any():
            raise UnknownIdError(
                f"[similar_{side}s] expected {side}s with training interactions, got "
                f"{id_at(ids, np.argmin(rows))!r}; leave it out"
            )
        id_map = training.user_map if side == "user" else training.item_map
        found = self._similar_rows(side, rows, min(checked_k(k), max(len(id_map), 1)))
        return Recommendations.from_top_k(
            take_ids(ids, np.arange(len(rows))), found, id_map, columns=(f"{side}_id", f"similar_{side}_id")
        )

"""The explaining part of every model."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from ...backends import strict_floats
from ...errors import UnknownIdError
from ...id_stores import plain_ids
from .explanation import Explanation, Reasons
from .fitted import FittedModel

__all__ = ["ExplainingModel"]


class ExplainingModel(FittedModel):
    """What a model needs to say why; see `Recommender`."""

    @abstractmethod
    def _score_pairs(self, user_rows: np.ndarray, item_rows: np.ndarray) -> np.ndarray:
        """Score of each user with the item beside it, float32 (n,); of row -1 nothing is known."""

    @abstractmethod
    def _reasons(self, user_row: int, item_rows: np.ndarray) -> list[Reasons]:
        """What the scores of known items are made of, for a known user."""

    def explain(self, user_id: Any, item_id: Any) -> Explanation:
        """What the user's score of an item is made of.

        Parameters
        ----------
        user_id, item_id
            Ids with training interactions. The item may be one that the user has had.

        Returns
        -------
        Explanation
            Its contributions add up to what `predict` gives, within its `tolerance`.

        Raises
        ------
        UnknownIdError
            If the user or the item is unknown.
        """
        user_row, item_rows = self._explainable(user_id, item_id)
        scores = self._score_pairs(np.array([user_row]), item_rows)
        return self._explained(user_row, item_rows, scores, self._reasons(user_row, item_rows))[0]

    def _explainable(self, user_id: Any, item_id: Any) -> tuple[int, np.ndarray]:
        """Rows of a known user and a known item."""
        rows = {}
        for side, given in (("user", user_id), ("item", item_id)):
            ids = plain_ids([given])
            rows[side] = self.training.known_rows(side, ids)
            if rows[side][0] < 0:
                a = "an item" if side == "item" else "a user"
                raise UnknownIdError(
                    f"[explain] expected {a} with training interactions, got {given!r}; leave it out"
                )
        return int(rows["user"][0]), rows["item"]

    @strict_floats()
    def _explained(
        self, user_row: int, item_rows: np.ndarray, scores: np.ndarray, reasons: list[Reasons]
    ) -> list[Explanation]:
        """The explanations of some items' scores, for one user."""
        training = self.training
        maps = {"item": training.item_map, "user": training.user_map, "friend": training.user_map}
        kinds: list[str] = []
        names: list[Any] = []
        columns = [np.empty((len(item_rows), 0))]
        for of_kind in reasons:
            id_map = maps.get(of_kind.kind)
            labels = list(of_kind.names) if id_map is None else id_map.ids(of_kind.names).tolist()
            kinds += [of_kind.kind] * len(labels)
            names += labels
            columns.append(of_kind.contributions)
        contributions = np.concatenate(columns, axis=1)
        user = training.user_map.ids(np.array([user_row])).tolist()[0]
        items = training.item_map.ids(item_rows).tolist()
        return [
            Explanation(user, item, score, kinds, names, parts)
            for item, score, parts in zip(items, scores.tolist(), contributions)
        ]

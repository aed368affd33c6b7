"""Models that predict a rating as mu + b_u + b_i + p_u . q_i, however they learn these."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import numpy as np

from ....artifacts import Artifact
from ....errors import ArtifactError
from ...recommender import Reasons, VectorModel, with_columns
from .moments import Moments

__all__ = ["TABLES", "BiasedFactors"]

TABLES = ("user_factors", "item_factors", "user_biases", "item_biases")


class BiasedFactors(VectorModel):
    """A model of factors, biases and a mean; it says how they are learnt (`_learn`, which calls `_set`).

    Attributes
    ----------
    user_factors, item_factors : float32 arrays, shape (n_users, rank) and (n_items, rank)
    user_biases, item_biases : float32 arrays, shape (n_users,) and (n_items,)
    mean : float
        mu, the mean training rating.

    Notes
    -----
    Tables may have more rows than there are users or items, for users or items at some time: then those are
    the first rows of what `_set` gets, and `_user_vectors` and `_item_vectors` take any of them. The settings
    `user_days` and `item_days` say how long a bin of time is, `_user_rows` and `_item_rows` whose rows are
    whose.
    """

    predicts_ratings = True
    _user_rows: Moments
    _item_rows: Moments

    @property
    @abstractmethod
    def _rank(self) -> int:
        """Columns of the tables of factors."""

    @abstractmethod
    def _pull(self, n_ratings: int, scale: float) -> float:
        """How strongly a user's factors are pulled to 0, beside squared errors of ratings.

        `scale` is the standard deviation of all ratings.
        """

    # Times.

    @property
    def predicts_at_times(self) -> bool:
        """Whether `predict` takes the time of each rating."""
        return bool(self.settings["user_days"] or self.settings["item_days"])

    def _rows_at(
        self, user_rows: np.ndarray, item_rows: np.ndarray, timestamps: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the tables at some times, of those of users and items."""
        return self._user_rows.rows_at(user_rows, timestamps), self._item_rows.rows_at(item_rows, timestamps)

    def predict(
        self, user_ids: Any, item_ids: Any, *, timestamps: Any = None, unknown: str = "raise"
    ) -> np.ndarray:
        """As `Recommender.predict`; with `timestamps` what each user would say of the item at that time.

        Parameters
        ----------
        user_ids, item_ids : sequences of ids, of one length
        timestamps : sequence, of that length, optional
            Seconds since 1970, dates, or ISO texts. In a bin of time without training ratings of the user
            (item), as where none are given, what holds at no particular time counts.
        unknown : {"raise", "baseline"}

        Raises
        ------
        UnknownIdError
            If an id is unknown and `unknown="raise"`.
        ValueError
            If lengths differ, or the model knows no times.
        """
        from ....data.columns import time_array

        rows = self._rows_of_pairs(user_ids, item_ids, unknown)
        if timestamps is not None:
            if not self.predicts_at_times:
                raise ValueError(
                    "[predict] expected a model of times, got user_days and item_days of 0; leave times out"
                )
            times = time_array(timestamps)
            if len(times) != len(rows[0]):
                raise ValueError(
                    f"[predict] expected a timestamp for each of {len(rows[0])} pairs, got {len(times)}; "
                    "repeat the shorter"
                )
            rows = self._rows_at(*rows, times)
        return self._score_pairs(*rows)

    # Tables.

    def _set(
        self,
        user_factors: np.ndarray,
        item_factors: np.ndarray,
        user_biases: np.ndarray,
        item_biases: np.ndarray,
        mean: float,
    ) -> None:
        self._indexes.clear()
        tables = (user_factors, item_factors, user_biases, item_biases)
        self._all_rows = dict(zip(TABLES, tables))
        n_users, n_items = self.training.n_users, self.training.n_items
        self.user_factors, self.user_biases = user_factors[:n_users], user_biases[:n_users]
        self.item_factors, self.item_biases = item_factors[:n_items], item_biases[:n_items]
        self.mean = mean

    def _learnt(self) -> dict[str, Any]:
        return {**self._all_rows, "mean": self.mean}

    def _n_rows(self, side: str) -> int:
        """Rows of the tables of "user" or "item"."""
        return (self._user_rows if side == "user" else self._item_rows).n_rows

    def _user_vectors(self, user_rows: np.ndarray) -> np.ndarray:
        # The query (q, 1, mu + b_u) meets the item (x, b_i, 1): the biases are coordinates.
        factors, biases = self._all_rows["user_factors"], self._all_rows["user_biases"]
        of_rows = np.append(biases, np.float32(0))[user_rows]  # row -1 is the last: nothing known
        ones = np.ones(len(user_rows))
        return with_columns(factors, user_rows, ones, self.mean + of_rows.astype(np.float64))

    def _item_vectors(self, item_rows: np.ndarray) -> np.ndarray:
        factors, biases = self._all_rows["item_factors"], self._all_rows["item_biases"]
        of_rows = np.append(biases, np.float32(0))[item_rows]
        return with_columns(factors, item_rows, of_rows, np.ones(len(item_rows)))

    def _factors(self, side: str) -> np.ndarray:
        return self.user_factors if side == "user" else self.item_factors

    def _reasons(self, user_row: int, item_rows: np.ndarray) -> list[Reasons]:
        """Of the factors' part what each rating adds if the user's factors are solved anew from all of them.

        That is q . A^-1 q_j e_j with A = sum of q_j q_j' + a pull to 0, e_j what the biases leave of the
        rating. What was learnt beyond it is a part of its own.

        Source: Hu, Koren and Volinsky 2008, "Collaborative filtering for implicit feedback
        datasets", section 5.
        """
        mean, bias = self.mean, float(self.user_biases[user_row])
        item_biases = self.item_biases.astype(np.float64)
        begin, end = self.user_items.indptr[user_row], self.user_items.indptr[user_row + 1]
        rated, ratings = self.user_items.indices[begin:end], self.user_items.data[begin:end]
        of_rated, of_items = (self.item_factors[rows].astype(np.float64) for rows in (rated, item_rows))
        scale = float(self.user_items.data.std(dtype=np.float64)) or 1.0
        A = of_rated.T @ of_rated + max(self._pull(len(rated), scale), 1e-6) * np.eye(of_rated.shape[1])
        left = ratings - (mean + bias + item_biases[rated])
        added = of_items @ np.linalg.solve(A, of_rated.T) * left
        rest = of_items @ self.user_factors[user_row].astype(np.float64) - added.sum(axis=1)
        n = len(item_rows)
        baselines = np.column_stack([np.full(n, mean), np.full(n, bias), item_biases[item_rows]])
        return [
            Reasons("baseline", ["mean", "user bias", "item bias"], baselines),
            Reasons("item", rated, added),
            Reasons("part", ["learnt beyond"], rest[:, np.newaxis]),
        ]

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        moments = self._user_rows.to_tensors("user") | self._item_rows.to_tensors("item")
        return self._all_rows | moments, {"mean": self.mean}

    def _restore(self, artifact: Artifact) -> None:
        self._user_rows, self._item_rows = (
            Moments.from_artifact(artifact, side, n, self.settings[f"{side}_days"])
            for side, n in (("user", self.training.n_users), ("item", self.training.n_items))
        )
        n_users, n_items = self._n_rows("user"), self._n_rows("item")
        tensors = {
            "user_factors": artifact.tensor("user_factors", np.float32, (n_users, self._rank)),
            "item_factors": artifact.tensor("item_factors", np.float32, (n_items, self._rank)),
            "user_biases": artifact.tensor("user_biases", np.float32, (n_users,)),
            "item_biases": artifact.tensor("item_biases", np.float32, (n_items,)),
        }
        mean = artifact.meta.get("mean")
        if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
            raise ArtifactError("[load] expected finite factors and biases, got others; fit and save again")
        if not isinstance(mean, (int, float)) or not math.isfinite(mean):
            raise ArtifactError(f"[load] expected mean as a finite number, got {mean!r:.60}")
        self._set(**tensors, mean=float(mean))

"""Items and users that come after the fit: appended, or answered without being kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...backends import SparseRows, strict_floats
from ...errors import UnknownIdError
from ...id_stores import plain_ids
from ...types import TopK
from ..recommender import Recommendations
from ..recommender.queries import checked_k, every_or_each_query
from .learnt import LearntContent
from .matrices import csr_of, resized, sparse_rows, stacked
from .profiles import weighted_means

if TYPE_CHECKING:
    from ...features import FeatureTable

__all__ = ["Newcomers"]


class Newcomers(LearntContent):
    """The half of `ContentBased` that serves whom and what the training part lacks."""

    @strict_floats()
    def append_items(self, features: FeatureTable) -> np.ndarray:
        """Add new items, which are recommended from now on, and return their rows, int64.

        Parameters
        ----------
        features : FeatureTable
            Of ids that the model has no row for; columns that it lacks are missing, others are not used.

        Raises
        ------
        ValueError
            If the model was fitted without features of items, an id is there already, or a value does not
            fit its column. Nothing changes then.

        Notes
        -----
        Nothing is learnt from them. Ask from other threads before or after, not meanwhile.
        """
        of_new, units = self._described(features)
        ids = features.id_map.ids()
        _refuse_known("items", self.training.item_map.rows(ids, unknown="ignore"), ids)
        vectors = self.blocks.vectors(units)
        described = np.append(self.training.known("item"), (vectors != 0).any(axis=1))
        rows = self._add_items(ids)
        self._item_features = stacked(self._item_features, of_new)
        self._items.append(vectors)
        self._training = replace(self.training, described_items=described)
        kept = self._indexes.get("items")
        self._indexes.clear()
        if kept is not None:
            kept.append(vectors)
            self._indexes["items"] = kept
        return rows

    def append_users(self, features: FeatureTable) -> np.ndarray:
        """Add new users by their features, who can be asked about from now on, and return their rows, int64.

        Parameters
        ----------
        features : FeatureTable
            Of ids that the model has no row for.

        Raises
        ------
        ValueError
            If the model was fitted without features of users, an id is there already, or a value does not
            fit its column. Nothing changes then.
        """
        registration = self._registration
        if registration is None:
            raise ValueError("[content] expected a model with features of users, got one without; fit anew")
        ids = features.id_map.ids()
        _refuse_known("users", self.training.user_map.rows(ids, unknown="ignore"), ids)
        of_new = csr_of(registration.encoder.transform(features))
        rows = self._add_users(ids)
        self._registration = registration.appended(of_new)
        self._tell_who_is_described()
        return rows

    def _add_items(self, ids: Any) -> np.ndarray:
        """Rows of items, new ones for new ids, in which nobody has an interaction."""
        training = self.training
        rows = training.item_map.add(ids)
        shape = training.n_users, len(training.item_map)
        self._histories = resized(self._histories, shape)
        # What was described is told anew when vectors are there.
        self._training = replace(
            training, user_items=resized(training.user_items, shape), described_items=None
        )
        return rows

    def _add_users(self, ids: Any) -> np.ndarray:
        """Rows of users, new ones for new ids, without an interaction."""
        training = self.training
        rows = training.user_map.add(ids)
        shape = len(training.user_map), training.n_items
        self._histories = resized(self._histories, shape)
        self._training = replace(
            training, user_items=resized(training.user_items, shape), described_users=None
        )
        return rows

    def recommend_new(
        self,
        histories: Mapping[Any, Any] | None = None,
        k: int = 10,
        *,
        features: FeatureTable | None = None,
        exclude_seen: bool = True,
        allow: Any = None,
        deny: Any = None,
    ) -> Recommendations:
        """The best items of users whom the model does not keep, by what they liked and what they are.

        Parameters
        ----------
        histories : mapping of user id to item ids, optional
            A list of liked items, or a mapping of items to how much they are liked, dislikes below 0. Items
            that the model does not know say nothing.
        k : int
        features : FeatureTable, optional
            Of these users, such as the answers of their registration.
        exclude_seen : bool
            Leave out the items of their histories.
        allow, deny
            As of `recommend`.

        Returns
        -------
        Recommendations
            In the order of `histories`, then of `features`.

        Raises
        ------
        UnknownIdError
            If of a user nothing is known that the model can use.
        ValueError
            If the model was fitted without features of users and is given some.

        Examples
        --------
        >>> from gpurec import Interactions
        >>> from gpurec.models import ContentBased
        >>> plays = Interactions.from_arrays([1, 1, 2, 2, 3], ["a", "b", "a", "b", "c"])
        >>> ContentBased().fit(plays).recommend_new({"eve": ["a"]}, k=1).to_dicts()[0]["item_id"]
        'b'
        """
        given = dict(histories or {})
        users = list(given) + ([] if features is None else [u for u in features.id_map if u not in given])
        liked = self._liked([given.get(user, ()) for user in users])
        pull, foretold, registration = np.zeros(len(users)), None, self._registration
        if features is not None:
            if registration is None:
                raise ValueError("[recommend_new] expected no features, for the model was fitted without")
            rows = features.id_map.rows(users, unknown="ignore")
            answers = sparse_rows(csr_of(registration.encoder.transform(features)), rows)
            pull, foretold = self._pull(answers), registration.foretold(answers)
        vectors = weighted_means(liked, self._vectors, foretold, pull)
        lost = np.flatnonzero((liked.lengths == 0) & (pull == 0))
        if lost.size:
            raise UnknownIdError(
                f"[recommend_new] expected known items or features of a user, got none of {users[lost[0]]!r}"
            )
        item_map = self.training.item_map
        filters = {
            "allow": every_or_each_query("allow", allow, item_map, len(users)),
            "deny": every_or_each_query("deny", deny, item_map, len(users)),
        }
        seen = (liked.indptr, liked.columns.astype(np.int64)) if exclude_seen else None
        found: TopK = self._item_index().search(
            vectors, min(checked_k(k), max(self.training.n_items, 1)), exclude=seen, **filters
        )
        ids = plain_ids(users)
        if not isinstance(ids, np.ndarray):
            ids = np.fromiter(ids, dtype=object, count=len(ids))
        return Recommendations.from_top_k(
            ids, found, item_map, sources=np.full(len(users), self.name, dtype=object)
        )

    def _liked(self, histories: list[Any]) -> SparseRows:
        """Histories in external ids as rows."""
        from scipy.sparse import coo_array

        users, items, values = [], [], []
        for user, history in enumerate(histories):
            weights = history if isinstance(history, Mapping) else dict.fromkeys(list(history), 1.0)
            rows = self.training.known_rows("item", list(weights))
            for row, weight in zip(rows.tolist(), weights.values()):
                if row >= 0:
                    users.append(user)
                    items.append(row)
                    values.append(float(weight))
        if not all(map(math.isfinite, values)):
            raise ValueError("[recommend_new] expected finite weights of liked items, got NaN or infinity")
        shape = (len(histories), self.training.n_items)
        matrix = coo_array(
            (np.array(values, np.float32), (np.array(users, int), np.array(items, int))), shape=shape
        )
        return sparse_rows(csr_of(matrix), np.arange(len(histories)))


def _refuse_known(what: str, rows: np.ndarray, ids: np.ndarray) -> None:
    if (rows >= 0).any():
        known = ids[rows >= 0].tolist()[0]
        raise ValueError(f"[content] expected new {what}, got {known!r}, which has a row; leave it out")

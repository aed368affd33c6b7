"""Models that give users and items factors from interactions which the fit did not have."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...backends import SparseRows, strict_floats
from ...errors import UnknownIdError
from ...id_stores import plain_ids
from ...ops.sparse_arguments import as_sparse_rows
from ..recommender import Recommendations, VectorModel
from ..recommender.queries import checked_k, every_or_each_query

if TYPE_CHECKING:
    from ...data import Interactions

__all__ = ["NewcomersModel"]


class NewcomersModel(VectorModel):
    """What factor models say of users and items by interactions given with the question."""

    def fold_in(self, interactions: Interactions, side: str = "user") -> np.ndarray:
        """Vectors of users (or items) from their interactions alone, without keeping them.

        Parameters
        ----------
        interactions : Interactions
            All that is known of each user. Items that the model does not know say nothing.
        side : {"user", "item"}

        Returns
        -------
        float32 array, shape (users of its map, width)
            In the rows of `interactions.user_map` (`item_map`), as `fold_in_rows` gives them; without any
            factors where nothing is known.

        Raises
        ------
        ValueError
            If `side` is neither, or as `fold_in_rows` says.

        Examples
        --------
        >>> from gpurec import Interactions
        >>> from gpurec.models import ImplicitALS
        >>> plays = Interactions.from_arrays([1, 1, 2, 2, 3], ["a", "b", "a", "b", "a"])
        >>> model = ImplicitALS(n_factors=2).fit(plays)
        >>> again = model.fold_in(Interactions.from_arrays(["eve"], ["a"]))
        >>> bool((again[0] == model.user_factors[2]).all())
        True
        """
        return self.fold_in_rows(self._in_rows(interactions, side), side)

    @abstractmethod
    def fold_in_rows(self, interactions: Any, side: str = "user") -> np.ndarray:
        """As `fold_in`, of a matrix in this model's rows, a column for each of the other side."""

    def _newcomers(self, interactions: Any, side: str) -> SparseRows:
        """The argument of `fold_in_rows`, checked."""
        _, n_others = self._others(side)
        matrix = as_sparse_rows(interactions, "interactions", "fold_in")
        if matrix.n_columns != n_others:
            raise ValueError(
                f"[fold_in] expected interactions with {n_others} columns, got {matrix.n_columns}; "
                "columns are rows of the model's maps"
            )
        return matrix

    def _in_rows(self, interactions: Interactions, side: str) -> SparseRows:
        """Interactions of a side with what the model knows of the other."""
        other, n_others = self._others(side)
        own_map, other_map = interactions.user_map, interactions.item_map
        own_rows, other_rows = interactions.user_rows, interactions.item_rows
        if side == "item":
            own_map, other_map, own_rows, other_rows = other_map, own_map, other_rows, own_rows
        columns = self.training.known_rows(other, other_map.ids())[other_rows]
        kept = columns >= 0
        from scipy.sparse import coo_array

        matrix = coo_array(
            (interactions.weights[kept], (own_rows[kept], columns[kept])), shape=(len(own_map), n_others)
        )
        return as_sparse_rows(matrix, "interactions", "fold_in")

    def _others(self, side: str) -> tuple[str, int]:
        """The other side, and how many rows it has."""
        if side not in ("user", "item"):
            raise ValueError(f"[fold_in] expected side of 'user' or 'item', got {side!r}")
        return ("item", self.training.n_items) if side == "user" else ("user", self.training.n_users)

    def recommend_new(
        self,
        histories: Interactions | Mapping[Any, Any],
        k: int = 10,
        *,
        exclude_seen: bool = True,
        allow: Any = None,
        deny: Any = None,
    ) -> Recommendations:
        """The best items of users by the interactions given here, whether or not the fit knew them.

        Parameters
        ----------
        histories : Interactions, or mapping of user id to item ids
            All that is known of each user; a mapping's values may map items to weights. Items that the model
            does not know say nothing.
        k : int
        exclude_seen : bool
            Leave out the items of their histories.
        allow, deny
            As of `recommend`.

        Returns
        -------
        Recommendations
            In the order of `histories`.

        Raises
        ------
        UnknownIdError
            If of a user nothing is known that the model can use.
        ValueError
            If a weight is not finite or, with `alpha`, below 0.

        Examples
        --------
        >>> from gpurec import Interactions
        >>> from gpurec.models import ImplicitALS
        >>> plays = Interactions.from_arrays([1, 1, 2, 2, 3], ["a", "b", "a", "b", "a"])
        >>> ImplicitALS(n_factors=2).fit(plays).recommend_new({"eve": ["a"]}, k=1).to_dicts()[0]["item_id"]
        'b'
        """
        matrix, ids = self._histories_in_rows(histories)
        lost = np.flatnonzero(matrix.lengths == 0)
        if lost.size:
            raise UnknownIdError(
                f"[recommend_new] expected known items of a user, got none of {ids[int(lost[0])]!r}"
            )
        item_map = self.training.item_map
        filters = {
            "allow": every_or_each_query("allow", allow, item_map, len(ids)),
            "deny": every_or_each_query("deny", deny, item_map, len(ids)),
        }
        seen = (matrix.indptr, matrix.columns.astype(np.int64)) if exclude_seen else None
        k = min(checked_k(k), max(self.training.n_items, 1))
        with strict_floats():
            found = self._item_index().search(self.fold_in_rows(matrix), k, exclude=seen, **filters)
        sources = np.full(len(ids), self.name, dtype=object)
        return Recommendations.from_top_k(ids, found, item_map, sources=sources)

    def _histories_in_rows(self, histories: Any) -> tuple[SparseRows, Any]:
        """A row for each user who is asked about, and their ids."""
        if not isinstance(histories, Mapping):
            return self._in_rows(histories, "user"), histories.user_map.ids()
        from scipy.sparse import coo_array

        users, rows, weights = [], [], []
        for user, history in enumerate(histories.values()):
            of_items = history if isinstance(history, Mapping) else dict.fromkeys(list(history), 1.0)
            known = self.training.known_rows("item", list(of_items))
            users += [user] * int((known >= 0).sum())
            rows += known[known >= 0].tolist()
            weights += [float(w) for w, row in zip(of_items.values(), known.tolist()) if row >= 0]
        shape = (len(histories), self.training.n_items)
        places = np.array(users, int), np.array(rows, int)
        matrix = coo_array((np.array(weights, np.float64), places), shape=shape)
        ids = plain_ids(list(histories))
        if not isinstance(ids, np.ndarray):
            ids = np.fromiter(ids, dtype=object, count=len(ids))
        return as_sparse_rows(matrix, "histories", "recommend_new"), ids

"""What implicit's models of factors share: answers from an index of the items, and from one of the users."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np

from ....backends import strict_floats
from ....errors import ArtifactError
from ....index import ItemIndex
from ...arguments import as_count, as_distinct_rows, as_rows, rows_of_users
from ..recommender_base import ModelFitError, RecommenderBase, fitted, setting, trimmed

__all__ = ["MatrixFactorizationBase"]


class MatrixFactorizationBase(RecommenderBase):
    """A model that scores by the product of a user's and an item's factors.

    Parameters
    ----------
    num_threads : int
        Kept for implicit's sake; `GPUREC_NUM_THREADS` sets the threads, and answers depend on none.

    Attributes
    ----------
    user_factors, item_factors : arrays, shape (n_users, n_factors) and (n_items, n_factors)
        None before `fit`. They may be assigned, and not written into: indexes stand on them.

    Notes
    -----
    Scores are the canonical ones of `ItemIndex`: of factors rounded to float32, exact but for one rounding.
    """

    # Settings that are saved beside the factors and `dtype`, with their kinds.
    _kinds: ClassVar[dict[str, type]] = {}
    dtype = np.dtype(np.float32)
    random_state: Any = None

    def __init__(self, num_threads: int = 0) -> None:
        self.num_threads = num_threads
        self._tables: dict[str, np.ndarray | None] = {"user": None, "item": None}
        self._indexes: dict[tuple[str, str], ItemIndex] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_indexes": {}}  # which are made again where a copy needs them

    # What was learnt.

    @property
    def user_factors(self) -> Any:
        """Factors of the users, read-only."""
        return self._tables["user"]

    @user_factors.setter
    def user_factors(self, factors: Any) -> None:
        self._assign("user", factors)

    @property
    def item_factors(self) -> Any:
        """Factors of the items, read-only."""
        return self._tables["item"]

    @item_factors.setter
    def item_factors(self, factors: Any) -> None:
        self._assign("item", factors)

    def _assign(self, side: str, factors: Any) -> None:
        if factors is not None:
            factors = np.asarray(factors).view()
            if factors.ndim != 2 or factors.dtype.kind != "f":
                raise ValueError(
                    f"[{side}_factors] expected floats of shape (n_{side}s, n_factors), got {factors.dtype} "
                    f"of shape {factors.shape}"
                )
            factors.flags.writeable = False
        self._tables[side] = factors
        self._changed(side)

    def _changed(self, side: str) -> None:
        """Forget what stands on the factors of a side."""
        self._indexes = {key: index for key, index in self._indexes.items() if key[0] != side}

    def _index(self, side: str, metric: str) -> ItemIndex:
        if (side, metric) not in self._indexes:
            self._indexes[side, metric] = ItemIndex(fitted(self._tables[side], self), metric=metric)
        return self._indexes[side, metric]

    def _check_fit_errors(self) -> None:
        for side, factors in self._tables.items():
            if not np.isfinite(fitted(factors, self)).all():
                raise ModelFitError(
                    f"[fit] expected finite factors of {side}s, got NaN or infinity; lower learning_rate or "
                    "alpha, or raise regularization"
                )

    @property
    def user_norms(self) -> np.ndarray:
        """Lengths of the users' factors, 1e-10 where there is none, as in implicit."""
        return _norms(fitted(self.user_factors, self))

    @property
    def item_norms(self) -> np.ndarray:
        """Lengths of the items' factors, 1e-10 where there is none, as in implicit."""
        return _norms(fitted(self.item_factors, self))

    # Asking.

    def recommend(
        self,
        userid: Any,
        user_items: Any,
        N: int = 10,
        filter_already_liked_items: bool = True,
        filter_items: Any = None,
        recalculate_user: bool = False,
        items: Any = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `RecommenderBase.recommend`. `user_items` may be None where nothing is taken from it."""
        index = self._index("item", "dot")
        known = None if recalculate_user else len(fitted(self.user_factors, self))
        users, one = as_rows(userid, known, "userid", "recommend")
        exclude = None
        if filter_already_liked_items or recalculate_user:
            liked = rows_of_users(user_items, len(users), "user_items", "recommend")
            if filter_already_liked_items:
                exclude = liked.indptr, liked.indices
        if recalculate_user:
            vectors = np.atleast_2d(self.recalculate_user(userid, liked))
        else:
            vectors = self.user_factors[users]
        return self._search(index, vectors, one, N, exclude, filter_items, items, ("filter_items", "items"))

    @strict_floats()
    def _search(
        self,
        index: ItemIndex,
        vectors: np.ndarray,
        one: bool,
        N: Any,
        exclude: Any,
        denied: Any,
        allowed: Any,
        names: tuple[str, str],
    ) -> tuple[np.ndarray, np.ndarray]:
        N = as_count(N, "N", "recommend")
        if denied is not None and allowed is not None:
            raise ValueError(f"[recommend] expected {names[1]} or {names[0]}, got both; leave one out")
        n = len(index)
        deny = as_distinct_rows(denied, n, names[0], "recommend")
        allow = as_distinct_rows(allowed, n, names[1], "recommend")
        width = N if allow is None else min(N, len(allow))
        if width == 0 or len(vectors) == 0:
            empty = np.empty((len(vectors), width))
            return trimmed(empty.astype(np.int64), empty.astype(np.float32), one)
        if one:
            width = min(width, max(n, 1))
        found = index.search(vectors, width, exclude=exclude, allow=allow, deny=deny)
        return trimmed(found.rows, found.scores, one)

    def recommend_all(
        self,
        user_items: Any,
        N: int = 10,
        recalculate_user: bool = False,
        filter_already_liked_items: bool = True,
        filter_items: Any = None,
        users_items_offset: int = 0,
    ) -> np.ndarray:
        """Ids of the best N items of each user in `user_items`; deprecated in implicit: `recommend` does it.

        Users are numbered from `users_items_offset`.
        """
        warnings.warn(
            "recommend_all is deprecated; do: recommend(numpy.arange(n_users), user_items)",
            DeprecationWarning,
            stacklevel=2,
        )
        ids, _ = self.recommend(
            np.arange(user_items.shape[0]) + users_items_offset,
            user_items,
            N=N,
            filter_already_liked_items=filter_already_liked_items,
            filter_items=filter_items,
            recalculate_user=recalculate_user,
        )
        return ids

    def similar_users(
        self, userid: Any, N: int = 10, filter_users: Any = None, users: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `RecommenderBase.similar_users`; scores are cosines of factors."""
        index = self._index("user", "cosine")
        asked, one = as_rows(userid, len(index), "userid", "similar_users")
        vectors = self.user_factors[asked]
        return self._search(index, vectors, one, N, None, filter_users, users, ("filter_users", "users"))

    def similar_items(
        self,
        itemid: Any,
        N: int = 10,
        recalculate_item: bool = False,
        item_users: Any = None,
        filter_items: Any = None,
        items: Any = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `RecommenderBase.similar_items`; scores are cosines of factors.

        With `recalculate_item` the factors come from `item_users`, a row of users for each item asked about.
        """
        index = self._index("item", "cosine")
        asked, one = as_rows(itemid, None if recalculate_item else len(index), "itemid", "similar_items")
        if recalculate_item:
            vectors = np.atleast_2d(self.recalculate_item(itemid, item_users))
        else:
            vectors = self.item_factors[asked]
        return self._search(index, vectors, one, N, None, filter_items, items, ("filter_items", "items"))

    def recalculate_user(self, userid: Any, user_items: Any) -> np.ndarray:
        """Factors of users from what they had; not every model can."""
        raise NotImplementedError(f"[recalculate_user] expected a model of least squares, got {self._word}")

    def recalculate_item(self, itemid: Any, item_users: Any) -> np.ndarray:
        """Factors of items from who had them; not every model can."""
        raise NotImplementedError(f"[recalculate_item] expected a model of least squares, got {self._word}")

    @property
    def _word(self) -> str:
        return type(self).__name__

    # Saving.

    def _saved(self) -> dict[str, Any]:
        saved = {name: getattr(self, name) for name in self._kinds}
        if not isinstance(self.random_state, (int, np.integer)):
            saved.pop("random_state", None)  # of a generator there is no plain form
        return (
            {f"{side}_factors": table for side, table in self._tables.items()}
            | saved
            | {"dtype": self.dtype.name}
        )

    def _restore(self, arrays: dict[str, np.ndarray]) -> None:
        for name, kind in self._kinds.items():
            setattr(self, name, setting(arrays, name, kind, getattr(self, name)))
        word = setting(arrays, "dtype", str, "float32")
        if word not in ("float16", "float32", "float64"):
            raise ArtifactError(f"[load] expected a dtype of floats, got {word!r:.40}")
        self.dtype = np.dtype(word)
        self._restore_factors(arrays)

    def _restore_factors(self, arrays: dict[str, np.ndarray]) -> None:
        """Take factors out of a file's arrays.

        Raises
        ------
        ArtifactError
            If they are no finite tables of one width.
        """
        tables = {side: arrays.pop(f"{side}_factors", None) for side in self._tables}
        for side, table in tables.items():
            if table is not None and (
                table.ndim != 2
                or table.dtype.kind != "f"
                or table.shape[1] == 0
                or not np.isfinite(table).all()
            ):
                raise ArtifactError(f"[load] expected {side}_factors as a table of finite floats")
        widths = {table.shape[1] for table in tables.values() if table is not None}
        if len(widths) > 1:
            raise ArtifactError(f"[load] expected factors of one width, got {sorted(widths)}")
        self.user_factors, self.item_factors = tables["user"], tables["item"]


def _norms(factors: np.ndarray) -> np.ndarray:
    norms = np.sqrt(np.square(factors, dtype=np.float64).sum(axis=1)).astype(factors.dtype)
    norms[norms == 0] = 1e-10
    return norms

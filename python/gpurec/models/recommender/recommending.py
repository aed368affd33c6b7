"""How a model's users are asked about: in external ids, block by block, the unknown ones apart."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...backends import strict_floats
from ...errors import UnknownIdError
from ...id_stores import id_at, plain_ids
from ...index import ItemIndex
from ...index.blocks import as_batch, queries_at_once
from ...types import TopK
from .explaining import ExplainingModel
from .explanation import Explanation
from .queries import (
    RowFilter,
    UnknownUsers,
    checked_k,
    checked_rows,
    each_query,
    every_or_each_query,
    take_ids,
    take_queries,
)
from .recommendations import Recommendations

__all__ = ["RecommendingModel"]


@dataclass(frozen=True)
class _Request:
    """Users who are asked about, each with the item rows of the filters."""

    users: Any
    user_rows: np.ndarray
    filters: dict[str, RowFilter]

    def part(self, asked: np.ndarray) -> _Request:
        """The request for some of the users."""
        filters = {name: take_queries(rows, asked) for name, rows in self.filters.items()}
        return _Request(take_ids(self.users, asked), self.user_rows[asked], filters)

    def __len__(self) -> int:
        return len(self.user_rows)


class RecommendingModel(ExplainingModel):
    """The recommending half of `Recommender`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._indexes: dict[str, ItemIndex] = {}

    @abstractmethod
    def _search(self, user_rows: np.ndarray, k: int, exclude_seen: bool, filters: dict[str, Any]) -> TopK:
        """The best k items of users; `exclude`, `allow` and `deny` in the forms of `score_top_k`."""

    @abstractmethod
    def _query_bytes(self, k: int) -> int:
        """Memory, in bytes, that a user's answer takes while it is made."""

    def _popularity(self) -> np.ndarray:
        """How popular each item is, float32 (n_items,): the number of its users."""
        return self.training.item_counts.astype(np.float32)

    def recommend(
        self,
        users: Any,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        exclude: Any = None,
        allow: Any = None,
        deny: Any = None,
        unknown: str | UnknownUsers = "raise",
        with_explanations: bool = False,
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
        unknown : {"raise", "popularity", "skip"} or ColdStart
            What an unknown user does: raise, get the most popular of the permitted items, or get no entry; a
            policy asks friends, registration answers or another model.
        with_explanations : bool
            Say of each item why, as `explain` does; takes a few milliseconds a user.

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
        request = self._request(users, exclude, allow, deny, unknown)
        found = self._recommended(request, k, exclude_seen, unknown)
        if with_explanations:
            found.explanations = self._why(found)
        return found

    def recommend_all(
        self,
        users: Any = None,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        exclude: Any = None,
        allow: Any = None,
        deny: Any = None,
        unknown: str | UnknownUsers = "raise",
        batch: int | str = "auto",
        progress: Callable[[int, int], object] | None = None,
    ) -> Iterator[Recommendations]:
        """As `recommend` for any number of users, a block of them at a time, in bounded memory.

        Parameters
        ----------
        users : sequence of ids, optional
            By default every user that the model knows.
        k, exclude_seen, exclude, allow, deny, unknown
            As of `recommend`.
        batch : int or "auto"
            Users of a block; "auto" takes as many as 64 MB hold, by estimate, as in `ItemIndex.search_all`.
        progress : callable, optional
            Called with (users done, users in all) before each block is handed out.

        Returns
        -------
        iterator of Recommendations
            Blocks in the order of `users`.

        Raises
        ------
        UnknownIdError, ValueError
            As `recommend`, before the first block.
        """
        if users is None:
            users = self.training.user_map.ids(np.flatnonzero(self.training.known("user")))
        request = self._request(users, exclude, allow, deny, unknown)
        k, size = self._places(k), as_batch(batch, "recommend_all")
        if size is None:
            size = queries_at_once(self._query_bytes(k))
        return self._blocks(request, k, exclude_seen, unknown, size, progress)

    def _blocks(
        self,
        request: _Request,
        k: int,
        exclude_seen: bool,
        unknown: str | UnknownUsers,
        size: int,
        progress: Callable[[int, int], object] | None,
    ) -> Iterator[Recommendations]:
        for first in range(0, len(request), size):
            end = min(first + size, len(request))
            found = self._recommended(request.part(np.arange(first, end)), k, exclude_seen, unknown)
            if progress is not None:
                progress(end, len(request))
            yield found

    def _request(
        self, users: Any, exclude: Any, allow: Any, deny: Any, unknown: str | UnknownUsers
    ) -> _Request:
        if not isinstance(unknown, UnknownUsers) and unknown not in ("raise", "popularity", "skip"):
            raise ValueError(
                f"[recommend] expected unknown of raise, popularity or skip, got {unknown!r}; choose one"
            )
        training = self.training
        users = plain_ids(users)
        user_rows = training.known_rows("user", users)
        n = len(user_rows)
        filters = {
            "exclude": each_query("exclude", exclude, training.item_map, n),
            "allow": every_or_each_query("allow", allow, training.item_map, n),
            "deny": every_or_each_query("deny", deny, training.item_map, n),
        }
        if unknown == "raise" and (user_rows < 0).any():
            raise UnknownIdError(
                "[recommend] expected users with training interactions, got "
                f"{id_at(users, np.argmax(user_rows < 0))!r}; do: unknown='popularity' or 'skip'"
            )
        return _Request(users, user_rows, filters)

    def _places(self, k: Any) -> int:
        """More than all items cannot come back, so a huge k need not be paid for."""
        return min(checked_k(k), max(self.training.n_items, 1))

    def _recommended(
        self, request: _Request, k: Any, exclude_seen: bool, unknown: str | UnknownUsers
    ) -> Recommendations:
        k = self._places(k)
        known, others = np.flatnonzero(request.user_rows >= 0), np.flatnonzero(request.user_rows < 0)
        part = request.part(known) if others.size else request
        found = self.recommend_rows(part.user_rows, k, exclude_seen=exclude_seen, **part.filters)
        asked, sources = known, np.full(len(known), "model", object)
        if others.size and unknown != "skip":
            part = request.part(others)
            new, new_sources = self._found_for_unknown(part.users, k, part.filters, unknown)
            answered = np.array([source is not None for source in new_sources], dtype=bool)
            asked = np.concatenate([known, others[answered]])
            place = np.argsort(asked)
            asked, sources = asked[place], np.concatenate([sources, new_sources[answered]])[place]
            found = TopK(
                np.concatenate([found.rows, new.rows[answered]])[place],
                np.concatenate([found.scores, new.scores[answered]])[place],
            )
        return Recommendations.from_top_k(
            take_ids(request.users, asked), found, self.training.item_map, sources=sources
        )

    def _found_for_unknown(
        self, users: Any, k: int, filters: dict[str, Any], unknown: str | UnknownUsers
    ) -> tuple[TopK, np.ndarray]:
        """Answers of users whom the model does not know, and who gave each: None for no entry."""
        if isinstance(unknown, UnknownUsers):
            sources = self._sources_of_unknown(unknown, users)
            return self._search_unknown(unknown, users, k, filters), sources
        return self._most_popular(len(users), k, **filters), np.full(len(users), "popularity", object)

    def _sources_of_unknown(self, policy: UnknownUsers, users: Any) -> np.ndarray:
        return policy.sources(self, users)

    def _search_unknown(self, policy: UnknownUsers, users: Any, k: int, filters: dict[str, Any]) -> TopK:
        return policy.search(self, users, k, filters)

    def _why(self, found: Recommendations) -> list[Explanation]:
        """An explanation of each row of the table."""
        training, explanations, sources = self.training, [], found.sources
        assert sources is not None
        user_rows = training.known_rows("user", found.user_ids).tolist()
        for i, (user, items) in enumerate(found):
            if user_rows[i] >= 0:
                table = slice(found.indptr[i], found.indptr[i + 1])
                item_rows = training.item_map.rows(found.item_ids[table])
                reasons = self._reasons(user_rows[i], item_rows)
                explanations += self._explained(user_rows[i], item_rows, found.scores[table], reasons)
            else:
                explanations += [
                    Explanation(user, item, score, ["baseline"], [sources[i]], [score])
                    for item, score in items
                ]
        return explanations

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
        filters = {"exclude": exclude, "allow": allow, "deny": deny}
        return self._search(user_rows, k, exclude_seen, filters)

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

"""A model whose users are drawn towards their friends, the more the less they have had themselves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...artifacts import Artifact
from ...backends import strict_floats
from ...errors import ArtifactError
from ...progress import Progress
from ...types import TopK
from ..hybrid.parts import has_vectors, named, new_part, part_state, restore_part
from ..recommender import Callback, HistoryModel, Reasons, ScoreRowModel, VectorModel, real_setting
from .links import Links
from .mixtures import mixed_rows, mixed_vectors, shares_of_friends

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from ...data import Interactions

__all__ = ["Social"]


class Social(VectorModel, ScoreRowModel):
    """Scores are a model's own, mixed with the mean of what it says to the user's friends.

    Parameters
    ----------
    links : Links or path, optional
        Who is whose friend; a path is read by `Links.from_file` when the model is fitted. Without links it is
        the base.
    base : model, name, or pair of name and settings
        Of any kind but this one and "hybrid".
    strength : float
        How many of the user's own items each friend is worth, 0 or more: m friends beside n items have the
        share strength * m / (strength * m + n).

    Attributes
    ----------
    base : Recommender
    friends : scipy CSR, float64, shape (n_users, n_users)
        Shares of each user's friends, of sum 1; only friends with interactions.

    Notes
    -----
    Of a base of vectors the users' vectors are mixed, and answers come from its index of items; of others the
    rows of scores are. Where scores are sums over a user's items, a friend's are brought to as many items as
    the user has. A user without known friends has the base's own scores, bit for bit. Sums are in
    float32, by rising row of the friends. A user without interactions is unknown to this model like to any:
    `FriendsVotes` answers them.

    Source: after Ma, Zhou, Liu, Lyu and King 2011, "Recommender systems with social regularization", WSDM;
    here the mean is taken when scores are asked for, and the share falls with the user's own items.

    Examples
    --------
    >>> from gpurec import Interactions
    >>> plays = Interactions.from_arrays(["ann", "bob", "bob", "cid"], ["a", "a", "b", "c"])
    >>> links = Links.from_arrays(["ann"], ["cid"])
    >>> Social(links, base="popularity", strength=1).fit(plays).explain("ann", "b").names
    ['own', 'cid']
    """

    name: ClassVar[str] = "social"

    def __init__(
        self,
        links: Links | str | os.PathLike[str] | None = None,
        *,
        base: Any = "gf-cf",
        strength: float = 0.2,
    ) -> None:
        self.base = new_part("social", base, ("hybrid", "social"))
        if links is not None and not isinstance(links, (Links, str, os.PathLike)):
            raise TypeError(f"[social] expected links as Links or a path, got {links!r:.60}; see Links")
        self._links = links
        super().__init__(
            links=os.fspath(links) if isinstance(links, (str, os.PathLike)) else None,
            base=named(self.base),
            strength=real_setting("social", "strength", strength, 0, 1e9),
        )
        self.predicts_ratings = self.base.predicts_ratings  # type: ignore[misc]

    def _learn(
        self,
        interactions: Interactions,
        validation: Interactions | None,
        callback: Callback | None,
        progress: Progress,
    ) -> None:
        links = self._links
        if links is not None and not isinstance(links, Links):
            links = Links.from_file(links)
        self.base.fit(interactions, validation=validation, callback=callback, progress=progress)
        self.base._training = self.training  # equal, and need not be there twice
        self._use(self._friends_of(links))

    def _friends_of(self, links: Links | None) -> csr_array:
        from scipy.sparse import csr_array

        training = self.training
        if links is None:
            return csr_array((training.n_users, training.n_users), dtype=np.float64)
        weights = links.among(training.user_map.ids(), training.user_map)
        return shares_of_friends(weights, training.user_counts)

    def _use(self, friends: csr_array) -> None:
        from scipy.sparse import diags_array

        self.friends, counts = friends, self.training.user_counts
        strength = self.settings["strength"]
        worth = strength * np.diff(friends.indptr)
        share = worth / np.maximum(worth + counts, 1e-300)
        of_friends = diags_array(share) @ friends
        if isinstance(self.base, HistoryModel):
            # Such scores grow with the items that they are sums over: without this a friend drowns the user.
            of_friends = (
                diags_array(counts.astype(float)) @ of_friends @ diags_array(1 / np.maximum(counts, 1.0))
            )
        self._mixture = (diags_array(1 - share) + of_friends).tocsr()
        self._mixture.eliminate_zeros()
        self._mixture.sort_indices()

    @property
    def _by_vectors(self) -> bool:  # type: ignore[override]
        return has_vectors(self.base)

    @property
    def _way(self) -> type[VectorModel] | type[ScoreRowModel]:
        return VectorModel if self._by_vectors else ScoreRowModel

    def _user_vectors(self, user_rows: np.ndarray) -> np.ndarray:
        own = np.array(self.base._user_vectors(user_rows))  # type: ignore[attr-defined]
        known = np.flatnonzero(user_rows >= 0)
        if known.size:
            own[known] = mixed_vectors(self._mixture[user_rows[known]], self.base)
        return own

    def _item_vectors(self, item_rows: np.ndarray) -> np.ndarray:
        return self.base._item_vectors(item_rows)  # type: ignore[attr-defined]

    def _score_rows(self, user_rows: np.ndarray) -> np.ndarray:
        return mixed_rows(self._mixture[user_rows], self.base)

    def _search(self, user_rows: np.ndarray, k: int, exclude_seen: bool, filters: dict[str, Any]) -> TopK:
        return self._way._search(self, user_rows, k, exclude_seen, filters)

    def _query_bytes(self, k: int) -> int:
        return 2 * self._way._query_bytes(self, k)

    @strict_floats()
    def _score_pairs(self, user_rows: np.ndarray, item_rows: np.ndarray) -> np.ndarray:
        scores = self._way._score_pairs(self, user_rows, item_rows)
        unknown = np.flatnonzero((user_rows < 0) | (item_rows < 0))
        if unknown.size:
            scores[unknown] = self.base._score_pairs(user_rows[unknown], item_rows[unknown])
        return scores

    def _popularity(self) -> np.ndarray:
        return self.base._popularity()

    def _factors(self, side: str) -> np.ndarray:
        return self.base._factors(side)

    def _reasons(self, user_row: int, item_rows: np.ndarray) -> list[Reasons]:
        mixture = self._mixture[[user_row]]
        users = mixture.indices.astype(np.int64)
        pairs = np.repeat(users, len(item_rows)), np.tile(item_rows, len(users))
        said = self.base._score_pairs(*pairs).astype(np.float64).reshape(len(users), -1)
        added = (mixture.data[:, np.newaxis] * said).T
        own = users == user_row
        return [
            Reasons("part", ["own"] * int(own.sum()), added[:, own]),
            Reasons("friend", users[~own], added[:, ~own]),
        ]

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        tensors, meta = part_state("base", self.base)
        links = {
            "friends.indptr": self.friends.indptr.astype(np.int64),
            "friends.rows": self.friends.indices.astype(np.int64),
            "friends.shares": self.friends.data,
        }
        return tensors | links, {"base": meta}

    def _restore(self, artifact: Artifact) -> None:
        from scipy.sparse import csr_array

        n = self.training.n_users
        indptr = artifact.tensor("friends.indptr", np.int64, (n + 1,))
        rows = artifact.tensor("friends.rows", np.int64, (None,))
        shares = artifact.tensor("friends.shares", np.float64, rows.shape)
        whole = indptr[0] == 0 and indptr[-1] == len(rows) and (np.diff(indptr) >= 0).all()
        if not whole or (len(rows) and not 0 <= rows.min() <= rows.max() < n):
            raise ArtifactError("[load] expected friends to be a CSR matrix over the saved users; save again")
        friends = csr_array((shares, rows, indptr), shape=(n, n))
        if not ((shares > 0) & (shares <= 1)).all() or not friends.has_canonical_format:
            raise ArtifactError("[load] expected shares of friends in (0, 1], each friend once; save again")
        restore_part("base", self.base, artifact, artifact.meta.get("base"), self)
        self._use(friends)

"""Who trusts whom: links between users, in external ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import Interactions, read_records
from ...types import IdMap

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Links"]


class Links:
    """Links from users to friends, each with a weight above 0; links to oneself are left out.

    Attributes
    ----------
    user_map, friend_map : IdMap
        Those who have friends, and the friends.
    weights : scipy CSR, float32, shape (n_users, n_friends)
        The sum of the weights of a link that is given several times.

    Examples
    --------
    >>> Links.from_arrays(["ann", "ann", "bob"], ["bob", "cid", "ann"])
    Links(3 links of 2 users)
    """

    def __init__(self, table: Interactions) -> None:
        if len(table) and table.weights.min() <= 0:
            bad = int(np.argmin(table.weights))
            raise ValueError(
                f"[links] expected weights above 0, got {table.weights[bad]} in link {bad}; "
                "leave distrust out"
            )
        self.user_map, self.friend_map = table.user_map, table.item_map
        own = self.friend_map.rows(self.user_map.ids(), unknown="ignore")
        others = table.take(table.item_rows != own[table.user_rows])
        self.weights: csr_array = others.user_items

    @classmethod
    def from_arrays(cls, user_ids: Iterable[Any], friend_ids: Iterable[Any], weights: Any = None) -> Links:
        """Links of one user, friend and weight each; 1 where no weights are given.

        Raises
        ------
        ValueError
            If lengths differ, an id is missing, or a weight is not above 0 and finite.

        Examples
        --------
        >>> Links.from_arrays([1, 1], [2, 3], [1, 0.5]).weights.toarray().tolist()
        [[1.0, 0.5]]
        """
        return cls(Interactions.from_arrays(user_ids, friend_ids, weights))

    @classmethod
    def from_file(
        cls,
        path: str | PathLike[str],
        *,
        format: str = "auto",
        columns: Mapping[str, str | int | None] | None = None,
    ) -> Links:
        """Links of a file: user, friend and, where there is a third column, weight.

        Parameters
        ----------
        path : path
        format : str
            As of `read_records`.
        columns : mapping, optional
            Names or places of the columns; "user" is the first, "item", the friend, the second if not given.

        Raises
        ------
        FileNotFoundError, ValueError
            As `read_records` and `from_arrays`.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "friends.tsv")
        >>> _ = path.write_text("userID\\tfriendID\\n2\\t275\\n2\\t428\\n")
        >>> Links.from_file(path)
        Links(2 links of 1 users)
        """
        places = {"user": 0, "item": 1} | dict(columns or {})
        return cls(Interactions.from_records(read_records(path, format=format, columns=places)))

    def among(self, user_ids: Any, friends: IdMap) -> csr_array:
        """Weights of users' links to some friends, float32 CSR (n_users, n_friends), columns rising.

        Parameters
        ----------
        user_ids : sequence of ids
        friends : IdMap
            Links to others are left out.

        Examples
        --------
        >>> Links.from_arrays([1, 1], [2, 3]).among([5, 1], IdMap([3, 4])).toarray().tolist()
        [[0.0, 0.0], [1.0, 0.0]]
        """
        from scipy.sparse import csr_array

        rows = self.user_map.rows(user_ids, unknown="ignore")
        asked = np.flatnonzero(rows >= 0)
        own = self.weights[rows[asked]].tocoo()
        columns = friends.rows(self.friend_map.ids(), unknown="ignore")[own.col]
        kept = columns >= 0
        found = csr_array(
            (own.data[kept], (asked[own.row[kept]], columns[kept])), shape=(len(rows), len(friends))
        )
        found.sort_indices()
        return found

    def __len__(self) -> int:
        return self.weights.nnz

    def __repr__(self) -> str:
        return f"Links({len(self)} links of {len(self.user_map)} users)"

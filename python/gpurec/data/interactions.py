"""`Interactions`: who did what with which item, how much and when, over maps of external ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ..types import IdMap
from .columns import (
    id_array,
    integer_column,
    one_a_record,
    refuse_missing,
    row_column,
    time_array,
    weight_array,
    weight_column,
)
from .matrix import user_items_matrix
from .records import Records, frame_of_columns, records_from_frame

if TYPE_CHECKING:
    import polars
    from scipy.sparse import csr_array

__all__ = ["Interactions"]


@dataclass(frozen=True, eq=False)
class Interactions:
    """Records (user, item, weight, timestamp) over maps of external ids; checked, and never changed.

    Attributes
    ----------
    user_rows, item_rows : int64 array, shape (n,)
        Rows in the maps.
    weights : float32 array, shape (n,)
        Ratings, plays, or 1; always finite.
    timestamps : int64 array, shape (n,), or None
        Seconds since 1970 (UTC).
    user_map, item_map : IdMap
        External ids of the rows. They may hold ids without a record, so that the two parts of a split
        share them. Do not extend a map that interactions hold; `with_maps_of` makes new ones.

    Raises
    ------
    ValueError
        If the arrays differ in length, a row is not in its map, or a weight is not finite in float32; the
        text names the first such record, counted from 0.
    TypeError
        If rows or timestamps are not integers.

    Notes
    -----
    The same pair may stand in several records (`resolve_duplicates` decides); the arrays are read-only.

    Examples
    --------
    >>> plays = Interactions.from_arrays(["ann", "bob", "ann"], ["alien", "alien", "brazil"], [5, 3, 4])
    >>> plays
    Interactions(3 records, 2 users, 2 items)
    >>> plays.user_items.toarray().tolist()
    [[5.0, 4.0], [3.0, 0.0]]
    """

    user_rows: np.ndarray
    item_rows: np.ndarray
    weights: np.ndarray
    timestamps: np.ndarray | None
    user_map: IdMap
    item_map: IdMap

    def __post_init__(self) -> None:
        n = len(self.user_rows)
        self._keep("user_rows", row_column("user_rows", self.user_rows, n, len(self.user_map)))
        self._keep("item_rows", row_column("item_rows", self.item_rows, n, len(self.item_map)))
        self._keep("weights", weight_column(self.weights, n))
        if self.timestamps is not None:
            self._keep("timestamps", integer_column("timestamps", self.timestamps, n))

    def _keep(self, name: str, values: np.ndarray) -> None:
        values = values.view()
        values.flags.writeable = False
        object.__setattr__(self, name, values)

    @classmethod
    def from_arrays(
        cls,
        user_ids: Iterable[Any],
        item_ids: Iterable[Any],
        weights: Any = None,
        timestamps: Any = None,
        *,
        user_map: IdMap | None = None,
        item_map: IdMap | None = None,
    ) -> Interactions:
        """Interactions of one external id, weight and timestamp a record.

        Parameters
        ----------
        user_ids, item_ids : sequence of hashable, length n
            Rows go by first appearance where no map is given.
        weights : sequence of float, length n, optional
            1 each when None.
        timestamps : sequence, length n, optional
            Seconds since 1970, dates, or ISO texts.
        user_map, item_map : IdMap, optional
            Maps that already hold every id.

        Raises
        ------
        ValueError
            If lengths differ, an id is None or NaN, or a weight is not finite.
        UnknownIdError
            If a given map lacks an id.

        Examples
        --------
        >>> Interactions.from_arrays([7, 7], ["a", "b"], timestamps=["1970-01-02", 5]).timestamps.tolist()
        [86400, 5]
        """
        raw = Records(
            id_array(one_a_record(user_ids)),
            id_array(one_a_record(item_ids)),
            None if weights is None else weight_array(one_a_record(weights)),
            None if timestamps is None else time_array(one_a_record(timestamps)),
        )
        return cls.from_records(raw, user_map=user_map, item_map=item_map)

    @classmethod
    def from_records(
        cls, records: Records, *, user_map: IdMap | None = None, item_map: IdMap | None = None
    ) -> Interactions:
        """Interactions of raw records in which nothing is missing.

        Raises
        ------
        ValueError
            If an id, weight or timestamp is missing or a weight is not finite; `clean` drops such records.
        UnknownIdError
            If a given map lacks an id.

        Examples
        --------
        >>> Interactions.from_records(Records(np.array([1, 1]), np.array([8, 9])))
        Interactions(2 records, 1 users, 2 items)
        """
        for role, mask in records.missing().items():
            refuse_missing(role, mask)
        user_map, user_rows = _map(records.user_ids, user_map, records.idle_user_ids)
        item_map, item_rows = _map(records.item_ids, item_map)
        weights = np.ones(len(records), np.float32) if records.weights is None else records.weights
        return cls(user_rows, item_rows, weights, records.timestamps, user_map, item_map)

    @classmethod
    def from_file(
        cls,
        path: str | PathLike[str],
        *,
        format: str = "auto",
        columns: Mapping[str, str | int | None] | None = None,
        user_map: IdMap | None = None,
        item_map: IdMap | None = None,
    ) -> Interactions:
        """Interactions of a file; see `gpurec.data.read_records` for the formats and errors.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "ratings.csv")
        >>> _ = path.write_text("userId,movieId,rating\\n1,31,2.5\\n1,1029,3.0\\n")
        >>> Interactions.from_file(path).weights.tolist()
        [2.5, 3.0]
        """
        from .readers import read_records

        raw = read_records(path, format=format, columns=columns)
        return cls.from_records(raw, user_map=user_map, item_map=item_map)

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        columns: Mapping[str, str | int | None] | None = None,
        *,
        user_map: IdMap | None = None,
        item_map: IdMap | None = None,
    ) -> Interactions:
        """Interactions of a polars or pandas frame; columns as in `gpurec.data.find_columns`.

        Examples
        --------
        >>> import polars as pl
        >>> frame = pl.DataFrame({"who": ["ann", "bob"], "item": [1, 2], "stars": [4, 5]})
        >>> Interactions.from_frame(frame, {"user": "who"}).user_ids().tolist()
        ['ann', 'bob']
        """
        return cls.from_records(records_from_frame(frame, columns), user_map=user_map, item_map=item_map)

    @classmethod
    def from_sparse(
        cls, matrix: Any, user_ids: Iterable[Any] | None = None, item_ids: Iterable[Any] | None = None
    ) -> Interactions:
        """Interactions of a scipy sparse matrix: each stored entry is a record, stored zeros too.

        Parameters
        ----------
        matrix : scipy sparse, shape (n_users, n_items)
        user_ids, item_ids : sequence of hashable, optional
            External ids of rows and columns; 0..n-1 when None.

        Raises
        ------
        TypeError
            If it is no sparse matrix.
        ValueError
            If the ids do not fit its shape, or a weight is not finite.

        Examples
        --------
        >>> from scipy.sparse import csr_array
        >>> Interactions.from_sparse(csr_array([[0, 2.0], [3.0, 0]]), item_ids=["a", "b"]).item_ids().tolist()
        ['b', 'a']
        """
        if not (hasattr(matrix, "tocoo") and hasattr(matrix, "shape")):
            raise TypeError(f"[interactions] expected a scipy sparse matrix, got {type(matrix).__name__}")
        table = matrix.tocoo()
        maps = []
        for name, n, ids in zip(("user_ids", "item_ids"), table.shape, (user_ids, item_ids)):
            maps.append(IdMap(np.arange(n) if ids is None else ids))
            if len(maps[-1]) != n:
                raise ValueError(f"[interactions] expected {n} {name}, got {len(maps[-1])}")
        rows, columns = (np.asarray(part, dtype=np.int64) for part in (table.row, table.col))
        return cls(rows, columns, table.data, None, *maps)

    @property
    def n_users(self) -> int:
        """Users in the map, those without a record too."""
        return len(self.user_map)

    @property
    def n_items(self) -> int:
        """Items in the map, those without a record too."""
        return len(self.item_map)

    def __len__(self) -> int:
        return len(self.user_rows)

    @cached_property
    def user_items(self) -> csr_array:
        """Weights as CSR float32, shape (n_users, n_items), duplicates summed; never change it."""
        return user_items_matrix(self.user_rows, self.item_rows, self.weights, (self.n_users, self.n_items))

    def user_ids(self) -> np.ndarray:
        """External user id of each record, int64 or object, shape (n,).

        Examples
        --------
        >>> Interactions.from_arrays(["ann", "bob", "ann"], [1, 2, 3]).user_ids().tolist()
        ['ann', 'bob', 'ann']
        """
        return self.user_map.ids(self.user_rows)

    def item_ids(self) -> np.ndarray:
        """External item id of each record, int64 or object, shape (n,).

        Examples
        --------
        >>> Interactions.from_arrays(["ann", "bob"], [7, 7]).item_ids().tolist()
        [7, 7]
        """
        return self.item_map.ids(self.item_rows)

    def take(self, chosen: Any) -> Interactions:
        """The records of a boolean mask, or of an array of places in its order; the maps stay the same.

        Examples
        --------
        >>> plays = Interactions.from_arrays(["ann", "bob", "ann"], [1, 2, 3])
        >>> plays.take(plays.item_rows > 0)
        Interactions(2 records, 2 users, 3 items)
        """
        chosen = np.asarray(chosen)
        chosen = chosen if chosen.size or chosen.dtype == bool else chosen.astype(np.int64)
        if chosen.dtype == bool and chosen.shape != (len(self),):
            raise ValueError(f"[interactions] expected a mask of {len(self)} records, got {chosen.shape}")
        if chosen.dtype.kind not in "iub":
            raise TypeError(f"[interactions] expected a mask or integer places, got {chosen.dtype}")
        columns = ("user_rows", "item_rows", "weights", "timestamps")
        old = {name: getattr(self, name) for name in columns}
        taken: dict[str, Any] = {name: v if v is None else v[chosen] for name, v in old.items()}
        return replace(self, **taken)

    def reindex(self, user_map: IdMap, item_map: IdMap, *, unknown: str = "raise") -> Interactions:
        """The same records over other maps.

        Parameters
        ----------
        user_map, item_map : IdMap
        unknown : {"raise", "drop"}
            What a record does whose user or item the maps lack.

        Raises
        ------
        UnknownIdError
            If a map lacks an id and `unknown` is "raise".

        Examples
        --------
        >>> plays = Interactions.from_arrays(["ann", "bob"], [1, 2])
        >>> plays.reindex(IdMap(["bob"]), IdMap([0, 1, 2]), unknown="drop").item_rows.tolist()
        [2]
        """
        if unknown not in ("raise", "drop"):
            raise ValueError(f"[interactions] expected unknown of 'raise' or 'drop', got {unknown!r}")
        kept = np.ones(len(self), dtype=bool)
        new = []
        for old, rows, target in (
            (self.user_map, self.user_rows, user_map),
            (self.item_map, self.item_rows, item_map),
        ):
            used = np.unique(rows)
            to_target = np.full(len(old), -1, dtype=np.int64)
            to_target[used] = target.rows(old.ids(used), unknown="raise" if unknown == "raise" else "ignore")
            new.append(to_target[rows])
            kept &= new[-1] >= 0
        moved = self.take(kept)
        return replace(
            moved, user_rows=new[0][kept], item_rows=new[1][kept], user_map=user_map, item_map=item_map
        )

    def with_maps_of(self, train: Interactions) -> Interactions:
        """The same records over maps that begin with all ids of `train` and go on with the new ones.

        Rows below `train.n_users` and `train.n_items` mean the same in both; `train` itself is unchanged.

        Examples
        --------
        >>> train = Interactions.from_arrays(["ann"], [1])
        >>> test = Interactions.from_arrays(["bob", "ann"], [2, 1]).with_maps_of(train)
        >>> list(test.user_map), test.user_rows.tolist()
        (['ann', 'bob'], [1, 0])
        """
        user_map, item_map = train.user_map.copy(), train.item_map.copy()
        user_map.add(self.user_map)
        item_map.add(self.item_map)
        return self.reindex(user_map, item_map)

    def compact(self) -> Interactions:
        """The same records over maps of only the ids that have one, in their old order.

        Examples
        --------
        >>> plays = Interactions.from_arrays(["ann", "bob", "ann"], [1, 2, 3])
        >>> plays.take([1]).compact()
        Interactions(1 records, 1 users, 1 items)
        """
        users, user_rows = np.unique(self.user_rows, return_inverse=True)
        items, item_rows = np.unique(self.item_rows, return_inverse=True)
        return replace(
            self,
            user_rows=user_rows.ravel(),
            item_rows=item_rows.ravel(),
            user_map=IdMap(self.user_map.ids(users)),
            item_map=IdMap(self.item_map.ids(items)),
        )

    def to_frame(self) -> polars.DataFrame:
        """A polars frame: user_id, item_id, weight and, where there are any, timestamp (seconds).

        Raises
        ------
        MissingExtraError
            If polars is not installed.

        Examples
        --------
        >>> Interactions.from_arrays(["ann"], [1], [5]).to_frame().rows()
        [('ann', 1, 5.0)]
        """
        return frame_of_columns(self.user_ids(), self.item_ids(), self.weights, self.timestamps)

    def __repr__(self) -> str:
        return f"Interactions({len(self)} records, {self.n_users} users, {self.n_items} items)"


def _map(ids: np.ndarray, given: IdMap | None, idle: Any = ()) -> tuple[IdMap, np.ndarray]:
    """The map of a column, the given one or a new one by first appearance, and the rows of its ids."""
    if given is not None:
        given.rows(idle)
        return given, given.rows(ids)
    new = IdMap()
    rows = new.add(ids)
    new.add(idle)
    return new, rows

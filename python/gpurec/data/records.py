"""Records as they lie in a file or a frame: ids not yet mapped, weights and times not yet checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import import_extra
from .columns import MISSING_TIME, ROLES, find_columns, id_array, time_array, weight_array

if TYPE_CHECKING:
    import polars

__all__ = ["Records", "frame_of_columns", "records_from_frame"]


@dataclass(frozen=True, eq=False)
class Records:
    """Raw (user, item, weight, timestamp) records, where anything may be missing or out of range.

    What `clean` starts from; `Interactions` are made of records in which nothing is missing.

    Attributes
    ----------
    user_ids, item_ids : int64 or object array, shape (n,)
        External ids; None in an object array where one is missing.
    weights : float64 array, shape (n,), or None
        NaN where one is missing; None without such a column.
    timestamps : int64 array, shape (n,), or None
        Seconds since 1970; the smallest integer where one is missing; None without such a column.
    idle_user_ids : int64 or object array
        Users that the source names without a record; they are users all the same.

    Raises
    ------
    ValueError
        If the arrays differ in length.

    Examples
    --------
    >>> raw = Records(np.array([1, 2]), np.array(["a", None], dtype=object))
    >>> len(raw), raw.take(np.array([True, False])).item_ids.tolist()
    (2, ['a'])
    """

    user_ids: np.ndarray
    item_ids: np.ndarray
    weights: np.ndarray | None = None
    timestamps: np.ndarray | None = None
    idle_user_ids: np.ndarray | tuple[()] = ()

    def __post_init__(self) -> None:
        columns = (self.user_ids, self.item_ids, self.weights, self.timestamps)
        lengths = {role: len(values) for role, values in zip(ROLES, columns) if values is not None}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"[records] expected columns of one length, got {lengths}")

    def __len__(self) -> int:
        return len(self.user_ids)

    def missing(self) -> dict[str, np.ndarray]:
        """For each role the mask of records that lack it; a column that is not there lacks nowhere.

        Examples
        --------
        >>> raw = Records(np.array([1, 2]), np.array(["a", None], dtype=object))
        >>> raw.missing()["item"].tolist()
        [False, True]
        """
        masks = {role: np.zeros(len(self), dtype=bool) for role in ROLES}
        for role, ids in (("user", self.user_ids), ("item", self.item_ids)):
            if ids.dtype == object:
                masks[role] = np.fromiter((value is None for value in ids), dtype=bool, count=len(ids))
        if self.weights is not None:
            masks["weight"] = np.isnan(self.weights)
        if self.timestamps is not None:
            masks["timestamp"] = self.timestamps == MISSING_TIME
        return masks

    def take(self, chosen: np.ndarray) -> Records:
        """The records of a boolean mask, or of an array of places in its order."""
        parts = ("user_ids", "item_ids", "weights", "timestamps")
        old = {name: getattr(self, name) for name in parts}
        taken: dict[str, Any] = {name: v if v is None else v[chosen] for name, v in old.items()}
        return replace(self, **taken)


def records_from_frame(frame: Any, columns: Mapping[str, str | int | None] | None = None) -> Records:
    """Records of a polars or pandas frame.

    Parameters
    ----------
    frame : polars.DataFrame, polars.LazyFrame or pandas.DataFrame
    columns : mapping, optional
        As in `find_columns`.

    Raises
    ------
    TypeError
        If it is no such frame.
    ValueError
        If a column is not found, or holds values that its role does not allow.

    Examples
    --------
    >>> import polars as pl
    >>> raw = records_from_frame(pl.DataFrame({"userId": [1, 2], "movieId": ["a", None]}))
    >>> raw.user_ids.tolist(), raw.item_ids.tolist()
    ([1, 2], ['a', None])
    """
    library = type(frame).__module__.partition(".")[0]
    if library == "polars" and type(frame).__name__ == "LazyFrame":
        frame = frame.collect()
    if library not in ("polars", "pandas") or type(frame).__name__ != "DataFrame":
        raise TypeError(f"[records] expected a polars or pandas DataFrame, got {type(frame).__name__}")
    places = find_columns(list(frame.columns), columns)
    take_column = _polars_column if library == "polars" else _pandas_column
    convert = {"user": id_array, "item": id_array, "weight": weight_array, "timestamp": time_array}
    found = {role: convert[role](take_column(frame, places[role])) for role in ROLES if role in places}
    return Records(found["user"], found["item"], found.get("weight"), found.get("timestamp"))


def _polars_column(frame: Any, place: int) -> Any:
    column = frame.to_series(place)
    return column.to_numpy() if column.dtype.is_numeric() and not column.null_count() else column.to_list()


def _pandas_column(frame: Any, place: int) -> Any:
    column = frame.iloc[:, place]
    kind = getattr(column.dtype, "kind", "O")
    if kind in "iufM" and isinstance(column.dtype, np.dtype):
        return column.to_numpy()
    return column.tolist()


def frame_of_columns(
    user_ids: np.ndarray, item_ids: np.ndarray, weights: np.ndarray, timestamps: np.ndarray | None
) -> polars.DataFrame:
    """A polars frame of records: user_id, item_id, weight and, where there are any, timestamp.

    Ids of one plain kind (integers, texts) make a typed column, all others a column of Python objects.

    Raises
    ------
    MissingExtraError
        If polars is not installed.

    Examples
    --------
    >>> frame_of_columns(np.array([1]), np.array(["a"], dtype=object), np.ones(1), None).columns
    ['user_id', 'item_id', 'weight']
    """
    pl = import_extra("polars", "data")

    def ids_column(ids: np.ndarray) -> polars.Series:
        if ids.dtype == object and not all(isinstance(value, str) for value in ids):
            return pl.Series(values=ids.tolist(), dtype=pl.Object)
        return (
            pl.Series(values=ids.tolist(), dtype=pl.String) if ids.dtype == object else pl.Series(values=ids)
        )

    columns = {"user_id": ids_column(user_ids), "item_id": ids_column(item_ids), "weight": weights}
    return pl.DataFrame(columns if timestamps is None else {**columns, "timestamp": timestamps})

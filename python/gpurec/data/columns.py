"""Columns of records: which is the user, item, weight, timestamp; what values mean, and which are refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timezone
from typing import Any

import numpy as np

__all__ = [
    "MISSING_TIME",
    "ROLES",
    "BadValue",
    "find_columns",
    "id_array",
    "integer_column",
    "one_a_record",
    "refuse_missing",
    "row_column",
    "time_array",
    "weight_array",
    "weight_column",
]

ROLES = ("user", "item", "weight", "timestamp")

MISSING_TIME = np.iinfo(np.int64).min
"""The timestamp of a record that has none, in a table where others have one."""

_USUAL_NAMES = {
    "user": "user userid uid customer customerid member memberid visitor visitorid reviewer reviewerid",
    "item": "item itemid iid movie movieid film filmid artist artistid track trackid song songid "
    "book bookid isbn product productid asin business businessid game gameid article articleid",
    "weight": "weight rating score stars value count plays playcount quantity",
    "timestamp": "timestamp datetime time date ts unixtime unixreviewtime",
}
_ROLE_OF = {name: role for role, names in _USUAL_NAMES.items() for name in names.split()}


def find_columns(
    names: Sequence[str], columns: Mapping[str, str | int | None] | None = None
) -> dict[str, int]:
    """Places of the columns that hold user, item and, where there are any, weight and timestamp.

    Usual names are recognised whatever their case and separators: `user_id`, `userId` and `User ID` are
    one name, and a type after a colon (`user_id:token`) is ignored.

    Parameters
    ----------
    names : sequence of str
        The columns of the table.
    columns : mapping, optional
        The column of a role ("user", "item", "weight", "timestamp"), by name or by place from 0, where
        the usual names do not tell; None says that the table has no such column.

    Returns
    -------
    dict
        Place of each role that was found.

    Raises
    ------
    ValueError
        If the user or the item is not found, a given column does not exist, or two columns look like one
        role; the text lists the columns that there are.

    Examples
    --------
    >>> find_columns(["movieId", "userId", "rating"])
    {'item': 0, 'user': 1, 'weight': 2}
    >>> find_columns(["a", "b", "stars"], {"user": "b", "item": 0, "weight": None})
    {'user': 1, 'item': 0}
    """
    names = [str(name) for name in names]
    there = f"the columns are {names}"
    given = dict(columns or {})
    strange = sorted(set(given) - set(ROLES))
    if strange:
        raise ValueError(f"[columns] expected roles among {list(ROLES)}, got {strange}")
    places: dict[str, int] = {}
    for role, column in given.items():
        if column is None:
            continue
        if isinstance(column, str) and names.count(column) == 1:
            places[role] = names.index(column)
        elif isinstance(column, int) and not isinstance(column, bool) and 0 <= column < len(names):
            places[role] = column
        else:
            raise ValueError(f"[columns] expected one column {column!r} as the {role}, but {there}")
    if len(set(places.values())) < len(places):
        raise ValueError(f"[columns] expected a column of its own for each role, got {given}")
    for place, name in enumerate(names):
        usual = _ROLE_OF.get("".join(filter(str.isalnum, name.partition(":")[0])).lower())
        if usual is None or usual in given or place in places.values():
            continue
        if usual in places:
            both = f"both {names[places[usual]]!r} and {name!r} look like the {usual}"
            raise ValueError(f'[columns] {both}; do: columns={{"{usual}": "{name}"}} ({there})')
        places[usual] = place
    for role in ("user", "item"):
        if role not in places:
            raise ValueError(
                f'[columns] expected a column of {role}s, but {there}; do: columns={{"{role}": NAME}}'
            )
    return places


def id_array(values: Sequence[Any], *, text: bool = False) -> np.ndarray:
    """Ids as int64 where every one is such an integer, else as objects with None where one is missing.

    Parameters
    ----------
    values : sequence
        None and NaN are missing ids.
    text : bool
        The values come from a text file: they become integers where each (missing ones aside) is written
        as Python writes integers, so that `007` stays a text; the empty text is missing.

    Examples
    --------
    >>> id_array(["3", "12"], text=True).tolist()
    [3, 12]
    >>> id_array(["3", "", "012"], text=True).tolist()
    ['3', None, '012']
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu" and np.can_cast(values.dtype, np.int64):
        return values.astype(np.int64, copy=False)
    if isinstance(values, np.ndarray) and values.dtype.kind not in "mM":
        values = values.tolist()
    plain = [None if _is_missing(value, text) else value for value in values]
    there = [value for value in plain if value is not None]
    if text and there:
        numbers = _integers(there)
        if numbers is not None:
            at = iter(numbers)
            plain = [value if value is None else next(at) for value in plain]
    elif len(there) < len(plain) and all(isinstance(v, float) and v.is_integer() for v in there):
        # A table turns a column of integers into floats when a value is missing; nobody means that.
        plain = [value if value is None else int(value) for value in plain]
    if all(type(value) is int and -(2**63) <= value < 2**63 for value in plain):
        return np.array(plain, dtype=np.int64)
    return np.fromiter(plain, dtype=object, count=len(plain))


def _is_missing(value: Any, text: bool) -> bool:
    if value is None or (text and value == ""):
        return True
    try:
        return bool(value != value)  # NaN and NaT
    except (TypeError, ValueError):  # pandas.NA has no truth value
        return type(value).__name__ == "NAType"


def _integers(texts: list[str]) -> list[int] | None:
    """The texts as integers if each is written the one way that Python writes it."""
    try:
        numbers = list(map(int, texts))
    except ValueError:
        return None
    return numbers if list(map(str, numbers)) == texts else None


def weight_array(values: Sequence[Any]) -> np.ndarray:
    """Weights as float64, NaN where one is missing.

    Raises
    ------
    ValueError
        If a value is no number; the text holds its place, counted from 0.

    Examples
    --------
    >>> weight_array(["3.5", "", 4]).tolist()
    [3.5, nan, 4.0]
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "iufb":
        return values.astype(np.float64)
    out = np.empty(len(values), dtype=np.float64)
    for place, value in enumerate(values):
        try:
            out[place] = np.nan if value is None or value == "" else _number(value)
        except (TypeError, ValueError):
            if not _is_missing(value, False):
                raise BadValue("a number as weight", place, value) from None
            out[place] = np.nan
    return out


def _number(value: Any) -> float:
    if isinstance(value, str) and "_" in value:  # legal in Python's numbers, a mistake in data
        raise ValueError
    return float(value)


def time_array(values: Sequence[Any]) -> np.ndarray:
    """Timestamps as int64 seconds since 1970 (UTC); `MISSING_TIME` where one is missing.

    Numbers are seconds, fractions are cut off; texts that are no number are ISO 8601 dates and times;
    without a zone they are UTC.

    Raises
    ------
    ValueError
        If a value is none of these; the text holds its place, counted from 0.

    Examples
    --------
    >>> time_array(["1970-01-02", "1970-01-01 00:01:00", "60", 60.9]).tolist()
    [86400, 60, 60, 60]
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu" and np.can_cast(values.dtype, np.int64):
        return values.astype(np.int64, copy=False)
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        return values.astype("datetime64[s]").astype(np.int64)  # NaT is the smallest integer: MISSING_TIME
    out = np.empty(len(values), dtype=np.int64)
    for place, value in enumerate(values):
        try:
            out[place] = MISSING_TIME if _is_missing(value, True) else _seconds(value)
        except (TypeError, ValueError, OverflowError):
            raise BadValue("seconds or an ISO date as timestamp", place, value) from None
    return out


def _seconds(value: Any) -> int:
    if isinstance(value, np.datetime64):
        return int(value.astype("datetime64[s]").astype(np.int64))
    if isinstance(value, str):
        if value.isdecimal() and value.isascii():
            return int(value)
        try:
            return int(_number(value))
        except ValueError:
            value = datetime.fromisoformat(value[:-1] + "+00:00" if value[-1:] in "zZ" else value)
    if isinstance(value, date):
        whole = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
        zoned = whole if whole.tzinfo else whole.replace(tzinfo=timezone.utc)
        return int(zoned.timestamp() // 1)
    return int(value)


class BadValue(ValueError):
    """A value that a column may not hold, with its place, so that a reader can name the line."""

    def __init__(self, expected: str, place: int, value: Any) -> None:
        super().__init__(f"[columns] expected {expected}, got {value!r:.60} in record {place}")
        self.expected, self.place, self.value = expected, place, value


def one_a_record(values: Any) -> Any:
    """Something with a length and an order; one text is no sequence of ids."""
    if isinstance(values, (str, bytes)):
        raise TypeError(f"[interactions] expected one value a record, got the single {values!r:.60}")
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise ValueError(f"[interactions] expected one value a record, got shape {values.shape}")
        return values
    return list(values)


def integer_column(name: str, values: Any, n: int) -> np.ndarray:
    """Whole numbers as int64, shape (n,); anything else is an error that names the column."""
    values = np.asarray(values)
    if values.shape != (n,):
        raise ValueError(f"[interactions] expected {name} of shape ({n},), got {values.shape}")
    if values.size and (values.dtype.kind not in "iu" or not np.can_cast(values.dtype, np.int64)):
        raise TypeError(f"[interactions] expected {name} of int64, got {values.dtype}")
    return np.ascontiguousarray(values, dtype=np.int64)


def row_column(name: str, values: Any, n: int, n_ids: int) -> np.ndarray:
    """Rows of a map of n_ids ids as int64, shape (n,)."""
    rows = integer_column(name, values, n)
    bad = np.flatnonzero((rows < 0) | (rows >= n_ids))
    if bad.size:
        raise ValueError(
            f"[interactions] expected {name} in 0..{n_ids - 1}, got {rows[bad[0]]} in record {bad[0]}"
        )
    return rows


def weight_column(values: Any, n: int) -> np.ndarray:
    """Finite weights as float32, shape (n,)."""
    values = np.asarray(values)
    if values.shape != (n,):
        raise ValueError(f"[interactions] expected weights of shape ({n},), got {values.shape}")
    if values.size and values.dtype.kind not in "iufb":
        raise TypeError(f"[interactions] expected weights that are numbers, got {values.dtype}")
    with np.errstate(over="ignore"):
        weights = np.ascontiguousarray(values, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(weights))
    if bad.size:
        raise ValueError(
            f"[interactions] expected weights finite in float32, got {values[bad[0]]} in record {bad[0]}; "
            "do: clean(...)"
        )
    return weights


def refuse_missing(role: str, missing: Any) -> None:
    """A ValueError that names the first record where the column has no value."""
    places = np.flatnonzero(missing)
    if places.size:
        raise ValueError(
            f"[interactions] expected every record to have its {role}, got {places.size} without "
            f"(the first is record {places[0]}); do: clean(...), which drops them"
        )

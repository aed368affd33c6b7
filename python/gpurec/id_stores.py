"""How `IdMap` keeps ids: as integer arrays while it can, in a dictionary otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import repeat
from typing import Any

import numpy as np

from .arrays import as_numpy, is_foreign

__all__ = ["AnyIds", "IntegerIds", "distinct_ids", "id_at", "plain_ids", "same_ids"]


class IntegerIds:
    """Store of ids that are all 64-bit integers: one array, and a look-up that is cheap to grow."""

    def __init__(self) -> None:
        self._buffer = np.empty(0, dtype=np.int64)
        self._n = 0
        # Ids that came after the look-up was last built lie in a dictionary, so that adding one id to
        # ten million does not sort ten million.
        self._lookup = _IntegerLookup(self._buffer)
        self._late: dict[int, int] = {}

    @property
    def values(self) -> np.ndarray:
        return self._buffer[: self._n]

    def find(self, ids: np.ndarray | list[Any]) -> np.ndarray:
        if isinstance(ids, list):
            out = np.full(len(ids), -1, dtype=np.int64)
            hash(tuple(ids))  # an id that cannot be hashed is a TypeError in every state of the map
            where = []
            if self._n:
                where = [i for i, key in enumerate(ids) if type(key) is int and -(2**63) <= key < 2**63]
            if where:
                out[where] = self.find(np.array([ids[i] for i in where], dtype=np.int64))
            return out
        out = self._lookup.find(ids)
        if self._late:
            miss = np.flatnonzero(out < 0)
            found = (self._late.get(key, -1) for key in ids[miss].tolist())
            out[miss] = np.fromiter(found, dtype=np.int64, count=miss.size)
        return out

    def append(self, ids: np.ndarray) -> None:
        n = self._n + len(ids)
        if len(self._late) + len(ids) <= max(256, self._n // 8):
            fresh = dict(zip(ids.tolist(), range(self._n, n)))
            if len(fresh) < len(ids):
                _raise_repeated(ids)
            self._late.update(fresh)
            self._write(ids, n)
        else:
            if _IntegerLookup(ids).repeated:
                _raise_repeated(ids)
            self._write(ids, n)
            self._lookup, self._late = _IntegerLookup(self.values), {}

    def _write(self, ids: np.ndarray, n: int) -> None:
        if n > len(self._buffer):
            spare = n if not self._n else max(n, self._n + self._n // 2)
            buffer = np.empty(spare, dtype=np.int64)
            buffer[: self._n] = self.values
            self._buffer = buffer
        self._buffer[self._n : n] = ids
        self._n = n

    def take(self, rows: np.ndarray | None) -> np.ndarray:
        if not self._n:
            return np.empty(0, dtype=object)
        return self.values.copy() if rows is None else self.values[rows]

    def copy(self) -> IntegerIds:
        other = IntegerIds()
        other._buffer, other._n = self.values.copy(), self._n
        other._lookup, other._late = self._lookup, self._late.copy()  # a look-up never changes
        return other

    def tolist(self) -> list[int]:
        return self.values.tolist()

    def __len__(self) -> int:
        return self._n


class _IntegerLookup:
    """Rows of distinct integers 0..n-1: a table where they lie close together, else a sorted copy."""

    def __init__(self, ids: np.ndarray) -> None:
        self._low, self._high = (int(ids.min()), int(ids.max())) if ids.size else (0, -1)
        span = self._high - self._low + 1
        self._table: np.ndarray | None = None
        if span <= _table_limit(ids.size):
            self._table = np.full(span, -1, dtype=np.int64)
            self._table[ids - self._low] = np.arange(ids.size)
            self.repeated = int(np.count_nonzero(self._table >= 0)) < ids.size
        else:
            self._order = np.argsort(ids, kind="stable")
            self._sorted = ids[self._order]
            self.repeated = bool((self._sorted[1:] == self._sorted[:-1]).any())

    def find(self, ids: np.ndarray) -> np.ndarray:
        if self._table is None:
            place = np.minimum(np.searchsorted(self._sorted, ids), self._sorted.size - 1)
            return np.where(self._sorted[place] == ids, self._order[place], -1)
        inside = (ids >= self._low) & (ids <= self._high)
        if inside.all():
            return self._table[ids - self._low]
        out = np.full(ids.size, -1, dtype=np.int64)
        out[inside] = self._table[ids[inside] - self._low]
        return out


class AnyIds:
    """Store of ids of any hashable kind: a list and a dictionary."""

    def __init__(self, ids: Iterable[Any] = ()) -> None:
        self._ids = list(ids)
        self._row_of = dict(zip(_keys(self._ids), range(len(self._ids))))

    def find(self, ids: np.ndarray | list[Any]) -> np.ndarray:
        keys = ids.tolist() if isinstance(ids, np.ndarray) else _keys(ids)
        return np.fromiter(map(self._row_of.get, keys, repeat(-1)), dtype=np.int64, count=len(ids))

    def append(self, ids: np.ndarray | list[Any]) -> None:
        ids = ids.tolist() if isinstance(ids, np.ndarray) else ids
        keys = _keys(ids)
        if keys is not ids and any(isinstance(value, float) and value != value for value in ids):
            raise ValueError("[ids] expected ids that equal themselves, got NaN; drop missing ids first")
        row_of = dict(zip(keys, range(len(self._ids), len(self._ids) + len(ids))))
        if len(row_of) < len(ids):
            _raise_repeated(ids)
        self._row_of.update(row_of)
        self._ids.extend(ids)

    def take(self, rows: np.ndarray | None) -> np.ndarray:
        chosen = self._ids if rows is None else list(map(self._ids.__getitem__, rows.tolist()))
        if chosen and set(map(type, chosen)) == {int} and all(-(2**63) <= key < 2**63 for key in chosen):
            return np.array(chosen, dtype=np.int64)
        return _objects(chosen)

    def copy(self) -> AnyIds:
        other = AnyIds()
        other._ids, other._row_of = self._ids.copy(), self._row_of.copy()
        return other

    def tolist(self) -> list[Any]:
        return self._ids.copy()

    def __len__(self) -> int:
        return len(self._ids)


def plain_ids(ids: Any) -> np.ndarray | list[Any]:
    """Ids as an int64 array where every one is an integer that fits, else as a list of Python objects."""
    if isinstance(ids, (str, bytes)):
        raise TypeError(f"[ids] expected a sequence of ids, got the single id {ids!r}; do: [{ids!r}]")
    if is_foreign(ids):
        ids = as_numpy(ids, "ids", "ids")
    if isinstance(ids, np.ndarray):
        if ids.ndim != 1:
            raise ValueError(f"[ids] expected one dimension, got shape {ids.shape}; do: ids.ravel()")
        if ids.dtype.kind in "iu" and np.can_cast(ids.dtype, np.int64):
            return ids.astype(np.int64, copy=False)
        # Dates become NumPy scalars, not Python values: tolist() turns nanoseconds into bare integers.
        values = list(ids) if ids.dtype.kind in "mM" else ids.tolist()
    else:
        values = list(ids)
    kinds = set(map(type, values))
    if any(issubclass(kind, _SCALARS) for kind in kinds):
        values = [v.item() if isinstance(v, _SCALARS) else v for v in values]
        kinds = set(map(type, values))
    if kinds <= {int}:
        try:
            return np.array(values, dtype=np.int64)
        except OverflowError:
            pass
    return values


_SCALARS = (np.integer, np.floating, np.bool_, np.str_, np.bytes_)


def _keys(ids: list[Any]) -> list[Any]:
    """Dictionary keys of ids: ids that compare equal across types (True, 1, 1.0) must stay apart."""
    return ids if set(map(type, ids)) <= _PLAIN else list(map(_key, ids))


def _key(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    return (kind, tuple(map(_key, value)) if kind is tuple else value)


_PLAIN = {int, str, bytes}


def distinct_ids(ids: np.ndarray | list[Any]) -> tuple[np.ndarray | list[Any], np.ndarray]:
    """Distinct ids in order of first appearance, and for each given id its place among them."""
    if isinstance(ids, list):
        keys = _keys(ids)
        place = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        found = np.fromiter(map(place.__getitem__, keys), dtype=np.int64, count=len(ids))
        if keys is ids:
            return list(place), found
        values = dict(zip(reversed(keys), reversed(ids)))  # the first of equal ids is written last
        return list(map(values.__getitem__, place)), found
    low = int(ids.min()) if ids.size else 0
    span = int(ids.max()) - low + 1 if ids.size else 0
    if span > _table_limit(ids.size):
        distinct, first_at, place_in_sorted = np.unique(ids, return_index=True, return_inverse=True)
        order = np.argsort(first_at)
        rank = np.empty(order.size, dtype=np.int64)
        rank[order] = np.arange(order.size)
        return distinct[order], rank[place_in_sorted.ravel()]
    # Of several writes to one place the last one stays, so writing backwards keeps first appearances.
    table = np.full(span, ids.size, dtype=np.int64)
    table[ids[::-1] - low] = np.arange(ids.size)[::-1]
    distinct = ids[np.sort(table[table < ids.size])]
    table[distinct - low] = np.arange(distinct.size)
    return distinct, table[ids - low]


def _table_limit(n: int) -> int:
    """Widest span of n integers for which one table entry an integer is cheaper than sorting."""
    return 4 * n + 1024


def _raise_repeated(ids: np.ndarray | list[Any]) -> None:
    counts = Counter(ids.tolist() if isinstance(ids, np.ndarray) else _keys(ids))
    values = ids.tolist() if isinstance(ids, np.ndarray) else ids
    twice = next(value for value in values if counts[_key(value)] > 1)
    raise ValueError(f"[ids] expected each id once, got {twice!r} twice; drop one")


def same_ids(a: np.ndarray | list[Any], b: np.ndarray | list[Any]) -> bool:
    """Whether two stores hold the same ids, types included, in the same rows."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    return isinstance(a, list) and isinstance(b, list) and _keys(a) == _keys(b)


def id_at(ids: np.ndarray | list[Any], place: Any) -> Any:
    """One id as the Python value it is, for error texts."""
    return ids[int(place)].item() if isinstance(ids, np.ndarray) else ids[int(place)]


def _objects(values: list[Any]) -> np.ndarray:
    """Object array of the values, where np.array() would make tuples a second dimension."""
    return np.fromiter(values, dtype=object, count=len(values))

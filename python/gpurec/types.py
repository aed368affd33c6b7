"""Value types shared by every layer: the result of a search, and external ids against rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import UnknownIdError
from .id_stores import AnyIds, IntegerIds, distinct_ids, id_at, plain_ids, same_ids

__all__ = ["IdMap", "Matches", "TopK"]


@dataclass(frozen=True)
class TopK:
    """The best k candidates of each query, best first.

    Attributes
    ----------
    rows : int64 array, shape (n_queries, k)
        Public rows of the items; -1 where a query has fewer than k.
    scores : float32 array, shape (n_queries, k)
        Canonical scores, higher is better; -inf where a query has fewer than k.
    version : int or None
        `index.version` that gave the answer; None without an index.
    ids : array of shape (n_queries, k) or None
        External ids where the index has them (None in the missing places of an object array,
        otherwise unspecified: look at `rows`).

    Examples
    --------
    >>> import gpurec, numpy as np
    >>> gpurec.top_k(np.float32([[0.5, 2.0, 1.0]]), k=2).rows.tolist()
    [[1, 2]]
    """

    rows: Any
    scores: Any
    version: int | None = None
    ids: Any = None

    def check(self) -> TopK:
        """Raise what a device search could not raise while it ran, and return the result itself.

        Host searches have already raised, so for them this does nothing.
        """
        return self

    def __iter__(self) -> Iterator[Any]:  # rows, scores = index.search(...)
        yield self.rows
        yield self.scores

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Matches:
    """All items that reach a threshold, query by query, best first.

    Attributes
    ----------
    indptr : int64 array, shape (n_queries + 1,)
        Query i has places indptr[i] to indptr[i + 1] - 1 of the other arrays.
    rows : int64 array, shape (n_matches,)
        Public rows of the items.
    scores : float32 array, shape (n_matches,)
        Canonical scores, higher is better.
    version : int or None
        `index.version` that gave the answer.
    ids : array of shape (n_matches,) or None
        External ids where the index has them.

    Examples
    --------
    >>> import gpurec
    >>> gpurec.ItemIndex([[1.0], [3.0], [2.0]]).search_above([[1.0]], 1.5).rows.tolist()
    [1, 2]
    """

    indptr: Any
    rows: Any
    scores: Any
    version: int | None = None
    ids: Any = None

    def __len__(self) -> int:
        return len(self.indptr) - 1


class IdMap:
    """External ids of any hashable kind against rows 0..n-1.

    Ids keep their type: the integer 1, the text "1", 1.0 and True are four ids. NumPy's scalars are the
    Python values that they hold.

    Parameters
    ----------
    ids : sequence of hashable
        One id a row, each once.

    Raises
    ------
    ValueError
        If an id stands twice or is NaN, which no look-up could ever find.
    TypeError
        If an id is not hashable, or `ids` is one text instead of a sequence.

    Notes
    -----
    While every id is an integer of 64 bits the map is a few arrays (16 to 40 bytes an id, no Python object
    apiece); the first other id turns it into a dictionary. Both give the same answers.

    Examples
    --------
    >>> films = IdMap(["alien", "brazil"])
    >>> films.rows(["brazil", "alien"]).tolist()
    [1, 0]
    >>> films.ids([0]).tolist()
    ['alien']
    """

    def __init__(self, ids: Iterable[Any] = ()) -> None:
        self._store: IntegerIds | AnyIds = IntegerIds()
        self.extend(ids)

    def extend(self, ids: Iterable[Any]) -> np.ndarray:
        """Give new ids the next rows, and return those rows (int64); nothing changes if one stands twice.

        Examples
        --------
        >>> IdMap(["alien"]).extend(["brazil", "casablanca"]).tolist()
        [1, 2]
        """
        new = plain_ids(ids)
        known = np.flatnonzero(self._store.find(new) >= 0)
        if known.size:
            raise ValueError(f"[ids] expected each id once, got {id_at(new, known[0])!r} again; drop one")
        return self._append(new)

    def add(self, ids: Iterable[Any]) -> np.ndarray:
        """Rows of ids (int64, one an id), where an id without a row gets the next one, by first appearance.

        Examples
        --------
        >>> films = IdMap(["alien"])
        >>> films.add(["brazil", "alien", "brazil"]).tolist()
        [1, 0, 1]
        >>> len(films)
        2
        """
        plain = plain_ids(ids)
        distinct, place = distinct_ids(plain)
        rows = self._store.find(distinct)
        new = np.flatnonzero(rows < 0)
        if new.size:
            rows[new] = self._append(
                distinct[new] if isinstance(distinct, np.ndarray) else [distinct[i] for i in new.tolist()]
            )
        return rows[place]

    def _append(self, new: np.ndarray | list[Any]) -> np.ndarray:
        store = self._store
        if isinstance(new, list) and isinstance(store, IntegerIds):
            store = AnyIds(store.tolist())
        store.append(new)  # type: ignore[arg-type]  # a list never meets the store of integers
        self._store = store
        return np.arange(len(self) - len(new), len(self), dtype=np.int64)

    def copy(self) -> IdMap:
        """A map with the same ids that grows on its own.

        Examples
        --------
        >>> films = IdMap(["alien"])
        >>> more = films.copy()
        >>> more.extend(["brazil"]).tolist(), len(films)
        ([1], 1)
        """
        other = IdMap()
        other._store = self._store.copy()
        return other

    def rows(self, ids: Any, *, unknown: str = "raise") -> np.ndarray:
        """Rows of external ids, int64.

        Parameters
        ----------
        ids : sequence of hashable
        unknown : {"raise", "ignore"}
            What an id without a row does: raise `UnknownIdError`, or give row -1.

        Examples
        --------
        >>> IdMap([7, 8]).rows([8, "8"], unknown="ignore").tolist()
        [1, -1]
        """
        if unknown not in ("raise", "ignore"):
            raise ValueError(f"[ids] expected unknown of 'raise' or 'ignore', got {unknown!r}")
        plain = plain_ids(ids)
        out = self._store.find(plain)
        if unknown == "raise" and out.size and out.min() < 0:
            raise UnknownIdError(self._unknown(id_at(plain, np.argmin(out >= 0))))
        return out

    def _unknown(self, key: Any) -> str:
        """Text of the error; the commonest cause by far is the right id in the wrong type, so say that."""
        text = f"[ids] expected one of the {len(self)} known ids, got {key!r}"
        other: Any = str(key) if type(key) is int else None
        if type(key) is str and key.strip().lstrip("+-").isdecimal() and len(key) < 20:
            other = int(key)
        if other is not None and other in self:
            text += f"; do: ask for {other!r}, which is known (ids keep their type)"
        return text

    def ids(self, rows: Any = None) -> np.ndarray:
        """External ids of rows (all rows when None), integers as int64, everything else as objects.

        The result has the shape of `rows`.

        Examples
        --------
        >>> IdMap([30, 10, 20]).ids([[2, 0]]).tolist()
        [[20, 30]]
        """
        if rows is None:
            return self._store.take(None)
        rows = np.asarray(rows)
        if rows.size and rows.dtype.kind not in "iu":
            raise TypeError(f"[ids] expected integer rows, got {rows.dtype}")
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            raise ValueError(f"[ids] expected rows in 0..{len(self) - 1}, got {rows.min()}..{rows.max()}")
        return self._store.take(rows.astype(np.int64, copy=False).ravel()).reshape(rows.shape)

    def __len__(self) -> int:
        return len(self._store)

    def __contains__(self, key: Any) -> bool:
        return bool(self._store.find(plain_ids([key]))[0] >= 0)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._store.tolist())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IdMap):
            return NotImplemented
        if self is other:
            return True
        return len(self) == len(other) and same_ids(plain_ids(self), plain_ids(other))

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        return f"IdMap({len(self)} ids)"

"""Value types shared by every layer: the result of a search, and external ids against rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import as_numpy
from .errors import UnknownIdError
from .id_stores import AnyIds, IntegerIds, distinct_ids, id_at, plain_ids, same_ids
from .tables import Tabular, ranks

__all__ = ["IdMap", "Matches", "TopK"]


@dataclass(frozen=True)
class TopK(Tabular):
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
        otherwise unspecified: look at `rows`). Of a search on a device they are there after `check`.

    Notes
    -----
    Rows and scores are arrays of the library that the queries came in, see docs/arrays.md. As a table
    (`to_dicts`, `to_polars`, `to_pandas`) the answer has the columns `query` (its place among the queries),
    `row`, or `item_id` where there are ids, `score` and `rank` (1 is the best); missing places are left out.

    Examples
    --------
    >>> import gpurec, numpy as np
    >>> found = gpurec.top_k(np.float32([[0.5, 2.0, 1.0]]), k=2)
    >>> found.rows.tolist()
    [[1, 2]]
    >>> found.to_dicts()[0]
    {'query': 0, 'row': 1, 'score': 2.0, 'rank': 1}
    """

    rows: Any
    scores: Any
    version: int | None = None
    ids: Any = None

    def __init__(
        self,
        rows: Any,
        scores: Any,
        version: int | None = None,
        ids: Any = None,
        *,
        pending: Callable[[], Any] | None = None,
    ) -> None:
        # At once, since the assignments that a frozen dataclass would make are a tenth of a small search.
        vars(self).update(rows=rows, scores=scores, version=version, ids=ids)
        if pending is not None:
            vars(self)["_pending"] = pending

    def check(self) -> TopK:
        """Raise what a device search could not raise while it ran, and return the result itself.

        It waits for the device, and fills in `ids` where the index has them. Host searches have already
        raised, so for them this does nothing.

        Raises
        ------
        ValueError
            If a query was not finite, or a filter held a row that the index has not. Their answers are empty.
        """
        pending = vars(self).get("_pending")
        if pending is not None:
            ids = pending()
            if ids is not None:
                vars(self)["ids"] = ids
        return self

    def _table(self) -> dict[str, np.ndarray]:
        rows, scores = as_numpy(self.rows, "rows", "table"), as_numpy(self.scores, "scores", "table")
        query, place = np.nonzero(rows >= 0)
        ids = None if self.ids is None else self.ids[query, place]
        return {
            "query": query,
            **_item_column(rows[query, place], ids),
            "score": scores[query, place],
            "rank": place + 1,
        }

    def __iter__(self) -> Iterator[Any]:  # rows, scores = index.search(...)
        yield self.rows
        yield self.scores

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Matches(Tabular):
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

    Notes
    -----
    Arrays of a library and tables as of `TopK`.

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

    def _table(self) -> dict[str, np.ndarray]:
        names = ("indptr", "rows", "scores")
        indptr, rows, scores = (as_numpy(getattr(self, name), name, "table") for name in names)
        return {
            "query": np.repeat(np.arange(len(self)), np.diff(indptr)),
            **_item_column(rows, self.ids),
            "score": scores,
            "rank": ranks(indptr),
        }

    def __len__(self) -> int:
        return len(self.indptr) - 1


def _item_column(rows: np.ndarray, ids: np.ndarray | None) -> dict[str, np.ndarray]:
    if ids is None:
        return {"row": rows}
    plain = plain_ids(ids)
    return {"item_id": plain if isinstance(plain, np.ndarray) else ids}


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

"""Value types shared by every layer: the result of a search, and external ids against rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import UnknownIdError

__all__ = ["IdMap", "TopK"]


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


class IdMap:
    """External ids of any hashable kind against rows 0..n-1.

    Ids keep their type: the integer 1 and the text "1" are two ids.

    Parameters
    ----------
    ids : sequence of hashable
        One id a row, each once.

    Raises
    ------
    ValueError
        If an id stands twice.
    TypeError
        If an id is not hashable.

    Examples
    --------
    >>> films = IdMap(["alien", "brazil"])
    >>> films.rows(["brazil", "alien"]).tolist()
    [1, 0]
    >>> films.ids([0]).tolist()
    ['alien']
    """

    def __init__(self, ids: Sequence[Any] | np.ndarray = ()) -> None:
        self._ids: list[Any] = []
        self._row_of: dict[Any, int] = {}
        self.extend(ids)

    def extend(self, ids: Sequence[Any] | np.ndarray) -> np.ndarray:
        """Give new ids the next rows, and return those rows (int64); nothing changes if one stands twice."""
        new = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
        first = len(self._ids)
        row_of = {}
        for row, key in enumerate(new, start=first):
            key = _key(key)
            if key in self._row_of or key in row_of:
                raise ValueError(f"[ids] expected each id once, got {new[row - first]!r} twice; drop one")
            row_of[key] = row
        self._row_of.update(row_of)
        self._ids.extend(new)
        return np.arange(first, len(self._ids), dtype=np.int64)

    def rows(self, ids: Any, *, unknown: str = "raise") -> np.ndarray:
        """Rows of external ids, int64.

        Parameters
        ----------
        ids : sequence of hashable
        unknown : {"raise", "ignore"}
            What an id without a row does: raise `UnknownIdError`, or give row -1.
        """
        if unknown not in ("raise", "ignore"):
            raise ValueError(f"[ids] expected unknown of 'raise' or 'ignore', got {unknown!r}")
        ids = ids.tolist() if isinstance(ids, np.ndarray) else ids
        out = np.fromiter((self._row_of.get(_key(i), -1) for i in ids), dtype=np.int64, count=len(ids))
        if unknown == "raise" and out.size and out.min() < 0:
            raise UnknownIdError(f"[ids] unknown id {ids[int(np.argmin(out >= 0))]!r}")
        return out

    def ids(self, rows: Any = None) -> np.ndarray:
        """External ids of rows (all rows when None), integers as int64, everything else as objects."""
        if rows is None:
            chosen = self._ids
        else:
            rows = np.asarray(rows, dtype=np.int64)
            if rows.size and (rows.min() < 0 or rows.max() >= len(self._ids)):
                raise ValueError(f"[ids] expected rows in 0..{len(self._ids) - 1}")
            chosen = [self._ids[row] for row in rows.ravel().tolist()]
        if chosen and all(type(i) is int and -(2**63) <= i < 2**63 for i in chosen):
            return np.array(chosen, dtype=np.int64)
        out = np.empty(len(chosen), dtype=object)
        out[:] = chosen
        return out

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, key: Any) -> bool:
        return _key(key) in self._row_of

    def __iter__(self) -> Iterator[Any]:
        return iter(self._ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdMap) and self._row_of == other._row_of

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        return f"IdMap({len(self)} ids)"


def _key(value: Any) -> Any:
    """The dictionary key of an id: True and 1.0 must not find the integer 1, nor NumPy's 1 miss it."""
    if isinstance(value, np.generic):
        value = value.item()
    return (type(value), value) if isinstance(value, (bool, float)) else value

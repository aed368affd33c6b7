"""`ItemIndex`: items made ready once, searched many times, and changed while they are searched."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import config
from ..arrays import for_caller
from ..backends import Backend, Filters, select, strict_floats
from ..errors import UnknownIdError
from ..ops.arguments import as_k, as_matrix, as_metric, as_precision, as_rows, as_threshold, check_result_size
from ..ops.filters import as_filters, as_hint
from ..types import IdMap, Matches, TopK
from .arguments import as_boost
from .changes import IndexChanges
from .storage import read_index, write_index
from .versions import IndexVersion, scanned_metric, with_column

__all__ = ["ItemIndex"]


class ItemIndex(IndexChanges):
    """Items packed for exact search, which serving code can keep and change.

    Parameters
    ----------
    items : array, shape (n_items, d)
        Floats or integers; float64 and integers are rounded once to float32. Copied.
    metric : {"dot", "cosine", "pearson", "euclidean"}
        "euclidean" scores by the negative squared distance.
    ids : sequence of hashable, optional
        External ids, one an item; answers then carry them.
    boost : array, shape (n_items,), optional
        Added to every score of an item, after preparation; not with "euclidean".
    precision : {"auto", "int8", "fp32"}
        Arithmetic of the scan: changes speed and memory, no answer. "auto" is "int8" where that is quicker.
    on_invalid : {"raise", "drop"}
        What an item with NaN or infinity does: a ValueError that names the first such row, or it keeps its
        row and is never returned.
    backend : str or Backend, optional
        See `gpurec.backends.select`.

    Raises
    ------
    ValueError
        If the shape does not fit, an item is not finite, an id stands twice, or `boost` meets "euclidean".
    TypeError
        If the dtype is not one of numbers.

    Notes
    -----
    Public rows are for ever: `append` gives new ones, `remove` leaves one that is never returned nor given
    to another item, `update` brings a removed one back. `version` grows by one a change, and each answer
    carries the version that gave it.

    Any number of threads may search while one changes the index (changes wait for one another). A search
    reads one version from beginning to end and never waits for a change; design 0006 tells how.

    Building costs one pass over the items and a sort of their norms; appended items go into a segment of
    their own, and segments are merged as they grow, so that a row is moved a few times in its life.
    Memory on `cpu`: one float32 copy of the items and 13 bytes an item, with int8 a quarter more (`nbytes`).

    Examples
    --------
    >>> index = ItemIndex([[3.0, 4.0], [0.0, 1.0], [5.0, 3.0]], ids=["a", "b", "c"])
    >>> index.search([1.0, 2.0], k=2).ids.tolist()
    [['a', 'c']]
    """

    @strict_floats()
    def __init__(
        self,
        items: Any,
        *,
        metric: str = "dot",
        ids: Sequence[Any] | np.ndarray | IdMap | None = None,
        boost: Any = None,
        precision: str = "auto",
        on_invalid: str = "raise",
        backend: str | Backend | None = None,
    ) -> None:
        if on_invalid not in ("raise", "drop"):
            raise ValueError(f"[ItemIndex] expected on_invalid of 'raise' or 'drop', got {on_invalid!r}")
        metric = as_metric(metric, "ItemIndex")
        rows = as_matrix(items, "items", "ItemIndex", finite=on_invalid != "drop")
        if ids is not None:
            ids = ids.copy() if isinstance(ids, IdMap) else IdMap(ids)
            if len(ids) != len(rows):
                raise ValueError(f"[ItemIndex] expected {len(rows)} ids, one an item, got {len(ids)}")
        boosts = None if boost is None else as_boost(boost, len(rows), metric, "ItemIndex")
        chosen = select(backend)
        active = np.isfinite(rows).all(axis=1)
        precision = as_precision(precision, "ItemIndex")
        nothing = rows[:0] if boosts is None else with_column(rows[:0], 0.0)
        index = chosen.build_index(nothing, scanned_metric(metric), precision=precision)
        empty = IndexVersion(chosen, metric, index, 0, 0, 0, boosts is not None)
        at = np.flatnonzero(active)
        kept = empty.items(rows if len(at) == len(rows) else rows[at], None if boosts is None else boosts[at])
        self._start(
            replace(empty, index=index.with_items(kept, at, len(rows)), n_rows=len(rows), n_active=len(at)),
            precision,
            ids,
        )

    @property
    def metric(self) -> str:
        """The metric of the scores."""
        return self._now.metric

    @property
    def ids(self) -> IdMap | None:
        """External ids by row, None where the index has none; not to be changed."""
        return self._ids

    @property
    def n_items(self) -> int:
        """Number of public rows, dropped and removed ones included."""
        return self._now.n_rows

    @property
    def n_active(self) -> int:
        """Number of items that a search can return."""
        return self._now.n_active

    @property
    def version(self) -> int:
        """Number of changes since the index was made."""
        return self._now.number

    @property
    def d(self) -> int:
        """Components of an item, the boost not counted."""
        return self._now.index.d - self._now.boosted

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes, external ids not counted."""
        return self._now.index.n_bytes

    def __len__(self) -> int:
        return self.n_items

    def __repr__(self) -> str:
        now = self._now
        return f"ItemIndex({now.n_rows} items, d={self.d}, {now.metric}, on {now.backend.name})"

    def search(
        self,
        queries: Any,
        k: int,
        *,
        exclude: Any = None,
        allow: Any = None,
        deny: Any = None,
        hint: Any = None,
    ) -> TopK:
        """Best k items of each query, higher score first, equal ones by smaller row.

        Parameters
        ----------
        queries : array, shape (n_queries, d) or (d,)
        k : int
            At least 1; there is no upper limit.
        exclude, allow, deny, hint : optional
            As in `gpurec.score_top_k`, in rows of this index.

        Returns
        -------
        TopK
            `rows` int64 and `scores` float32, both (n_queries, k); missing places are row -1, score -inf.
            `ids`, where the index has them, holds None in the missing places.

        Raises
        ------
        ValueError
            If k < 1, shapes do not fit, a value is not finite, a filter row is out of range, or the result
            would exceed the byte limit.
        TypeError
            If a dtype is not one of numbers.

        Examples
        --------
        >>> index = ItemIndex([[3.0, 4.0], [0.0, 1.0], [5.0, 3.0]])
        >>> index.search([[1.0, 2.0]], k=2, exclude=[[0]]).rows.tolist()
        [[2, 1]]
        """
        now = self._now
        q = as_matrix(queries, "queries", "search", n_columns=now.index.d - now.boosted)
        prepared = now.queries(q)
        return self._top_k(now, queries, prepared, k, exclude=exclude, allow=allow, deny=deny, hint=hint)

    def _top_k(
        self,
        now: IndexVersion,
        caller: Any,
        prepared: np.ndarray,
        k: int,
        *,
        exclude: Any = None,
        allow: Any = None,
        deny: Any = None,
        hint: Any = None,
        stats: dict[str, int] | None = None,
    ) -> TopK:
        k = as_k(k, "search")
        check_result_size(len(prepared), k, "search")
        filters = as_filters(len(prepared), now.n_rows, exclude, allow, deny, op="search")
        hints = as_hint(hint, len(prepared), now.n_rows, op="search")
        rows, scores = now.backend.search(now.index, prepared, k, filters, hints, stats)
        found_ids = self._ids_of(rows)
        if type(caller) is not np.ndarray:
            rows, scores = for_caller(caller, rows, scores)
        return TopK(rows, scores, now.number, found_ids)

    @strict_floats()
    def search_above(
        self,
        queries: Any,
        threshold: float,
        *,
        max_results: int | None = None,
        exclude: Any = None,
        allow: Any = None,
        deny: Any = None,
    ) -> Matches:
        """Every item that scores at least `threshold`, higher score first, equal ones by smaller row.

        Parameters
        ----------
        queries : array, shape (n_queries, d) or (d,)
        threshold : float
            Compared with the canonical float32 scores; -inf asks for everything.
        max_results : int, optional
            Only so many of the best a query.
        exclude, allow, deny : optional
            As in `search`.

        Returns
        -------
        Matches
            Ragged: query i has places indptr[i] to indptr[i + 1] - 1.

        Raises
        ------
        ValueError
            If the threshold is NaN, more items match than the byte limit allows, or as in `search`.

        Examples
        --------
        >>> index = ItemIndex([[3.0, 4.0], [0.0, 1.0], [5.0, 3.0]])
        >>> index.search_above([[1.0, 2.0]], 11.0).rows.tolist()
        [0, 2]
        """
        now = self._now
        q = as_matrix(queries, "queries", "search_above", n_columns=now.index.d - now.boosted)
        floor = as_threshold(threshold, "search_above")
        k = min(max(now.n_active, 1), 2**62 if max_results is None else as_k(max_results, "search_above"))
        filters: Filters = as_filters(len(q), now.n_rows, exclude, allow, deny, op="search_above")
        most = config.max_result_bytes() // 12
        try:
            found = now.backend.search_above(now.index, now.queries(q), floor, k, most, filters)
        except OverflowError:
            raise ValueError(
                f"[search_above] expected at most {most} matches in all, got more; raise the threshold, give "
                "max_results, or set GPUREC_MAX_RESULT_BYTES"
            ) from None
        found_ids = self._ids_of(found[1])
        indptr, rows, scores = for_caller(queries, *found)
        return Matches(indptr, rows, scores, now.number, found_ids)

    @strict_floats()
    def search_ids(
        self,
        ids: Sequence[Any] | np.ndarray,
        k: int,
        *,
        include_self: bool = False,
        exclude: Any = None,
        allow: Any = None,
        deny: Any = None,
    ) -> TopK:
        """Best k items of each item named by its id, its own vector being the query.

        Parameters
        ----------
        ids : sequence of hashable
            External ids; rows where the index has none.
        k : int
        include_self : bool
            Whether an item may be its own answer; `exclude` can only be given where it may.
        exclude, allow, deny : optional
            As in `search`; so is the result.

        Raises
        ------
        UnknownIdError
            If an id has no item.
        ValueError
            As in `search`.

        Examples
        --------
        >>> index = ItemIndex([[3, 4], [0, 1], [5, 3]], ids=["a", "b", "c"], metric="cosine")
        >>> index.search_ids(["a"], k=1).ids.tolist()
        [['c']]
        """
        now = self._now
        rows = self._rows_of(ids)
        items, found = now.index.items_of(rows)
        if not found.all():
            raise UnknownIdError(
                f"[search_ids] expected ids of items, got removed {ids[int(np.argmin(found))]!r}"
            )
        if not include_self:
            if exclude is not None:
                raise ValueError("[search_ids] expected exclude with include_self=True, got it without")
            exclude = (np.arange(len(rows) + 1), rows)
        d = now.index.d - now.boosted
        return self._top_k(
            now, ids, now.queries(items[:, :d], prepared=True), k, exclude=exclude, allow=allow, deny=deny
        )

    def get(self, rows: Any) -> np.ndarray:
        """Items of public rows as the index scores them, float32, shape (len(rows), d).

        For "dot" and "euclidean" these are the items as they were given, for "cosine" and "pearson" the
        prepared ones, of length one. Boosts are left out.

        Raises
        ------
        ValueError
            If a row is outside 0..n_items-1, or has no item.

        Examples
        --------
        >>> ItemIndex([[3.0, 4.0], [0.0, 2.0]], metric="cosine").get([1]).tolist()
        [[0.0, 1.0]]
        """
        now = self._now
        wanted = as_rows(rows, now.n_rows, "get")
        items, found = now.index.items_of(wanted)
        if not found.all():
            raise ValueError(
                f"[get] expected rows that have an item, got removed row {wanted[np.argmin(found)]}"
            )
        return np.ascontiguousarray(items[:, : now.index.d - now.boosted])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index as an artefact, replacing an older one at once or not at all.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ItemIndex([[3.0, 4.0]]).save(folder + "/films")
        ...     len(ItemIndex.load(folder + "/films"))
        1
        """
        with self._changing:
            now, ids = self._now, None if self._ids is None else self._ids.copy()
        write_index(path, now, self.precision, ids)

    @classmethod
    @strict_floats()
    def load(
        cls, path: str | os.PathLike[str], mmap: bool = False, *, backend: str | Backend | None = None
    ) -> ItemIndex:
        """Read a saved index.

        Parameters
        ----------
        path : path
        mmap : bool
            Search the items where they lie in the file: nothing is read until it is needed, processes share
            the pages, and the hash is checked only by `artifacts`' `verify`. Changes stay in memory.
        backend : str or Backend, optional

        Raises
        ------
        ArtifactError
            If the artefact is damaged, not an index, or from a newer version.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ItemIndex([[3.0], [4.0]]).save(folder + "/films")
        ...     ItemIndex.load(folder + "/films", mmap=True).search([[1.0]], 1).rows.tolist()
        [[1]]
        """
        version, precision, ids = read_index(path, select(backend), mmap)
        index = cls.__new__(cls)
        index._start(version, precision, ids)
        return index

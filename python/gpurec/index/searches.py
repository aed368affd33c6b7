"""What is asked of an index: its best items for queries or for its own items, and all above a threshold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from .. import config
from ..arrays import for_caller
from ..backends import Filters, RowSets, SearchReport, strict_floats
from ..device_arrays import is_on_device
from ..errors import UnknownIdError
from ..ops.arguments import as_k, as_matrix, as_threshold, check_finite, check_result_size
from ..ops.filter_blocks import FilterBlocks
from ..ops.filters import as_filters, as_hint
from ..types import Matches, TopK
from .blocks import QueryBlocks, as_batch, as_sliceable, query_bytes
from .explanation import SearchExplanation
from .on_device import handed_back, read_back, search_on_device
from .state import IndexState
from .versions import IndexVersion

__all__ = ["IndexSearches"]


class IndexSearches(IndexState):
    """The searching half of `ItemIndex`."""

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
        >>> from gpurec import ItemIndex
        >>> index = ItemIndex([[3.0, 4.0], [0.0, 1.0], [5.0, 3.0]])
        >>> index.search([[1.0, 2.0]], k=2, exclude=[[0]]).rows.tolist()
        [[2, 1]]
        """
        now = self._now
        if type(queries) is not np.ndarray and is_on_device(queries):
            return search_on_device(now, queries, k, self._ids_of, exclude=exclude, allow=allow, deny=deny)
        q = as_matrix(queries, "queries", "search", n_columns=now.index.d - now.boosted)
        prepared = now.queries(q)
        return self._top_k(now, queries, prepared, k, exclude=exclude, allow=allow, deny=deny, hint=hint)

    @strict_floats()
    def explain_search(
        self,
        queries: Any,
        k: int,
        *,
        exclude: Any = None,
        allow: Any = None,
        deny: Any = None,
        hint: Any = None,
    ) -> SearchExplanation:
        """Search, and tell what it took: why a query was slow.

        Parameters
        ----------
        queries, k, exclude, allow, deny, hint
            As in `search`.

        Returns
        -------
        SearchExplanation
            The same `answer`, with counts for each query and the seconds of each phase; printed, a table.

        Raises
        ------
        ValueError, TypeError
            As `search`.

        Notes
        -----
        It is the same search, with a clock that is read a few times for each group of queries. A search
        for which no explanation was asked reads none.

        Examples
        --------
        >>> from gpurec import ItemIndex
        >>> explanation = ItemIndex([[3.0], [1.0], [5.0]]).explain_search([[1.0], [-1.0]], k=1)
        >>> explanation.answer.rows.tolist()
        [[2], [1]]
        >>> explanation.counts["rescored"].shape
        (2,)
        """
        report = SearchReport()
        begin = perf_counter()
        report.begin("check")
        now = self._now
        q = as_matrix(queries, "queries", "explain_search", n_columns=now.index.d - now.boosted)
        report.begin("prepare")
        prepared = now.queries(q)
        report.begin("check")
        answer = self._top_k(
            now,
            queries,
            prepared,
            k,
            exclude=exclude,
            allow=allow,
            deny=deny,
            hint=hint,
            op="explain_search",
            report=report,
        )
        report.stop()
        return SearchExplanation.of(answer, now.backend.name, perf_counter() - begin, report)

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
        op: str = "search",
        report: SearchReport | None = None,
    ) -> TopK:
        k = as_k(k, op)
        check_result_size(len(prepared), k, op)
        filters = as_filters(len(prepared), now.n_rows, exclude, allow, deny, op=op)
        hints = as_hint(hint, len(prepared), now.n_rows, op=op)
        return self._answer(now, caller, prepared, k, filters, hints, report)

    def _answer(
        self,
        now: IndexVersion,
        caller: Any,
        prepared: np.ndarray,
        k: int,
        filters: Filters,
        hints: RowSets | None = None,
        report: SearchReport | None = None,
    ) -> TopK:
        if report is not None:
            report.begin("search")
        rows, scores = now.backend.search(now.index, prepared, k, filters, hints, report)
        if report is not None:
            report.begin("answer")
        found_ids = self._ids_of(rows)
        if type(caller) is not np.ndarray:
            rows, scores = for_caller(caller, rows, scores)
        return TopK(rows, scores, now.number, found_ids)

    def search_all(
        self,
        queries: Any,
        k: int,
        *,
        exclude: Any = None,
        allow: Any = None,
        deny: Any = None,
        batch: int | str = "auto",
        progress: Callable[[int, int], object] | None = None,
    ) -> Iterator[tuple[int, TopK]]:
        """Best k items of any number of queries, a block of them at a time: everyone's, in bounded memory.

        Parameters
        ----------
        queries : shape (n_queries, d) or, as an array, (d,)
            An array, a `numpy.memmap`, or anything with a length that can be sliced by rows, such as a data
            set of h5py: only a block of it is read at a time.
        k : int
        exclude, allow, deny : optional
            As in `search`. Of what differs from query to query, a CSR matrix for example, a block's part is
            copied at a time. `exclude` may also be anything with a length of which a slice is one of the
            forms that `search` takes.
        batch : int or "auto"
            Queries of a block. "auto" takes as many as 64 MB hold of their vectors, filters, candidates and
            answers, by estimate and at least one.
        progress : callable, optional
            Called with (queries done, queries in all) before each block is handed out.

        Returns
        -------
        iterator of (int, TopK)
            The place of a block's first query, and its answer: blocks in order, each query in one of them.

        Raises
        ------
        ValueError, TypeError
            As `search`; at once where it is seen at once, else when the block in question is reached.

        Notes
        -----
        Together the blocks are what one `search` for all queries returns, bit for bit. All are answered by
        the version that the index has when `search_all` is called, whatever changes meanwhile.

        Examples
        --------
        >>> import numpy as np
        >>> from gpurec import ItemIndex
        >>> index = ItemIndex([[3.0, 4.0], [0.0, 1.0], [5.0, 3.0]])
        >>> users = np.float32([[1, 2], [2, 1], [0, 1]])
        >>> for first, found in index.search_all(users, 1, exclude=[[0], [], [0]], batch=2):
        ...     print(first, found.rows.tolist())
        0 [[2], [2]]
        2 [[2]]
        """
        op = "search_all"
        now = self._now
        queries, n = as_sliceable(queries, op)
        k, size = as_k(k, op), as_batch(batch, op)
        check_result_size(min(n, size or 1), k, op)
        if progress is not None and not callable(progress):
            raise TypeError(f"[{op}] expected progress as a function of (done, total), got {progress!r}")
        filters = FilterBlocks(n, now.n_rows, exclude, allow, deny, op=op)
        a_query = query_bytes(k, now.index.d, now.n_active, self._ids is not None)
        blocks = QueryBlocks(n, filters, size, a_query)
        return self._search_blocks(now, queries, k, filters, blocks, progress)

    def _search_blocks(
        self,
        now: IndexVersion,
        queries: Any,
        k: int,
        filters: FilterBlocks,
        blocks: QueryBlocks,
        progress: Callable[[int, int], object] | None,
    ) -> Iterator[tuple[int, TopK]]:
        for block, cut in blocks:
            answer = self._search_block(now, queries, k, block, filters, cut)
            if progress is not None:
                progress(block.stop, blocks.n_queries)
            yield block.start, answer

    @strict_floats()  # here, so that no setting of the thread is changed while the caller has a block
    def _search_block(
        self,
        now: IndexVersion,
        queries: Any,
        k: int,
        block: slice,
        filters: FilterBlocks,
        cut: dict[str, Any],
    ) -> TopK:
        op, n = "search_all", block.stop - block.start
        # The array API's standard wants an index for every dimension; lists and files take one alone.
        asked = queries[block, ...] if hasattr(queries, "__array_namespace__") else queries[block]
        q = as_matrix(asked, "queries", op, finite=False, n_columns=now.index.d - now.boosted)
        if len(q) != n:
            raise ValueError(f"[{op}] expected queries of shape (n, d), got a slice of {n} that has {len(q)}")
        check_finite(q, "queries", op, first=block.start)
        return self._answer(now, asked, now.queries(q), k, filters.checked(block, cut))

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
            Ragged: query i has places indptr[i] to indptr[i + 1] - 1. Where queries lie on a device, so does
            it; as nobody knows beforehand how long it is, it is waited for, and what is wrong is raised.

        Raises
        ------
        ValueError
            If the threshold is NaN, more items match than the byte limit allows, or as in `search`.
        TypeError
            If a dtype is not one of numbers, or queries lie on a device where the index's backend takes none.

        Examples
        --------
        >>> from gpurec import ItemIndex
        >>> index = ItemIndex([[3.0, 4.0], [0.0, 1.0], [5.0, 3.0]])
        >>> index.search_above([[1.0, 2.0]], 11.0).rows.tolist()
        [0, 2]
        """
        now, caller = self._now, queries
        if is_on_device(caller):
            queries, exclude, allow, deny = read_back(now, queries, exclude, allow, deny, "search_above")
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
        indptr, rows, scores = handed_back(caller, *found)
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
        >>> from gpurec import ItemIndex
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

"""Backend `cpu`: the native module, on one instruction set and a number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import config
from .._native import cpu as native
from .._native import missing
from ..errors import BackendUnavailableError
from .base import NO_FILTERS, Filters, Pruning, RowSets, SparseRows
from .cpu_index import WORTH_THREADS, CpuIndex
from .finite import require_finite
from .gibbs_side import GibbsSide
from .gram_score import GramScore
from .host_als import native_als
from .host_bpr import native_bpr_epochs
from .host_elastic_net import native_elastic_net
from .host_gibbs import native_gibbs_half_sweep
from .host_gram import native_gram_top_k
from .pruning import leading_tensors, native_names, pruning_choices
from .ranking import RankingJob
from .report import SearchReport

__all__ = ["CpuBackend", "available_isas"]

# Rows as they lie are packed in the cache and forgotten. Sorting them by norm and keeping their panels pays
# from about here on (measured on 100,000 x 64 and 20,000 x 128 normal items, whose norms rule nothing out).
_QUERIES_WORTH_PANELS = 1024
# Panels and what it takes to make them are scratch of the one call.
_MOST_PANEL_BYTES = 16 << 20
# Making a table of some items costs about as much an item as 40 take to pass by one query, and a pass as much
# again for every twelve queries (100,000 x 64).
_GATHER_COST, _QUERIES_PER_PASS = 40, 12
# Queries that share an allow set with so many others are searched together with them.
_QUERIES_PER_SET = 8
# Where a float32 scan is quicker than one in int8: AVX-512 without integer dots.
_QUICKER_IN_FLOAT32 = ("avx512",)
_NO_PERMITS: tuple[Any, Any, list[Any]] = (None, None, [])


def available_isas() -> list[str]:
    """Instruction sets that this processor supports, best first."""
    return [] if native is None else [name for name, supported in native.isas() if supported]


class CpuBackend:
    """Certified scans in C++.

    Parameters
    ----------
    isa : str or None
        "avx512bf16", "avx512vnni", "avx512", "avxvnni", "avx2" or "serial"; None takes `GPUREC_CPU_ISA`,
        else the best that the processor supports.
    n_threads : int or None
        None takes `GPUREC_NUM_THREADS`, else the cores this process may use.

    Raises
    ------
    BackendUnavailableError
        If the native module is missing or the processor lacks the ISA.
    ValueError
        If no ISA has that name.

    Examples
    --------
    >>> CpuBackend(isa="serial", n_threads=1).isa
    'serial'
    """

    name = "cpu"

    def __init__(self, isa: str | None = None, n_threads: int | None = None) -> None:
        if native is None:
            raise BackendUnavailableError(f"[backend] cpu: {missing['_cpu']}")
        if n_threads is not None and n_threads < 1:
            raise ValueError(f"[backend] expected n_threads >= 1, got {n_threads}")
        self._isa = isa or ""
        self._n_threads = n_threads
        _ = self.isa  # a name that is unknown or cannot run fails here, not in the first search

    @property
    def isa(self) -> str:
        """The instruction set in use."""
        try:
            return native.chosen_isa(self._isa)
        except RuntimeError as error:
            raise BackendUnavailableError(str(error)) from error

    @property
    def n_threads(self) -> int:
        """Threads that one call may use."""
        return self._n_threads or config.n_threads()

    def prepare_rows(self, rows: np.ndarray, metric: str) -> np.ndarray:
        if metric in ("dot", "euclidean"):
            return rows
        return native.prepare_rows(rows, metric, self.n_threads)

    def score(self, queries: np.ndarray, items: np.ndarray, out: np.ndarray) -> None:
        native.score(queries, items, "dot", out, self.isa, self.n_threads)

    def score_in_order(self, queries: np.ndarray, items: np.ndarray, out: np.ndarray) -> None:
        native.score_in_order(queries, items, out, self.isa, self.n_threads)

    def spmm(
        self, matrix: SparseRows, dense: np.ndarray, add: np.ndarray | None, weight: float, out: np.ndarray
    ) -> None:
        matrix.native.times(dense, add, weight, out, self.isa, self.n_threads)

    def similarity(self, a: np.ndarray, b: np.ndarray, metric: str, out: np.ndarray) -> None:
        prepared = self.prepare_rows(a, metric)
        other = prepared if b is a else self.prepare_rows(b, metric)
        native.score(prepared, other, metric, out, self.isa, self.n_threads)

    def score_pairs(self, queries: np.ndarray, items: np.ndarray, metric: str) -> np.ndarray:
        return native.score_pairs(
            self.prepare_rows(queries, metric),
            self.prepare_rows(items, metric),
            metric,
            self.isa,
            self.n_threads,
        )

    def top_k(self, scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        return native.top_k(scores, k, self.isa, self.n_threads)

    def gram_top_k(
        self,
        x: SparseRows,
        k: int,
        how: GramScore,
        rows: np.ndarray,
        include_self: bool,
        filters: Filters,
    ) -> tuple[np.ndarray, np.ndarray]:
        return native_gram_top_k(x, k, how, rows, include_self, filters, self.isa, self.n_threads)

    def elastic_net(
        self, columns: SparseRows, targets: np.ndarray, candidates: SparseRows, **rates: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        return native_elastic_net(columns, targets, candidates, self.n_threads, **rates)

    def als_shared(self, factors: np.ndarray, unobserved_weight: float) -> Any:
        return native.AlsShared(factors, unobserved_weight, self.isa, self.n_threads)

    def als(self, shared: Any, weights: SparseRows, *how: Any) -> float:
        return native_als(shared, weights, *how, n_threads=self.n_threads)

    def bpr_epochs(self, positives: SparseRows, *arrays: Any, job: RankingJob) -> Any:
        return native_bpr_epochs(positives, *arrays, job=job, isa=self.isa, n_threads=self.n_threads)

    def gibbs_half_sweep(
        self, ratings: SparseRows, others: GibbsSide, side: GibbsSide, **draw: Any
    ) -> np.ndarray:
        return native_gibbs_half_sweep(ratings, others, side, self.isa, self.n_threads, **draw)

    def sgd_epoch(self, *arrays: Any, **rates: Any) -> float:
        return native.sgd_epoch(*arrays, **rates, isa=self.isa)

    def build_index(
        self,
        items: np.ndarray,
        metric: str,
        active: np.ndarray | None = None,
        precision: str = "fp32",
        pruning: Pruning = "auto",
    ) -> CpuIndex:
        empty = native.empty_table(items.shape[1], metric, self._with_codes(precision), native_names(pruning))
        index = CpuIndex(empty, metric, self, precision, pruning)
        if active is None:
            return index.with_items(items, np.arange(len(items)), len(items))
        rows = np.flatnonzero(active)
        return index.with_items(items[rows], rows, len(items))

    def index_of_tensors(
        self,
        tensors: dict[str, np.ndarray],
        metric: str,
        n_rows: int,
        precision: str = "fp32",
        pruning: Pruning = "auto",
    ) -> CpuIndex:
        with_codes, names = self._with_codes(precision), native_names(pruning)
        rows = tensors["row_of"]
        if with_codes and "codes" in tensors and len(rows) > 0:
            int8 = tensors["codes"], tensors["scales"], tensors["errors"]
            codes = int8, (tensors["codes4"], tensors["scales4"], tensors["errors4"])
            leading = leading_tensors(names, tensors)
            table = native.table_of_arrays(
                metric, n_rows, tensors["items"], tensors["norms"], rows, codes, names, leading
            )
        elif "items" in tensors:
            items = np.ascontiguousarray(tensors["items"])
            if len(items) != len(rows) or len(np.unique(rows)) != len(rows):
                raise ValueError("items without a row of their own")
            empty = native.empty_table(items.shape[1], metric, with_codes, names)
            table = empty.with_items(items, np.ascontiguousarray(rows), n_rows, self.isa, self.n_threads)
        elif len(rows) == 0:
            table = native.empty_table(tensors["panels"].shape[1], metric, with_codes, names)
            nothing = np.empty((0, table.d), np.float32)
            table = table.with_items(nothing, rows, n_rows, self.isa, self.n_threads)
        else:
            table = native.table_of_arrays(
                metric, n_rows, tensors["panels"], tensors["norms"], rows, None, names, None
            )
        return CpuIndex(table, metric, self, precision, pruning)

    def _with_codes(self, precision: str) -> bool:
        return precision in ("int8", "int4") or (precision == "auto" and self.isa not in _QUICKER_IN_FLOAT32)

    def search_above(
        self,
        index: CpuIndex,
        queries: np.ndarray,
        threshold: np.float32,
        k: int,
        most: int,
        filters: Filters,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        table, filters = self._restricted(index.table, filters, len(queries))
        # What rules items out is known from the start: however many may be found, it is no deep search.
        places = 1 if threshold > -np.inf else k
        try:
            return native.search_above(
                table,
                self.prepare_rows(queries, index.metric),
                float(threshold),
                k,
                most,
                *filters.permits,
                index.arithmetic(len(queries), places),
                self.isa,
                self.n_threads,
            )
        except ValueError as error:
            if str(error) != "too many":
                raise
            raise OverflowError("too many") from None

    def score_top_k(
        self,
        queries: np.ndarray,
        items: np.ndarray,
        k: int,
        metric: str,
        filters: Filters,
        hint: RowSets | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        if len(queries) >= _QUERIES_WORTH_PANELS and items.nbytes <= _MOST_PANEL_BYTES:
            require_finite(items)  # before their norms are used; otherwise the search looks on its way
            return self.search(self.build_index(items, metric), queries, k, filters, hint)
        q, permits = self.prepare_rows(queries, metric), filters.permits
        rows, scores, finite = native.search_rows(items, metric, q, k, *permits, self.isa, self.n_threads)
        if not finite:
            raise FloatingPointError("an item is not finite")
        return rows, scores

    def search(
        self,
        index: CpuIndex,
        queries: np.ndarray,
        k: int,
        filters: Filters,
        hint: RowSets | None = None,
        report: SearchReport | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        table, permits = index.table, _NO_PERMITS
        if filters is not NO_FILTERS:
            if _shares_sets(filters.allow, len(queries)):
                return self._search_by_set(index, queries, k, filters, hint, report)
            if report is not None:
                report.begin("gather")
            table, filters = self._restricted(table, filters, len(queries))
            permits = filters.permits
        if report is not None:
            report.begin("prepare")
        prepared = self.prepare_rows(queries, index.metric)
        n_threads = self.n_threads if table.n_rows * queries.size >= WORTH_THREADS else 1
        if report is not None:
            report.begin("search")
        rows, scores, found = native.search(
            table,
            prepared,
            k,
            *permits,
            None if hint is None else hint.parts,
            index.arithmetic(len(queries), k),
            report is not None,
            self.isa,
            n_threads,
        )
        if report is not None and found is not None:
            report.counts, report.thresholds = found["counts"], found["thresholds"]
            report.thread_seconds = found["thread_seconds"]
            report.choose(
                len(queries),
                isa=self.isa,
                n_threads=n_threads,
                items="all" if table is index.table else "gathered",
                n_items=table.n_active,
                split=found["split"],
                sample_every=found["sample_every"],
            )
            report.choices |= pruning_choices(index.pruning, found["precisions"])
        return rows, scores

    def _restricted(self, table: Any, filters: Filters, n_queries: int) -> tuple[Any, Filters]:
        """A small table of what a mask permits, where that is quicker than asking the mask; other filters."""
        mask = filters.mask
        if mask is None:
            return table, filters
        passes = 1 + n_queries / _QUERIES_PER_PASS
        if np.count_nonzero(mask) * _GATHER_COST >= len(mask) * passes:
            return table, filters
        rows = np.flatnonzero(mask).astype(np.uint32)
        table = table.restricted_to(rows, self.isa, self.n_threads)
        return table, Filters(None, filters.allow, filters.deny)

    def _search_by_set(
        self,
        index: CpuIndex,
        queries: np.ndarray,
        k: int,
        filters: Filters,
        hint: RowSets | None,
        report: SearchReport | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Search set by set: within one of them its rows are a mask for all queries."""
        allow = filters.allow
        assert allow is not None and allow.which is not None
        rows = np.empty((len(queries), k), np.int64)
        scores = np.empty((len(queries), k), np.float32)
        for chosen in np.unique(allow.which):
            of_set = np.flatnonzero(allow.which == chosen)
            mask = np.zeros(index.table.n_rows, np.bool_)
            mask[allow.of(int(of_set[0]))] = True
            if filters.mask is not None:
                mask &= filters.mask
            shared = Filters(mask, None, tuple(sets.of_queries(of_set) for sets in filters.deny))
            hints = None if hint is None else hint.of_queries(of_set)
            if report is None:
                rows[of_set], scores[of_set] = self.search(index, queries[of_set], k, shared, hints)
                continue
            report.stop()
            part = SearchReport()
            rows[of_set], scores[of_set] = self.search(index, queries[of_set], k, shared, hints, part)
            report.put(len(queries), of_set, part)
            report.begin("search")
        return rows, scores


def _shares_sets(allow: RowSets | None, n_queries: int) -> bool:
    """Whether queries choose among so few allow sets that each is worth a search of its own."""
    return allow is not None and allow.which is not None and len(allow.indptr) * _QUERIES_PER_SET <= n_queries

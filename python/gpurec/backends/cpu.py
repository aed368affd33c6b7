"""Backend `cpu`: the native module, on one instruction set and a number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import config
from .._native import cpu as native
from .._native import missing
from ..errors import BackendUnavailableError
from .base import Filters, RowSets

__all__ = ["CpuBackend", "available_isas"]

# A table without panels costs nothing to make and scores every row canonically, about three times the work of
# a scan; panels cost about as much to make as scanning them for five queries.
_QUERIES_WORTH_PANELS = 5
# Gathering and scoring an allowed row canonically costs about as much as scanning eight in panels.
_GATHER_COST = 8


def available_isas() -> list[str]:
    """Instruction sets that this processor supports, best first."""
    return [] if native is None else [name for name, supported in native.isas() if supported]


class CpuBackend:
    """Certified scans in C++.

    Parameters
    ----------
    isa : str or None
        "avx512", "avx2" or "serial"; None takes `GPUREC_CPU_ISA`, else the best that the processor supports.
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

    def sgd_epoch(self, *arrays: np.ndarray, **rates: float) -> float:
        return native.sgd_epoch(*arrays, **rates)

    def build_index(
        self,
        items: np.ndarray,
        metric: str,
        active: np.ndarray | None = None,
        n_queries: int | None = None,
    ) -> CpuIndex | CpuRows:
        prepared = self.prepare_rows(items, metric)
        if n_queries is not None and n_queries < _QUERIES_WORTH_PANELS and active is None:
            return CpuRows(prepared, metric)
        rows = np.arange(len(items)) if active is None else np.flatnonzero(active)
        table = native.empty_table(items.shape[1], metric).with_items(
            prepared if active is None else prepared[rows],
            rows.astype(np.uint32),
            len(items),
            self.isa,
            self.n_threads,
        )
        return CpuIndex(table, metric)

    def search(
        self,
        index: CpuIndex | CpuRows,
        queries: np.ndarray,
        k: int,
        filters: Filters,
        hint: RowSets | None = None,
        stats: dict[str, int] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        mask, allow = filters.mask, filters.allow
        if mask is not None and allow is None:
            permitted = np.flatnonzero(mask)
            if len(permitted) * _GATHER_COST < len(mask):
                ends = np.array([0, len(permitted)], np.int64)
                allow = RowSets(ends, permitted, np.zeros(len(queries), np.int64))
        prepared = self.prepare_rows(queries, index.metric)
        permits = (
            None if mask is None else mask.view(np.uint8),
            None if allow is None else _parts(allow),
            [_parts(sets) for sets in filters.deny],
        )
        if isinstance(index, CpuRows):
            rows, scores, counts = native.search_rows(
                index.rows, index.metric, prepared, k, *permits, self.isa, self.n_threads
            )
        else:
            hints = None if hint is None else _parts(hint)
            rows, scores, counts = native.search(
                index.table, prepared, k, *permits, hints, self.isa, self.n_threads
            )
        if stats is not None:
            for name, count in counts.items():
                stats[name] = stats.get(name, 0) + count
        return rows, scores


class CpuIndex:
    """Items in panels, and the metric that their queries need preparing for."""

    def __init__(self, table: Any, metric: str) -> None:
        self.table = table
        self.metric = metric

    @property
    def n_bytes(self) -> int:
        """Memory of the panels and of what goes with them."""
        return self.table.n_bytes


class CpuRows:
    """Prepared rows as they lie, for a handful of queries."""

    def __init__(self, rows: np.ndarray, metric: str) -> None:
        self.rows = rows
        self.metric = metric


def _parts(sets: RowSets) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    return sets.indptr, sets.rows, sets.which

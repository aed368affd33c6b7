"""Backend `cuda`: our own kernels on a GPU, and `cuda_emulated`, the same class on an emulator of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...device_arrays import DeviceArray, empty_like
from .. import host_als, host_bpr
from ..base import NO_DEVICE_FILTERS, DeviceFilters, Filters, Pruning, RowSets, SparseRows
from ..factor_ops import AlsRates
from ..finite import require_finite
from ..on_host import OnHost
from ..panels import items_of_panels
from ..ranking import RankingJob
from ..report import SearchReport
from . import matrices
from .bpr import RankingOnDevice
from .device_search import DeviceSearch, device_top_k
from .factors import AlsOnDevice, widest
from .host import HostSearch
from .launches import Launcher
from .params import NO_ROW
from .planning import Limits
from .search import Workspaces
from .table import Table, empty_table
from .ways import Runtime, open_cuda, open_emulated

__all__ = ["CudaBackend", "CudaIndex", "EmulatedCudaBackend"]

ORIGINALS = ("device", "host")


class CudaBackend(OnHost):
    """Certified scans by CUDA kernels.

    Parameters
    ----------
    device : int
        Number of the device.
    originals : {"device", "host"}
        Where float32 rows of indexes lie: with "host" the device holds codes of a byte, and the few rows that
        a search scores are read from pinned memory of the host.
    limits : Limits
        Sizes that change the speed of a search and never its answer.

    Raises
    ------
    BackendUnavailableError
        If no way leads to a device; the text has the reason of each.
    ValueError
        If `originals` is neither.
    """

    name = "cuda"

    def __init__(
        self,
        device: int = 0,
        *,
        originals: str = "device",
        limits: Limits | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        if originals not in ORIGINALS:
            raise ValueError(f"[backend] expected originals of {' or '.join(ORIGINALS)}, got {originals!r}")
        self.runtime = open_cuda(device) if runtime is None else runtime
        self.originals = originals
        self.limits = limits or Limits()
        self.launcher = Launcher(self.runtime)
        self.workspaces = Workspaces(self.launcher)

    def prepare_rows(self, rows: np.ndarray, metric: str) -> np.ndarray:
        if metric in ("dot", "euclidean"):
            return rows
        return matrices.prepared(self.launcher, self.workspaces, rows, metric)

    def score(self, queries: np.ndarray, items: np.ndarray, out: np.ndarray) -> None:
        self.similarity(queries, items, "dot", out)

    def similarity(self, a: np.ndarray, b: np.ndarray, metric: str, out: np.ndarray) -> None:
        matrices.similarity(self.launcher, self.workspaces, a, b, metric, out)

    def score_pairs(self, queries: np.ndarray, items: np.ndarray, metric: str) -> np.ndarray:
        return matrices.pairs(self.launcher, self.workspaces, queries, items, metric)

    def top_k(self, scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        return matrices.top_k(self.launcher, self.workspaces, self.limits, scores, k)

    def als_shared(self, factors: np.ndarray, unobserved_weight: float) -> Any:
        if factors.shape[1] > widest(self.launcher):
            return host_als.als_shared(factors, unobserved_weight)
        return AlsOnDevice(self.launcher, self.workspaces, factors, unobserved_weight)

    def als(
        self,
        shared: Any,
        weights: SparseRows,
        pulls: np.ndarray,
        l2: np.ndarray,
        start: np.ndarray | None,
        rates: AlsRates,
        many: bool,
        out: np.ndarray,
    ) -> float:
        if isinstance(shared, AlsOnDevice):
            return shared.solve(weights, pulls, l2, start, rates, out)
        return host_als.als(shared, weights, pulls, l2, start, rates, many, out)

    def bpr_epochs(self, positives: SparseRows, *arrays: Any, job: RankingJob) -> tuple[float, int, int, int]:
        ranking = RankingOnDevice(self.launcher, self.workspaces, job)
        if ranking.can:
            return ranking.run(positives, *arrays)
        return host_bpr.bpr_epochs(positives, *arrays, job=job)

    def build_index(
        self,
        items: np.ndarray,
        metric: str,
        active: np.ndarray | None = None,
        precision: str = "fp32",
        pruning: Pruning = "auto",
    ) -> CudaIndex:
        rows = np.arange(len(items)) if active is None else np.flatnonzero(active)
        index = self._empty(items.shape[1], metric, precision, len(rows))
        return index.with_items(items if active is None else items[rows], rows, len(items))

    def index_of_tensors(
        self,
        tensors: dict[str, np.ndarray],
        metric: str,
        n_rows: int,
        precision: str = "fp32",
        pruning: Pruning = "auto",
    ) -> CudaIndex:
        rows = tensors["row_of"].astype(np.int64)
        items = tensors["items"] if "items" in tensors else items_of_panels(tensors["panels"], len(rows))
        if items.shape[0] != len(rows) or len(np.unique(rows)) != len(rows) or (rows >= n_rows).any():
            raise ValueError("items without a row of their own")
        finite = np.isfinite(items).all(axis=1)  # those that are not are never returned
        index = self._empty(items.shape[1], metric, precision, int(finite.sum()))
        # They are prepared already; for these metrics there is nothing to prepare.
        plain = "euclidean" if metric == "euclidean" else "dot"
        return replace(
            index, table_now=index.table_now.with_items(items[finite], rows[finite], n_rows, plain)
        )

    def search_above(
        self,
        index: CudaIndex,
        queries: np.ndarray,
        threshold: np.float32,
        k: int,
        most: int,
        filters: Filters,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows, scores, counts = [np.empty(0, np.int64)], [np.empty(0, np.float32)], [0]
        searches = self._search_of(index).blocks(queries, k, filters, float(threshold))
        for _, found_rows, found_scores in searches:
            there = found_rows >= 0
            counts += there.sum(axis=1).tolist()
            if sum(counts) > most:
                raise OverflowError("too many")
            rows.append(found_rows[there])
            scores.append(found_scores[there])
        return np.cumsum(counts, dtype=np.int64), np.concatenate(rows), np.concatenate(scores)

    def score_top_k(
        self,
        queries: np.ndarray,
        items: np.ndarray,
        k: int,
        metric: str,
        filters: Filters,
        hint: RowSets | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        require_finite(items)
        return self.search(self.build_index(items, metric), queries, k, filters, hint)

    def search(
        self,
        index: CudaIndex,
        queries: np.ndarray,
        k: int,
        filters: Filters,
        hint: RowSets | None = None,
        report: SearchReport | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        rows = np.full((len(queries), k), -1, np.int64)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        searches = self._search_of(index).blocks(queries, k, filters, report=report)
        for block, found_rows, found_scores in searches:
            rows[block, : found_rows.shape[1]] = found_rows
            scores[block, : found_rows.shape[1]] = found_scores
        if report is not None and "candidates" not in report.counts:  # there was nothing to search
            zeros = np.zeros(len(queries), np.int64)
            report.counts = {"candidates": zeros, "rescored": zeros}
            report.thresholds = np.full(len(queries), -np.inf, np.float32)
        return rows, scores

    def search_on_device(
        self,
        index: CudaIndex,
        queries: DeviceArray,
        k: int,
        filters: DeviceFilters,
        *,
        metric: str,
        appended: bool = False,
        op: str = "search",
    ) -> tuple[Any, Any, Callable[[], None]]:
        self._require_here(queries, op)
        self._follow(queries, *filters.arrays)
        searches = DeviceSearch(self.launcher, self.workspaces, self.limits, index.table_now)
        rows, scores, check = searches.search(queries, k, filters, metric, appended, op)
        return rows.array, scores.array, check

    def similarity_on_device(
        self, a: DeviceArray, b: DeviceArray, metric: str, out: DeviceArray | None, op: str
    ) -> Any:
        if out is None:
            self._require_here(a, op)
            out = empty_like(a, (a.shape[0], b.shape[0]), "float32", op)
        for array in (a, b, out):
            self._require_here(array, op)
        self._follow(a, b, out)
        matrices.device_similarity(self.launcher, self.workspaces, self.limits, a, b, metric, out)
        return out.array

    def top_k_on_device(self, scores: DeviceArray, k: int, op: str) -> tuple[Any, Any]:
        self._require_here(scores, op)
        rows, best = device_top_k(self.launcher, self.workspaces, self.limits, scores, k, op)
        return rows.array, best.array

    def reserve(self, index: CudaIndex, n_queries: int, k: int) -> None:
        """Allocate what a CUDA graph works in that captures a search of so many queries: before the capture.

        While a stream is captured nothing can be allocated; the graph keeps what it was given.
        """
        searches = DeviceSearch(self.launcher, self.workspaces, self.limits, index.table_now)
        sizes = searches.sizes(searches.plan(n_queries, k), NO_DEVICE_FILTERS)
        # Room for what filters add: permits, and a word for each set.
        sizes |= {"permits": index.table_now.n_tiles * 8, "unsorted": 8 * 1024 + 20 * n_queries}
        self.workspaces.reserve(sizes)

    def _require_here(self, array: DeviceArray, op: str) -> None:
        ordinal = self.launcher.device.ordinal
        if array.device != ordinal:
            raise ValueError(
                f"[{op}] expected arrays on cuda:{ordinal}, where this backend computes, got one on "
                f'cuda:{array.device}; do: move it, or use backend="cuda:{array.device}"'
            )

    def _follow(self, first: DeviceArray, *others: DeviceArray) -> None:
        """Wait for what other libraries do to their arrays on other streams than the first array's."""
        for stream in {array.stream for array in others} - _same_stream(first.stream):
            self.launcher.synchronise(stream)

    def _search_of(self, index: CudaIndex) -> HostSearch:
        return HostSearch(self.launcher, self.workspaces, self.limits, index.table_now, index.metric)

    def _empty(self, d: int, metric: str, precision: str, n_items: int) -> CudaIndex:
        with_codes = self.originals == "host" or precision in ("auto", "int8", "int4")
        table = empty_table(self.launcher, d, metric, with_codes, self.originals, n_items)
        return CudaIndex(table, metric)


def _same_stream(stream: int) -> set[int]:
    """The numbers of a stream: that of the legacy one is 0, or 1 where 0 would be ambiguous."""
    return {0, 1} if stream in (0, 1) else {stream}


class EmulatedCudaBackend(CudaBackend):
    """The same kernels on an emulated device, for tests: about ten thousand times slower than a real one.

    Lists and samples are small, so that some hundreds of items make several of everything.
    """

    name = "cuda_emulated"

    def __init__(
        self, module: str = "_cuda_emulated", originals: str = "device", limits: Limits | None = None
    ) -> None:
        small = Limits(least_capacity=64, least_sampled=3, most_bytes=8 << 20, units=4, capacity_factor=2.0)
        super().__init__(originals=originals, limits=limits or small, runtime=open_emulated(module))


@dataclass(frozen=True)
class CudaIndex:
    """Items on a device, and the metric that they and their queries are prepared for.

    Attributes
    ----------
    table_now : Table
    metric : str
    """

    table_now: Table
    metric: str

    @property
    def d(self) -> int:
        """Components of an item."""
        return self.table_now.storage.d

    @property
    def n_bytes(self) -> int:
        """Memory of the device and pinned memory of the host."""
        return self.table_now.n_bytes

    def with_items(self, items: np.ndarray, rows: np.ndarray, n_rows: int) -> CudaIndex:
        """An index of `n_rows` public rows in which row rows[i] has item i."""
        return replace(self, table_now=self.table_now.with_items(items, rows, n_rows, self.metric))

    def without(self, rows: np.ndarray) -> CudaIndex:
        """An index in which these rows have no items."""
        return replace(self, table_now=self.table_now.without(rows))

    def compacted(self) -> CudaIndex:
        """An index of the same items in storage of their own, sorted by norm."""
        return replace(self, table_now=self.table_now.compacted())

    def items_of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Prepared items of rows, and whether each row has one."""
        return self.table_now.items_of(rows)

    def tensors(self) -> dict[str, np.ndarray]:
        """Items as they are scored, and the rows that have one."""
        rows = np.flatnonzero(self.table_now.position_of != NO_ROW)
        return {"items": self.table_now.items_of(rows)[0], "row_of": rows.astype(np.uint32)}

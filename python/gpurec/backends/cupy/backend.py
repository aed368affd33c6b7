"""Backend `cupy`: the namespace's operations alone, every item scored canonically, in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...device_arrays import DeviceArray, empty_like
from ...errors import BackendUnavailableError, DeviceError, import_extra
from ..base import DeviceFilters, Filters, Pruning, RowSets
from ..environment import strict_floats
from ..finite import require_finite
from ..on_host import OnHost
from ..panels import items_of_panels
from ..report import SearchReport
from .device import as_host_filters, handed_back, in_namespace, on_stream, require_finite_queries
from .functions import LANES, Permits, answer_of, best_keys, keys_of, prepare_rows, scores_of
from .index import CupyIndex, to_host

__all__ = ["CupyBackend"]


class CupyBackend(OnHost):
    """Every op by CuPy's operations, bit for bit as the reference.

    Parameters
    ----------
    namespace : module, optional
        What computes; CuPy by default. NumPy is for tests.
    pairs_at_once : int
        Scores computed together, which take 600 bytes each.

    Raises
    ------
    BackendUnavailableError
        If CuPy is missing or finds no device.

    Examples
    --------
    >>> backend = CupyBackend(np)
    >>> backend.score_pairs(np.float32([[1, 2]]), np.float32([[3, 4]]), "dot").tolist()
    [11.0]
    """

    name = "cupy"

    def __init__(self, namespace: Any = None, pairs_at_once: int = 1 << 20) -> None:
        self._xp = _cupy() if namespace is None else namespace
        self._pairs = pairs_at_once

    def prepare_rows(self, rows: np.ndarray, metric: str) -> np.ndarray:
        if metric in ("dot", "euclidean"):
            return rows
        prepared = np.empty(rows.shape, np.float32)
        for part in self._parts(len(rows), rows.shape[1] // 8 + LANES):
            with strict_floats():
                prepared[part] = to_host(prepare_rows(self._xp, self._xp.asarray(rows[part]), metric))
        return prepared

    def score(self, queries: np.ndarray, items: np.ndarray, out: np.ndarray) -> None:
        self.similarity(queries, items, "dot", out)

    @strict_floats()
    def similarity(self, a: np.ndarray, b: np.ndarray, metric: str, out: np.ndarray) -> None:
        index = self.build_index(b, metric)
        prepared = self._xp.asarray(self.prepare_rows(a, metric))
        for queries, piece in self._blocks(len(a), len(b), 1):
            for first in range(0, len(b), piece):
                part = slice(first, min(first + piece, len(b)))
                scores = scores_of(self._xp, prepared[queries], index.items[part], metric)
                out[queries, part] = to_host(scores)

    @strict_floats()
    def score_pairs(self, queries: np.ndarray, items: np.ndarray, metric: str) -> np.ndarray:
        q, x = (self._xp.asarray(self.prepare_rows(rows, metric)) for rows in (queries, items))
        scores = np.empty(len(items), np.float32)
        for part in self._parts(len(items), 1 + items.shape[1] // 16):
            pairs = scores_of(self._xp, q[part][:, None, :], x[part][:, None, :], metric)
            scores[part] = to_host(pairs[:, 0])
        return scores

    @strict_floats()
    def top_k(self, scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        m, n = scores.shape
        return self._collect(m, n, k, self._keys_of_scores(scores))

    @strict_floats()
    def build_index(
        self,
        items: np.ndarray,
        metric: str,
        active: np.ndarray | None = None,
        precision: str = "fp32",
        pruning: Pruning = "auto",
    ) -> CupyIndex:
        xp = self._xp
        table = xp.array(self.prepare_rows(items, metric), dtype=np.float32)
        return CupyIndex(table, None if active is None else xp.asarray(active), metric, xp)

    def index_of_tensors(
        self,
        tensors: dict[str, np.ndarray],
        metric: str,
        n_rows: int,
        precision: str = "fp32",
        pruning: Pruning = "auto",
    ) -> CupyIndex:
        rows = tensors["row_of"].astype(np.int64)
        items = tensors["items"] if "items" in tensors else items_of_panels(tensors["panels"], len(rows))
        if items.shape[0] != len(rows) or len(np.unique(rows)) != len(rows) or (rows >= n_rows).any():
            raise ValueError("items without a row of their own")
        table, active = np.zeros((n_rows, items.shape[1]), np.float32), np.zeros(n_rows, np.bool_)
        table[rows], active[rows] = items, True
        return CupyIndex(self._xp.asarray(table), self._xp.asarray(active), metric, self._xp)

    @strict_floats()
    def search_above(
        self,
        index: CupyIndex,
        queries: np.ndarray,
        threshold: np.float32,
        k: int,
        most: int,
        filters: Filters,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n = len(index.items)
        rows, scores, counts = [np.empty(0, np.int64)], [np.empty(0, np.float32)], [0]
        for block, piece in self._blocks(len(queries), n, min(k, n)):
            keys = self._search_block(index, queries, block, piece, min(k, n), filters, threshold)
            found_rows, found_scores = map(to_host, answer_of(self._xp, keys, keys.shape[1]))
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

    @strict_floats()
    def search(
        self,
        index: CupyIndex,
        queries: np.ndarray,
        k: int,
        filters: Filters,
        hint: RowSets | None = None,
        report: SearchReport | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        n, m = len(index.items), len(queries)
        found = self._collect(
            m,
            n,
            k,
            lambda block, piece: self._keys(index, queries, block, piece, filters, -np.inf),
        )
        if report is not None:
            report.counts = {name: np.full(m, n, np.int64) for name in ("candidates", "rescored")}
            report.thresholds = np.full(m, -np.inf, np.float32)
        return found

    def search_on_device(
        self,
        index: CupyIndex,
        queries: DeviceArray,
        k: int,
        filters: DeviceFilters,
        *,
        metric: str,
        appended: bool = False,
        op: str = "search",
    ) -> tuple[Any, Any, Callable[[], None]]:
        xp, n = self._xp, len(index.items)
        with on_stream(xp, queries), strict_floats():
            q = in_namespace(xp, queries)
            require_finite_queries(xp, q, op)
            host_filters = as_host_filters(xp, filters, len(q), n, op)
            q = prepare_rows(xp, q, metric)
            if appended:
                q = xp.concatenate([q, xp.ones((len(q), 1), dtype=np.float32)], axis=1)
            parts = self._answers(
                len(q), n, k, lambda block, piece: self._keys(index, q, block, piece, host_filters, -np.inf)
            )
            rows, scores = _stacked(xp, [(rows, scores) for _, rows, scores in parts], k)
            found = handed_back(xp, queries, rows, op), handed_back(xp, queries, scores, op)
        return (*found, lambda: None)

    def similarity_on_device(
        self, a: DeviceArray, b: DeviceArray, metric: str, out: DeviceArray | None, op: str
    ) -> Any:
        xp, n = self._xp, b.shape[0]
        target = empty_like(a, (a.shape[0], n), "float32", op) if out is None else out
        with on_stream(xp, a), strict_floats():
            found, items = in_namespace(xp, target), self._prepared_or_nan(in_namespace(xp, b), metric)
            queries = self._prepared_or_nan(in_namespace(xp, a), metric)
            for block, piece in self._blocks(len(queries), n, 1):
                for first in range(0, n, piece):
                    part = slice(first, min(first + piece, n))
                    found[block, part] = scores_of(xp, queries[block], items[part], metric)
        return target.array

    def top_k_on_device(self, scores: DeviceArray, k: int, op: str) -> tuple[Any, Any]:
        xp = self._xp
        with on_stream(xp, scores), strict_floats():
            given = in_namespace(xp, scores)
            m, n = given.shape
            parts = self._answers(m, n, k, self._keys_of_scores(given))
            rows, best = _stacked(xp, [(rows, best) for _, rows, best in parts], k)
            return handed_back(xp, scores, rows, op), handed_back(xp, scores, best, op)

    def _prepared_or_nan(self, rows: Any, metric: str) -> Any:
        """Prepared rows, NaN where one is not finite."""
        xp = self._xp
        prepared = xp.empty(rows.shape, dtype=np.float32)
        for part in self._parts(len(rows), rows.shape[1] // 8 + LANES):
            finite = xp.isfinite(rows[part]).all(axis=1)[:, None]
            some = prepare_rows(xp, xp.where(finite, rows[part], np.float32(0.0)), metric)
            prepared[part] = xp.where(finite, some, np.float32(np.nan))
        return prepared

    def _keys(
        self,
        index: CupyIndex,
        queries: np.ndarray,
        block: slice,
        piece: int,
        filters: Filters,
        threshold: Any,
    ) -> Iterator[Any]:
        """Keys of all items for some queries, piece by piece."""
        xp, n = self._xp, len(index.items)
        prepared = prepare_rows(xp, xp.asarray(queries[block]), index.metric)
        permits = Permits(xp, filters, block, index.active, piece)
        for first in range(0, n, piece):
            last = min(first + piece, n)
            scores = scores_of(xp, prepared, index.items[first:last], index.metric)
            passes = permits.of(first, last)
            if threshold > -np.inf:
                reaches = scores >= threshold
                passes = reaches if passes is None else passes & reaches
            yield keys_of(xp, scores, first, passes)

    def _search_block(
        self,
        index: CupyIndex,
        queries: np.ndarray,
        block: slice,
        piece: int,
        k: int,
        filters: Filters,
        threshold: np.float32,
    ) -> Any:
        keys = self._keys(index, queries, block, piece, filters, threshold)
        return best_keys(self._xp, keys, block.stop - block.start, k)

    def _collect(self, m: int, n: int, k: int, keys: Any) -> tuple[np.ndarray, np.ndarray]:
        """Answers of m queries in host memory."""
        rows, scores = np.empty((m, k), np.int64), np.empty((m, k), np.float32)
        for block, *found in self._answers(m, n, k, keys):
            rows[block], scores[block] = map(to_host, found)
        return rows, scores

    def _answers(self, m: int, n: int, k: int, keys: Any) -> Iterator[tuple[slice, Any, Any]]:
        """Rows and scores of blocks of m queries, from keys(block of queries, items of a piece)."""
        for block, piece in self._blocks(m, n, min(k, n)):
            best = best_keys(self._xp, keys(block, piece), block.stop - block.start, min(k, n))
            yield (block, *answer_of(self._xp, best, k))

    def _keys_of_scores(self, scores: Any) -> Any:
        xp, n = self._xp, scores.shape[1]

        def keys(queries: slice, piece: int) -> Iterator[Any]:
            for first in range(0, n, piece):
                given = xp.asarray(scores[queries, first : first + piece]) + np.float32(0.0)
                yield keys_of(xp, given, first, None)

        return keys

    def _blocks(self, m: int, n: int, k: int) -> Iterator[tuple[slice, int]]:
        """Blocks of queries, and how many items to meet at a time: at least k, so that sorting pays."""
        piece = max(1, min(n, max(self._pairs, k)))
        for block in self._parts(m, piece):
            yield block, piece

    def _parts(self, n: int, pairs: int) -> Iterator[slice]:
        step = max(1, self._pairs // max(pairs, 1))
        return (slice(first, min(first + step, n)) for first in range(0, n, step))


def _stacked(xp: Any, answers: list[tuple[Any, Any]], k: int) -> tuple[Any, Any]:
    if not answers:
        return xp.empty((0, k), dtype=np.int64), xp.empty((0, k), dtype=np.float32)
    rows, scores = zip(*answers)
    return xp.concatenate(rows), xp.concatenate(scores)


def _cupy() -> Any:
    """CuPy, if it finds a device on which memory can be had."""
    try:
        cupy = import_extra("cupy", "cuda12")
        if not cupy.is_available():
            cupy.cuda.runtime.getDeviceCount()  # raises what is_available() swallows
            raise DeviceError("CuPy finds no CUDA device")
        cupy.zeros(1)
    except (ImportError, RuntimeError) as error:
        raise BackendUnavailableError(f"[backend] cupy: {error}") from error
    return cupy

"""Backend `cupy`: array operations alone, for a GPU on which our own kernels cannot run.

Every function takes an array namespace `xp`; with NumPy as the namespace the same lines run, and are
tested, without a GPU. Every item is scored canonically, in pieces, so the answer needs no bound: products
and sums are float64 operations of their own, which no compiler fuses, in the reference's order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._native import cpu as native
from ..errors import BackendUnavailableError, DeviceError, import_extra
from .base import Filters, RowSets
from .environment import strict_floats
from .finite import require_finite
from .panels import items_of_panels
from .reference_sgd import sgd_epoch
from .report import SearchReport

__all__ = ["CupyBackend", "CupyIndex", "best_keys", "lane_sums", "prepare_rows", "scores_of"]

LANES = 32
_NOBODY = np.uint64(2**64 - 1)  # the key after all others


def lane_sums(xp: Any, shape: tuple[int, ...], d: int, term: Any) -> Any:
    """Canonical sums of `d` float64 terms, of that shape; `term(part)` gives those of a slice of 0..d-1."""
    lanes = xp.zeros((*shape, LANES), dtype=np.float64)
    for first in range(0, d, LANES):
        n = min(LANES, d - first)
        lanes[..., :n] += term(slice(first, first + n))
    half = LANES // 2
    while half:
        lanes = lanes[..., :half] + lanes[..., half:]
        half //= 2
    return lanes[..., 0]


def _rounded(xp: Any, sums: Any) -> Any:
    with np.errstate(over="ignore"):
        return sums.astype(np.float32) + np.float32(0.0)  # -0 becomes +0


def scores_of(xp: Any, queries: Any, items: Any, metric: str) -> Any:
    """Canonical scores of prepared rows, float32.

    (m, d) with (n, d) gives those of all pairs, (m, n); rows of shape (m, 1, d) and (m, 1, d) those of
    matched ones, (m, 1).
    """
    q, x = queries.astype(np.float64), items.astype(np.float64)
    if queries.ndim == 2:
        q, x = q[:, None, :], x[None, :, :]
    shape = (q.shape[0], max(q.shape[1], x.shape[1]))
    if metric == "euclidean":
        return _rounded(xp, -lane_sums(xp, shape, q.shape[2], lambda i: xp.square(q[..., i] - x[..., i])))
    return _rounded(xp, lane_sums(xp, shape, q.shape[2], lambda i: q[..., i] * x[..., i]))


def prepare_rows(xp: Any, rows: Any, metric: str) -> Any:
    """Rows as the metric wants them before a plain dot: what `reference.prepare_rows` does, in its order."""
    if metric in ("dot", "euclidean") or rows.shape[0] == 0:
        return rows
    n, d = rows.shape
    x = rows.astype(np.float64)
    _, exponent = xp.frexp(xp.abs(x).max(axis=1))
    y = xp.ldexp(x, -exponent[:, None])
    if metric == "pearson":
        mean = lane_sums(xp, (n,), d, lambda i: y[:, i])[:, None] / d
        y = xp.where((y == y[:, :1]).all(axis=1)[:, None], 0.0, y - mean)
    norm = xp.sqrt(lane_sums(xp, (n,), d, lambda i: y[:, i] * y[:, i]))[:, None]
    return xp.where(norm > 0, y / xp.where(norm > 0, norm, 1.0), 0.0).astype(np.float32)


def _keys_of(xp: Any, scores: Any, first_row: int, passes: Any) -> Any:
    """Keys (m, n) that ascend from the best to the worst item, `_NOBODY` for what may not be returned."""
    scores = xp.ascontiguousarray(scores)
    bits = scores.view(np.uint32)
    negative = (bits >> np.uint32(31)).astype(np.bool_)
    descending = xp.where(negative, bits, bits ^ np.uint32(0x7FFFFFFF)).astype(np.uint64)
    rows = xp.arange(first_row, first_row + scores.shape[1], dtype=np.uint64)
    keys = descending << np.uint64(32) | rows[None, :]
    return xp.where(xp.isfinite(scores) if passes is None else xp.isfinite(scores) & passes, keys, _NOBODY)


def best_keys(xp: Any, pieces: Iterator[Any], m: int, k: int) -> Any:
    """The k smallest keys of each of m rows, ascending, of pieces (m, any); fewer where there are fewer."""
    best = xp.empty((m, 0), dtype=np.uint64)
    for keys in pieces:
        best = xp.sort(xp.concatenate([best, keys], axis=1), axis=1)[:, :k]
    return best


def _answer_of(xp: Any, keys: Any, k: int) -> tuple[Any, Any]:
    """Rows and scores of sorted keys, filled up to k places."""
    rows = xp.full((keys.shape[0], k), -1, dtype=np.int64)
    scores = xp.full((keys.shape[0], k), -np.inf, dtype=np.float32)
    n = keys.shape[1]
    there = keys != _NOBODY
    descending = (keys >> np.uint64(32)).astype(np.uint32)
    negative = (descending >> np.uint32(31)).astype(np.bool_)
    bits = xp.where(negative, descending, descending ^ np.uint32(0x7FFFFFFF))
    rows[:, :n] = xp.where(there, (keys & np.uint64(0xFFFFFFFF)).astype(np.int64), -1)
    scores[:, :n] = xp.where(there, xp.ascontiguousarray(bits).view(np.float32), np.float32(-np.inf))
    return rows, scores


class _Permits:
    """Which items of a piece the queries of a block may be given, from filters in host memory."""

    def __init__(self, xp: Any, filters: Filters, queries: slice, active: Any, piece: int) -> None:
        self._xp, self._piece = xp, piece
        self._n_queries = queries.stop - queries.start
        mask = None if filters.mask is None else xp.asarray(filters.mask)
        self._shared = mask if active is None else active if mask is None else active & mask
        self._allow = None if filters.allow is None else self._by_piece(filters.allow, queries)
        self._deny = [self._by_piece(sets, queries) for sets in filters.deny]

    def _by_piece(self, sets: RowSets, queries: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Entries sorted by the piece that they fall into: query, row, and where each piece begins."""
        chosen = np.arange(queries.start, queries.stop)
        chosen = chosen if sets.which is None else sets.which[chosen]
        begin, length = sets.indptr[chosen], sets.indptr[chosen + 1] - sets.indptr[chosen]
        owner = np.repeat(np.arange(len(chosen)), length)
        ends = np.cumsum(length)
        rows = sets.rows[np.arange(len(owner)) + np.repeat(begin - (ends - length), length)]
        piece = rows // self._piece
        order = np.argsort(piece, kind="stable")
        n_pieces = int(piece.max()) + 2 if len(piece) else 1
        return owner[order], rows[order], np.searchsorted(piece[order], np.arange(n_pieces))

    def _write(self, passes: Any, entries: Any, first: int, value: bool) -> None:
        owner, rows, begins = entries
        number = first // self._piece
        if number + 1 >= len(begins):
            return
        some = slice(int(begins[number]), int(begins[number + 1]))
        if some.stop > some.start:
            xp = self._xp
            passes[xp.asarray(owner[some]), xp.asarray(rows[some] - first)] = value

    def of(self, first: int, last: int) -> Any:
        """Bool (n_queries or 1, last - first), or None where everything may be returned."""
        xp = self._xp
        shared = None if self._shared is None else self._shared[None, first:last]
        if self._allow is None and not self._deny:
            return shared
        shape = (self._n_queries, last - first)
        passes = xp.full(shape, self._allow is None, dtype=np.bool_)
        if self._allow is not None:
            self._write(passes, self._allow, first, True)
        for entries in self._deny:
            self._write(passes, entries, first, False)
        return passes if shared is None else passes & shared


@dataclass(frozen=True)
class CupyIndex:
    """Prepared items in the namespace's memory.

    Attributes
    ----------
    items : float32 array, shape (n_rows, d)
    active : bool array, shape (n_rows,), or None
        Rows that have an item; None is every row.
    metric : str
    xp : module
    """

    items: Any
    active: Any
    metric: str
    xp: Any

    @property
    def d(self) -> int:
        """Components of an item."""
        return int(self.items.shape[1])

    @property
    def n_bytes(self) -> int:
        """Memory of the rows."""
        return int(self.items.nbytes)

    def with_items(self, items: np.ndarray, rows: np.ndarray, n_rows: int) -> CupyIndex:
        """An index of `n_rows` public rows in which row rows[i] has item i."""
        xp = self.xp
        table = xp.zeros((n_rows, self.d), dtype=np.float32)
        active = xp.zeros(n_rows, dtype=np.bool_)
        n = self.items.shape[0]
        table[:n] = self.items
        active[:n] = True if self.active is None else self.active
        if len(rows):
            at = xp.asarray(rows)
            table[at] = prepare_rows(xp, xp.asarray(items), self.metric)
            active[at] = True
        return replace(self, items=table, active=active)

    def without(self, rows: np.ndarray) -> CupyIndex:
        """An index in which these rows have no items."""
        active = self._has_item().copy()
        if len(rows):
            active[self.xp.asarray(rows)] = False
        return replace(self, active=active)

    def compacted(self) -> CupyIndex:
        """The index itself: nothing takes room."""
        return self

    def items_of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Prepared items of rows, and whether each row has one."""
        if len(rows) == 0:
            return np.empty((0, self.d), np.float32), np.empty(0, np.bool_)
        at = self.xp.asarray(rows)
        return _to_host(self.items[at]), _to_host(self._has_item()[at])

    def tensors(self) -> dict[str, np.ndarray]:
        """Items as they are scored, and the rows that have one."""
        rows = np.flatnonzero(_to_host(self._has_item()))
        return {"items": self.items_of(rows)[0], "row_of": rows.astype(np.uint32)}

    def _has_item(self) -> Any:
        return self.xp.ones(len(self.items), dtype=np.bool_) if self.active is None else self.active


class CupyBackend:
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
                prepared[part] = _to_host(prepare_rows(self._xp, self._xp.asarray(rows[part]), metric))
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
                out[queries, part] = _to_host(scores)

    @strict_floats()
    def score_pairs(self, queries: np.ndarray, items: np.ndarray, metric: str) -> np.ndarray:
        q, x = (self._xp.asarray(self.prepare_rows(rows, metric)) for rows in (queries, items))
        scores = np.empty(len(items), np.float32)
        for part in self._parts(len(items), 1 + items.shape[1] // 16):
            pairs = scores_of(self._xp, q[part][:, None, :], x[part][:, None, :], metric)
            scores[part] = _to_host(pairs[:, 0])
        return scores

    @strict_floats()
    def top_k(self, scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        xp, (m, n) = self._xp, scores.shape

        def keys(queries: slice, piece: int) -> Iterator[Any]:
            for first in range(0, n, piece):
                given = xp.asarray(scores[queries, first : first + piece]) + np.float32(0.0)
                yield _keys_of(xp, given, first, None)

        return self._collect(m, n, k, keys)

    def sgd_epoch(self, *arrays: Any, **rates: Any) -> float:
        # Each step reads what the step before wrote: work for one thread of the host.
        return (sgd_epoch if native is None else native.sgd_epoch)(*arrays, **rates)

    @strict_floats()
    def build_index(
        self, items: np.ndarray, metric: str, active: np.ndarray | None = None, precision: str = "fp32"
    ) -> CupyIndex:
        xp = self._xp
        table = xp.array(self.prepare_rows(items, metric), dtype=np.float32)
        return CupyIndex(table, None if active is None else xp.asarray(active), metric, xp)

    def index_of_tensors(
        self, tensors: dict[str, np.ndarray], metric: str, n_rows: int, precision: str = "fp32"
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
            found_rows, found_scores = map(_to_host, _answer_of(self._xp, keys, keys.shape[1]))
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
        permits = _Permits(xp, filters, block, index.active, piece)
        for first in range(0, n, piece):
            last = min(first + piece, n)
            scores = scores_of(xp, prepared, index.items[first:last], index.metric)
            passes = permits.of(first, last)
            if threshold > -np.inf:
                reaches = scores >= threshold
                passes = reaches if passes is None else passes & reaches
            yield _keys_of(xp, scores, first, passes)

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
        """Answers of m queries from keys(block of queries, items of a piece)."""
        rows, scores = np.empty((m, k), np.int64), np.empty((m, k), np.float32)
        for block, piece in self._blocks(m, n, min(k, n)):
            best = best_keys(self._xp, keys(block, piece), block.stop - block.start, min(k, n))
            found = _answer_of(self._xp, best, k)
            rows[block], scores[block] = map(_to_host, found)
        return rows, scores

    def _blocks(self, m: int, n: int, k: int) -> Iterator[tuple[slice, int]]:
        """Blocks of queries, and how many items to meet at a time: at least k, so that sorting pays."""
        piece = max(1, min(n, max(self._pairs, k)))
        for block in self._parts(m, piece):
            yield block, piece

    def _parts(self, n: int, pairs: int) -> Iterator[slice]:
        step = max(1, self._pairs // max(pairs, 1))
        return (slice(first, min(first + step, n)) for first in range(0, n, step))


def _to_host(array: Any) -> np.ndarray:
    return array.get() if hasattr(array, "get") else array


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

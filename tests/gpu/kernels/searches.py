"""Tables and searches on a device, kernel by kernel, as a backend would launch them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpurec.backends.cuda.params import (
    EXACT_BYTES,
    GEMV_BYTES,
    MMA_BYTES,
    MMA_BYTES_OF_QUERY,
    MMA_BYTES_OF_SAMPLE,
)
from gpurec.backends.reference import best_rows, canonical_scores, prepare_rows

from ..devices import OpenDevice
from .structs import COUNTERS, METRICS, N_COUNTERS, NO_ROW, STRUCTS, TILE

SELECTION = 1088
FINISH = SELECTION + 64 * 8  # as emulated kernels are built; a device's sort 2,048 keys at a time
EXACT = EXACT_BYTES

Lists = list[list[int]]


def up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def launch(s: OpenDevice, kernel: str, params: Any, grid: int | tuple[int, int] = 2, shared: int = 0) -> None:
    x, y = grid if isinstance(grid, tuple) else (grid, 1)
    threads = s.device.attributes(kernel)["max_threads"]
    s.device.launch(kernel, (x, y, 1), threads, shared, 0, bytes(params))


@dataclass
class Table:
    """Items made ready by kernels; `order` is the source row of each position, -1 where there is none."""

    s: OpenDevice
    raw: np.ndarray
    metric: str
    order: np.ndarray
    params: Any
    items: Any
    prepared: np.ndarray

    def get(self, name: str) -> np.ndarray:
        return self.s.get(getattr(self.params, name))


def sort_by_norm(squares: np.ndarray, n_tiles: int) -> np.ndarray:
    order = np.full(n_tiles * TILE, NO_ROW, np.uint32)
    order[: len(squares)] = np.argsort(-squares, kind="stable")
    return order


def make_table(
    s: OpenDevice,
    raw: np.ndarray,
    metric: str = "dot",
    codes: bool = True,
    mask: np.ndarray | None = None,
    grid: int = 2,
    shuffle: int | None = None,
) -> Table:
    """Launches all kernels that a table needs. With `shuffle` items lie in random order, not by norm."""
    n, d = raw.shape
    n_tiles, stride, code_stride = up(n, TILE) // TILE, up(d, 4), up(d, 64)
    p = STRUCTS["TableParams"]()
    p.n, p.metric, p.d, p.row_stride, p.code_stride = n, METRICS[metric], d, stride, code_stride
    p.source, p.source_stride, p.n_rows, p.n_tiles = s.put(raw), d, n, 0
    p.rows, p.squares, p.status = (
        s.empty((max(n, 1), stride), "f4"),
        s.empty(max(n, 1), "f8"),
        s.empty(max(n, 1), "u4"),
    )
    launch(s, "prepare_items", p, grid)
    prepared, squares = s.get(p.rows)[:n], s.get(p.squares)[:n]
    assert not s.get(p.status)[:n].any()
    order = sort_by_norm(squares, n_tiles)
    if shuffle is not None:
        order = np.random.default_rng(shuffle).permutation(order)
    q = STRUCTS["TableParams"].from_buffer_copy(p)
    q.source, q.source_stride, q.source_rows, q.n_tiles = p.rows, stride, s.put(order), n_tiles
    q.rows, q.norms = s.empty((n_tiles * TILE, stride), "f4"), s.empty(n_tiles * TILE, "f4")
    q.row_of = s.empty(n_tiles * TILE, "u4")
    q.smallest, q.largest = s.empty(n_tiles, "f4"), s.empty(n_tiles, "f4")
    q.permits = s.empty(n_tiles, "u8")
    q.mask = 0 if mask is None else s.put(mask.astype(np.uint8))
    launch(s, "gather_rows", q, grid)
    r = STRUCTS["TableParams"].from_buffer_copy(q)
    r.squares = 0
    launch(s, "tile_norms", r, grid)
    launch(s, "permit", q, grid)
    items = STRUCTS["Items"]()
    if codes:
        q.codes = s.empty((n_tiles * TILE, code_stride), "i1")
        q.scales, q.errors = s.empty(n_tiles, "f4"), s.empty(n_tiles, "f4")
        launch(s, "quantise_tiles", q, grid, 64)
    position_of = np.full(max(n, 1), NO_ROW, np.uint32)
    live = order != NO_ROW
    position_of[order[live]] = np.flatnonzero(live)
    names = ["rows", "codes", "norms", "scales", "errors", "smallest", "largest", "row_of", "permits"]
    for name in [*names, "n_tiles", "n_rows", "d", "row_stride", "code_stride"]:
        setattr(items, name, getattr(q, name))
    items.position_of = s.put(position_of)
    items.euclidean = int(metric == "euclidean")
    return Table(s, raw, metric, order.astype(np.int64), q, items, prepared)


@dataclass
class Filters:
    """Rows that queries may not be given, or alone may: a list of lists a query, or sets with `which`."""

    deny: list[Lists] = field(default_factory=list)
    allow: Lists | None = None
    which: list[int] | None = None  # of the last kind
    raw: bool = False  # lists as a device would give them: unsorted, to be looked through


def put_sets(s: OpenDevice, lists: Lists, which: list[int] | None, raw: bool) -> Any:
    sets = STRUCTS["Sets"]()
    indptr = np.concatenate([[0], np.cumsum([len(one) for one in lists])]).astype(np.int64)
    flat = [row for one in lists for row in (one if raw else sorted(set(one)))]
    if not raw:
        indptr = np.concatenate([[0], np.cumsum([len(set(one)) for one in lists])]).astype(np.int64)
    sets.indptr, sets.rows = s.put(indptr), s.put(np.array([*flat, -7], np.int64))
    sets.which = 0 if which is None else s.put(np.array(which, np.int64))
    sets.unsorted = s.empty(max(len(lists), 1), "u4") if raw else 0
    return sets


@dataclass
class Search:
    """One search of a table; `answer` launches everything, once or again and again."""

    table: Table
    queries: np.ndarray
    k: int
    scan: str = "gemv_f32"
    sample: tuple[int, int, int] | None = None  # every so-many-th tile, group, rank
    capacity: int = 512
    n_units: int = 3
    unit_capacity: int | None = None
    fused: bool = False
    filters: Filters = field(default_factory=Filters)
    threshold: float = -np.inf
    grid: int = 2
    params: Any = None

    def __post_init__(self) -> None:
        s, t, n = self.table.s, self.table, max(len(self.queries), 1)
        p = STRUCTS["SearchParams"]()
        p.items = t.items
        d, stride, code_stride = t.items.d, t.items.row_stride, t.items.code_stride
        q = p.queries
        q.n_queries, q.metric = len(self.queries), METRICS[t.metric]
        q.source, q.source_stride = s.put(self.queries if self.queries.size else np.zeros((1, d), "f4")), d
        q.rows, q.squares, q.taus = s.empty((n, stride), "f4"), s.empty(n, "f8"), s.empty(n, "f4")
        q.status = s.put(np.full(n, 77, np.uint32))
        if t.items.codes:
            q.codes = s.empty((up(n, 128), code_stride), "i1")
            q.scales, q.lengths, q.errors = s.empty(n, "f4"), s.empty(n, "f8"), s.empty(n, "f8")
        f = self.filters
        p.n_deny = len(f.deny)
        for i, lists in enumerate(f.deny):
            last = f.allow is None and i == len(f.deny) - 1
            p.deny[i] = put_sets(s, lists, f.which if last else None, f.raw)
        if f.allow is not None:
            p.allow = put_sets(s, f.allow, f.which, f.raw)
        every, p.group, p.rank = self.sample or (1, 64, 0)
        p.sample_first, p.sample_every = every - 1, every
        p.n_sampled = max(0, (t.items.n_tiles - p.sample_first + every - 1) // every)
        p.samples_per_query = p.n_sampled * TILE // p.group
        p.samples = s.empty((n, max(1, p.samples_per_query)), "f4")
        p.capacity, p.counts = self.capacity, s.empty(n, "u4")
        p.entries, p.keys = s.empty((n, self.capacity), "u8"), s.empty((n, self.capacity), "u8")
        p.k, p.out_rows, p.out_scores = (
            self.k,
            s.empty((n, self.k), "i8"),
            s.empty((n, self.k), "f4"),
        )
        capacity = self.unit_capacity or self.k + 256
        p.flagged, p.n_units, p.unit_capacity = s.empty(1 + n, "u4"), self.n_units, capacity
        p.unit_keys = s.empty((n * self.n_units, capacity), "u8")
        p.unit_counts = s.empty(n * self.n_units, "u4")
        p.merged_keys = s.empty((n, self.n_units * capacity), "u8")
        p.arrivals, p.fused = s.put(np.zeros(2, np.uint32)), int(self.fused)
        p.threshold = self.threshold
        p.counters = s.put(np.zeros((n, N_COUNTERS), np.uint64))
        self.params = p

    @property
    def n(self) -> int:
        return len(self.queries)

    def shared(self, scan: str) -> int:
        kind, _, arithmetic = scan.partition("_")
        arithmetic = arithmetic.removesuffix("_narrow")
        items = self.table.items
        if kind == "gemv":
            row = 4 * items.row_stride if arithmetic == "f32" else up(items.d, 16)
            return FINISH + GEMV_BYTES + 8 * row
        return MMA_BYTES + self.tile_queries(scan) * MMA_BYTES_OF_QUERY

    @staticmethod
    def tile_queries(scan: str) -> int:
        if scan.startswith("gemv"):
            return 8
        return 32 if scan.endswith("narrow") else 64 if scan.endswith("_f32") else 128

    def blocks(self, scan: str) -> tuple[int, int]:
        return self.grid, -(-max(self.n, 1) // self.tile_queries(scan))

    def prepare(self) -> None:
        launch(self.table.s, "prepare_queries", self.params, self.grid)
        if self.filters.raw:
            launch(self.table.s, "check_sets", self.params, self.grid)

    def take_sample(self) -> None:
        s = self.table.s
        scan = self.scan.removesuffix("_narrow").replace("tf32", "f32").replace("bf16", "f32")
        if scan.startswith("gemv"):
            launch(s, "sample_" + scan, self.params, self.blocks(scan), self.shared(scan))
        else:
            shared = self.shared(scan + "_narrow") + MMA_BYTES_OF_SAMPLE
            launch(s, "sample_" + scan, self.params, self.blocks(scan + "_narrow"), shared)
        if not self.fused:
            launch(s, "find_threshold", self.params, self.grid, FINISH)

    def run_scan(self) -> None:
        launch(self.table.s, "scan_" + self.scan, self.params, self.blocks(self.scan), self.shared(self.scan))

    def finish(self) -> None:
        if not self.fused:
            launch(self.table.s, "finish", self.params, self.grid, FINISH)
        launch(self.table.s, "exact_units", self.params, self.grid + 2, EXACT)
        launch(self.table.s, "merge_units", self.params, self.grid, FINISH)

    def answer(self) -> tuple[np.ndarray, np.ndarray]:
        self.prepare()
        if self.sample is not None:
            self.take_sample()
        if self.filters.allow is None:
            self.run_scan()
        self.finish()
        s = self.table.s
        return s.get(self.params.out_rows)[: self.n], s.get(self.params.out_scores)[: self.n]

    def counted(self) -> dict[str, int]:
        totals = self.table.s.get(self.params.counters).sum(axis=0)
        return {name: int(totals[i]) for i, name in enumerate(COUNTERS)}

    def status(self) -> np.ndarray:
        return self.table.s.get(self.params.queries.status)[: self.n]


def allowed_rows(table: Table, filters: Filters, mask: np.ndarray | None, query: int) -> np.ndarray:
    n = len(table.raw)
    passes = np.ones(n, bool) if mask is None else mask.astype(bool).copy()

    def of(lists: Lists, which: list[int] | None) -> np.ndarray:
        rows = np.array(lists[query if which is None else which[query]], np.int64)
        return rows[(rows >= 0) & (rows < n)]

    for i, lists in enumerate(filters.deny):
        last = filters.allow is None and i == len(filters.deny) - 1
        passes[of(lists, filters.which if last else None)] = False
    if filters.allow is not None:
        only = np.zeros(n, bool)
        only[of(filters.allow, filters.which)] = True
        passes &= only
    return passes


def expected(search: Search, mask: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """What the contract says, item by item."""
    table, k = search.table, search.k
    rows, scores = np.full((search.n, k), -1, np.int64), np.full((search.n, k), -np.inf, np.float32)
    items = prepare_rows(table.raw, table.metric)
    for i, query in enumerate(search.queries):
        if not np.isfinite(query).all():
            continue
        prepared = prepare_rows(query[None], table.metric)
        of = canonical_scores(np.repeat(prepared, len(items), axis=0), items, table.metric)
        keep = np.flatnonzero(allowed_rows(table, search.filters, mask, i) & (of >= search.threshold))
        rows[i], scores[i] = best_rows(of[keep], keep, k)
    return rows, scores


def assert_right(search: Search, mask: np.ndarray | None = None) -> None:
    """Runs a search and compares it bit for bit."""
    rows, scores = search.answer()
    want_rows, want_scores = expected(search, mask)
    np.testing.assert_array_equal(rows, want_rows)
    np.testing.assert_array_equal(scores.view(np.uint32), want_scores.view(np.uint32))

"""A search on a device: what it works in, and the kernels that it launches one after another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from .launches import Launcher
from .memory import ALIGNMENT, Buffer, layout
from .params import (
    EXACT_BYTES,
    FINISH_BYTES,
    GEMV_BYTES,
    METRIC_NUMBERS,
    MMA_BYTES,
    MMA_BYTES_OF_QUERY,
    MMA_BYTES_OF_SAMPLE,
    SearchParams,
    Sets,
    TableParams,
)
from .planning import Plan
from .table import Table

__all__ = ["DeviceSets", "Workspace", "Workspaces", "enqueue_search"]

_QUERIES_OF_GEMV, _QUERIES_OF_NARROW = 8, 32
_MOST_GEMV_BYTES = 64 << 10  # of shared memory; wider rows go through the kernels for many queries
# By codes or not and for many queries or not: the kernel, and queries of its blocks.
_MMA = {
    (True, True): ("scan_mma_i8", 128),
    (True, False): ("scan_mma_i8_narrow", 32),
    (False, True): ("scan_mma_f32", 64),
    (False, False): ("scan_mma_f32_narrow", 32),
}
_HEAD = ALIGNMENT  # bytes that stay where they are: what kernels leave as zeros for the next search


class Workspace:
    """One allocation that grows to what the largest search so far needed."""

    def __init__(self, launcher: Launcher, stream: int) -> None:
        self.launcher, self.stream = launcher, stream
        self.lock = threading.Lock()
        self._buffer: Buffer | None = None

    @property
    def n_bytes(self) -> int:
        """Of the allocation."""
        return 0 if self._buffer is None else self._buffer.n_bytes

    def fits(self, sizes: dict[str, int]) -> bool:
        """Whether these pieces need no allocation."""
        return layout(sizes)[1] + _HEAD <= self.n_bytes

    def lay_out(self, sizes: dict[str, int]) -> dict[str, int]:
        """Addresses of pieces of so many bytes; what they hold is not defined."""
        offsets, total = layout(sizes)
        if total + _HEAD > self.n_bytes:
            self._buffer = None  # free it first: it may be in the way
            self._buffer = self.launcher.memory.take(total + _HEAD, "a search")
            self.launcher.fill(self._buffer.address, 0, self._buffer.n_bytes, self.stream)
        assert self._buffer is not None
        first = self._buffer.address
        return {"arrivals": first, **{name: first + _HEAD + offset for name, offset in offsets.items()}}


class Workspaces:
    """Workspaces by stream: searches on one stream follow each other and share one.

    What host arrays ask has streams of its own, so that threads do not wait for each other.
    """

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._lock = threading.Lock()
        self._of_stream: dict[int, Workspace] = {}
        self._idle: list[Workspace] = []
        self._reserved: list[Workspace] = []
        self._captured: list[Workspace] = []  # graphs work in them for as long as the process lives

    @contextmanager
    def own(self) -> Iterator[Workspace]:
        """One on a stream of ours, for a search that waits for its answer."""
        with self._lock:
            workspace = self._idle.pop() if self._idle else None
        if workspace is None:
            workspace = Workspace(self._launcher, self._launcher.device.create_stream())
        try:
            yield workspace
        finally:
            with self._lock:
                self._idle.append(workspace)

    @contextmanager
    def on(self, stream: int, sizes: dict[str, int]) -> Iterator[Workspace]:
        """That of the caller's stream; while it is being captured a reserved one, which the graph keeps."""
        if self._launcher.device.is_capturing(stream):
            workspace = self._for_capture(stream, sizes)
        else:
            with self._lock:
                workspace = self._of_stream.setdefault(stream, Workspace(self._launcher, stream))
        with workspace.lock:
            yield workspace

    def reserve(self, sizes: dict[str, int]) -> None:
        """Allocate a workspace for a graph that is to be captured."""
        workspace = Workspace(self._launcher, self._launcher.stream)
        workspace.lay_out(sizes)
        self._launcher.synchronise()
        with self._lock:
            self._reserved.append(workspace)

    def _for_capture(self, stream: int, sizes: dict[str, int]) -> Workspace:
        with self._lock:
            mine = [w for w in self._captured if w.stream == stream and w.fits(sizes)]
            if mine:  # searches of one graph follow each other
                return mine[0]
            for some in (self._reserved, list(self._of_stream.values())):
                for workspace in some:
                    if workspace.fits(sizes):
                        if workspace in self._reserved:
                            self._reserved.remove(workspace)
                        else:
                            del self._of_stream[workspace.stream]
                        workspace.stream = stream
                        self._captured.append(workspace)
                        return workspace
        return Workspace(self._launcher, stream)  # whose allocation the runtime refuses


@dataclass(frozen=True)
class DeviceSets:
    """Sets of rows that lie on the device: addresses of int64 arrays, 0 where there is none.

    `raw` sets come as a caller made them: in any order, repeated, with -1.
    """

    indptr: int
    rows: int
    which: int = 0
    n_sets: int = 0
    raw: bool = False


@dataclass(frozen=True)
class SearchInputs:
    """Addresses of what a search reads and writes.

    Attributes
    ----------
    source : int
        Raw queries, float32, `source_stride` components apart.
    out_rows, out_scores : int
    mask : int
        Bytes of the public rows, 0 where all may be returned.
    deny : tuple of DeviceSets
    allow : DeviceSets or None
    threshold : float
        Lower scores are not asked for.
    count : bool
        Whether what is done shall be counted.
    appended : bool
        Whether the last component of a query is 1, and the source has those before it.
    """

    source: int
    source_stride: int
    metric: str
    out_rows: int
    out_scores: int
    k: int
    mask: int = 0
    deny: tuple[DeviceSets, ...] = ()
    allow: DeviceSets | None = None
    threshold: float = -np.inf
    count: bool = False
    appended: bool = False


def enqueue_search(
    launcher: Launcher, table: Table, plan: Plan, inputs: SearchInputs, at: dict[str, int], stream: int
) -> None:
    """Launch all kernels of a search; `at` has the addresses of `planning.workspace_sizes` and of filters."""
    m = plan.n_queries
    params = _params(table, plan, inputs, at)
    fused, packed = bool(params.fused), bytes(params)
    raw = [sets for sets in (*inputs.deny, inputs.allow) if sets is not None and sets.raw]
    if inputs.mask:
        _launch_permit(launcher, table, inputs.mask, at["permits"], stream)
    if inputs.count:
        launcher.fill(at["counters"], 0, m * 16 * 8, stream)
    launcher.launch("prepare_queries", packed, blocks=-(-m // 8), stream=stream)
    if raw:
        launcher.launch("check_sets", packed, blocks=-(-m // 8), stream=stream)
    if inputs.allow is None:  # else the exact path answers all
        _launch_scan(launcher, table, plan, packed, fused, stream)
    if not fused:
        launcher.launch("finish", packed, blocks=m, shared=FINISH_BYTES, stream=stream)
    launcher.launch("exact_units", packed, blocks=plan.n_units * m, shared=EXACT_BYTES, stream=stream)
    launcher.launch("merge_units", packed, blocks=m, shared=FINISH_BYTES, stream=stream)


def _launch_scan(
    launcher: Launcher, table: Table, plan: Plan, packed: bytes, fused: bool, stream: int
) -> None:
    m, sample, suffix = plan.n_queries, plan.sample, "i8" if plan.with_codes else "f32"
    if m <= _QUERIES_OF_GEMV and _gemv_bytes(table, plan) <= _MOST_GEMV_BYTES:
        kernels, tiles_of_block = (f"sample_gemv_{suffix}", f"scan_gemv_{suffix}"), 8
        ys, shared = (1, 1), (_gemv_bytes(table, plan),) * 2
    else:
        wide = _MMA[plan.with_codes, True]
        fits = _mma_bytes(wide[1]) <= launcher.properties["shared_per_block"]
        kernel, queries = wide if m > _QUERIES_OF_NARROW and fits else _MMA[plan.with_codes, False]
        kernels, tiles_of_block = (f"sample_mma_{suffix}", kernel), 2
        ys = -(-m // _QUERIES_OF_NARROW), -(-m // queries)
        of_sample = _mma_bytes(_QUERIES_OF_NARROW) + MMA_BYTES_OF_SAMPLE
        shared = of_sample, _mma_bytes(queries)
    if sample is not None:
        blocks = -(-sample.n_sampled // tiles_of_block)
        launcher.launch(kernels[0], packed, blocks=blocks, y=ys[0], shared=shared[0], stream=stream)
        if not fused:
            launcher.launch("find_threshold", packed, blocks=m, shared=FINISH_BYTES, stream=stream)
    blocks = -(-table.n_tiles // tiles_of_block)
    launcher.launch(kernels[1], packed, blocks=blocks, y=ys[1], shared=shared[1], stream=stream)


def _gemv_bytes(table: Table, plan: Plan) -> int:
    stride = -(-table.storage.d // 16) * 16 if plan.with_codes else table.storage.row_stride * 4
    return FINISH_BYTES + GEMV_BYTES + _QUERIES_OF_GEMV * stride


def _mma_bytes(queries: int) -> int:
    return MMA_BYTES + queries * MMA_BYTES_OF_QUERY


def _launch_permit(launcher: Launcher, table: Table, mask: int, permits: int, stream: int) -> None:
    params = TableParams(
        row_of=table.buffers[0].address,
        mask=mask,
        permits=permits,
        n_tiles=table.n_tiles,
        n_rows=table.n_rows,
    )
    launcher.launch("permit", params, blocks=-(-table.n_tiles // 8), stream=stream)


def _params(table: Table, plan: Plan, inputs: SearchInputs, at: dict[str, int]) -> SearchParams:
    params = SearchParams(items=table.items())
    if inputs.mask:
        params.items.permits = at["permits"]
    q = params.queries
    q.rows, q.codes = at["query_rows"], at["query_codes"] if plan.with_codes else 0
    q.squares, q.lengths, q.errors = at["squares"], at["lengths"], at["query_errors"]
    q.scales, q.taus, q.status = at["query_scales"], at["taus"], at["status"]
    q.n_queries, q.metric = plan.n_queries, METRIC_NUMBERS[inputs.metric]
    q.source, q.source_stride, q.appended = inputs.source, inputs.source_stride, inputs.appended
    for i, sets in enumerate(inputs.deny):
        params.deny[i] = _sets(sets, at, f"unsorted_deny_{i}")
    params.n_deny = len(inputs.deny)
    if inputs.allow is not None:
        params.allow = _sets(inputs.allow, at, "unsorted_allow")
    sample = plan.sample
    if sample is not None:
        params.samples, params.sample_first, params.sample_every = at["samples"], sample.first, sample.every
        params.n_sampled, params.group, params.rank = sample.n_sampled, sample.group, sample.rank
        params.samples_per_query = sample.n_sampled * 64 // sample.group
    params.entries, params.counts, params.keys = at["entries"], at["counts"], at["keys"]
    params.capacity, params.k = plan.capacity, inputs.k
    params.out_rows, params.out_scores = inputs.out_rows, inputs.out_scores
    params.flagged, params.unit_keys, params.unit_counts = at["flagged"], at["unit_keys"], at["unit_counts"]
    params.n_units, params.unit_capacity = plan.n_units, plan.unit_capacity
    params.merged_keys, params.arrivals = at["merged_keys"], at["arrivals"]
    narrow = _gemv_bytes(table, plan) <= _MOST_GEMV_BYTES
    params.fused = plan.n_queries == 1 and inputs.allow is None and narrow
    params.threshold = inputs.threshold
    params.counters = at["counters"] if inputs.count else 0
    return params


def _sets(sets: DeviceSets, at: dict[str, int], unsorted: str) -> Sets:
    return Sets(
        indptr=sets.indptr, rows=sets.rows, which=sets.which, unsorted=at[unsorted] if sets.raw else 0
    )

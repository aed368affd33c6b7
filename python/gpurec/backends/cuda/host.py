"""Searches that host arrays ask: blocks of queries uploaded, answered and read back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..base import Filters, RowSets
from ..report import SearchReport
from .launches import Launcher
from .memory import layout
from .params import COUNTERS, MOST_DENIED, N_COUNTERS, QUERY_NOT_FINITE
from .planning import Limits, Plan, plan_search, workspace_sizes
from .search import DeviceSets, SearchInputs, Workspace, Workspaces, enqueue_search
from .table import Table

__all__ = ["HostSearch"]


class HostSearch:
    """Searches of one table version, for arrays of the host.

    Parameters
    ----------
    launcher : Launcher
    workspaces : Workspaces
    limits : Limits
    table : Table
    metric : str
        What queries are prepared for.
    """

    def __init__(
        self, launcher: Launcher, workspaces: Workspaces, limits: Limits, table: Table, metric: str
    ) -> None:
        self._launcher, self._workspaces, self._limits = launcher, workspaces, limits
        self._table, self._metric = table, metric

    def blocks(
        self,
        queries: np.ndarray,
        k: int,
        filters: Filters,
        threshold: float = -np.inf,
        report: SearchReport | None = None,
    ) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """(queries, rows, scores) of each block; answers have min(k, items) places."""
        table, m = self._table, len(queries)
        if m == 0:
            return
        k = min(k, table.n_active)
        if k == 0:
            yield slice(0, m), np.empty((m, 0), np.int64), np.empty((m, 0), np.float32)
            return
        deny = _at_most(filters.deny, m)
        with self._workspaces.own() as workspace:
            step = self._queries_at_once(m, k)
            for first in range(0, m, step):
                block = slice(first, min(first + step, m))
                part = Filters(filters.mask, filters.allow, deny)
                rows, scores = self._block(workspace, queries[block], block, k, part, threshold, m, report)
                yield block, rows, scores

    def _plan(self, m: int, k: int) -> Plan:
        table = self._table
        return plan_search(m, table.n_tiles, table.n_active, k, table.storage.with_codes, self._limits)

    def _sizes(self, plan: Plan) -> dict[str, int]:
        storage = self._table.storage
        return workspace_sizes(plan, storage.d, storage.row_stride, storage.code_stride)

    def _queries_at_once(self, m: int, k: int) -> int:
        while m > 1 and layout(self._sizes(self._plan(m, k)))[1] > self._limits.most_bytes:
            m = -(-m // 2)
        return m

    def _block(
        self,
        workspace: Workspace,
        queries: np.ndarray,
        block: slice,
        k: int,
        filters: Filters,
        threshold: float,
        n_queries: int,
        report: SearchReport | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        launcher, stream, m = self._launcher, workspace.stream, len(queries)
        plan = self._plan(m, k)
        uploads = {"source": np.ascontiguousarray(queries)}
        sets = {f"deny_{i}": of_block(some, block) for i, some in enumerate(filters.deny)}
        if filters.allow is not None:
            sets["allow"] = of_block(filters.allow, block)
        for name, some in sets.items():
            uploads |= {f"{name}_indptr": some.indptr, f"{name}_rows": some.rows}
            if some.which is not None:
                uploads[f"{name}_which"] = some.which
        if filters.mask is not None:
            uploads["mask"] = np.ascontiguousarray(filters.mask)
        sizes = self._sizes(plan) | {name: array.nbytes for name, array in uploads.items()}
        sizes |= {"out_rows": m * k * 8, "out_scores": m * k * 4, "permits": self._table.n_tiles * 8}
        at = workspace.lay_out(sizes)
        for name, array in uploads.items():
            launcher.write(at[name], array, stream)
        on_device = {
            name: DeviceSets(at[f"{name}_indptr"], at[f"{name}_rows"], at.get(f"{name}_which", 0))
            for name in sets
        }
        inputs = SearchInputs(
            source=at["source"],
            source_stride=queries.shape[1],
            metric=self._metric,
            out_rows=at["out_rows"],
            out_scores=at["out_scores"],
            k=k,
            mask=at.get("mask", 0),
            deny=tuple(some for name, some in on_device.items() if name != "allow"),
            allow=on_device.get("allow"),
            threshold=float(threshold),
            count=report is not None,
        )
        enqueue_search(launcher, self._table, plan, inputs, at, stream)
        rows, scores = np.empty((m, k), np.int64), np.empty((m, k), np.float32)
        status = np.empty(m, np.uint32)
        launcher.read_into(at["out_rows"], rows, stream)
        launcher.read_into(at["out_scores"], scores, stream)
        launcher.read_into(at["status"], status, stream)
        launcher.synchronise(stream)
        if (status == QUERY_NOT_FINITE).any():
            bad = block.start + int(np.argmax(status == QUERY_NOT_FINITE))
            raise ValueError(f"[search] expected finite queries, got NaN or infinity in row {bad}")
        if report is not None:
            self._report(report, at, block, n_queries, plan, stream)
        return rows, scores

    def _report(
        self,
        report: SearchReport,
        at: dict[str, int],
        block: slice,
        n_queries: int,
        plan: Plan,
        stream: int,
    ) -> None:
        m = block.stop - block.start
        counts = self._launcher.read(at["counters"], (m, N_COUNTERS), np.int64, stream)
        # What the exact path scores is as good as entered in a list.
        at_candidates, at_rescored = COUNTERS.index("candidates"), COUNTERS.index("rescored")
        counts[:, at_candidates] = np.maximum(counts[:, at_candidates], counts[:, at_rescored])
        part = SearchReport(
            counts={name: counts[:, i].copy() for i, name in enumerate(COUNTERS)},
            thresholds=self._launcher.read(at["taus"], (m,), np.float32, stream),
        )
        sample = 0 if plan.sample is None else plan.sample.every
        part.choose(m, precision="int8" if plan.with_codes else "fp32", sample_every=sample)
        if m == n_queries:
            report.counts, report.thresholds = part.counts, part.thresholds
            report.choices |= part.choices
        else:
            report.put(n_queries, np.arange(block.start, block.stop), part)


def of_block(sets: RowSets, block: slice) -> RowSets:
    """Sets of some queries, with no more rows than those may use where sets are one a query."""
    if sets.which is not None:
        return RowSets(sets.indptr, sets.rows, np.ascontiguousarray(sets.which[block]))
    ends = sets.indptr[block.start : block.stop + 1]
    return RowSets(ends - ends[0], np.ascontiguousarray(sets.rows[ends[0] : ends[-1]]))


def _at_most(deny: tuple[RowSets, ...], n_queries: int) -> tuple[RowSets, ...]:
    """The same as so few sets that kernels take them: the last ones become one."""
    if len(deny) <= MOST_DENIED:
        return deny
    last = deny[MOST_DENIED - 1 :]
    merged = [np.unique(np.concatenate([sets.of(i) for sets in last])) for i in range(n_queries)]
    indptr = np.cumsum([0, *map(len, merged)], dtype=np.int64)
    return (*deny[: MOST_DENIED - 1], RowSets(indptr, np.concatenate(merged)))

"""Searches that arrays on the device ask: on the caller's stream, nothing read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ...device_arrays import DeviceArray, empty_like
from ..base import DeviceFilters
from . import matrices
from .launches import Launcher
from .memory import layout
from .params import QUERY_NOT_FINITE, ROW_OUT_OF_RANGE
from .planning import Limits, Plan, plan_search, workspace_sizes
from .search import DeviceSets, SearchInputs, Workspaces, enqueue_search
from .table import Table

__all__ = ["DeviceSearch", "device_top_k"]

Answer = tuple[DeviceArray, DeviceArray, Callable[[], None]]


class DeviceSearch:
    """Searches of one table version, for arrays on its device.

    Parameters
    ----------
    launcher : Launcher
    workspaces : Workspaces
    limits : Limits
    table : Table
    """

    def __init__(self, launcher: Launcher, workspaces: Workspaces, limits: Limits, table: Table) -> None:
        self._launcher, self._workspaces, self._limits = launcher, workspaces, limits
        self._table = table

    def sizes(self, plan: Plan, filters: DeviceFilters) -> dict[str, int]:
        """Bytes of what a search works in."""
        storage = self._table.storage
        sizes = workspace_sizes(plan, storage.d, storage.row_stride, storage.code_stride)
        sizes["permits"] = self._table.n_tiles * 8 if filters.mask is not None else 0
        for name, sets in self._named_sets(filters):
            sizes[f"unsorted_{name}"] = sets.n_sets * 4
        return sizes

    def queries_at_once(self, m: int, k: int, filters: DeviceFilters) -> int:
        """Queries of a block: as many as the limit of its workspace leaves room for."""
        while m > 1 and layout(self.sizes(self.plan(m, k), filters))[1] > self._limits.most_bytes:
            m = -(-m // 2)
        return m

    def plan(self, m: int, k: int) -> Plan:
        """Sizes for so many queries."""
        table = self._table
        return plan_search(m, table.n_tiles, table.n_active, k, table.storage.with_codes, self._limits)

    def search(
        self, queries: DeviceArray, k: int, filters: DeviceFilters, metric: str, appended: bool, op: str
    ) -> Answer:
        """Rows, scores, and what raises what is wrong with the queries once somebody asks."""
        launcher, stream, m = self._launcher, queries.stream, queries.shape[0]
        rows = empty_like(queries, (m, k), "int64", op)
        scores = empty_like(queries, (m, k), "float32", op)
        status = empty_like(queries, (m,), "int32", op)
        if m == 0:
            return rows, scores, lambda: None
        stride = queries.strides[0] // 4 if m > 1 else queries.shape[1]
        step = self.queries_at_once(m, k, filters)
        for first in range(0, m, step):
            count = min(step, m - first)
            inputs = SearchInputs(
                source=queries.address + first * stride * 4,
                source_stride=stride,
                metric=metric,
                appended=appended,
                out_rows=rows.address + first * k * 8,
                out_scores=scores.address + first * k * 4,
                k=k,
                mask=0 if filters.mask is None else filters.mask.address,
                deny=tuple(_sets(sets, first) for sets in filters.deny),
                allow=None if filters.allow is None else _sets(filters.allow, first),
            )
            plan = self.plan(count, k)
            part = self.sizes(plan, filters)
            with self._workspaces.on(stream, part) as workspace:
                at = workspace.lay_out(part) | {"status": status.address + first * 4}
                enqueue_search(launcher, self._table, plan, inputs, at, stream)
        return rows, scores, _check_of(launcher, status, stream, op)

    @staticmethod
    def _named_sets(filters: DeviceFilters) -> Iterator[tuple[str, DeviceSets]]:
        for i, sets in enumerate(filters.deny):
            yield f"deny_{i}", _sets(sets, 0)
        if filters.allow is not None:
            yield "allow", _sets(filters.allow, 0)


def _sets(sets: tuple[DeviceArray, DeviceArray, DeviceArray | None], first: int) -> DeviceSets:
    """Sets as kernels take them, those of query `first` and on."""
    indptr, rows, which = sets
    n_sets = indptr.shape[0] - 1
    if which is not None:
        return DeviceSets(indptr.address, rows.address, which.address + first * 8, n_sets, raw=True)
    return DeviceSets(indptr.address + first * 8, rows.address, 0, n_sets, raw=True)


def _check_of(launcher: Launcher, status: DeviceArray, stream: int, op: str) -> Callable[[], None]:
    def check() -> None:
        found = launcher.read(status.address, status.shape, np.uint32, stream)
        for bit, what in (
            (QUERY_NOT_FINITE, "finite float32 values, got NaN or infinity in row {} of queries"),
            (ROW_OUT_OF_RANGE, "filter rows of this index, got others for query {}"),
        ):
            bad = np.flatnonzero(found & bit)
            if len(bad):
                raise ValueError(f"[{op}] expected " + what.format(bad[0]))

    return check


def device_top_k(
    launcher: Launcher, workspaces: Workspaces, limits: Limits, scores: DeviceArray, k: int, op: str
) -> tuple[DeviceArray, DeviceArray]:
    """Best k of each row of scores on the device."""
    m, n = scores.shape
    rows = empty_like(scores, (m, k), "int64", op)
    best = empty_like(scores, (m, k), "float32", op)
    stride = scores.strides[0] // 4 if m > 1 else n
    step = max(1, min(m, limits.most_bytes // max(1, sum(matrices.top_k_sizes(1, n, k, limits).values()))))
    for first in range(0, m, step):
        count = min(step, m - first)
        sizes = matrices.top_k_sizes(count, n, k, limits)
        with workspaces.on(scores.stream, sizes) as workspace:
            at = workspace.lay_out(sizes) | {
                "scores": scores.address + first * stride * 4,
                "out_rows": rows.address + first * k * 8,
                "out_scores": best.address + first * k * 4,
            }
            matrices.enqueue_top_k(launcher, at, count, n, stride, k, limits, scores.stream)
    return rows, best

"""Whole matrices, pairs, prepared rows and the best of given scores, in bounded pieces.

What host arrays ask waits for its answer; matrices of device arrays are left to the caller's stream.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...device_arrays import DeviceArray
from .launches import MOST_BLOCKS_Y, Launcher
from .params import (
    EXACT_BYTES,
    FINISH_BYTES,
    METRIC_NUMBERS,
    ROW_COMPONENTS,
    SCORE_TILE_BYTES,
    TILE_ITEMS,
    ScoreParams,
    SearchParams,
    TableParams,
    TopKParams,
)
from .planning import Limits
from .search import Workspace, Workspaces

__all__ = ["device_similarity", "pairs", "prepared", "similarity", "top_k"]

_BYTES_AT_ONCE = 64 << 20
_ROWS_A, _ROWS_B = 64, 128  # of a block of `score_tile`


def _pieces(n: int, bytes_each: int, most: int = _BYTES_AT_ONCE) -> Iterator[slice]:
    step = max(1, min(most // max(bytes_each, 1), MOST_BLOCKS_Y * _ROWS_A))
    return (slice(first, min(first + step, n)) for first in range(0, n, step))


def _stride(d: int) -> int:
    return -(-d // ROW_COMPONENTS) * ROW_COMPONENTS


class _Rows:
    """Raw rows at an address of the device, `source_stride` components apart, made ready in a workspace."""

    def __init__(self, name: str, n: int, d: int, source: int = 0, source_stride: int = 0) -> None:
        self.name, self.n, self.d, self.stride = name, n, d, _stride(d)
        self._source, self._source_stride = source, source_stride
        self.sizes = {f"{name}_rows": n * self.stride * 4, f"{name}_squares": n * 8}

    def prepare(self, launcher: Launcher, at: dict[str, int], metric: str, stream: int) -> None:
        params = TableParams(
            source=self._source,
            source_stride=self._source_stride,
            n=self.n,
            metric=METRIC_NUMBERS[metric],
            rows=at[f"{self.name}_rows"],
            squares=at[f"{self.name}_squares"],
            d=self.d,
            row_stride=self.stride,
        )
        launcher.launch("prepare_items", params, blocks=-(-self.n // 8), stream=stream)


class _HostRows(_Rows):
    """Raw rows of the host, uploaded first."""

    def __init__(self, name: str, rows: np.ndarray) -> None:
        super().__init__(name, *rows.shape)
        self._rows = np.ascontiguousarray(rows)
        self.sizes[f"{name}_source"] = self._rows.nbytes

    def prepare(self, launcher: Launcher, at: dict[str, int], metric: str, stream: int) -> None:
        self._source, self._source_stride = at[f"{self.name}_source"], self.d
        launcher.write(self._source, self._rows, stream)
        super().prepare(launcher, at, metric, stream)


def prepared(launcher: Launcher, workspaces: Workspaces, rows: np.ndarray, metric: str) -> np.ndarray:
    """Rows as the metric wants them before a plain dot."""
    found = np.empty(rows.shape, np.float32)
    with workspaces.own() as workspace:
        for part in _pieces(len(rows), 8 * rows.shape[1]):
            some = _HostRows("a", rows[part])
            at = workspace.lay_out(some.sizes)
            some.prepare(launcher, at, metric, workspace.stream)
            n = part.stop - part.start
            padded = launcher.read(at["a_rows"], (n, some.stride), np.float32, workspace.stream)
            found[part] = padded[:, : rows.shape[1]]
    return found


def _score_params(
    a: _Rows, b: _Rows, at: dict[str, int], metric: str, out: int, out_stride: int
) -> ScoreParams:
    return ScoreParams(
        a=at["a_rows"],
        b=at["b_rows"],
        a_squares=at["a_squares"],
        b_squares=at["b_squares"],
        n_a=a.n,
        n_b=b.n,
        d=a.d,
        a_stride=a.stride,
        b_stride=b.stride,
        euclidean=metric == "euclidean",
        out=out,
        out_stride=out_stride,
    )


def similarity(
    launcher: Launcher,
    workspaces: Workspaces,
    a: np.ndarray,
    b: np.ndarray,
    metric: str,
    out: np.ndarray,
) -> None:
    """All similarities of rows of `a` and `b` into `out`, tile by tile."""
    if out.size == 0:
        return
    with workspaces.own() as workspace:
        for right in _pieces(len(b), 8 * b.shape[1]):
            for left in _pieces(len(a), 8 * a.shape[1] + 4 * (right.stop - right.start)):
                _similarity(launcher, workspace, a[left], b[right], metric, out[left, right])


def _similarity(
    launcher: Launcher, workspace: Workspace, a: np.ndarray, b: np.ndarray, metric: str, out: np.ndarray
) -> None:
    rows_a, rows_b = _HostRows("a", a), _HostRows("b", b)
    at = workspace.lay_out(rows_a.sizes | rows_b.sizes | {"out": out.size * 4})
    _enqueue(launcher, rows_a, rows_b, at, metric, at["out"], len(b), workspace.stream)
    out[:] = launcher.read(at["out"], out.shape, np.float32, workspace.stream)


def device_similarity(
    launcher: Launcher,
    workspaces: Workspaces,
    limits: Limits,
    a: DeviceArray,
    b: DeviceArray,
    metric: str,
    out: DeviceArray,
) -> None:
    """The same where all lies on the device, on the stream of `a`; what is not finite makes NaN."""
    (n_a, d), n_b = a.shape, b.shape[0]
    if n_a == 0 or n_b == 0:
        return
    strides = [x.strides[0] // 4 if x.shape[0] > 1 else d for x in (a, b)]
    for right in _pieces(n_b, 4 * _stride(d) + 8, limits.most_bytes // 2):
        for left in _pieces(n_a, 4 * _stride(d) + 8, limits.most_bytes // 2):
            rows_a, rows_b = (
                _Rows(name, part.stop - part.start, d, x.address + part.start * stride * 4, stride)
                for name, x, part, stride in (("a", a, left, strides[0]), ("b", b, right, strides[1]))
            )
            sizes = rows_a.sizes | rows_b.sizes
            with workspaces.on(a.stream, sizes) as workspace:
                at = workspace.lay_out(sizes)
                address = out.address + (left.start * n_b + right.start) * 4
                _enqueue(launcher, rows_a, rows_b, at, metric, address, n_b, a.stream)


def _enqueue(
    launcher: Launcher,
    a: _Rows,
    b: _Rows,
    at: dict[str, int],
    metric: str,
    out: int,
    out_stride: int,
    stream: int,
) -> None:
    """Launch the kernels of whole matrices."""
    a.prepare(launcher, at, metric, stream)
    b.prepare(launcher, at, metric, stream)
    launcher.launch(
        "score_tile",
        _score_params(a, b, at, metric, out, out_stride),
        blocks=-(-b.n // _ROWS_B),
        y=-(-a.n // _ROWS_A),
        shared=SCORE_TILE_BYTES,
        stream=stream,
    )


def pairs(
    launcher: Launcher, workspaces: Workspaces, queries: np.ndarray, items: np.ndarray, metric: str
) -> np.ndarray:
    """Canonical scores of matched rows."""
    scores = np.empty(len(items), np.float32)
    with workspaces.own() as workspace:
        for part in _pieces(len(items), 16 * items.shape[1]):
            a, b, n = _HostRows("a", queries[part]), _HostRows("b", items[part]), part.stop - part.start
            at = workspace.lay_out(a.sizes | b.sizes | {"out": n * 4})
            a.prepare(launcher, at, metric, workspace.stream)
            b.prepare(launcher, at, metric, workspace.stream)
            params = _score_params(a, b, at, metric, at["out"], 1)
            launcher.launch("score_pairs", params, blocks=-(-n // 8), stream=workspace.stream)
            scores[part] = launcher.read(at["out"], (n,), np.float32, workspace.stream)
    return scores


def top_k(
    launcher: Launcher, workspaces: Workspaces, limits: Limits, scores: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Best k of each row of given scores."""
    m, n = scores.shape
    rows = np.full((m, k), -1, np.int64)
    best = np.full((m, k), -np.inf, np.float32)
    places = min(k, n)
    if m == 0 or places == 0:
        return rows, best
    with workspaces.own() as workspace:
        sizes = top_k_sizes(1, n, places, limits)
        for part in _pieces(m, n * 4 + sum(sizes.values()), limits.most_bytes):
            count = part.stop - part.start
            sizes = top_k_sizes(count, n, places, limits)
            sizes |= {
                "scores": count * n * 4,
                "out_rows": count * places * 8,
                "out_scores": count * places * 4,
            }
            at = workspace.lay_out(sizes)
            launcher.write(at["scores"], np.ascontiguousarray(scores[part]), workspace.stream)
            enqueue_top_k(launcher, at, count, n, n, places, limits, workspace.stream)
            rows[part, :places] = launcher.read(at["out_rows"], (count, places), np.int64, workspace.stream)
            best[part, :places] = launcher.read(
                at["out_scores"], (count, places), np.float32, workspace.stream
            )
    return rows, best


def _units(m: int, n: int, k: int, limits: Limits) -> tuple[int, int]:
    """Units of a row, and how many keys each may hold."""
    n_units = max(1, min(limits.units, 1024 // m if m < 128 else 8, -(-n // TILE_ITEMS)))
    return n_units, min(k + 256, n)


def top_k_sizes(m: int, n: int, k: int, limits: Limits) -> dict[str, int]:
    """Bytes of what `enqueue_top_k` works in."""
    n_units, capacity = _units(m, n, k, limits)
    return {
        "flagged": (1 + m) * 4,
        "status": m * 4,
        "counts": m * 4,
        "unit_keys": m * n_units * capacity * 8,
        "unit_counts": m * n_units * 4,
        "merged_keys": m * n_units * capacity * 8,
    }


def enqueue_top_k(
    launcher: Launcher,
    at: dict[str, int],
    m: int,
    n: int,
    row_stride: int,
    k: int,
    limits: Limits,
    stream: int,
) -> None:
    """Launch the kernels of `top_k`."""
    n_units, capacity = _units(m, n, k, limits)
    search = SearchParams(
        counts=at["counts"],
        k=k,
        out_rows=at["out_rows"],
        out_scores=at["out_scores"],
        flagged=at["flagged"],
        unit_keys=at["unit_keys"],
        unit_counts=at["unit_counts"],
        n_units=n_units,
        unit_capacity=capacity,
        merged_keys=at["merged_keys"],
        arrivals=at["arrivals"],
        threshold=-np.inf,
    )
    search.queries.n_queries, search.queries.status = m, at["status"]
    launcher.fill(at["status"], 0, m * 4, stream)
    launcher.fill(at["counts"], 0, m * 4, stream)
    params = TopKParams(search=search, scores=at["scores"], n_rows=m, n_columns=n, row_stride=row_stride)
    launcher.launch("top_k_scores", params, blocks=n_units * m, shared=EXACT_BYTES, stream=stream)
    launcher.launch("merge_units", search, blocks=m, shared=FINISH_BYTES, stream=stream)

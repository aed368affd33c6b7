"""Whole matrices, pairs, prepared rows and the best of given scores, for host arrays, in bounded pieces."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .launches import Launcher
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

__all__ = ["pairs", "prepared", "similarity", "top_k"]

_BYTES_AT_ONCE = 64 << 20


def _pieces(n: int, bytes_each: int, most: int = _BYTES_AT_ONCE) -> Iterator[slice]:
    step = max(1, most // max(bytes_each, 1))
    return (slice(first, min(first + step, n)) for first in range(0, n, step))


def _stride(d: int) -> int:
    return -(-d // ROW_COMPONENTS) * ROW_COMPONENTS


class _Rows:
    """Raw rows of the host made ready in a workspace."""

    def __init__(self, name: str, rows: np.ndarray) -> None:
        self.name, self.rows, self.stride = name, rows, _stride(rows.shape[1])
        n = len(rows)
        self.sizes = {
            f"{name}_source": rows.nbytes,
            f"{name}_rows": n * self.stride * 4,
            f"{name}_squares": n * 8,
            f"{name}_status": n * 4,
        }

    def prepare(self, launcher: Launcher, at: dict[str, int], metric: str, stream: int) -> None:
        n, d = self.rows.shape
        launcher.write(at[f"{self.name}_source"], self.rows, stream)
        params = TableParams(
            source=at[f"{self.name}_source"],
            source_stride=d,
            n=n,
            metric=METRIC_NUMBERS[metric],
            rows=at[f"{self.name}_rows"],
            squares=at[f"{self.name}_squares"],
            status=at[f"{self.name}_status"],
            d=d,
            row_stride=self.stride,
        )
        launcher.launch("prepare_items", params, blocks=-(-n // 8), stream=stream)


def prepared(launcher: Launcher, workspaces: Workspaces, rows: np.ndarray, metric: str) -> np.ndarray:
    """Rows as the metric wants them before a plain dot."""
    found = np.empty(rows.shape, np.float32)
    with workspaces.own() as workspace:
        for part in _pieces(len(rows), 8 * rows.shape[1]):
            some = _Rows("a", np.ascontiguousarray(rows[part]))
            at = workspace.lay_out(some.sizes)
            some.prepare(launcher, at, metric, workspace.stream)
            n = part.stop - part.start
            padded = launcher.read(at["a_rows"], (n, some.stride), np.float32, workspace.stream)
            found[part] = padded[:, : rows.shape[1]]
    return found


def _score_params(a: _Rows, b: _Rows, at: dict[str, int], metric: str, out_stride: int) -> ScoreParams:
    return ScoreParams(
        a=at["a_rows"],
        b=at["b_rows"],
        a_squares=at["a_squares"],
        b_squares=at["b_squares"],
        n_a=len(a.rows),
        n_b=len(b.rows),
        d=a.rows.shape[1],
        a_stride=a.stride,
        b_stride=b.stride,
        euclidean=metric == "euclidean",
        out=at["out"],
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
    rows_a, rows_b = _Rows("a", np.ascontiguousarray(a)), _Rows("b", np.ascontiguousarray(b))
    at = workspace.lay_out(rows_a.sizes | rows_b.sizes | {"out": out.size * 4})
    stream = workspace.stream
    rows_a.prepare(launcher, at, metric, stream)
    rows_b.prepare(launcher, at, metric, stream)
    params = _score_params(rows_a, rows_b, at, metric, len(b))
    launch_score_tile(launcher, params, stream)
    out[:] = launcher.read(at["out"], out.shape, np.float32, stream)


def launch_score_tile(launcher: Launcher, params: ScoreParams, stream: int) -> None:
    """Launch the kernel of whole matrices."""
    launcher.launch(
        "score_tile",
        params,
        blocks=-(-params.n_b // 128),
        y=-(-params.n_a // 64),
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
            a = _Rows("a", np.ascontiguousarray(queries[part]))
            b = _Rows("b", np.ascontiguousarray(items[part]))
            n = len(a.rows)
            at = workspace.lay_out(a.sizes | b.sizes | {"out": n * 4})
            a.prepare(launcher, at, metric, workspace.stream)
            b.prepare(launcher, at, metric, workspace.stream)
            params = _score_params(a, b, at, metric, 1)
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

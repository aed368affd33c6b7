"""Canonical scores, prepared rows and the total order as array operations of any namespace `xp`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..base import Filters, RowSets

__all__ = [
    "LANES",
    "NOBODY",
    "Permits",
    "answer_of",
    "best_keys",
    "keys_of",
    "lane_sums",
    "prepare_rows",
    "scores_of",
]

LANES = 32
NOBODY = np.uint64(2**64 - 1)  # the key after all others


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


def keys_of(xp: Any, scores: Any, first_row: int, passes: Any) -> Any:
    """Keys (m, n) that ascend from the best to the worst item, `NOBODY` for what may not be returned."""
    scores = xp.ascontiguousarray(scores)
    bits = scores.view(np.uint32)
    negative = (bits >> np.uint32(31)).astype(np.bool_)
    descending = xp.where(negative, bits, bits ^ np.uint32(0x7FFFFFFF)).astype(np.uint64)
    rows = xp.arange(first_row, first_row + scores.shape[1], dtype=np.uint64)
    keys = descending << np.uint64(32) | rows[None, :]
    return xp.where(xp.isfinite(scores) if passes is None else xp.isfinite(scores) & passes, keys, NOBODY)


def best_keys(xp: Any, pieces: Iterator[Any], m: int, k: int) -> Any:
    """The k smallest keys of each of m rows, ascending, of pieces (m, any); fewer where there are fewer."""
    best = xp.empty((m, 0), dtype=np.uint64)
    for keys in pieces:
        best = xp.sort(xp.concatenate([best, keys], axis=1), axis=1)[:, :k]
    return best


def answer_of(xp: Any, keys: Any, k: int) -> tuple[Any, Any]:
    """Rows and scores of sorted keys, filled up to k places."""
    rows = xp.full((keys.shape[0], k), -1, dtype=np.int64)
    scores = xp.full((keys.shape[0], k), -np.inf, dtype=np.float32)
    n = keys.shape[1]
    there = keys != NOBODY
    descending = (keys >> np.uint64(32)).astype(np.uint32)
    negative = (descending >> np.uint32(31)).astype(np.bool_)
    bits = xp.where(negative, descending, descending ^ np.uint32(0x7FFFFFFF))
    rows[:, :n] = xp.where(there, (keys & np.uint64(0xFFFFFFFF)).astype(np.int64), -1)
    scores[:, :n] = xp.where(there, xp.ascontiguousarray(bits).view(np.float32), np.float32(-np.inf))
    return rows, scores


class Permits:
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

"""The contract in plain NumPy float64, written for reading: what every other backend must equal, bit for bit.

Two float32 numbers multiply exactly in float64, so the only roundings of a canonical score are those of
the float64 additions, whose order `sum_lanes` fixes, and the one to float32 at the end.

Source: docs/design, "the contract of choosing items".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .base import Filters, RowSets
from .environment import strict_floats
from .finite import require_finite
from .panels import items_of_panels
from .reference_gram import gram_top_k
from .reference_order import best_rows, permitted, round_scores, stack
from .reference_sums import InFixedOrder
from .report import SearchReport

__all__ = [
    "ReferenceBackend",
    "ReferenceIndex",
    "best_rows",
    "canonical_scores",
    "permitted",
    "prepare_rows",
    "round_scores",
    "sum_lanes",
]

LANES = 32
_TERMS_AT_ONCE = 1 << 20  # float64 terms in memory at a time: 8 MB


def sum_lanes(terms: np.ndarray) -> np.ndarray:
    """Sum the last axis of float64 terms in the canonical order.

    Lane l (0..31) adds terms l, l + 32, l + 64, ... in that order, from +0.0. Then halves are added:
    lane l += lane l + h for h = 16, 8, 4, 2, 1. Components missing from the last group of 32 add nothing.

    Parameters
    ----------
    terms : float64 array, shape (n, d)

    Returns
    -------
    float64 array, shape (n,)

    Examples
    --------
    >>> sum_lanes(np.array([[1e16, 1.0, -1e16]]))  # lanes 0, 1, 2: (1e16 + -1e16) + 1
    array([1.])
    """
    n, d = terms.shape
    lanes = np.zeros((n, LANES))
    for first in range(0, d, LANES):
        group = terms[:, first : first + LANES]
        lanes[:, : group.shape[1]] += group
    half = LANES // 2
    while half:
        lanes = lanes[:, :half] + lanes[:, half:]
        half //= 2
    return lanes[:, 0]


def canonical_scores(queries: np.ndarray, items: np.ndarray, metric: str) -> np.ndarray:
    """Canonical score of each prepared query with the prepared item of the same row.

    Parameters
    ----------
    queries, items : arrays, shape (n, d)
        float32 values (float64 holding float32 values will do), already through `prepare_rows`.
    metric : str
        "euclidean" gives -(sum of squared differences): difference, square and sum each rounded in
        float64. Every other metric gives the dot product.

    Returns
    -------
    float32 array, shape (n,)
        May hold infinities; those are never returned by a search.
    """
    scores = np.empty(len(items), dtype=np.float32)
    for block in _blocks(*items.shape):
        q = queries[block].astype(np.float64, copy=False)
        x = items[block].astype(np.float64, copy=False)
        if metric == "euclidean":
            scores[block] = round_scores(-sum_lanes(np.square(q - x)))
        else:
            scores[block] = round_scores(sum_lanes(q * x))
    return scores


def prepare_rows(rows: np.ndarray, metric: str) -> np.ndarray:
    """Turn rows into what the metric's plain dot wants: unit length, for Pearson centred first.

    Parameters
    ----------
    rows : float32 array, shape (n, d), finite
    metric : {"dot", "cosine", "pearson", "euclidean"}
        "dot" and "euclidean" take rows as they are.

    Returns
    -------
    float32 array, shape (n, d)

    Notes
    -----
    The order of operations, which is part of the contract; all of it is float64, each operation rounded
    on its own (no fused multiply-add), until the single rounding to float32:

    1. e is the binary exponent of the row's largest absolute component m, m = f * 2^e with 0.5 <= f < 1
       (e = 0 for a zero row); y = x * 2^-e, which is exact.
    2. Pearson: mean = sum_lanes(y) / d; y = y - mean. A row whose components are all equal becomes +0,
       whatever its mean was rounded to; so does every row of d = 1.
    3. norm = sqrt(sum_lanes(y * y)). A row of norm 0 becomes +0.
    4. The result is float32(y / norm): a division, not a product with the reciprocal; -0 stays -0.

    Scaling first means that no square under- or overflows: |y| < 1, and |y| >= 2^-278 where x is not 0.

    Examples
    --------
    >>> prepare_rows(np.float32([[3e-40, 4e-40], [0, 0]]), "cosine").round(4).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    if metric in ("dot", "euclidean"):
        return rows
    prepared = np.empty(rows.shape, dtype=np.float32)
    for block in _blocks(*rows.shape):
        x = rows[block].astype(np.float64)
        y = _scale_by_power_of_two(x)
        if metric == "pearson":
            y = _centre(y)
        prepared[block] = _divide_by_norm(y)
    return prepared


def _scale_by_power_of_two(x: np.ndarray) -> np.ndarray:
    _, exponent = np.frexp(np.abs(x).max(axis=1, initial=0.0))
    return np.ldexp(x, -exponent[:, np.newaxis])


def _centre(y: np.ndarray) -> np.ndarray:
    mean = sum_lanes(y) / y.shape[1]
    constant = (y == y[:, :1]).all(axis=1)
    return np.where(constant[:, np.newaxis], 0.0, y - mean[:, np.newaxis])


def _divide_by_norm(y: np.ndarray) -> np.ndarray:
    norm = np.sqrt(sum_lanes(y * y))[:, np.newaxis]
    return np.divide(y, norm, out=np.zeros_like(y), where=norm > 0).astype(np.float32)


@dataclass(frozen=True)
class ReferenceIndex:
    """Items ready to be searched.

    Attributes
    ----------
    items : float64 array, shape (n_items, d)
        The prepared float32 rows, widened once so that a search need not.
    metric : str
    active : bool array, shape (n_items,), or None
        Rows that may appear at all; None is every row.
    """

    items: np.ndarray
    metric: str
    active: np.ndarray | None

    @property
    def d(self) -> int:
        """Components of an item."""
        return self.items.shape[1]

    @property
    def n_bytes(self) -> int:
        """Memory of the widened rows."""
        return self.items.nbytes

    def with_items(self, items: np.ndarray, rows: np.ndarray, n_rows: int) -> ReferenceIndex:
        """An index of `n_rows` public rows in which row rows[i] has item i."""
        more = n_rows - len(self.items)
        table = np.concatenate([self.items, np.zeros((more, self.items.shape[1]))])
        active = np.concatenate([self._has_item(), np.zeros(more, dtype=np.bool_)])
        table[rows] = prepare_rows(items, self.metric)
        active[rows] = True
        return ReferenceIndex(table, self.metric, active)

    def without(self, rows: np.ndarray) -> ReferenceIndex:
        """An index in which these rows have no items."""
        active = self._has_item().copy()
        active[rows] = False
        return ReferenceIndex(self.items, self.metric, active)

    def compacted(self) -> ReferenceIndex:
        """The index itself: nothing takes room."""
        return self

    def items_of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Prepared items of rows, and whether each row has one."""
        return self.items[rows].astype(np.float32), self._has_item()[rows]

    def tensors(self) -> dict[str, np.ndarray]:
        """Items as they are scored, and the rows that have one."""
        rows = np.flatnonzero(self._has_item())
        return {"items": self.items[rows].astype(np.float32), "row_of": rows.astype(np.uint32)}

    def _has_item(self) -> np.ndarray:
        return np.ones(len(self.items), dtype=np.bool_) if self.active is None else self.active


class ReferenceBackend(InFixedOrder):
    """Every op by scoring every item; slow, simple, and what the others are compared with.

    NumPy computes in whatever floating-point environment the process has set: under flush-to-zero this
    backend alone gives other answers for subnormal numbers.
    """

    name = "reference"
    gram_top_k = staticmethod(gram_top_k)

    @strict_floats()
    def prepare_rows(self, rows: np.ndarray, metric: str) -> np.ndarray:
        """Rows as the metric wants them before a plain dot: float32 of the same shape."""
        return prepare_rows(rows, metric)

    def score(self, queries: np.ndarray, items: np.ndarray, out: np.ndarray) -> None:
        """Write all canonical dot products into `out`, float32 (n_queries, n_items)."""
        self.similarity(queries, items, "dot", out)

    def similarity(self, a: np.ndarray, b: np.ndarray, metric: str, out: np.ndarray) -> None:
        """Write all canonical similarities of rows of `a` and `b` into `out`, float32 (n_a, n_b)."""
        index = self.build_index(b, metric)
        for row, query in enumerate(prepare_rows(a, metric)):
            out[row] = _score_all(query, index)

    def score_pairs(self, queries: np.ndarray, items: np.ndarray, metric: str) -> np.ndarray:
        """Canonical score of row i of `queries` with row i of `items`, float32 (n,)."""
        return canonical_scores(prepare_rows(queries, metric), prepare_rows(items, metric), metric)

    def top_k(self, scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Best k of each row of given scores; NaN and both infinities are never chosen, -0 becomes +0."""
        rows = np.arange(scores.shape[1], dtype=np.int64)
        return stack([best_rows(row + np.float32(0.0), rows, k) for row in scores], k)

    def build_index(
        self, items: np.ndarray, metric: str, active: np.ndarray | None = None, **how: str | tuple[str, ...]
    ) -> ReferenceIndex:
        """Make raw items ready for `search`; rows where `active` is False have no item; `how` is ignored."""
        return ReferenceIndex(prepare_rows(items, metric).astype(np.float64), metric, active)

    def index_of_tensors(
        self, tensors: dict[str, np.ndarray], metric: str, n_rows: int, **how: str | tuple[str, ...]
    ) -> ReferenceIndex:
        """The index that `tensors` of any backend described."""
        rows = tensors["row_of"]
        items = tensors["items"] if "items" in tensors else items_of_panels(tensors["panels"], len(rows))
        if items.shape[0] != len(rows) or len(np.unique(rows)) != len(rows) or (rows >= n_rows).any():
            raise ValueError("items without a row of their own")
        table = np.zeros((n_rows, items.shape[1]))
        active = np.zeros(n_rows, dtype=np.bool_)
        table[rows], active[rows] = items, True
        return ReferenceIndex(table, metric, active)

    def search_above(
        self,
        index: ReferenceIndex,
        queries: np.ndarray,
        threshold: np.float32,
        k: int,
        most: int,
        filters: Filters,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All items that score at least `threshold`, at most k a query, best first."""
        n_items = len(index.items)
        found = []
        for i, query in enumerate(prepare_rows(queries, index.metric)):
            scores = _score_all(query, index)
            rows = np.flatnonzero(permitted(filters, i, n_items, index.active) & (scores >= threshold))
            best, best_scores = best_rows(scores[rows], rows, min(k, max(len(rows), 1)))
            found.append((best[best >= 0], best_scores[best >= 0]))
        indptr = np.cumsum([0, *(len(rows) for rows, _ in found)], dtype=np.int64)
        if indptr[-1] > most:
            raise OverflowError("too many")
        rows = np.concatenate([rows for rows, _ in found] or [np.empty(0, np.int64)])
        return indptr, rows, np.concatenate([scores for _, scores in found] or [np.empty(0, np.float32)])

    def score_top_k(
        self,
        queries: np.ndarray,
        items: np.ndarray,
        k: int,
        metric: str,
        filters: Filters,
        hint: RowSets | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Best k items of each raw query among raw items, which need not be finite."""
        require_finite(items)
        return self.search(self.build_index(items, metric), queries, k, filters, hint)

    @strict_floats()
    def search(
        self,
        index: ReferenceIndex,
        queries: np.ndarray,
        k: int,
        filters: Filters,
        hint: RowSets | None = None,
        report: SearchReport | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Best k items of each raw query: rows int64 and canonical scores float32, both (n_queries, k).

        `hint` is of no use here, where every item is scored.
        """
        n_items = len(index.items)
        candidates = np.zeros(len(queries), np.int64)
        results = []
        for i, query in enumerate(prepare_rows(queries, index.metric)):
            scores = _score_all(query, index)
            rows = np.flatnonzero(permitted(filters, i, n_items, index.active))
            results.append(best_rows(scores[rows], rows, k))
            candidates[i] = len(rows)
        if report is not None:
            report.counts = {"candidates": candidates, "rescored": np.full_like(candidates, n_items)}
            report.thresholds = np.full(len(queries), -np.inf, np.float32)
        return stack(results, k)


def _score_all(query: np.ndarray, index: ReferenceIndex) -> np.ndarray:
    return canonical_scores(np.broadcast_to(query, index.items.shape), index.items, index.metric)


def _blocks(n: int, d: int) -> Iterator[slice]:
    step = max(1, _TERMS_AT_ONCE // max(d, 1))
    return (slice(first, first + step) for first in range(0, n, step))

"""What a changing index should hold: a dictionary of rows, searched by scoring every one of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gpurec.backends.reference import best_rows, canonical_scores, prepare_rows


@dataclass(frozen=True)
class Snapshot:
    """One version of the model.

    Attributes
    ----------
    version, n_rows : int
    rows : int64 array, shape (n_active,)
        Rows that have an item, ascending.
    items : float32 array, shape (n_active, d)
        Prepared, the boost not among the components.
    boosts : float32 array, shape (n_active,), or None
    metric : str
    """

    version: int
    n_rows: int
    rows: np.ndarray
    items: np.ndarray
    boosts: np.ndarray | None
    metric: str

    @cached_property
    def _scored(self) -> np.ndarray:
        return self.items if self.boosts is None else np.column_stack([self.items, self.boosts])

    def scores(self, queries: np.ndarray, *, prepared: bool = False) -> np.ndarray:
        """Canonical score of every query with every item, float32 (n_queries, n_active)."""
        q = queries if prepared else prepare_rows(queries, self.metric)
        if self.boosts is not None:
            q = np.column_stack([q, np.ones(len(q), np.float32)])
        metric = "euclidean" if self.metric == "euclidean" else "dot"
        shape = self._scored.shape
        scores = np.empty((len(q), shape[0]), np.float32)
        for i, query in enumerate(q):
            scores[i] = canonical_scores(np.broadcast_to(query, shape), self._scored, metric)
        return scores

    def search(
        self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None, *, prepared: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows and scores of the best k, both (n_queries, k); allowed[i, row] says what query i may have."""
        rows, scores = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
        for i, of_query in enumerate(self.scores(queries, prepared=prepared)):
            keep = slice(None) if allowed is None else allowed[i, self.rows]
            rows[i], scores[i] = best_rows(of_query[keep], self.rows[keep], k)
        return rows, scores

    def above(
        self,
        queries: np.ndarray,
        threshold: float,
        max_results: int | None = None,
        allowed: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """indptr, rows and scores of all items that score at least `threshold`, at most so many a query."""
        k = max(len(self.rows), 1) if max_results is None else min(max_results, max(len(self.rows), 1))
        rows, scores = self.search(queries, k, allowed)
        reaches = (rows >= 0) & (scores.astype(np.float64) >= threshold)
        return np.cumsum([0, *reaches.sum(axis=1)]), rows[reaches], scores[reaches]


class LivingModel:
    """The same changes as those of `ItemIndex`, each row on its own."""

    def __init__(self, metric: str, d: int) -> None:
        self.metric, self.d = metric, d
        self.items: dict[int, np.ndarray] = {}
        self.boosts: dict[int, np.float32] | None = None
        self.n_rows = self.version = 0
        self._snapshot: Snapshot | None = None

    def append(self, items: np.ndarray, boost: np.ndarray | None = None) -> np.ndarray:
        rows = np.arange(self.n_rows, self.n_rows + len(items))
        self.n_rows += len(items)
        self.update(rows, items, boost)
        return rows

    def update(self, rows: np.ndarray, items: np.ndarray, boost: np.ndarray | None = None) -> None:
        prepared = prepare_rows(items, self.metric)
        for i, row in enumerate(rows.tolist()):
            if self.boosts is not None and boost is not None:
                self.boosts[row] = boost[i]
            elif self.boosts is not None and row not in self.items:
                self.boosts[row] = np.float32(0)
            self.items[row] = prepared[i]
        self._changed()

    def remove(self, rows: np.ndarray) -> None:
        for row in rows.tolist():
            self.items.pop(row, None)
        self._changed()

    def set_boost(self, rows: np.ndarray, boost: np.ndarray) -> None:
        if self.boosts is None:
            self.boosts = dict.fromkeys(self.items, np.float32(0))
        self.boosts.update(zip(rows.tolist(), boost))
        self._changed()

    def _changed(self) -> None:
        self.version += 1
        self._snapshot = None

    @property
    def active(self) -> np.ndarray:
        """Rows that have an item, ascending."""
        return self.snapshot().rows

    def snapshot(self) -> Snapshot:
        """The model as it is now; later changes leave it alone."""
        if self._snapshot is None:
            rows = sorted(self.items)
            items = [self.items[row] for row in rows]
            boosts = None if self.boosts is None else np.float32([self.boosts[row] for row in rows])
            self._snapshot = Snapshot(
                self.version,
                self.n_rows,
                np.array(rows, np.int64),
                np.stack(items) if items else np.empty((0, self.d), np.float32),
                boosts,
                self.metric,
            )
        return self._snapshot

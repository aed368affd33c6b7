"""One version of an index: what a search reads, and nothing that a later change can touch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..backends import Backend, Index

__all__ = ["IndexVersion"]


@dataclass(frozen=True)
class IndexVersion:
    """Prepared items on a backend, with the boost of each as one more coordinate where there is one.

    Attributes
    ----------
    backend : Backend
    metric : str
        Of the index; items and queries are prepared for it here, so that the backend sees plain dots (or
        squared distances) of prepared rows.
    index : Index
    n_rows : int
        Public rows ever given.
    n_active : int
        Those that have an item.
    number : int
        Grows by one a change.
    boosted : bool
    """

    backend: Backend
    metric: str
    index: Index
    n_rows: int
    n_active: int
    number: int
    boosted: bool

    @property
    def scanned_metric(self) -> str:
        """The metric of prepared rows."""
        return scanned_metric(self.metric)

    def queries(self, queries: np.ndarray, *, prepared: bool = False) -> np.ndarray:
        """Raw queries as the items want them; a boost meets a query's coordinate 1."""
        rows = queries if prepared else self.backend.prepare_rows(queries, self.metric)
        return with_column(rows, 1.0) if self.boosted else rows

    def items(self, items: np.ndarray, boost: np.ndarray | None) -> np.ndarray:
        """Raw items as they are kept."""
        rows = self.backend.prepare_rows(items, self.metric)
        return with_column(rows, 0.0 if boost is None else boost) if self.boosted else rows


def scanned_metric(metric: str) -> str:
    """What the metric of prepared rows is called."""
    return "euclidean" if metric == "euclidean" else "dot"


def with_column(rows: np.ndarray, column: np.ndarray | float) -> np.ndarray:
    """Rows with one more coordinate, float32."""
    wider = np.empty((len(rows), rows.shape[1] + 1), np.float32)
    wider[:, :-1] = rows
    wider[:, -1] = column
    return wider

"""What an index holds, and what it says of itself."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np

from ..ops.arguments import as_rows
from ..types import IdMap
from .versions import IndexVersion

__all__ = ["IndexState"]


class IndexState:
    """The version that a search starts with, and the ids of all of them.

    A search reads `_now` once and works on that version to its end.
    """

    def _start(
        self, version: IndexVersion, precision: str, pruning: str | tuple[str, ...], ids: IdMap | None
    ) -> None:
        self.precision = precision
        self.pruning = pruning
        self._now = version
        self._ids = ids
        self._changing = Lock()
        self._reading_ids = Lock()

    @property
    def metric(self) -> str:
        """The metric of the scores."""
        return self._now.metric

    @property
    def ids(self) -> IdMap | None:
        """External ids by row, None where the index has none; not to be changed."""
        return self._ids

    @property
    def n_items(self) -> int:
        """Number of public rows, dropped and removed ones included."""
        return self._now.n_rows

    @property
    def n_active(self) -> int:
        """Number of items that a search can return."""
        return self._now.n_active

    @property
    def version(self) -> int:
        """Number of changes since the index was made."""
        return self._now.number

    @property
    def d(self) -> int:
        """Components of an item, the boost not counted."""
        return self._now.index.d - self._now.boosted

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes, external ids not counted."""
        return self._now.index.n_bytes

    def __len__(self) -> int:
        return self.n_items

    def __repr__(self) -> str:
        now = self._now
        return f"ItemIndex({now.n_rows} items, d={self.d}, {now.metric}, on {now.backend.name})"

    def _ids_of(self, rows: np.ndarray) -> np.ndarray | None:
        if self._ids is None:
            return None
        found = rows >= 0
        ids = np.full(rows.shape, None, dtype=object)
        with self._reading_ids:
            ids[found] = self._ids.ids(rows[found])
        return ids

    def _rows_of(self, ids: Any) -> np.ndarray:
        if self._ids is None:
            return as_rows(ids, self._now.n_rows, "ids")
        with self._reading_ids:
            return self._ids.rows(ids)

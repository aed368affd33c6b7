"""Items in the memory of a namespace."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .functions import prepare_rows

__all__ = ["CupyIndex", "to_host"]


@dataclass(frozen=True)
class CupyIndex:
    """Prepared items in the namespace's memory.

    Attributes
    ----------
    items : float32 array, shape (n_rows, d)
    active : bool array, shape (n_rows,), or None
        Rows that have an item; None is every row.
    metric : str
    xp : module
    """

    items: Any
    active: Any
    metric: str
    xp: Any

    @property
    def d(self) -> int:
        """Components of an item."""
        return int(self.items.shape[1])

    @property
    def n_bytes(self) -> int:
        """Memory of the rows."""
        return int(self.items.nbytes)

    def with_items(self, items: np.ndarray, rows: np.ndarray, n_rows: int) -> CupyIndex:
        """An index of `n_rows` public rows in which row rows[i] has item i."""
        xp = self.xp
        table = xp.zeros((n_rows, self.d), dtype=np.float32)
        active = xp.zeros(n_rows, dtype=np.bool_)
        n = self.items.shape[0]
        table[:n] = self.items
        active[:n] = True if self.active is None else self.active
        if len(rows):
            at = xp.asarray(rows)
            table[at] = prepare_rows(xp, xp.asarray(items), self.metric)
            active[at] = True
        return replace(self, items=table, active=active)

    def without(self, rows: np.ndarray) -> CupyIndex:
        """An index in which these rows have no items."""
        active = self._has_item().copy()
        if len(rows):
            active[self.xp.asarray(rows)] = False
        return replace(self, active=active)

    def compacted(self) -> CupyIndex:
        """The index itself: nothing takes room."""
        return self

    def items_of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Prepared items of rows, and whether each row has one."""
        if len(rows) == 0:
            return np.empty((0, self.d), np.float32), np.empty(0, np.bool_)
        at = self.xp.asarray(rows)
        return to_host(self.items[at]), to_host(self._has_item()[at])

    def tensors(self) -> dict[str, np.ndarray]:
        """Items as they are scored, and the rows that have one."""
        rows = np.flatnonzero(to_host(self._has_item()))
        return {"items": self.items_of(rows)[0], "row_of": rows.astype(np.uint32)}

    def _has_item(self) -> Any:
        return self.xp.ones(len(self.items), dtype=np.bool_) if self.active is None else self.active


def to_host(array: Any) -> np.ndarray:
    """An array of the namespace as NumPy's."""
    return array.get() if hasattr(array, "get") else array

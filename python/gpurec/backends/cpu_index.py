"""Items that the native module has made ready, and what a search of them scans in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .base import Pruning
from .costs import cheapest, costs_of_machine
from .panels import PANEL_ITEMS
from .pruning import pays_in_directions

if TYPE_CHECKING:
    from .cpu import CpuBackend

__all__ = ["WORTH_THREADS", "CpuIndex"]

# Multiply-adds of a search below which threads, or asking how many there may be, cost more than they save.
WORTH_THREADS = 1 << 17
# An index is made to be asked about so often at least, which tells whether costs are worth measuring.
_LEAST_QUERIES = 16
# Searches of an index whose precision is remembered.
_MOST_CHOICES = 64


class CpuIndex:
    """Items in panels, and the metric that they and their queries are prepared for."""

    def __init__(
        self, table: Any, metric: str, backend: CpuBackend, precision: str, pruning: Pruning
    ) -> None:
        self.table = table
        self.metric = metric
        self.precision = precision
        self.pruning = pruning
        self.d: int = table.d  # components of an item
        self._backend = backend
        self._choices: dict[tuple[int, int], str] = {}  # a search of a few us has no time to choose anew

    def arithmetic(self, n_queries: int, k: int) -> str:
        """What a search for the best k scans in."""
        if self.precision != "auto":
            return self._or_leading(self.precision, k)  # float32 where table or ISA have no such arithmetic
        if not self.table.with_codes:
            return "fp32"
        chosen = self._choices.get((n_queries, k))
        if chosen is None:
            chosen = self._cheapest(n_queries, k)
            if len(self._choices) >= _MOST_CHOICES:
                self._choices.clear()
            self._choices[n_queries, k] = chosen
        return chosen

    def _cheapest(self, n_queries: int, k: int) -> str:
        n_items, backend = self.table.n_active, self._backend
        machine = costs_of_machine(backend.isa, max(n_queries, _LEAST_QUERIES) * n_items * self.d)
        n_threads = backend.n_threads if n_queries * n_items * self.d >= WORTH_THREADS else 1
        chosen = cheapest(machine, n_items, self.d, n_queries, k, n_threads)
        return self._or_leading(chosen, k, ("int8", "int4"))

    def _or_leading(self, precision: str, k: int, instead_of: tuple[str, ...] = ("int8",)) -> str:
        """Leading directions in place of these precisions, where they should pay or were asked for."""
        pays = pays_in_directions(self.pruning, self.table.n_directions, k, self.table.n_active)
        return "leading" if precision in instead_of and pays else precision

    @property
    def n_bytes(self) -> int:
        """Memory of the panels and of what goes with them."""
        return self.table.n_bytes

    def with_items(self, items: np.ndarray, rows: np.ndarray, n_rows: int) -> CpuIndex:
        """An index of `n_rows` public rows in which row rows[i] has item i."""
        prepared = self._backend.prepare_rows(items, self.metric)
        isa, n_threads = self._backend.isa, self._backend.n_threads
        return self._of(self.table.with_items(prepared, rows.astype(np.uint32), n_rows, isa, n_threads))

    def without(self, rows: np.ndarray) -> CpuIndex:
        """An index in which these rows have no items."""
        return self._of(self.table.without(rows.astype(np.uint32)))

    def compacted(self) -> CpuIndex:
        """An index of the same items in one run of panels."""
        return self._of(self.table.compacted(self._backend.isa, self._backend.n_threads))

    def items_of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Prepared items of rows, and whether each row has one."""
        return self.table.items_of(rows.astype(np.uint32))

    def tensors(self) -> dict[str, np.ndarray]:
        """The panels as they are scanned, and what goes with them."""
        if self.table.n_active == 0:
            return {
                "panels": np.empty((0, self.table.d, PANEL_ITEMS), np.float32),
                "norms": np.empty(0, np.float32),
                "row_of": np.empty(0, np.uint32),
            }
        return self.compacted().table.arrays()

    def _of(self, table: Any) -> CpuIndex:
        return CpuIndex(table, self.metric, self._backend, self.precision, self.pruning)

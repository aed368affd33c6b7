"""What every backend promises to the ops: arrays are already checked, filters already in one form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..device_arrays import DeviceArray
from .factor_ops import FactorOps
from .gram_score import GramScore
from .report import SearchReport
from .sparse_rows import SparseRows

__all__ = [
    "METRICS",
    "NO_DEVICE_FILTERS",
    "PRUNING",
    "Backend",
    "DeviceBackend",
    "DeviceFilters",
    "Filters",
    "Index",
    "RowSets",
    "SparseRows",
]

METRICS = ("dot", "cosine", "pearson", "euclidean")
# What a search may leave out, by names; "auto" in place of them takes what should pay.
PRUNING = ("head", "norms", "directions")
Pruning = str | tuple[str, ...]


@dataclass(frozen=True)
class RowSets:
    """Sets of item rows, one set a query.

    Attributes
    ----------
    indptr : int64 array, shape (n_sets + 1,)
        Set s is `rows[indptr[s]:indptr[s + 1]]`.
    rows : int64 array
        Item rows in 0..n_items-1, ascending and distinct within a set.
    which : int64 array, shape (n_queries,), or None
        The set that each query uses; None means query i uses set i.
    """

    indptr: np.ndarray
    rows: np.ndarray
    which: np.ndarray | None = None

    def of(self, query: int) -> np.ndarray:
        """Rows of the set that a query uses."""
        chosen = query if self.which is None else int(self.which[query])
        return self.rows[self.indptr[chosen] : self.indptr[chosen + 1]]

    def of_queries(self, queries: np.ndarray) -> RowSets:
        """The sets of some of the queries."""
        return RowSets(self.indptr, self.rows, queries if self.which is None else self.which[queries])

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """The arrays, as native modules take them."""
        return self.indptr, self.rows, self.which


@dataclass(frozen=True)
class Filters:
    """Which items may be returned: in the mask, in the query's `allow`, in none of its `deny`.

    Attributes
    ----------
    mask : bool array, shape (n_items,), or None
        Shared by all queries; False is never returned.
    allow : RowSets or None
        Per query; None allows every row.
    deny : tuple of RowSets
        Per query: exclusion lists and deny lists.
    """

    mask: np.ndarray | None = None
    allow: RowSets | None = None
    deny: tuple[RowSets, ...] = ()

    @property
    def permits(self) -> tuple[Any, Any, list[Any]]:
        """Mask, allow and deny, as native modules take them."""
        return (
            None if self.mask is None else self.mask.view(np.uint8),
            None if self.allow is None else self.allow.parts,
            [sets.parts for sets in self.deny],
        )


NO_FILTERS = Filters()


@dataclass(frozen=True)
class DeviceFilters:
    """Filters that lie on a device, as callers made them.

    Attributes
    ----------
    mask : bool array, shape (n_items,), or None
    allow : (indptr, rows, which or None) of int64 arrays, or None
    deny : tuple of such
        Rows in any order, repeated or not; -1 is ignored.
    """

    mask: DeviceArray | None = None
    allow: tuple[DeviceArray, DeviceArray, DeviceArray | None] | None = None
    deny: tuple[tuple[DeviceArray, DeviceArray, DeviceArray | None], ...] = ()

    @property
    def arrays(self) -> list[DeviceArray]:
        """All of which they are made."""
        parts = [self.mask, *(self.allow or ()), *(part for sets in self.deny for part in sets)]
        return [part for part in parts if part is not None]


NO_DEVICE_FILTERS = DeviceFilters()


class Index(Protocol):
    """Items made ready for `Backend.search`; a change makes another one, which shares what it can.

    Public rows are for ever: a row without an item is never returned, and may get one again.
    """

    @property
    def d(self) -> int:
        """Components of an item."""
        ...

    @property
    def n_bytes(self) -> int:
        """Memory held, in bytes."""
        ...

    def with_items(self, items: np.ndarray, rows: np.ndarray, n_rows: int) -> Index:
        """An index of `n_rows` public rows in which row rows[i] has item i; rows are distinct."""
        ...

    def without(self, rows: np.ndarray) -> Index:
        """An index in which these rows have no items."""
        ...

    def compacted(self) -> Index:
        """An index of the same items without the room that removed ones took."""
        ...

    def items_of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Prepared items of rows, float32 (len(rows), d), and whether each row has one, bool (len(rows),)."""
        ...

    def tensors(self) -> dict[str, np.ndarray]:
        """Arrays from which `Backend.index_of_tensors` makes the index again."""
        ...


class Backend(FactorOps, Protocol):
    """One place to compute. Matrices are float32, C order, finite; `k >= 1`; rows are int64."""

    name: str

    def prepare_rows(self, rows: np.ndarray, metric: str) -> np.ndarray:
        """Rows as the metric wants them before a plain dot: float32 of the same shape."""
        ...

    def score(self, queries: np.ndarray, items: np.ndarray, out: np.ndarray) -> None:
        """Write all dot products into `out`, float32 (n_queries, n_items), within the stated tolerance."""
        ...

    def score_in_order(self, queries: np.ndarray, items: np.ndarray, out: np.ndarray) -> None:
        """Write all dot products into `out`: float32, terms in the order of components, nothing fused."""
        ...

    def spmm(
        self, matrix: SparseRows, dense: np.ndarray, add: np.ndarray | None, weight: float, out: np.ndarray
    ) -> None:
        """Write matrix @ dense + weight * add into `out`: float32, by ascending column, nothing fused."""
        ...

    def similarity(self, a: np.ndarray, b: np.ndarray, metric: str, out: np.ndarray) -> None:
        """Write all similarities of rows of `a` and `b` into `out`, within the stated tolerance."""
        ...

    def score_pairs(self, queries: np.ndarray, items: np.ndarray, metric: str) -> np.ndarray:
        """Canonical score of row i of `queries` with row i of `items`, float32 (n,)."""
        ...

    def top_k(self, scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Best k of each row of given scores (any float32, NaN and infinities never chosen)."""
        ...

    def build_index(
        self,
        items: np.ndarray,
        metric: str,
        active: np.ndarray | None = None,
        precision: str = "fp32",
        pruning: Pruning = "auto",
    ) -> Index:
        """Make items (raw, not prepared) ready for `search`; rows where `active` is False have no item.

        The precision is what the scan of a search may calculate in, and `pruning` ("auto" or names of
        `PRUNING`) what it may leave out; a backend may know only one and nothing.
        """
        ...

    def index_of_tensors(
        self,
        tensors: dict[str, np.ndarray],
        metric: str,
        n_rows: int,
        precision: str = "fp32",
        pruning: Pruning = "auto",
    ) -> Index:
        """The index that `Index.tensors` of any backend described; arrays may lie in a mapped file.

        Raises ValueError or KeyError for tensors that describe no index.
        """
        ...

    def search_above(
        self, index: Index, queries: np.ndarray, threshold: np.float32, k: int, most: int, filters: Filters
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Items that score at least `threshold`, at most k a query: (indptr, rows, scores) as in `Matches`.

        Raises OverflowError where there are more than `most` in all.
        """
        ...

    def score_top_k(
        self,
        queries: np.ndarray,
        items: np.ndarray,
        k: int,
        metric: str,
        filters: Filters,
        hint: RowSets | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same as `search` on an index of these raw items, made or not as is cheaper.

        The items have not been looked through: raises FloatingPointError where one is not finite.
        """
        ...

    def search(
        self,
        index: Index,
        queries: np.ndarray,
        k: int,
        filters: Filters,
        hint: RowSets | None = None,
        report: SearchReport | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Best k items of each raw query: rows int64 and canonical scores float32, both (n_queries, k).

        `report`, where given, is told what was done; without it nothing is measured.
        """
        ...

    def gram_top_k(
        self,
        x: SparseRows,
        k: int,
        how: GramScore,
        rows: np.ndarray,
        include_self: bool,
        filters: Filters,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Best k rows of `x` for each of its `rows`: rows int64 and scores float32, (len(rows), k).

        Filters speak of the rows asked about as queries; without `include_self` no row is in its own answer.
        """
        ...

    def elastic_net(
        self, columns: SparseRows, targets: np.ndarray, candidates: SparseRows, **rates: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weights of candidates, float32 in their places, and sweeps of each target, int32.

        `columns` are the matrix by columns; the values of `candidates` mean nothing. Rates are l1, l2,
        tolerance and most_sweeps.
        """
        ...


class DeviceBackend(Protocol):
    """What a backend that takes arrays on a device has besides: on the caller's stream, without waiting.

    Answers are arrays of the caller's library.
    """

    def search_on_device(
        self,
        index: Any,
        queries: DeviceArray,
        k: int,
        filters: DeviceFilters,
        *,
        metric: str,
        appended: bool,
        op: str,
    ) -> tuple[Any, Any, Callable[[], None]]:
        """Rows, scores, and what waits and raises where a query or a filter was not as it should be.

        Queries are prepared for `metric`; with `appended` they get one more component, 1.
        """
        ...

    def similarity_on_device(
        self, a: DeviceArray, b: DeviceArray, metric: str, out: DeviceArray | None, op: str
    ) -> Any:
        """All similarities of rows of `a` and `b`, in `out` where it is given.

        A row that is not finite makes all its similarities NaN.
        """
        ...

    def top_k_on_device(self, scores: DeviceArray, k: int, op: str) -> tuple[Any, Any]:
        """Best k of each row of given scores."""
        ...

"""`ItemIndex`: items made ready once, searched many times, and changed while they are searched."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..backends import Backend, select, strict_floats
from ..device_arrays import device_number, is_on_device
from ..ops.arguments import as_k, as_matrix, as_metric, as_precision, as_pruning, as_rows
from ..ops.on_device import device_backend, host_matrix
from ..types import IdMap
from .arguments import as_boost
from .changes import IndexChanges
from .searches import IndexSearches
from .storage import read_index, write_index
from .versions import IndexVersion, scanned_metric, with_column

__all__ = ["ItemIndex"]


class ItemIndex(IndexChanges, IndexSearches):
    """Items packed for exact search, which serving code can keep and change.

    Parameters
    ----------
    items : array, shape (n_items, d)
        Floats or integers; float64 and integers are rounded once to float32. Copied.
    metric : {"dot", "cosine", "pearson", "euclidean"}
        "euclidean" scores by the negative squared distance.
    ids : sequence of hashable, optional
        External ids, one an item; answers then carry them.
    boost : array, shape (n_items,), optional
        Added to every score of an item, after preparation; not with "euclidean".
    precision : {"auto", "int8", "int4", "bf16", "fp32"}
        Arithmetic of the scan: changes speed and memory, no answer. "auto" takes for each search the one
        that should be quickest here; "int4" is meant for one query of a large index; "bf16" is "fp32" where
        the processor has no such arithmetic.
    pruning : "auto" or names of {"head", "norms", "directions"}
        What a search leaves out without a loss: changes speed and memory, no answer. "head" begins with the
        items of largest norm, "norms" skips blocks of items whose norms are too small, "directions" looks at
        the items in a few leading directions first (with precision "int8" or "auto"). "auto" takes the first
        two, and directions where the items' spectrum is so steep that they should pay; `()` leaves nothing
        out.
    on_invalid : {"raise", "drop"}
        What an item with NaN or infinity does: a ValueError that names the first such row, or it keeps its
        row and is never returned.
    backend : str or Backend, optional
        See `gpurec.backends.select`.

    Raises
    ------
    ValueError
        If the shape does not fit, an item is not finite, an id stands twice, or `boost` meets "euclidean".
    TypeError
        If the dtype is not one of numbers.

    Notes
    -----
    Public rows are for ever: `append` gives new ones, `remove` leaves one that is never returned nor given
    to another item, `update` brings a removed one back. `version` grows by one a change, and each answer
    carries the version that gave it.

    Any number of threads may search while one changes the index (changes wait for one another). A search
    reads one version from beginning to end and never waits for a change; design 0006 tells how.

    Building costs one pass over the items and a sort of their norms; appended items go into a segment of
    their own, and segments are merged as they grow, so that a row is moved a few times in its life.
    Memory on `cpu`: one float32 copy of the items and 13 bytes an item, with codes three eighths more
    (`nbytes`), with leading directions 4 to 32 bytes an item.

    Examples
    --------
    >>> index = ItemIndex([[3.0, 4.0], [0.0, 1.0], [5.0, 3.0]], ids=["a", "b", "c"])
    >>> index.search([1.0, 2.0], k=2).ids.tolist()
    [['a', 'c']]
    """

    @strict_floats()
    def __init__(
        self,
        items: Any,
        *,
        metric: str = "dot",
        ids: Sequence[Any] | np.ndarray | IdMap | None = None,
        boost: Any = None,
        precision: str = "auto",
        pruning: str | Sequence[str] = "auto",
        on_invalid: str = "raise",
        backend: str | Backend | None = None,
    ) -> None:
        if on_invalid not in ("raise", "drop"):
            raise ValueError(f"[ItemIndex] expected on_invalid of 'raise' or 'drop', got {on_invalid!r}")
        metric = as_metric(metric, "ItemIndex")
        chosen = select(backend, device=device_number(items))
        if is_on_device(items):
            device_backend(chosen, items, "items", "ItemIndex")
            items = host_matrix(items, "items", "ItemIndex")
        rows = as_matrix(items, "items", "ItemIndex", finite=on_invalid != "drop")
        if ids is not None:
            ids = ids.copy() if isinstance(ids, IdMap) else IdMap(ids)
            if len(ids) != len(rows):
                raise ValueError(f"[ItemIndex] expected {len(rows)} ids, one an item, got {len(ids)}")
        boosts = None if boost is None else as_boost(boost, len(rows), metric, "ItemIndex")
        active = np.isfinite(rows).all(axis=1)
        precision, pruning = as_precision(precision, "ItemIndex"), as_pruning(pruning, "ItemIndex")
        nothing = rows[:0] if boosts is None else with_column(rows[:0], 0.0)
        index = chosen.build_index(nothing, scanned_metric(metric), precision=precision, pruning=pruning)
        empty = IndexVersion(chosen, metric, index, 0, 0, 0, boosts is not None)
        at = np.flatnonzero(active)
        kept = empty.items(rows if len(at) == len(rows) else rows[at], None if boosts is None else boosts[at])
        self._start(
            replace(empty, index=index.with_items(kept, at, len(rows)), n_rows=len(rows), n_active=len(at)),
            precision,
            pruning,
            ids,
        )

    def get(self, rows: Any) -> np.ndarray:
        """Items of public rows as the index scores them, float32, shape (len(rows), d).

        For "dot" and "euclidean" these are the items as they were given, for "cosine" and "pearson" the
        prepared ones, of length one. Boosts are left out.

        Raises
        ------
        ValueError
            If a row is outside 0..n_items-1, or has no item.

        Examples
        --------
        >>> ItemIndex([[3.0, 4.0], [0.0, 2.0]], metric="cosine").get([1]).tolist()
        [[0.0, 1.0]]
        """
        now = self._now
        wanted = as_rows(rows, now.n_rows, "get")
        items, found = now.index.items_of(wanted)
        if not found.all():
            raise ValueError(
                f"[get] expected rows that have an item, got removed row {wanted[np.argmin(found)]}"
            )
        return np.ascontiguousarray(items[:, : now.index.d - now.boosted])

    def reserve(self, n_queries: int, k: int) -> None:
        """Make room for a CUDA graph that captures a search of n_queries on a device: before the capture.

        While a stream is captured nothing can be allocated. The graph keeps what it was given; each graph
        wants a reservation of its own.

        Raises
        ------
        ValueError
            If n_queries or k is below 1.
        TypeError
            If the index lies with a backend that cannot be captured.
        DeviceError
            If the device has too little memory.
        """
        now, n_queries, k = self._now, as_k(n_queries, "reserve", "n_queries"), as_k(k, "reserve")
        if not hasattr(now.backend, "reserve"):
            raise TypeError(
                f"[reserve] expected an index on a device, got one of backend {now.backend.name!r}; "
                'do: ItemIndex(..., backend="cuda")'
            )
        now.backend.reserve(now.index, n_queries, k)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index as an artefact, replacing an older one at once or not at all.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ItemIndex([[3.0, 4.0]]).save(folder + "/films")
        ...     len(ItemIndex.load(folder + "/films"))
        1
        """
        with self._changing:
            now, ids = self._now, None if self._ids is None else self._ids.copy()
        write_index(path, now, self.precision, self.pruning, ids)

    @classmethod
    @strict_floats()
    def load(
        cls, path: str | os.PathLike[str], mmap: bool = False, *, backend: str | Backend | None = None
    ) -> ItemIndex:
        """Read a saved index.

        Parameters
        ----------
        path : path
        mmap : bool
            Search the items where they lie in the file: nothing is read until it is needed, processes share
            the pages, and the hash is checked only by `artifacts`' `verify`. Changes stay in memory.
        backend : str or Backend, optional

        Raises
        ------
        ArtifactError
            If the artefact is damaged, not an index, or from a newer version.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ItemIndex([[3.0], [4.0]]).save(folder + "/films")
        ...     ItemIndex.load(folder + "/films", mmap=True).search([[1.0]], 1).rows.tolist()
        [[1]]
        """
        version, precision, pruning, ids = read_index(path, select(backend), mmap)
        index = cls.__new__(cls)
        index._start(version, precision, pruning, ids)
        return index

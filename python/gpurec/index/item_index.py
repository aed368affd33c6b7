"""`ItemIndex`: items made ready once and searched many times."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import artifacts
from ..backends import Backend, select, strict_floats
from ..errors import ArtifactError
from ..ops.arguments import as_float32, as_k, as_matrix, as_metric, as_precision, check_result_size
from ..ops.filters import as_filters, as_hint
from ..types import IdMap, TopK

__all__ = ["ItemIndex"]

_KIND = "gpurec.item_index"


class ItemIndex:
    """Items packed for exact search: sorted by norm, in panels, on one backend.

    Parameters
    ----------
    items : array, shape (n_items, d)
        Floats or integers; float64 and integers are rounded once to float32. Copied.
    metric : {"dot", "cosine", "pearson", "euclidean"}
        "euclidean" scores by the negative squared distance.
    ids : sequence of hashable, optional
        External ids, one an item; answers then carry them.
    precision : {"auto", "fp32"}
        Arithmetic of the scan. Changes the speed, never an answer.
    on_invalid : {"raise", "drop"}
        What an item with NaN or infinity does: a ValueError that names the first such row, or it keeps its
        row and is never returned.
    backend : str or Backend, optional
        See `gpurec.backends.select`.

    Raises
    ------
    ValueError
        If the shape does not fit, an item is not finite, or an id stands twice.
    TypeError
        If the dtype is not one of numbers.

    Notes
    -----
    Building costs one pass over the items and a sort of their norms. Memory: the items, their panels (as
    large again), for cosine and Pearson the prepared rows, and 12 bytes an item; `nbytes` tells.
    Searching is safe from any number of threads.

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
        precision: str = "auto",
        on_invalid: str = "raise",
        backend: str | Backend | None = None,
    ) -> None:
        if on_invalid not in ("raise", "drop"):
            raise ValueError(f"[ItemIndex] expected on_invalid of 'raise' or 'drop', got {on_invalid!r}")
        drop = on_invalid == "drop"
        rows = as_matrix(items, "items", "ItemIndex", finite=not drop)
        if np.may_share_memory(rows, as_float32(items, "items", "ItemIndex")):
            rows = rows.copy()
        self._make(rows, metric, precision, backend)
        if ids is not None:
            self.ids = ids if isinstance(ids, IdMap) else IdMap(ids)
            if len(self.ids) != len(rows):
                raise ValueError(f"[ItemIndex] expected {len(rows)} ids, one an item, got {len(self.ids)}")

    def _make(self, rows: np.ndarray, metric: str, precision: str, backend: str | Backend | None) -> None:
        self.metric = as_metric(metric, "ItemIndex")
        self.precision = as_precision(precision, "ItemIndex")
        self.ids: IdMap | None = None
        self.version = 0
        self._rows = rows
        self._active = np.isfinite(rows).all(axis=1)
        self._backend = select(backend)
        self._index = self._backend.build_index(
            rows, self.metric, None if self._active.all() else self._active
        )

    @property
    def n_items(self) -> int:
        """Number of public rows, dropped ones included."""
        return len(self._rows)

    @property
    def n_active(self) -> int:
        """Number of items that a search can return."""
        return int(self._active.sum())

    @property
    def d(self) -> int:
        """Components of an item."""
        return self._rows.shape[1]

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes, external ids not counted."""
        return self._rows.nbytes + self._active.nbytes + self._index.n_bytes

    def __len__(self) -> int:
        return self.n_items

    def __repr__(self) -> str:
        return f"ItemIndex({self.n_items} items, d={self.d}, {self.metric}, on {self._backend.name})"

    @strict_floats()
    def search(
        self,
        queries: Any,
        k: int,
        *,
        exclude: Any = None,
        allow: Any = None,
        deny: Any = None,
        hint: Any = None,
    ) -> TopK:
        """Best k items of each query, higher score first, equal ones by smaller row.

        Parameters
        ----------
        queries : array, shape (n_queries, d) or (d,)
        k : int
            At least 1; there is no upper limit.
        exclude, allow, deny, hint : optional
            As in `gpurec.score_top_k`, in rows of this index.

        Returns
        -------
        TopK
            `rows` int64 and `scores` float32, both (n_queries, k); missing places are row -1, score -inf.
            `ids`, where the index has them, holds None in the missing places.

        Raises
        ------
        ValueError
            If k < 1, shapes do not fit, a value is not finite, a filter row is out of range, or the result
            would exceed the byte limit.
        TypeError
            If a dtype is not one of numbers.

        Examples
        --------
        >>> index = ItemIndex([[3.0, 4.0], [0.0, 1.0], [5.0, 3.0]])
        >>> index.search([[1.0, 2.0]], k=2, exclude=[[0]]).rows.tolist()
        [[2, 1]]
        """
        rows, scores = self._search(
            queries, k, exclude=exclude, allow=allow, deny=deny, hint=hint, stats=None
        )
        return TopK(rows, scores, self.version, None if self.ids is None else self._ids_of(rows))

    def _search(
        self,
        queries: Any,
        k: int,
        *,
        exclude: Any = None,
        allow: Any = None,
        deny: Any = None,
        hint: Any = None,
        stats: dict[str, int] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        k = as_k(k, "search")
        q = as_matrix(queries, "queries", "search", n_columns=self.d)
        check_result_size(len(q), k, "search")
        filters = as_filters(len(q), self.n_items, exclude, allow, deny, op="search")
        hints = as_hint(hint, len(q), self.n_items, op="search")
        return self._backend.search(self._index, q, k, filters, hints, stats)

    def _ids_of(self, rows: np.ndarray) -> np.ndarray:
        found = rows >= 0
        ids = np.full(rows.shape, None, dtype=object)
        ids[found] = self.ids.ids(rows[found])
        return ids

    def get(self, rows: Any) -> np.ndarray:
        """Item vectors of public rows, float32, shape (len(rows), d), as they were given.

        Raises
        ------
        ValueError
            If a row is outside 0..n_items-1.

        Examples
        --------
        >>> ItemIndex([[3.0, 4.0], [0.0, 1.0]], metric="cosine").get([1]).tolist()
        [[0.0, 1.0]]
        """
        wanted = np.atleast_1d(np.asarray(rows))
        if wanted.size == 0:
            return np.empty((0, self.d), np.float32)
        if wanted.dtype.kind not in "iu":
            raise TypeError(f"[get] expected rows of an integer dtype, got {wanted.dtype}")
        if wanted.min() < 0 or wanted.max() >= self.n_items:
            raise ValueError(f"[get] expected rows in 0..{self.n_items - 1}")
        return self._rows[wanted]

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
        tensors = {"items": self._rows}
        meta: dict[str, Any] = {"metric": self.metric, "precision": self.precision, "version": self.version}
        if self.ids is not None:
            id_tensors, meta["ids"] = artifacts.ids_to_tensors("ids", self.ids)
            tensors.update(id_tensors)
        artifacts.write_artifact(path, _KIND, tensors, meta)

    @classmethod
    @strict_floats()
    def load(
        cls, path: str | os.PathLike[str], mmap: bool = False, *, backend: str | Backend | None = None
    ) -> ItemIndex:
        """Read a saved index; the panels are made anew, so that any backend and ISA can take over.

        Parameters
        ----------
        path : path
        mmap : bool
            Map the items from the file instead of reading them; their hash is then not checked.
        backend : str or Backend, optional

        Raises
        ------
        ArtifactError
            If the artefact is damaged, not an index, or from a newer version.
        """
        artifact = artifacts.read_artifact(path, _KIND, mmap=mmap)
        try:
            items, meta = artifact.tensors["items"], artifact.meta
            if items.ndim != 2 or items.dtype != np.float32 or items.shape[1] == 0:
                raise ValueError(f"items of shape {items.shape} and dtype {items.dtype}")
            if type(meta["version"]) is not int or meta["version"] < 0:
                raise ValueError(f"version {meta['version']!r}")
            index = cls.__new__(cls)
            index._make(np.ascontiguousarray(items), meta["metric"], meta["precision"], backend)
            index.version = meta["version"]
            if "ids" in meta:
                index.ids = artifacts.ids_from_tensors("ids", artifact.tensors, meta["ids"])
                if len(index.ids) != index.n_items:
                    raise ValueError(f"{len(index.ids)} ids for {index.n_items} items")
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, ArtifactError):
                raise
            raise ArtifactError(f"[artifact] {os.fspath(path)} is not a valid index: {error}") from error
        return index

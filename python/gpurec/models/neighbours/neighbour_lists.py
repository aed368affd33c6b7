"""For each row those most similar to it: made by `gram_top_k`, brought up to date, saved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ...artifacts import Artifact
from ...errors import ArtifactError
from ...ops import gram_top_k
from ...progress import Progress, reporter

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["NeighbourLists", "Similarity"]

# Of answers of `gram_top_k`, missing places and all, that are there at a time.
_BLOCK_BYTES = 64 << 20


@dataclass(frozen=True, eq=False)
class NeighbourLists:
    """For each row the rows most similar to it, best first, of similarities above 0.

    Attributes
    ----------
    indptr : int64 array, shape (n_rows + 1,)
        Row i has the places indptr[i] to indptr[i + 1] - 1 of the other arrays.
    rows : int32 array, shape (n_entries,)
        Equally similar ones by smaller row.
    similarities : float32 array, shape (n_entries,)
    """

    indptr: np.ndarray
    rows: np.ndarray
    similarities: np.ndarray

    @classmethod
    def of_entries(
        cls, owners: np.ndarray, rows: np.ndarray, similarities: np.ndarray, n_rows: int
    ) -> NeighbourLists:
        """Lists of entries of which those of one owner stand in their order, wherever they stand."""
        order = np.argsort(owners, kind="stable")
        indptr = np.zeros(n_rows + 1, np.int64)
        np.cumsum(np.bincount(owners, minlength=n_rows), out=indptr[1:])
        return cls(indptr, rows[order].astype(np.int32), similarities[order].astype(np.float32))

    @property
    def n_rows(self) -> int:
        return len(self.indptr) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Entries of each row, int64."""
        return np.diff(self.indptr)

    @cached_property
    def owners(self) -> np.ndarray:
        """The row of which each entry is a neighbour, int32."""
        return np.repeat(np.arange(self.n_rows, dtype=np.int32), self.lengths)

    def of(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """The neighbours of a row and how similar they are."""
        part = slice(self.indptr[row], self.indptr[row + 1])
        return self.rows[part], self.similarities[part]

    def matrix(self) -> csr_array:
        """The similarities as CSR, float64, shape (n_rows, n_rows), in their order."""
        from scipy.sparse import csr_array

        parts = self.similarities.astype(np.float64), self.rows, self.indptr
        return csr_array(parts, shape=(self.n_rows, self.n_rows))

    def to_tensors(self) -> dict[str, np.ndarray]:
        """Tensors to save."""
        return {
            "neighbours.indptr": self.indptr,
            "neighbours.rows": self.rows,
            "neighbours.similarities": self.similarities,
        }

    @classmethod
    def from_artifact(cls, artifact: Artifact, n_rows: int) -> NeighbourLists:
        """The same lists back.

        Raises
        ------
        ArtifactError
            If tensors are missing, of another dtype, or no lists in order.
        """
        indptr = artifact.tensor("neighbours.indptr", np.int64, (n_rows + 1,))
        rows = artifact.tensor("neighbours.rows", np.int32, (None,))
        similarities = artifact.tensor("neighbours.similarities", np.float32, rows.shape)
        whole = indptr[0] == 0 and indptr[-1] == len(rows) and (np.diff(indptr) >= 0).all()
        if not whole or (len(rows) and not 0 <= rows.min() <= rows.max() < n_rows):
            raise ArtifactError("[load] expected lists of neighbours among the saved ids; save again")
        lists = cls(indptr, rows, similarities)
        inside = lists.owners[1:] == lists.owners[:-1]
        falls = (similarities[1:] < similarities[:-1]) | (
            (similarities[1:] == similarities[:-1]) & (rows[1:] > rows[:-1])
        )
        if not (np.isfinite(similarities) & (similarities > 0)).all() or not falls[inside].all():
            raise ArtifactError(
                "[load] expected similarities above 0 that fall in each list, got others; fit and save again"
            )
        return lists


@dataclass(frozen=True)
class Similarity:
    """How rows are compared, and how many neighbours of each are kept.

    Attributes
    ----------
    n_kept : int
    how : dict
        Arguments of `gram_top_k`.
    """

    n_kept: int
    how: dict[str, Any]

    @property
    def depends_on_all(self) -> bool:
        """Whether two rows may become more or less alike by what other rows get."""
        return self.how["metric"] == "adjusted_cosine" or self.how["weighting"] is not None

    def lists(self, x: csr_array, progress: Progress, label: str) -> NeighbourLists:
        """The neighbours of all rows of a sparse matrix."""
        n_rows = x.shape[0]
        return NeighbourLists.of_entries(*self._entries(x, np.arange(n_rows), progress, label), n_rows)

    def _entries(
        self, x: csr_array, asked: np.ndarray, progress: Progress, label: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Owners, rows and similarities of the neighbours of some rows."""
        k = min(self.n_kept, max(x.shape[0] - 1, 1))
        size = max(1, _BLOCK_BYTES // (12 * k))
        parts = [(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))]
        with reporter(progress, label, len(asked)) as report:
            for first in range(0, len(asked), size):
                block = asked[first : first + size]
                rows, similarities = gram_top_k(x, k, rows=block, **self.how)
                place, rank = np.nonzero(similarities > 0)
                found = rows[place, rank].astype(np.int32), similarities[place, rank]
                parts.append((block[place], *found))
                report(first + len(block), len(asked))
        owners, rows, similarities = (np.concatenate(columns) for columns in zip(*parts))
        return owners, rows, similarities

    def updated(
        self, old: NeighbourLists, x: csr_array, changed: np.ndarray, progress: Progress, label: str
    ) -> NeighbourLists:
        """What `lists(x)` gives, from the lists before some rows of x changed and others were added to it.

        Parameters
        ----------
        old : NeighbourLists
        x : scipy CSR, shape (n_rows, n_columns)
            As it is now; entries of rows that did not change are as they were.
        changed : bool array, shape (n_rows,)
            Rows that got entries.

        Notes
        -----
        Made anew are the lists of rows that have a column in common with one that changed; others cannot have
        it as a neighbour.
        """
        if self.depends_on_all:
            return self.lists(x, progress, label)
        owners = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
        is_met = np.zeros(x.shape[1], bool)
        is_met[x.indices[changed[owners]]] = True
        is_touched = changed.copy()
        is_touched[owners[is_met[x.indices]]] = True
        new = self._entries(x, np.flatnonzero(is_touched), progress, label)
        stays = ~is_touched[old.owners]
        owners, rows, similarities = (
            np.concatenate([kept[stays], found])
            for kept, found in zip((old.owners, old.rows, old.similarities), new)
        )
        return NeighbourLists.of_entries(owners, rows, similarities, x.shape[0])

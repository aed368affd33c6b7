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
# Metrics of which the similarity of two rows depends on these alone and is the same both ways, bit for bit.
_OF_TWO_ROWS = ("cosine", "dot", "pearson", "pearson_centred", "jaccard")


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
        """The similarities as CSR, float32, shape (n_rows, n_rows), columns rising in each row."""
        from scipy.sparse import csr_array

        parts = self.similarities, self.rows, self.indptr
        matrix = csr_array(parts, shape=(self.n_rows, self.n_rows), copy=True)
        matrix.sort_indices()
        return matrix

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
    def is_of_two_rows(self) -> bool:
        """Whether rows that do not change stay as similar as they were."""
        return self.how["metric"] in _OF_TWO_ROWS and self.how["weighting"] is None

    def lists(self, x: csr_array, progress: Progress = False, label: str = "") -> NeighbourLists:
        """The neighbours of all rows of a sparse matrix."""
        n_rows = x.shape[0]
        return NeighbourLists.of_entries(
            *self._entries(x, np.arange(n_rows), self.n_kept, progress, label), n_rows
        )

    def _entries(
        self, x: csr_array, asked: np.ndarray, k: int, progress: Progress = False, label: str = ""
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Owners, rows and similarities of the k nearest neighbours of some rows."""
        k = min(k, max(x.shape[0] - 1, 1))
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

    def updated(self, old: NeighbourLists, x: csr_array, changed: np.ndarray) -> NeighbourLists:
        """What `lists(x)` gives, from the lists before some rows of x changed and others were added to it.

        Parameters
        ----------
        old : NeighbourLists
        x : scipy CSR, shape (n_rows, n_columns)
            As it is now; entries of rows that did not change are as they were.
        changed : int64 array
            Rows that changed, and all new ones.

        Notes
        -----
        Rows that changed are compared with all others: so many rows of the Gram matrix are made. In other
        lists their old similarities give way to the new ones. Where a full list lost more than it got, what
        comes next was never kept: such a row is compared with all others too.
        """
        n_rows, n_kept = x.shape[0], self.n_kept
        old_lengths = np.zeros(n_rows, np.int64)
        old_lengths[: old.n_rows] = old.lengths
        full = old_lengths == n_kept
        # The least that stands in a full list: what ranks below it may have been left out.
        least, last = np.zeros(n_rows, np.float32), np.full(n_rows, n_rows)
        ends = old.indptr[1:][full[: old.n_rows]] - 1
        least[full], last[full] = old.similarities[ends], old.rows[ends]
        is_changed = np.zeros(n_rows, bool)
        is_changed[changed] = True

        new: list[tuple[np.ndarray, ...]] = []
        size = max(1, _BLOCK_BYTES // (12 * n_rows))
        for first in range(0, len(changed), size):
            owners, rows, similarities = self._entries(x, changed[first : first + size], n_rows)
            ranks = np.arange(len(owners)) - np.searchsorted(owners, owners)
            kept = ranks < n_kept
            new.append((owners[kept], rows[kept], similarities[kept]))
            stays = (similarities > least[rows]) | ((similarities == least[rows]) & (owners <= last[rows]))
            stays &= ~is_changed[rows]
            new.append((rows[stays].astype(np.int64), owners[stays].astype(np.int32), similarities[stays]))
        stays = ~is_changed[old.owners] & ~is_changed[old.rows]
        new.append((old.owners[stays].astype(np.int64), old.rows[stays], old.similarities[stays]))
        owners, rows, similarities = (np.concatenate(columns) for columns in zip(*new))
        unsure = full & ~is_changed & (np.bincount(owners, minlength=n_rows) < n_kept)
        sure = ~unsure[owners]
        again = self._entries(x, np.flatnonzero(unsure), n_kept)
        owners, rows, similarities = (
            np.concatenate([part[sure], more]) for part, more in zip((owners, rows, similarities), again)
        )
        order = np.lexsort((rows, -similarities, owners))
        owners, rows, similarities = owners[order], rows[order], similarities[order]
        kept = np.arange(len(owners)) - np.searchsorted(owners, owners) < n_kept
        return NeighbourLists.of_entries(owners[kept], rows[kept], similarities[kept], n_rows)

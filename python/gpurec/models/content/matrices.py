"""Sparse features as the model needs them: some rows, other rows, side by side, saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...artifacts import Artifact
from ...backends import SparseRows
from ...errors import ArtifactError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = [
    "GrowingRows",
    "csr_from_artifact",
    "csr_of",
    "csr_to_tensors",
    "in_rows",
    "resized",
    "side_by_side",
    "sparse_rows",
    "stacked",
]


class GrowingRows:
    """Rows of an array that others come behind, with room for them, so that one more does not copy all.

    Examples
    --------
    >>> table = GrowingRows(np.eye(2))
    >>> table.append(np.ones((1, 2)))
    >>> table.rows.tolist()
    [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    """

    def __init__(self, rows: np.ndarray) -> None:
        self._buffer = rows
        self.rows = rows

    def append(self, more: np.ndarray) -> None:
        """Put rows behind those that are there; whoever holds `rows` keeps what they have."""
        n, end = len(self.rows), len(self.rows) + len(more)
        if end > len(self._buffer):
            self._buffer = np.empty((end + end // 8, self.rows.shape[1]), self.rows.dtype)
            self._buffer[:n] = self.rows
        self._buffer[n:end] = more
        self.rows = self._buffer[:end]


def csr_of(features: Any) -> csr_array:
    """Features, dense or not, as float32 CSR with sorted rows."""
    from scipy.sparse import csr_array

    matrix = csr_array(features, dtype=np.float32)
    matrix.sort_indices()
    return matrix


def side_by_side(parts: Sequence[Any]) -> csr_array:
    """The sparse ones of some matrices beside each other."""
    from scipy.sparse import csr_array, hstack

    sparse = [part for part in parts if not isinstance(part, np.ndarray)]
    return csr_of(hstack(sparse, format="csr")) if sparse else csr_array((len(parts[0]), 0), dtype=np.float32)


def in_rows(matrix: csr_array, rows: np.ndarray, n: int) -> csr_array:
    """A matrix of n rows that has those of another one in the given places, and nothing elsewhere.

    Examples
    --------
    >>> in_rows(csr_of([[1.0], [2.0]]), np.array([2, 0]), 3).toarray().tolist()
    [[2.0], [0.0], [1.0]]
    """
    source = np.full(n, -1)
    source[rows] = np.arange(len(rows))
    return resized(matrix, (matrix.shape[0] + 1, matrix.shape[1]))[source]


def resized(matrix: csr_array, shape: tuple[int, int]) -> csr_array:
    """The same entries with empty rows and columns behind them."""
    from scipy.sparse import csr_array

    more = np.full(shape[0] - matrix.shape[0], matrix.indptr[-1], matrix.indptr.dtype)
    indptr = np.concatenate([matrix.indptr, more])
    return csr_array((matrix.data, matrix.indices, indptr), shape=shape)


def stacked(above: csr_array, below: csr_array) -> csr_array:
    """The rows of two matrices, one after another."""
    from scipy.sparse import vstack

    return csr_of(vstack([above, below], format="csr"))


def sparse_rows(matrix: csr_array, rows: np.ndarray) -> SparseRows:
    """Some rows as backends take them; row -1 is empty."""
    chosen = matrix[rows]
    lengths = np.where(rows < 0, 0, np.diff(chosen.indptr))
    kept = np.repeat(rows >= 0, np.diff(chosen.indptr))
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return SparseRows(indptr, chosen.indices[kept].astype(np.int32), chosen.data[kept], matrix.shape[1])


def csr_to_tensors(name: str, matrix: csr_array) -> dict[str, np.ndarray]:
    """Tensors to save."""
    return {
        f"{name}.indptr": matrix.indptr.astype(np.int64),
        f"{name}.columns": matrix.indices.astype(np.int64),
        f"{name}.values": matrix.data.astype(np.float32),
    }


def csr_from_artifact(name: str, artifact: Artifact, shape: tuple[int, int]) -> csr_array:
    """The matrix that `csr_to_tensors` saved.

    Raises
    ------
    ArtifactError
        If anything is missing or it is no finite matrix of this shape with sorted rows.
    """
    from scipy.sparse import csr_array

    indptr = artifact.tensor(f"{name}.indptr", np.int64, (shape[0] + 1,))
    columns = artifact.tensor(f"{name}.columns", np.int64, (None,))
    values = artifact.tensor(f"{name}.values", np.float32, columns.shape)
    ascends = indptr[0] == 0 and indptr[-1] == len(columns) and (np.diff(indptr) >= 0).all()
    if ascends and len(columns):
        starts = np.zeros(len(columns) + 1, bool)
        starts[indptr] = True
        ascends = columns.min() >= 0 and columns.max() < shape[1]
        ascends = ascends and bool(((np.diff(columns) > 0) | starts[1:-1]).all())
    if not ascends or not np.isfinite(values).all():
        raise ArtifactError(f"[load] expected {name} as a finite matrix of shape {shape}; fit and save again")
    return csr_array((values, columns, indptr), shape=shape)

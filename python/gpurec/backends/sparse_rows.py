"""The one form of sparse matrices that backends take."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._native import cpu as native_module

__all__ = ["SparseRows"]


@dataclass(frozen=True)
class SparseRows:
    """A sparse matrix by rows, checked once.

    Attributes
    ----------
    indptr : int64 array, shape (n_rows + 1,)
    columns : int32 array, shape (n_entries,)
        In 0..n_columns-1, ascending and distinct within a row.
    values : float32 array, shape (n_entries,)
        Finite.
    n_columns : int
    """

    indptr: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    n_columns: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.n_rows, self.n_columns

    @property
    def n_rows(self) -> int:
        """Rows of the matrix."""
        return len(self.indptr) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Entries of each row, int64."""
        return np.diff(self.indptr)

    @property
    def owners(self) -> np.ndarray:
        """The row of each entry, int64."""
        return np.repeat(np.arange(self.n_rows), self.lengths)

    @cached_property
    def native(self) -> Any:
        """The matrix as the native module multiplies it, which looks through its columns once."""
        return native_module.SparseMatrix(self.indptr, self.columns, self.values, self.n_columns)

    def of(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Columns and values of a row."""
        part = slice(self.indptr[row], self.indptr[row + 1])
        return self.columns[part], self.values[part]

    def with_values(self, values: np.ndarray) -> SparseRows:
        """Other values in the same places."""
        return SparseRows(self.indptr, self.columns, values, self.n_columns)

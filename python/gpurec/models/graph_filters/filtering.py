"""What graph filters share: the normalised matrix of interactions, polynomials of it, a low-pass part."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from ...artifacts import Artifact
from ...backends import SparseRows, select
from ...errors import ArtifactError
from ...ops import score, spmm
from ...ops.sparse_arguments import as_sparse_rows, transposed
from ...progress import Progress
from ..recommender import Callback, ScoreRowModel
from .singular_vectors import singular_vectors

if TYPE_CHECKING:
    from ...data import Interactions

__all__ = ["GraphFilter"]

# Users whose signals are filtered together: a cache line holds an item's part of all of them.
_LANES = 16


class GraphFilter(ScoreRowModel):
    """Scores r P (c_0 + c_1 P + c_2 P^2 + ...) + w r L (c_0 + c_1 P + ...), r being a user's items as ones.

    P = N'N with N = D_u^-1/2 R D_i^-1/2, the matrix of interactions as ones divided by the roots of the
    numbers of each user's items and of each item's users. L = D_i^-1/2 V V' D_i^1/2 is the ideal low pass of
    N's leading right singular vectors V. Coefficients c and weight w are the subclass's.
    """

    @property
    @abstractmethod
    def _coefficients(self) -> tuple[float, ...]:
        """c_0, c_1, ...; the last is not 0."""

    def _learn(
        self,
        interactions: Interactions,
        validation: Interactions | None,
        callback: Callback | None,
        progress: Progress,
    ) -> None:
        self._prepare()
        rank = min(self.settings["n_vectors"], *self.training.user_items.shape)
        found = singular_vectors(self._by_users, self._by_items, rank, self.settings["random_state"])
        self.singular_values, self.singular_value_error = found.values, found.relative_error
        roots = np.sqrt(np.maximum(self.training.item_counts, 1))[:, np.newaxis]
        self._of_users = np.float32(found.vectors / roots)
        passed = np.float32(found.vectors * (self.settings["low_pass_weight"] * roots))
        self._of_items = self._filtered(np.float32(self._coefficients[-1]) * passed)

    def _prepare(self) -> None:
        """N by users and by items, and R, from the training part."""
        seen = as_sparse_rows(self.training.user_items, "user_items", self.name)
        ones = np.ones(len(seen.values), np.float32)
        self._seen = SparseRows(seen.indptr, seen.columns, ones, seen.n_columns)
        of_users, of_items = self.training.user_counts, self.training.item_counts
        degrees = np.repeat(of_users, np.diff(seen.indptr)) * of_items[seen.columns].astype(np.float64)
        self._by_users = SparseRows(
            seen.indptr, seen.columns, (1 / np.sqrt(degrees)).astype(np.float32), seen.n_columns
        )
        self._by_items = transposed(self._by_users)

    def _filtered(self, signals: np.ndarray) -> np.ndarray:
        """(c_0 + c_1 P + ...) / c_last of the columns of an array (n_items, n)."""
        backend = select()
        *lower, last = self._coefficients
        result = signals
        between = np.empty((self.training.n_users, signals.shape[1]), np.float32)
        for coefficient in reversed(lower):
            weight = float(np.float32(coefficient / last))
            longer = np.empty_like(signals)
            backend.spmm(self._by_users, result, None, 0.0, between)
            backend.spmm(self._by_items, between, signals, weight, longer)
            result = longer
        return result

    def _score_rows(self, user_rows: np.ndarray) -> np.ndarray:
        indptr, items = self.training.seen(user_rows)
        ones = np.ones(len(items), np.float32)
        rows = SparseRows(indptr, items.astype(np.int32), ones, self.training.n_items)
        scores = score(spmm(rows, self._of_users), self._of_items, in_order=True)
        last = np.float32(self._coefficients[-1])
        for first in range(0, len(user_rows), _LANES):
            end = min(first + _LANES, len(user_rows))
            inside = slice(indptr[first], indptr[end])
            lanes = np.repeat(np.arange(end - first), np.diff(indptr[first : end + 1]))
            signals = np.zeros((self.training.n_items, end - first), np.float32)
            signals[items[inside], lanes] = last
            blurred = spmm(self._by_items, spmm(self._by_users, signals))
            scores[first:end] += self._filtered(blurred).T
        return scores

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        tensors = {
            "of_users": self._of_users,
            "of_items": self._of_items,
            "singular_values": self.singular_values,
        }
        return tensors, {"singular_value_error": self.singular_value_error}

    def _restore(self, artifact: Artifact) -> None:
        self._prepare()
        shape = (self.training.n_items, None)
        self._of_users = artifact.tensor("of_users", np.float32, shape)
        self._of_items = artifact.tensor("of_items", np.float32, self._of_users.shape)
        self.singular_values = artifact.tensor("singular_values", np.float64, (self._of_users.shape[1],))
        parts = self._of_users, self._of_items, self.singular_values
        error = artifact.meta.get("singular_value_error")
        if not all(np.isfinite(part).all() for part in parts) or not isinstance(error, float):
            raise ArtifactError("[load] expected finite factors of a graph filter; fit and save again")
        self.singular_value_error = error

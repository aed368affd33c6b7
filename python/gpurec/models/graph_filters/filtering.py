"""What graph filters share: the normalised matrix of interactions, polynomials of it, a low-pass part."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from ...artifacts import Artifact
from ...backends import SparseRows, select
from ...errors import ArtifactError
from ...ops.sparse_arguments import as_sparse_rows, transposed
from ...progress import Progress
from ..recommender import Callback, HistoryModel, real_setting, whole_setting
from .singular_vectors import singular_vectors

if TYPE_CHECKING:
    from ...data import Interactions

__all__ = ["GraphFilter"]

# Users whose signals are filtered together: a cache line holds an item's part of all of them.
_LANES = 16


class GraphFilter(HistoryModel):
    """Scores r P (c_0 + c_1 P + c_2 P^2 + ...) + w r L (c_0 + c_1 P + ...), r being a user's items as ones.

    P = N'N with N = D_u^-1/2 R D_i^-1/2, the matrix of interactions as ones divided by the roots of the
    numbers of each user's items and of each item's users. L = D_i^-1/2 V V' D_i^1/2 is the ideal low pass of
    N's leading right singular vectors V. Coefficients c and weight w are the subclass's.
    """

    def __init__(self, n_vectors: int, low_pass_weight: float, random_state: int, **settings: float) -> None:
        super().__init__(
            n_vectors=whole_setting(self.name, "n_vectors", n_vectors, 1),
            low_pass_weight=real_setting(self.name, "low_pass_weight", low_pass_weight, 0, 1e6),
            random_state=whole_setting(self.name, "random_state", random_state, 0),
            **settings,
        )

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
        """N by users and by items, from the training part."""
        seen = as_sparse_rows(self.training.user_items, "user_items", self.name)
        of_users, of_items = self.training.user_counts, self.training.item_counts
        degrees = of_users[seen.owners] * of_items[seen.columns].astype(np.float64)
        self._by_users = seen.with_values((1 / np.sqrt(degrees)).astype(np.float32))
        self._by_items = transposed(self._by_users)

    def _filtered(self, signals: np.ndarray) -> np.ndarray:
        """(c_0 + c_1 P + ...) / c_last of the columns of an array (n_items, n)."""
        *lower, last = self._coefficients
        result = signals
        for coefficient in reversed(lower):
            result = self._blurred(result, signals, float(np.float32(coefficient / last)))
        return result

    def _score_histories(self, histories: SparseRows) -> np.ndarray:
        # Backends are asked at once: what was checked when it was fitted need not be for each block of users.
        backend, n_items = select(), self.training.n_items
        passed = np.empty((histories.n_rows, self._of_users.shape[1]), np.float32)
        backend.spmm(histories, self._of_users, None, 0.0, passed)
        scores = np.empty((histories.n_rows, n_items), np.float32)
        backend.score_in_order(passed, self._of_items, scores)
        owners, last = histories.owners, np.float32(self._coefficients[-1])
        for first in range(0, histories.n_rows, _LANES):
            end = min(first + _LANES, histories.n_rows)
            inside = slice(histories.indptr[first], histories.indptr[end])
            signals = np.zeros((n_items, end - first), np.float32)
            signals[histories.columns[inside], owners[inside] - first] = last
            scores[first:end] += self._filtered(self._blurred(signals)).T
        return scores

    def _blurred(self, signals: np.ndarray, add: np.ndarray | None = None, weight: float = 0.0) -> np.ndarray:
        """P times the columns of an array (n_items, n), plus weight * add."""
        backend = select()
        between = np.empty((self.training.n_users, signals.shape[1]), np.float32)
        backend.spmm(self._by_users, signals, None, 0.0, between)
        result = np.empty_like(signals)
        backend.spmm(self._by_items, between, add, weight, result)
        return result

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

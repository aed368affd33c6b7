"""What graph filters share: the normalised matrix of interactions, polynomials of it, a low-pass part."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from ...artifacts import Artifact
from ...backends import SparseRows, power, select
from ...cache_lines import empty_on_lines
from ...errors import ArtifactError
from ...ops.sparse_arguments import as_sparse_rows, transposed
from ...progress import Progress
from ..recommender import Callback, HistoryModel, real_setting, whole_setting
from .singular_vectors import singular_vectors

if TYPE_CHECKING:
    from ...data import Interactions

__all__ = ["GraphFilter"]

# Users whose signals are filtered together: two cache lines, which come together, hold an item's part of all.
_LANES = 32
# Items whose scores are turned from a row an item to a row a user at a time, within the second cache.
_TURNED = 4096


class GraphFilter(HistoryModel):
    """Scores r P (c_0 + c_1 P + c_2 P^2 + ...) + w r L (c_0 + c_1 P + ...), r being a user's items as ones.

    P = N'N with N = D_u^-1/2 R D_i^-1/2, the matrix of interactions as ones divided by the roots of the
    numbers of each user's items and of each item's users. L = D_i^-1/2 V V' D_i^1/2 is the ideal low pass of
    N's leading right singular vectors V. Coefficients c and weight w are the subclass's. The score of an item
    is multiplied by the number of its users to the power `item_power`: divided by their root, as P does, an
    item's score falls with its popularity faster than may be good.
    """

    def __init__(
        self,
        n_vectors: int,
        low_pass_weight: float,
        item_power: float,
        random_state: int,
        **settings: float,
    ) -> None:
        super().__init__(
            n_vectors=whole_setting(self.name, "n_vectors", n_vectors, 1),
            low_pass_weight=real_setting(self.name, "low_pass_weight", low_pass_weight, 0, 1e6),
            **settings,
            item_power=real_setting(self.name, "item_power", item_power, -2, 2),
            random_state=whole_setting(self.name, "random_state", random_state, 0),
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
        popularity = np.maximum(of_items, 1).astype(np.float64)
        self._of_popularity = power(popularity, self.settings["item_power"]).astype(np.float32)

    def _filtered(self, signals: np.ndarray, room: _Room | None = None) -> np.ndarray:
        """(c_0 + c_1 P + ...) / c_last of the columns of an array (n_items, n)."""
        *lower, last = self._coefficients
        n_users, n_items = self.training.user_items.shape
        room = room or _Room(n_users, n_items, signals.shape[1])
        backend, result = select(), signals
        for coefficient in reversed(lower):
            backend.spmm(self._by_users, result, None, 0.0, room.of_users)
            weight = float(np.float32(coefficient / last))
            backend.spmm(self._by_items, room.of_users, signals, weight, room.of_items)
            result = room.of_items
        return result

    def _score_histories(self, histories: SparseRows) -> np.ndarray:
        # Backends are asked at once: what was checked when it was fitted need not be for each block of users.
        backend, (n_users, n_items) = select(), self.training.user_items.shape
        passed = np.empty((histories.n_rows, self._of_users.shape[1]), np.float32)
        backend.spmm(histories, self._of_users, None, 0.0, passed)
        scores = np.empty((histories.n_rows, n_items), np.float32)
        backend.score_in_order(passed, self._of_items, scores)
        walked, room = self._walked(histories), None
        for first in range(0, histories.n_rows, _LANES):
            end = min(first + _LANES, histories.n_rows)
            if room is None or room.signals.shape[1] != end - first:
                room = _Room(n_users, n_items, end - first)
            here = slice(walked.indptr[first], walked.indptr[end])
            room.of_users[:] = 0
            lanes = np.repeat(np.arange(end - first), walked.lengths[first:end])
            room.of_users[walked.columns[here], lanes] = walked.values[here]
            backend.spmm(self._by_items, room.of_users, None, 0.0, room.signals)
            filtered = self._filtered(room.signals, room)
            for item in range(0, n_items, _TURNED):
                part = scores[first:end, item : item + _TURNED]
                part += filtered[item : item + _TURNED].T
                if self.settings["item_power"]:
                    part *= self._of_popularity[item : item + _TURNED]
        return scores

    def _walked(self, histories: SparseRows) -> SparseRows:
        """c_last r N' of histories r: few users have one of the items, so that this is a sparse product."""
        from scipy.sparse import csr_array

        ones, by_items = (
            csr_array((part.values, part.columns, part.indptr), shape=part.shape)
            for part in (histories, self._by_items)
        )
        # SciPy adds to +0.0 by rising item, as `spmm` does; a product with 1 is exact, fused or not.
        sums = ones @ by_items
        values = sums.data * np.float32(self._coefficients[-1])
        return SparseRows(sums.indptr, sums.indices, values, self.training.n_users)

    def _users_at_once(self) -> int:
        most = super()._users_at_once()
        return max(most // _LANES * _LANES, min(most, _LANES))

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


class _Room:
    """Arrays for the signals of some users, used again and again, each row on cache lines of its own."""

    def __init__(self, n_users: int, n_items: int, n: int) -> None:
        self.of_users = empty_on_lines((n_users, n))
        self.of_items, self.signals = empty_on_lines((n_items, n)), empty_on_lines((n_items, n))

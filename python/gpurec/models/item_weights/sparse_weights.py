"""What models with a few weights for each item share: their matrix, the scores it gives, saving."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from ...artifacts import Artifact
from ...backends import SparseRows
from ...errors import ArtifactError
from ...progress import Progress
from ..recommender import Callback, HistoryModel

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from ...data import Interactions

__all__ = ["SparseItemWeights", "sparse_sums", "wide_matrix"]


class SparseItemWeights(HistoryModel):
    """Scores are sums over the items j of a user of weights[j, i], in float64 by rising j and rounded once.

    Only items of which a weight is there are recommended. The subclass says what the weights are.

    Attributes
    ----------
    weights : scipy CSR, float32, shape (n_items, n_items)
        Row j holds what item j says for others.
    """

    weights: csr_array

    @abstractmethod
    def _learn_weights(self, progress: Progress) -> csr_array:
        """The weights, float32 CSR, columns rising in each row."""

    def _learn(
        self,
        interactions: Interactions,
        validation: Interactions | None,
        callback: Callback | None,
        progress: Progress,
    ) -> None:
        self._use(self._learn_weights(progress))

    def _use(self, weights: csr_array) -> None:
        self.weights = weights
        self._wide = weights.astype(np.float64)

    def _score_histories(self, histories: SparseRows) -> np.ndarray:
        return sparse_sums(wide_matrix(histories), self._wide)

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {
            "weights.indptr": self.weights.indptr.astype(np.int64),
            "weights.items": self.weights.indices.astype(np.int32),
            "weights.values": self.weights.data,
        }, {}

    def _restore(self, artifact: Artifact) -> None:
        from scipy.sparse import csr_array

        n_items = self.training.n_items
        indptr = artifact.tensor("weights.indptr", np.int64, (n_items + 1,))
        items = artifact.tensor("weights.items", np.int32, (None,))
        values = artifact.tensor("weights.values", np.float32, items.shape)
        whole = indptr[0] == 0 and indptr[-1] == len(items) and (np.diff(indptr) >= 0).all()
        if not whole or (len(items) and not 0 <= items.min() <= items.max() < n_items):
            raise ArtifactError("[load] expected weights to be a CSR matrix over the saved items; save again")
        if not np.isfinite(values).all():
            raise ArtifactError("[load] expected finite weights, got NaN or infinity; fit and save again")
        self._use(csr_array((values, items, indptr), shape=(n_items, n_items)))


def wide_matrix(rows: SparseRows) -> csr_array:
    """The same entries as CSR, float64."""
    from scipy.sparse import csr_array

    return csr_array((rows.values.astype(np.float64), rows.columns, rows.indptr), shape=rows.shape)


def sparse_sums(left: csr_array, right: csr_array) -> np.ndarray:
    """left @ right as scores, float32 (n_rows, n_columns); -inf where there is no product.

    Parameters
    ----------
    left, right : scipy CSR, float64
        Of values that float32 holds; columns of `left` rise in each row.

    Notes
    -----
    Sums in float64 by rising column of `left`, rounded once: a row depends on its row of `left` alone.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> sparse_sums(csr_array([[1.0, 1.0]]), csr_array([[2.0, 0.0], [0.5, 0.0]])).tolist()
    [[2.5, -inf]]
    """
    # SciPy adds products to +0.0 by rising row of `right`. Those of float32 numbers are exact in float64, so
    # that a compiler that fuses them changes nothing.
    sums = left @ right
    scores = np.full(sums.shape, -np.inf, np.float32)
    owners = np.repeat(np.arange(sums.shape[0]), np.diff(sums.indptr))
    scores[owners, sums.indices] = sums.data.astype(np.float32) + np.float32(0)  # -0 becomes +0
    return scores

"""EASE: the closed form of a linear model that says each item by all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...artifacts import Artifact
from ...backends import SparseRows, select
from ...errors import ArtifactError
from ...progress import Progress, reporter
from ..recommender import Callback, HistoryModel, real_setting

if TYPE_CHECKING:
    from ...data import Interactions

__all__ = ["EASE"]

# Columns that are swept together, and rows that are updated together.
_SWEPT, _ROWS = 512, 2048


class EASE(HistoryModel):
    """Embarrassingly shallow autoencoder: least squares with a penalty, no item speaking for itself.

    Parameters
    ----------
    l2 : float
        Penalty, above 0, added to the number of each item's users.

    Attributes
    ----------
    weights : float32 array, shape (n_items, n_items)
        Row j holds what item j says for others: -P[j, i] / P[i, i] with P the inverse of X'X + l2 I.

    Notes
    -----
    Every interaction counts as one, whatever its weight. Memory: 4 n_items**2 bytes, in which the inverse is
    made in place, and 16 kB for each item; about n_items**3 / 2 multiply-adds. Fitting goes through BLAS: the
    same bits with the same number of threads.

    Source: Steck 2019, "Embarrassingly shallow autoencoders for sparse data", arXiv 1905.03375, equation 8.

    Examples
    --------
    >>> from gpurec import Interactions
    >>> plays = Interactions.from_arrays([1, 1, 2, 2, 3], ["a", "b", "a", "b", "a"])
    >>> EASE(l2=1.0).fit(plays).recommend([3], k=1).to_dicts()[0]["item_id"]
    'b'
    """

    name: ClassVar[str] = "ease"

    def __init__(self, *, l2: float = 80.0) -> None:
        super().__init__(
            l2=real_setting("ease", "l2", l2, np.finfo(np.float32).tiny, np.finfo(np.float32).max)
        )

    def _learn(
        self,
        interactions: Interactions,
        validation: Interactions | None,
        callback: Callback | None,
        progress: Progress,
    ) -> None:
        matrix = self._gram()
        diagonal = np.einsum("ii->i", matrix)  # a view
        diagonal += np.float32(self.settings["l2"])
        invert(matrix, progress)
        divisors = -diagonal  # of their own, as the division changes the diagonal, rows at a time
        for first in range(0, len(matrix), _ROWS):
            matrix[first : first + _ROWS] /= divisors
        diagonal[:] = 0
        self.weights = matrix

    def _gram(self) -> np.ndarray:
        """How many users items have in common, a part at a time."""
        seen = self.training.user_items.copy()
        seen.data = np.ones(len(seen.data), np.float32)
        by_items, n_items = seen.T.tocsr(), self.training.n_items
        gram = np.empty((n_items, n_items), np.float32)
        for first in range(0, n_items, _ROWS):
            gram[first : first + _ROWS] = (by_items[first : first + _ROWS] @ seen).toarray()
        return gram

    def _score_histories(self, histories: SparseRows) -> np.ndarray:
        scores = np.empty((histories.n_rows, self.training.n_items), np.float32)
        select().spmm(histories, self.weights, None, 0.0, scores)
        return scores

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {"weights": self.weights}, {}

    def _restore(self, artifact: Artifact) -> None:
        n_items = self.training.n_items
        self.weights = artifact.tensor("weights", np.float32, (n_items, n_items))
        if not np.isfinite(self.weights).all():
            raise ArtifactError("[load] expected finite weights, got NaN or infinity; fit and save again")


def invert(matrix: np.ndarray, progress: Progress = None) -> None:
    """Put minus its inverse in place of a symmetric positive definite float32 matrix.

    Notes
    -----
    Columns are swept, some at a time; only the lower triangle is kept up until the end. LAPACK's routines
    with 32-bit indices fail from about 41,000 rows on.

    Source: Goodnight 1979, "A tutorial on the SWEEP operator", The American Statistician 33 (3).
    """
    n = len(matrix)
    with reporter(progress, "fitting ease", n) as report:
        for first in range(0, n, _SWEPT):
            end = min(first + _SWEPT, n)
            swept = slice(first, end)
            column = np.concatenate([matrix[swept, :first].T, matrix[first:, swept]])
            upper = np.triu_indices(end - first, 1)
            corner = column[swept].astype(np.float64)
            corner[upper] = corner.T[upper]
            inverse = np.linalg.inv(corner).astype(np.float32)
            column[swept] = 0
            moved = column @ inverse
            for top in range(0, n, _ROWS):
                rows = slice(top, min(top + _ROWS, n))
                matrix[rows, : rows.stop] -= moved[rows] @ column[: rows.stop].T
            matrix[swept, :first] = moved[:first].T
            matrix[end:, swept] = moved[end:]
            matrix[swept, swept] = -inverse
            report(end, n)
    for top in range(0, n, _ROWS):
        rows = slice(top, min(top + _ROWS, n))
        matrix[rows, rows.stop :] = matrix[rows.stop :, rows].T
        square = matrix[rows, rows]
        upper = np.triu_indices(len(square), 1)
        square[upper] = square.T[upper]

"""The items that most users have had: the same list for everyone, less what each has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..artifacts import Artifact
from ..errors import ArtifactError
from ..progress import Progress
from .recommender import Callback, Reasons, VectorModel

if TYPE_CHECKING:
    from ..data import Interactions

__all__ = ["Popularity"]


class Popularity(VectorModel):
    """Recommends the items with the most users, or with the largest sum of weights.

    Parameters
    ----------
    by : {"users", "weights"}
        What an item's score is: the number of its users, or the sum of its weights (added in float64 and
        rounded once to float32).

    Examples
    --------
    >>> from gpurec import Interactions
    >>> plays = Interactions.from_arrays(["ann", "ann", "bob"], ["alien", "brazil", "brazil"])
    >>> list(Popularity().fit(plays).recommend(["bob"], k=1, exclude_seen=False))
    [('bob', [('brazil', 2.0)])]
    """

    name: ClassVar[str] = "popularity"

    def __init__(self, *, by: str = "users") -> None:
        if by not in ("users", "weights"):
            raise ValueError(f"[popularity] expected by of 'users' or 'weights', got {by!r}; choose one")
        super().__init__(by=by)

    def _learn(
        self,
        interactions: Interactions,
        validation: Interactions | None,
        callback: Callback | None,
        progress: Progress,
    ) -> None:
        if self.settings["by"] == "users":
            self._scores = self.training.item_counts.astype(np.float32)
        else:
            sums = np.bincount(
                interactions.item_rows, weights=interactions.weights, minlength=self.training.n_items
            )
            self._scores = sums.astype(np.float32)

    def _popularity(self) -> np.ndarray:
        return self._scores

    def _user_vectors(self, user_rows: np.ndarray) -> np.ndarray:
        return np.ones((len(user_rows), 1), dtype=np.float32)

    def _item_vectors(self, item_rows: np.ndarray) -> np.ndarray:
        scores = np.where(item_rows >= 0, self._scores[item_rows], np.float32(0))
        return scores[:, np.newaxis]

    def _reasons(self, user_row: int, item_rows: np.ndarray) -> list[Reasons]:
        return [Reasons("baseline", ["popularity"], self._scores[item_rows, np.newaxis].astype(np.float64))]

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {"scores": self._scores}, {}

    def _restore(self, artifact: Artifact) -> None:
        self._scores = artifact.tensor("scores", np.float32, (self.training.n_items,))
        if not np.isfinite(self._scores).all():
            raise ArtifactError("[load] expected finite scores, got NaN or infinity; fit and save again")

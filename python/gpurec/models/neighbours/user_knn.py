"""UserKNN: what similar users had, or how they rated it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..item_weights.sparse_weights import sparse_sums
from ..recommender import Reasons
from .neighbour_lists import NeighbourLists
from .neighbour_model import NeighbourModel, Votes, ones

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["UserKNN"]


class UserKNN(NeighbourModel):
    """Neighbours among users: what those like a user had, or how they rated it.

    Parameters
    ----------
    rating, n_neighbours, n_candidates, metric, weighting, alpha, beta, shrinkage, min_overlap
        As of `ItemKNN`, with users and items in each other's place: similar are users, "centred" takes the
        mean of a user's ratings off.
    user_penalty, item_penalty : float
        As of `ItemKNN`.

    Notes
    -----
    Without `rating` a score is the sum of the similarities of the user's neighbours that had the item, in
    float64 by rising row of these, rounded once to float32.

    Sources: Herlocker, Konstan, Borchers and Riedl 1999, "An algorithmic framework for performing
    collaborative filtering", SIGIR; and as of `ItemKNN`.

    Examples
    --------
    >>> from gpurec import Interactions
    >>> plays = Interactions.from_arrays([1, 1, 2, 2, 3], ["a", "b", "a", "b", "a"])
    >>> model = UserKNN(metric="cosine", weighting="none").fit(plays)
    >>> model.recommend([3], k=1).to_dicts()[0]["item_id"], model.similar_users([1], k=1).to_dicts()
    ('b', [{'user_id': 1, 'similar_user_id': 2, 'score': 1.0, 'rank': 1}])
    """

    name: ClassVar[str] = "user-knn"
    _side: ClassVar[str] = "user"
    _of_sums: ClassVar[dict[str, Any]] = {
        "metric": "asymmetric_cosine",
        "alpha": 0.8,
        "weighting": "bm25",
        "n_neighbours": 100,
    }
    _of_ratings: ClassVar[dict[str, Any]] = {
        "metric": "pearson_centred",
        "shrinkage": 10.0,
        "n_neighbours": 30,
        "damping": 0.5,
    }
    _of_weighted: ClassVar[dict[str, Any]] = {"metric": "adjusted_cosine"}

    # Of sums: ones where users had an item, float64.
    _had: csr_array

    def _prepared(self, lists: NeighbourLists) -> dict[str, Any]:
        had = self.training.user_items
        return {} if self.predicts_ratings else {"_had": ones(had).astype(np.float64)}

    def _summed(self, user_rows: np.ndarray) -> np.ndarray:
        similarities = self._sums[user_rows]
        similarities.sort_indices()
        return sparse_sums(similarities, self._had)

    def _summands(self, user_row: int, item_rows: np.ndarray) -> Reasons:
        neighbours, similarities = self._lists.of(user_row)
        had = self._had[neighbours].toarray()[:, item_rows]
        return Reasons("user", neighbours, had.T * similarities.astype(np.float64))

    def _votes(self, user_row: int, wanted: np.ndarray | None) -> Votes:
        neighbours, similarities = self._lists.of(user_row)
        # By item, and within an item as neighbours stand: the most similar first.
        theirs = self._deviations[neighbours].tocsc()
        items = np.repeat(np.arange(self.training.n_items), np.diff(theirs.indptr))
        places, deviations = theirs.indices, theirs.data
        if wanted is not None:
            kept = wanted[items]
            items, places, deviations = items[kept], places[kept], deviations[kept]
        return Votes(items, neighbours[places], similarities[places], deviations)

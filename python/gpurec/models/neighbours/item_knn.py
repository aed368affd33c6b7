"""ItemKNN: items like those a user had, or rated."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..item_weights.sparse_weights import sparse_sums
from ..recommender import Reasons
from .neighbour_lists import NeighbourLists
from .neighbour_model import NeighbourModel, Votes, ones

__all__ = ["ItemKNN"]


class ItemKNN(NeighbourModel):
    """Neighbours among items: those like what a user had, or how the user rated those like it.

    Parameters
    ----------
    rating : {"weighted", "centred", "baseline"}, optional
        None: every interaction counts as one, and scores are sums of similarities. Otherwise scores are
        ratings, predicted from the user's ratings of similar items, by the mean of these, weighted by
        similarity: "weighted" of the ratings themselves; "centred" of how far they lie above the mean of
        their items, added to the mean of the item; "baseline" of how far they lie above what biases expect,
        added to what these expect of the item.
    n_neighbours : int, optional
        Without `rating`: items that an item speaks for, the most similar ones. With it: of the items that
        the user rated, so many of the most similar ones make a rating.
    n_candidates : int, optional
        With `rating`: neighbours kept for each item, from which come those that the user rated.
    metric, weighting, alpha, beta, shrinkage, min_overlap
        How alike items are, as of `gram_top_k`; `weighting="none"` is its None. Only neighbours with a
        similarity above 0 are kept.
    damping : float, optional
        With `rating`: what biases expect counts as a neighbour of this similarity does, so that few or remote
        neighbours say little.
    user_penalty, item_penalty : float
        Of biases: what is added to the number of ratings of a user or an item.

    Attributes
    ----------
    predicts_ratings : bool
        Whether `rating` was given.

    Notes
    -----
    Settings left out are those found best for the kind of scores, see docs/models.md; `settings` holds them.

    Without `rating` a score is the sum, over the user's items by rising row, of the similarities of those
    that have the item among their neighbours, in float64, rounded once to float32. A rating is
    (W (e + m) + damping b) / (W + damping): W the sum of the neighbours' similarities, m the mean of what
    they say, weighted so, e what the form expects ("weighted": 0), b what biases expect; sums in float64, the
    most similar neighbour first. Where there is no neighbour, or the user or the item is unknown, it is b, an
    unknown bias being 0.

    Weights of a pair that stands twice are added: where ratings are, give each pair once
    (`gpurec.data.resolve_duplicates`).

    Memory: 8 bytes a neighbour kept, without `rating` 12 more, with it 12 more and 12 bytes an interaction;
    while it learns, 64 MB and what `gram_top_k` takes. See `fit_partial` for learning more.

    Sources: Sarwar, Karypis, Konstan and Riedl 2001, "Item-based collaborative filtering recommendation
    algorithms", WWW; Aiolli 2013, "Efficient top-N recommendation for very large scale binary rated
    datasets", RecSys; Koren 2010, "Factor in the neighbors", ACM TKDD 4 (1), section 2.2.

    Examples
    --------
    >>> from gpurec import Interactions
    >>> plays = Interactions.from_arrays([1, 1, 2, 2, 3], ["a", "b", "a", "b", "a"], [5, 4, 2, 1, 5])
    >>> ItemKNN().fit(plays).recommend([3], k=1).to_dicts()[0]["item_id"]
    'b'
    >>> ItemKNN(rating="centred", metric="cosine", damping=0).fit(plays).predict([3], ["b"]).tolist()
    [3.5]
    """

    name: ClassVar[str] = "item-knn"
    _side: ClassVar[str] = "item"
    _of_sums: ClassVar[dict[str, Any]] = {
        "metric": "asymmetric_cosine",
        "alpha": 0.8,
        "weighting": "tf-idf",
        "n_neighbours": 50,
    }
    _of_ratings: ClassVar[dict[str, Any]] = {
        "metric": "adjusted_cosine",
        "shrinkage": 25.0,
        "n_neighbours": 20,
        "damping": 0.25,
    }

    # Of ratings: where each item stands in the lists of others, and where these places of an item begin.
    _found_at: np.ndarray
    _found_from: np.ndarray

    def _summed(self, user_rows: np.ndarray) -> np.ndarray:
        return sparse_sums(ones(self.training.user_items[user_rows]).astype(np.float64), self._sums)

    def _summands(self, user_row: int, item_rows: np.ndarray) -> Reasons:
        items = self.training.seen(np.array([user_row]))[1]
        return Reasons("item", items, self._sums[items].toarray()[:, item_rows].T)

    def _prepared(self, lists: NeighbourLists) -> dict[str, Any]:
        if not self.predicts_ratings:
            return {}
        counts = np.bincount(lists.rows, minlength=lists.n_rows)
        begins = np.concatenate([[0], np.cumsum(counts)])
        return {"_found_at": np.argsort(lists.rows, kind="stable"), "_found_from": begins}

    def _votes(self, user_row: int, wanted: np.ndarray | None) -> Votes:
        lists = self._lists
        rated = slice(*self._deviations.indptr[user_row : user_row + 2])
        items, deviations = self._deviations.indices[rated], self._deviations.data[rated]
        # Where the user's items stand in the lists of others; places rise by item and fall by similarity.
        places = np.concatenate(
            [
                self._found_at[:0],
                *(self._found_at[self._found_from[i] : self._found_from[i + 1]] for i in items),
            ]
        )
        if wanted is not None:
            places = places[wanted[lists.owners[places]]]
        is_place = np.zeros(len(lists.rows), bool)  # several times as fast as sorting them
        is_place[places] = True
        places = np.flatnonzero(is_place)
        voters = lists.rows[places]
        by_item = np.zeros(self.training.n_items)
        by_item[items] = deviations
        return Votes(lists.owners[places], voters, lists.similarities[places], by_item[voters])

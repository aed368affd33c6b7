"""Models of similar items under implicit's names, and the weights they compare items by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...backends import strict_floats
from ...errors import ArtifactError
from ...models.item_weights.sparse_weights import sparse_sums
from ...ops import gram_top_k, top_k
from ..arguments import as_count, as_csr, as_distinct_rows, as_rows, rows_of_users
from ..npz import square_matrix
from .recommender_base import RecommenderBase, fitted, setting, trimmed
from .utils import check_csr

if TYPE_CHECKING:
    from scipy.sparse import coo_matrix, csr_matrix

__all__ = [
    "BM25Recommender",
    "CosineRecommender",
    "ItemItemRecommender",
    "TFIDFRecommender",
    "all_pairs_knn",
    "bm25_weight",
    "normalize",
    "tfidf_weight",
]

# Of scores that are there at a time.
_BLOCK_BYTES = 64 << 20


class ItemItemRecommender(RecommenderBase):
    """Recommends items by the K most similar ones of each, similarity being the product of weights.

    Parameters
    ----------
    K : int
        Neighbours of an item, itself included.
    num_threads : int
        Kept for implicit's sake; `GPUREC_NUM_THREADS` sets the threads, and answers depend on none.

    Attributes
    ----------
    similarity : scipy `csr_matrix`, float64, shape (n_items, n_items)
        Row j holds the neighbours of item j. None before `fit`.

    Notes
    -----
    A score is the sum, over the user's items by rising number, of weight times similarity, in float64, and
    rounded once to float32. Recommended are items to which a neighbour leads; with `items` all of these, a
    sum of nothing being 0.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> plays = csr_matrix([[1, 1, 0], [1, 1, 1], [0, 1, 1]])
    >>> model = ItemItemRecommender(K=3)
    >>> model.fit(plays, show_progress=False)
    >>> ids, scores = model.recommend(0, plays[0])
    >>> ids.tolist(), scores.tolist()
    ([2], [3.0])
    """

    _how: ClassVar[dict[str, Any]] = {"metric": "dot"}

    def __init__(self, K: int = 20, num_threads: int = 0) -> None:
        self.K, self.num_threads = K, num_threads
        self.similarity: csr_matrix | None = None

    def fit(self, weighted: Any, show_progress: bool = True, callback: Any = None) -> None:
        """Find each item's neighbours.

        Parameters
        ----------
        weighted : sparse matrix, shape (n_users, n_items)
        show_progress : bool
            Without effect: it takes a moment.
        callback : None

        Raises
        ------
        NotImplementedError
            If there is a callback: there are no iterations.
        ValueError
            If a weight is not finite, or K is below 1.
        """
        if callback:
            raise NotImplementedError("[fit] expected no callback: items are compared in one go")
        self.similarity = _neighbours(self._weighted(check_csr(weighted)), self.K, **self._how).tocsr()

    def _weighted(self, user_items: csr_matrix) -> Any:
        """What items are compared by, (n_items, n_users)."""
        return user_items.T.tocsr()

    @strict_floats()
    def recommend(
        self,
        userid: Any,
        user_items: Any,
        N: int = 10,
        filter_already_liked_items: bool = True,
        filter_items: Any = None,
        recalculate_user: bool = False,
        items: Any = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `RecommenderBase.recommend`. Who a user is stands in `user_items` alone; scores are float64."""
        similarity = fitted(self.similarity, self).astype(np.float64, copy=False)
        n_items = similarity.shape[1]
        users, one = as_rows(userid, None, "userid", "recommend")
        histories = rows_of_users(user_items, len(users), "user_items", "recommend")
        if histories.shape[1] > n_items:
            raise ValueError(
                f"[recommend] expected user_items with {n_items} columns, got {histories.shape[1]}; fit again"
            )
        histories = histories.astype(np.float32).astype(np.float64)  # whose products are exact
        histories.resize(len(users), n_items)
        N = as_count(N, "N", "recommend")
        if items is not None and filter_items is not None:
            raise ValueError("[recommend] expected items or filter_items, got both; leave one out")
        allowed = as_distinct_rows(items, n_items, "items", "recommend")
        denied = as_distinct_rows(filter_items, n_items, "filter_items", "recommend")
        width = N if allowed is None else min(N, len(allowed))
        ids, scores = np.full((len(users), width), -1), np.full((len(users), width), -np.inf, np.float32)
        if width == 0:
            return trimmed(ids, scores.astype(np.float64), one)
        size = max(1, _BLOCK_BYTES // (4 * n_items))
        for first in range(0, len(users), size):
            block = slice(first, min(first + size, len(users)))
            found = sparse_sums(histories[block], similarity)
            if allowed is not None:
                summed, found = found[:, allowed], np.full_like(found, -np.inf)
                found[:, allowed] = np.where(np.isneginf(summed), 0, summed)
            if denied is not None:
                found[:, denied] = -np.inf
            if filter_already_liked_items:
                liked = histories[block]
                found[np.repeat(np.arange(len(found)), np.diff(liked.indptr)), liked.indices] = -np.inf
            ids[block], scores[block] = top_k(found, width)
        return trimmed(ids, scores.astype(np.float64), one)

    def similar_users(
        self, userid: Any, N: int = 10, filter_users: Any = None, users: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Not implemented: such a model compares items alone."""
        raise NotImplementedError("[similar_users] expected a model that compares users; these compare items")

    @strict_floats()
    def similar_items(
        self,
        itemid: Any,
        N: int = 10,
        recalculate_item: bool = False,
        item_users: Any = None,
        filter_items: Any = None,
        items: Any = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N most similar of the K neighbours of an item, itself included, or of each of several items.

        With `items` those of the neighbours that are among them.

        Raises
        ------
        NotImplementedError
            With `recalculate_item`.
        IndexError
            If an item is not in the model.
        """
        if recalculate_item:
            raise NotImplementedError(
                "[similar_items] expected recalculate_item=False: similarities are kept"
            )
        similarity = fitted(self.similarity, self)
        n_items, N = similarity.shape[1], as_count(N, "N", "similar_items")
        if items is not None and filter_items is not None:
            raise ValueError("[similar_items] expected items or filter_items, got both; leave one out")
        allowed = as_distinct_rows(items, n_items, "items", "similar_items")
        denied = as_distinct_rows(filter_items, n_items, "filter_items", "similar_items")
        asked, one = as_rows(itemid, n_items, "itemid", "similar_items")
        ids, scores = np.full((len(asked), N), -1), np.full((len(asked), N), -np.inf)
        for place, item in enumerate(asked.tolist()):
            part = slice(similarity.indptr[item], similarity.indptr[item + 1])
            rows, values = similarity.indices[part], similarity.data[part]
            kept = np.ones(len(rows), bool) if allowed is None else np.isin(rows, allowed)
            if denied is not None:
                kept &= ~np.isin(rows, denied)
            rows, values = rows[kept], values[kept]
            best = np.lexsort((rows, -values))[:N]
            ids[place, : len(best)], scores[place, : len(best)] = rows[best], values[best]
        return trimmed(ids, scores, one)

    def _saved(self) -> dict[str, Any]:
        saved: dict[str, Any] = {"K": self.K}
        if self.similarity is not None:
            found = self.similarity
            saved |= {"shape": found.shape, "data": found.data}
            saved |= {"indptr": found.indptr, "indices": found.indices}
        return saved

    def _restore(self, arrays: dict[str, np.ndarray]) -> None:
        self.K = setting(arrays, "K", int, self.K)
        if self.K < 1:
            raise ArtifactError(f"[load] expected K of 1 or more, got {self.K}")
        names = ("shape", "data", "indptr", "indices")
        if any(name in arrays for name in names):
            if any(name not in arrays for name in names):
                raise ArtifactError(f"[load] expected {', '.join(names)} of the similarities")
            self.similarity = square_matrix(*(arrays.pop(name) for name in names))


class CosineRecommender(ItemItemRecommender):
    """Items are as similar as the cosine of their columns of weights says; else an `ItemItemRecommender`."""

    _how: ClassVar[dict[str, Any]] = {"metric": "cosine"}

    def fit(self, counts: Any, show_progress: bool = True, callback: Any = None) -> None:
        """See `ItemItemRecommender.fit`."""
        super().fit(counts, show_progress, callback)


class TFIDFRecommender(ItemItemRecommender):
    """Items are compared by the cosine of weights after `tfidf_weight`; else an `ItemItemRecommender`."""

    _how: ClassVar[dict[str, Any]] = {"metric": "cosine"}

    def fit(self, counts: Any, show_progress: bool = True, callback: Any = None) -> None:
        """See `ItemItemRecommender.fit`."""
        super().fit(counts, show_progress, callback)

    def _weighted(self, user_items: csr_matrix) -> Any:
        return tfidf_weight(user_items.T)


class BM25Recommender(ItemItemRecommender):
    """Items are compared by the product of weights after `bm25_weight`; else an `ItemItemRecommender`.

    Parameters
    ----------
    K : int
    K1, B : float
        Of `bm25_weight`.
    num_threads : int
    """

    def __init__(self, K: int = 20, K1: float = 1.2, B: float = 0.75, num_threads: int = 0) -> None:
        super().__init__(K, num_threads)
        self.K1, self.B = K1, B

    def fit(self, counts: Any, show_progress: bool = True, callback: Any = None) -> None:
        """See `ItemItemRecommender.fit`."""
        super().fit(counts, show_progress, callback)

    def _weighted(self, user_items: csr_matrix) -> Any:
        return bm25_weight(user_items.T, self.K1, self.B)


def all_pairs_knn(users: Any, K: int = 100, num_threads: int = 0, show_progress: bool = True) -> coo_matrix:
    """The K items most similar to each item, by the product of their columns, itself among them.

    Parameters
    ----------
    users : sparse matrix, shape (n_users, n_items)
    K : int
    num_threads, show_progress
        Without effect.

    Returns
    -------
    scipy `coo_matrix`, float64, shape (n_items, n_items)
        Row j holds the similarities of item j's neighbours; no more entries than there are neighbours.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> all_pairs_knn(csr_matrix([[1, 2], [0, 1]]), 1).toarray().tolist()
    [[0.0, 2.0], [0.0, 5.0]]
    """
    return _neighbours(as_csr(users, "users", "all_pairs_knn").T, K, metric="dot")


def _neighbours(items: Any, K: Any, **how: Any) -> coo_matrix:
    from scipy.sparse import coo_matrix

    n, K = items.shape[0], as_count(K, "K", "fit")
    rows, values = gram_top_k(items, min(K, max(n, 1)), include_self=True, **how)
    owner, place = np.nonzero(rows >= 0)
    parts = values[owner, place].astype(np.float64), (owner, rows[owner, place])
    return coo_matrix(parts, shape=(n, n))


# Weights.


def _table(X: Any, op: str) -> Any:
    """Coordinates, float64, of stored entries; the caller's matrix stays as it is."""
    return as_csr(X, "X", op).tocoo().astype(np.float64)


def _rarity(table: Any) -> np.ndarray:
    """log(n_rows) - log(1 + entries of the column), for each column."""
    return np.log(max(table.shape[0], 1)) - np.log1p(np.bincount(table.col, minlength=table.shape[1]))


def tfidf_weight(X: Any) -> coo_matrix:
    """The root of each value times its column's rarity, log(n_rows) - log(1 + entries of the column).

    Parameters
    ----------
    X : sparse matrix
        Values of at least 0.

    Returns
    -------
    scipy `coo_matrix`, float64

    Raises
    ------
    ValueError
        If a value is negative, which has no root.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> tfidf_weight(csr_matrix([[4, 0], [0, 1], [0, 0]])).toarray().round(4).tolist()
    [[0.8109, 0.0], [0.0, 0.4055], [0.0, 0.0]]
    """
    table = _table(X, "tfidf_weight")
    if (table.data < 0).any():
        raise ValueError("[tfidf_weight] expected values of 0 or more, got a negative one; clip them")
    table.data = np.sqrt(table.data) * _rarity(table)[table.col]
    return table


def bm25_weight(X: Any, K1: float = 100, B: float = 0.8) -> coo_matrix:
    """Okapi BM25: value (K1 + 1) / (K1 length + value) * rarity.

    Parameters
    ----------
    X : sparse matrix
    K1, B : float
        How soon large values count no more, and how much long rows are held down: length is (1 - B) + B times
        the row's sum beside the mean sum. Rarity is that of `tfidf_weight`.

    Returns
    -------
    scipy `coo_matrix`, float64

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> bm25_weight(csr_matrix([[2], [0], [0], [0]]), K1=1, B=0).toarray().round(4).tolist()
    [[0.9242], [0.0], [0.0], [0.0]]
    """
    table = _table(X, "bm25_weight")
    sums = np.bincount(table.row, table.data, table.shape[0])
    mean = sums.mean() if len(sums) else 0.0
    length = (1.0 - B) + B * sums / (mean if mean else 1.0)
    divisors = K1 * length[table.row] + table.data
    shares = np.divide(table.data * (K1 + 1.0), divisors, out=np.zeros(table.nnz), where=divisors != 0)
    table.data = shares * _rarity(table)[table.col]
    return table


def normalize(X: Any) -> coo_matrix:
    """Rows divided by their lengths; a row without length stays as it is.

    Returns
    -------
    scipy `coo_matrix`, float64

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> normalize(csr_matrix([[3, 4], [0, 0]])).toarray().tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    table = _table(X, "normalize")
    lengths = np.sqrt(np.bincount(table.row, np.square(table.data), table.shape[0]))
    lengths[lengths == 0] = 1.0
    table.data = table.data / lengths[table.row]
    return table

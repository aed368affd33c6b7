"""Maximal marginal relevance: good items that are not like those before them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends import strict_floats
from ..models.recommender import real_setting, whole_setting
from ..ops import score
from .candidates import Candidates, Context
from .pools import Pool
from .rule import Rule

__all__ = ["MMR"]

_BLOCK_BYTES = 64 << 20


class MMR(Rule):
    """Order a pool of candidates so that each place is good and unlike the places before it.

    Parameters
    ----------
    weight : float
        lambda, in [0, 1]: 1 leaves the order as it is, 0 looks at likeness alone.
    vectors : array, shape (n_items, d), optional
        Vectors of items by row, such as `model.item_factors`; their cosine is the similarity.
    similarity : scipy sparse or array, shape (n_items, n_items), optional
        The similarity itself; give this or `vectors`.
    n_candidates : int
        Size of the pool: so many of the best candidates are considered.

    Notes
    -----
    The next item is the one with the largest lambda * relevance - (1 - lambda) * (largest similarity to an
    item already taken, 0 for the first), equal ones by their place before. Relevance is the score, brought to
    0..1 over the user's pool, since scores of models have no common scale. Exact for the pool, which is the
    same however the search went; the definition has no answer beyond a pool. Scores stay as they came, so
    they no longer fall along the list. k is at most `n_candidates`. Cosines are added in order, so that they
    are the same bits on every backend.

    Source: Carbonell and Goldstein 1998, "The use of MMR, diversity-based reranking for reordering documents
    and producing summaries", SIGIR.

    Examples
    --------
    >>> from gpurec.reranking import Pipeline
    >>> from gpurec import TopK
    >>> found = TopK(np.array([[0, 1, 2]]), np.float32([[3, 2.9, 1]]))
    >>> vectors = [[1, 0], [1, 0.1], [0, 1]]
    >>> Pipeline([MMR(0.5, vectors=vectors)]).rerank(found, k=3).rows.tolist()
    [[0, 2, 1]]
    """

    def __init__(
        self, weight: float = 0.7, *, vectors: Any = None, similarity: Any = None, n_candidates: int = 100
    ) -> None:
        self.weight = real_setting("mmr", "weight", weight, 0, 1)
        self.n_candidates = whole_setting("mmr", "n_candidates", n_candidates, 1)
        if (vectors is None) == (similarity is None):
            raise ValueError("[mmr] expected vectors or similarity, got both or none; give one")
        self._vectors = None if vectors is None else _unit_rows(vectors)
        self._similarity = similarity.tocsr() if hasattr(similarity, "tocsr") else similarity
        if self._vectors is None:
            if not hasattr(self._similarity, "tocsr"):
                self._similarity = np.asarray(self._similarity, dtype=np.float32)
            shape = self._similarity.shape
            if len(shape) != 2 or shape[0] != shape[1]:
                raise ValueError(f"[mmr] expected similarity of shape (n_items, n_items), got {shape}")
            values = getattr(self._similarity, "data", None) if hasattr(similarity, "tocsr") else None
            if not np.isfinite(self._similarity if values is None else values).all():
                raise ValueError("[mmr] expected a finite similarity, got NaN or infinity; clean it")

    @property
    def n_items(self) -> int:
        return len(self._vectors) if self._vectors is not None else self._similarity.shape[0]

    @property
    def most(self) -> int:
        return self.n_candidates

    def wanted(self, k: int) -> int:
        return self.n_candidates

    @strict_floats()
    def apply(self, candidates: Candidates, k: int, context: Context) -> Candidates:
        pool = Pool(candidates, self.n_candidates)
        size = max(1, _BLOCK_BYTES // (4 * pool.rows.shape[1] ** 2 + 1))
        n_picks = min(k, pool.rows.shape[1])
        picks = np.empty((len(pool.rows), n_picks), np.int64)
        for first in range(0, len(picks), size):
            block = slice(first, first + size)
            picks[block] = self._picked(pool.rows[block], pool.relevance[block], n_picks)
        return pool.taken(picks)

    def _picked(self, rows: np.ndarray, relevance: np.ndarray, n_picks: int) -> np.ndarray:
        alike = np.stack([self._among(own) for own in rows])
        users = np.arange(len(rows))
        picks = np.empty((len(rows), n_picks), np.int64)
        nearest = np.zeros(rows.shape)
        left = rows >= 0
        for place in range(n_picks):
            values = self.weight * relevance - (1 - self.weight) * nearest
            picks[:, place] = np.where(left, values, -np.inf).argmax(axis=1)
            left[users, picks[:, place]] = False
            new = alike[users, picks[:, place]]
            nearest = new.astype(np.float64) if place == 0 else np.maximum(nearest, new)
        return picks

    def _among(self, rows: np.ndarray) -> np.ndarray:
        """Similarity of each two items of a pool, float32; what stands for no item is never asked for."""
        if self._vectors is not None:
            vectors = self._vectors[rows]
            return score(vectors, vectors, in_order=True)
        chosen = self._similarity[rows][:, rows]
        return np.asarray(chosen.toarray() if hasattr(chosen, "toarray") else chosen, np.float32)


def _unit_rows(vectors: Any) -> np.ndarray:
    """Rows of length 1, float32; rows of zeros stay as they are."""
    array = np.asarray(vectors)
    if array.ndim != 2 or array.dtype.kind not in "iuf":
        raise ValueError(
            f"[mmr] expected vectors as numbers of shape (n_items, d), got {array.dtype} {array.shape}"
        )
    array = np.ascontiguousarray(array, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError("[mmr] expected finite vectors, got NaN or infinity; clean them")
    array /= np.maximum(np.abs(array).max(axis=1, initial=0, keepdims=True), np.finfo(np.float64).tiny)
    lengths = np.sqrt(np.square(array).sum(axis=1, keepdims=True))
    return (array / np.where(lengths > 0, lengths, 1)).astype(np.float32)

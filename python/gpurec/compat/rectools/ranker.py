"""A ranker with the call of RecTools' `ImplicitRanker`, whose answers are exact."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...backends import strict_floats
from ...errors import import_extra
from ...index import ItemIndex
from ...ops import spmm, top_k
from ...ops.arguments import as_matrix
from ...ops.filters import is_sparse
from ..arguments import as_count, as_csr, as_distinct_rows, as_rows, rows_of_users

__all__ = ["Ranker", "ranking"]

_DISTANCES = ("dot", "cosine", "euclidean")
# Of scores that are there at a time.
_BLOCK_BYTES = 64 << 20


class Ranker:
    """Ranks objects for subjects by their factors, as RecTools' protocol `Ranker` wants it.

    Parameters
    ----------
    distance : rectools.models.rank.Distance, or {"dot", "cosine", "euclidean"}
        Of "dot" and "cosine" the largest come first, of "euclidean" the smallest distances.
    subjects_factors : array or scipy CSR, shape (n_subjects, n_factors)
        Sparse with "dot" alone.
    objects_factors : array, shape (n_objects, n_factors)
    num_threads, use_gpu
        Without effect: `GPUREC_NUM_THREADS` sets the threads, `gpurec.use_backend` says where to compute.

    Raises
    ------
    ValueError
        If shapes do not fit, a factor is not finite, or sparse subjects meet another distance than "dot".

    Examples
    --------
    >>> ranker = Ranker("dot", np.float32([[1, 0], [0, 1]]), np.float32([[1, 2], [3, 0], [2, 1]]))
    >>> subjects, objects, scores = ranker.rank([1, 0], k=2)
    >>> subjects.tolist(), objects.tolist(), scores.tolist()
    ([1, 1, 0, 0], [0, 2, 1, 2], [2.0, 1.0, 3.0, 2.0])
    """

    def __init__(
        self,
        distance: Any,
        subjects_factors: Any,
        objects_factors: Any,
        num_threads: int = 0,
        use_gpu: bool = False,
    ) -> None:
        word = getattr(distance, "value", distance)
        if word not in _DISTANCES:
            raise ValueError(f"[Ranker] expected distance of {', '.join(_DISTANCES)}, got {distance!r}")
        if is_sparse(subjects_factors) and word != "dot":
            raise ValueError(f"[Ranker] expected distance 'dot' with sparse subjects, got {word!r}")
        self.distance, self.num_threads, self.use_gpu = distance, num_threads, use_gpu
        self._word = word
        self.objects_factors = as_matrix(objects_factors, "objects_factors", "Ranker")
        if is_sparse(subjects_factors):
            self.subjects_factors = as_csr(subjects_factors, "subjects_factors", "Ranker").astype(np.float32)
            self._by_factor = np.ascontiguousarray(self.objects_factors.T)
        else:
            self.subjects_factors = as_matrix(subjects_factors, "subjects_factors", "Ranker")
            self._index = ItemIndex(self.objects_factors, metric=word)
        width = self.objects_factors.shape[1]
        if self.subjects_factors.shape[1] != width:
            raise ValueError(
                f"[Ranker] expected subjects with {width} factors, got {self.subjects_factors.shape[1]}"
            )

    @strict_floats()
    def rank(
        self,
        subject_ids: Any,
        k: int | None = None,
        filter_pairs_csr: Any = None,
        sorted_object_whitelist: Any = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The best k objects of each subject.

        Parameters
        ----------
        subject_ids : integers, shape (n,)
        k : int, optional
            All objects when None.
        filter_pairs_csr : sparse matrix, shape (n, n_objects), optional
            What each subject must not get, in the order of `subject_ids`; every stored entry counts.
        sorted_object_whitelist : integers, optional
            The only objects that may be given.

        Returns
        -------
        subjects, objects, scores : int64, int64 and float32 arrays of one length
            Subjects in their order, each as often as it has objects, best first, equal ones by the smaller.
            With "euclidean" scores are distances.

        Raises
        ------
        ValueError
            If the filter has not a row for each subject, or k is below 1; IndexError if an id is outside.
        """
        n_objects = len(self.objects_factors)
        subjects, _ = as_rows(subject_ids, self.subjects_factors.shape[0], "subject_ids", "rank")
        allow = as_distinct_rows(sorted_object_whitelist, n_objects, "sorted_object_whitelist", "rank")
        most = n_objects if allow is None else len(allow)
        k = most if k is None else min(as_count(k, "k", "rank"), most)
        exclude = None
        if filter_pairs_csr is not None:
            exclude = rows_of_users(filter_pairs_csr, len(subjects), "filter_pairs_csr", "rank")
        if k == 0 or len(subjects) == 0:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
        if is_sparse(self.subjects_factors):
            rows, scores = self._best_of_sparse(subjects, k, exclude, allow)
        else:
            pairs = None if exclude is None else (exclude.indptr, exclude.indices)
            found = self._index.search(self.subjects_factors[subjects], k, exclude=pairs, allow=allow)
            rows, scores = found.rows, found.scores
            if self._word == "euclidean":
                scores = np.sqrt(-scores)
        place, rank = np.nonzero(rows >= 0)
        return subjects[place], rows[place, rank], scores[place, rank]

    def _best_of_sparse(
        self, subjects: np.ndarray, k: int, exclude: Any, allow: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        n_objects = len(self.objects_factors)
        rows, scores = np.empty((len(subjects), k), np.int64), np.empty((len(subjects), k), np.float32)
        size = max(1, _BLOCK_BYTES // (4 * n_objects))
        for first in range(0, len(subjects), size):
            block = slice(first, min(first + size, len(subjects)))
            found = spmm(self.subjects_factors[subjects[block]], self._by_factor)
            if allow is not None:
                kept = found[:, allow]
                found = np.full_like(found, -np.inf)
                found[:, allow] = kept
            if exclude is not None:
                left_out = exclude[block]
                found[np.repeat(np.arange(len(found)), np.diff(left_out.indptr)), left_out.indices] = -np.inf
            rows[block], scores[block] = top_k(found, k)
        return rows, scores


@contextmanager
def ranking() -> Iterator[None]:
    """Let RecTools' own models rank by `Ranker` inside a `with` block: those of vectors, and EASE.

    Notes
    -----
    It puts `Ranker` where `rectools.models.vector` and `rectools.models.ease` look for `ImplicitRanker`, for
    all threads of the process, and puts that back at the end.

    Raises
    ------
    MissingExtraError
        If RecTools is not installed.
    """
    modules: list[Any] = [
        import_extra("rectools.models.vector", "rectools"),
        import_extra("rectools.models.ease", "rectools"),
    ]
    before = [module.ImplicitRanker for module in modules]
    try:
        for module in modules:
            module.ImplicitRanker = Ranker
        yield
    finally:
        for module, ranker in zip(modules, before):
            module.ImplicitRanker = ranker

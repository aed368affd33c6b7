"""The libraries that gpurec is measured against, and all contenders by name."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy.sparse import csr_matrix

from .ours import (
    Contender,
    Found,
    Gpurec,
    GpurecFloat32,
    GpurecInt8,
    GpurecOneShot,
    GpurecReference,
    Setting,
)

__all__ = ["CONTENDERS", "OURS", "REFERENCE", "RIVALS"]

# A matrix of scores beyond this is made in pieces: no library is asked to write gigabytes it then reads once.
_MATRIX_BYTES = 1 << 29


class Numpy(Contender):
    """Matrix product, argpartition, sort; excluded items get -inf, allowed ones are gathered."""

    name, package = "numpy", "numpy"

    def build(self, items: np.ndarray) -> None:
        self.items = items

    def settings(self, n_queries: int, job: str) -> list[Setting]:
        return _pieces(n_queries, len(self.items))

    def search(self, queries: np.ndarray, k: int, piece: int = 1) -> Found:
        return self._best(self.items, queries, k, piece)

    def exclude(self, queries: np.ndarray, k: int, seen: csr_matrix, piece: int = 1) -> Found:
        return self._best(self.items, queries, k, piece, seen)

    def allow_rows(self, queries: np.ndarray, k: int, rows: np.ndarray, piece: int = 1) -> Found:
        found, scores = self._best(self.items[rows], queries, k, piece)
        return rows[found], scores

    def _best(
        self, items: np.ndarray, queries: np.ndarray, k: int, piece: int, seen: csr_matrix | None = None
    ) -> Found:
        rows = np.empty((len(queries), k), np.int64)
        best = np.empty((len(queries), k), np.float32)
        for first in range(0, len(queries), piece):
            scores = queries[first : first + piece] @ items.T
            if seen is not None:
                scores[_entries(seen, first, len(scores))] = -np.inf
            found = np.argpartition(scores, len(items) - k, axis=1)[:, -k:]
            values = np.take_along_axis(scores, found, axis=1)
            order = np.argsort(-values, axis=1)
            rows[first : first + piece] = np.take_along_axis(found, order, axis=1)
            best[first : first + piece] = np.take_along_axis(values, order, axis=1)
        return rows, best


class NumpyHere(Numpy):
    """The same with the NumPy that lies beside gpurec, for runs without the rivals' environment."""

    name, own_environment = "numpy-here", False


class Torch(Contender):
    """Matrix product and topk; excluded items get -inf, allowed ones are gathered."""

    name, package = "torch", "torch"

    def build(self, items: np.ndarray) -> None:
        import torch

        torch.set_num_threads(self.n_threads)
        self.torch = torch
        self.items = torch.from_numpy(items)

    def settings(self, n_queries: int, job: str) -> list[Setting]:
        return _pieces(n_queries, len(self.items))

    def search(self, queries: np.ndarray, k: int, piece: int = 1) -> Found:
        return self._best(self.items, queries, k, piece)

    def exclude(self, queries: np.ndarray, k: int, seen: csr_matrix, piece: int = 1) -> Found:
        return self._best(self.items, queries, k, piece, seen)

    def allow_rows(self, queries: np.ndarray, k: int, rows: np.ndarray, piece: int = 1) -> Found:
        found, scores = self._best(self.items[self.torch.from_numpy(rows)], queries, k, piece)
        return rows[found], scores

    def _best(self, items, queries: np.ndarray, k: int, piece: int, seen: csr_matrix | None = None) -> Found:
        parts = []
        with self.torch.inference_mode():
            for first in range(0, len(queries), piece):
                scores = self.torch.from_numpy(queries[first : first + piece]) @ items.T
                if seen is not None:
                    at = tuple(self.torch.from_numpy(x) for x in _entries(seen, first, len(scores)))
                    scores[at] = -np.inf
                parts.append(scores.topk(k))
            rows = self.torch.cat([part.indices for part in parts])
            scores = self.torch.cat([part.values for part in parts])
        return rows.numpy(), scores.numpy()


class Faiss(Contender):
    """IndexFlatIP with its own kernel (batches below eight times the width) or with BLAS, the faster one.

    Excluded items are dropped from longer answers, or each query is asked alone with a selector; allowed ones
    are gathered. Its speed differs from one process to the next: the best of three counts.
    """

    name, package, processes = "faiss-tuned", "faiss-cpu", 3

    def build(self, items: np.ndarray) -> None:
        import faiss

        faiss.omp_set_num_threads(self.n_threads)
        self.faiss = faiss
        self.items = items
        self.index = faiss.IndexFlatIP(items.shape[1])
        self.index.add(items)

    def settings(self, n_queries: int, job: str) -> list[Setting]:
        kernels: list[Setting] = [{"blas_from": 8 * self.index.d}, {"blas_from": 20}]
        alone: list[Setting] = [{"alone": True}] if job == "exclude" else []
        return (kernels if n_queries >= 20 else kernels[:1]) + alone

    def search(self, queries: np.ndarray, k: int, blas_from: int = 20) -> Found:
        self.faiss.cvar.distance_compute_blas_threshold = blas_from
        scores, rows = self.index.search(queries, k)
        return rows, scores

    def exclude(
        self, queries: np.ndarray, k: int, seen: csr_matrix, blas_from: int = 20, alone: bool = False
    ) -> Found:
        if not alone:
            return _without(*self.search(queries, k + _longest(seen), blas_from), seen, k)
        rows, scores = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
        for i in range(len(queries)):
            batch = self.faiss.IDSelectorBatch(
                seen.indices[seen.indptr[i] : seen.indptr[i + 1]].astype(np.int64)
            )
            parameters = self.faiss.SearchParameters(sel=self.faiss.IDSelectorNot(batch))
            scores[i], rows[i] = self.index.search(queries[i : i + 1], k, params=parameters)
        return rows, scores

    def allow_rows(self, queries: np.ndarray, k: int, rows: np.ndarray, blas_from: int = 20) -> Found:
        self.faiss.cvar.distance_compute_blas_threshold = blas_from
        scores, found = self.faiss.knn(queries, self.items[rows], k, self.faiss.METRIC_INNER_PRODUCT)
        return rows[found], scores


class Scann(Contender):
    """Brute force in float32; its parallel search cuts a batch into pieces, its plain one does not.

    Excluded items are dropped from longer answers.
    """

    name, package = "scann-core", "scann-core"

    def build(self, items: np.ndarray) -> None:
        import scann

        builder = scann.scann_ops_pybind.builder(items, 10, "dot_product")
        self.searcher = builder.score_brute_force(quantize=False).build()
        self.searcher.set_num_threads(self.n_threads)

    def settings(self, n_queries: int, job: str) -> list[Setting]:
        sizes = {min(256, -(-n_queries // (parts * self.n_threads))) for parts in (1, 4)}
        return [{"batch_size": size} for size in [0, *sorted(sizes)]]

    def search(self, queries: np.ndarray, k: int, batch_size: int = 0) -> Found:
        if batch_size == 0:
            return self.searcher.search_batched(queries, k)
        return self.searcher.search_batched_parallel(queries, k, batch_size=batch_size)

    def exclude(self, queries: np.ndarray, k: int, seen: csr_matrix, batch_size: int = 0) -> Found:
        return _without(*self.search(queries, k + _longest(seen), batch_size), seen, k)


class Implicit(Contender):
    """The top-k that its recommenders call, with threads of its own and those of BLAS."""

    name, package = "implicit", "implicit"

    def build(self, items: np.ndarray) -> None:
        from implicit.cpu.topk import topk

        self.topk = topk
        self.items = items

    def search(self, queries: np.ndarray, k: int) -> Found:
        return self.topk(self.items, queries, k)

    def exclude(self, queries: np.ndarray, k: int, seen: csr_matrix) -> Found:
        return self.topk(self.items, queries, k, filter_query_items=seen)

    def allow_rows(self, queries: np.ndarray, k: int, rows: np.ndarray) -> Found:
        found, scores = self.topk(self.items[rows], queries, k)
        return rows[found], scores


class ImplicitOneBlasThread(Implicit):
    """The same, its own threads not multiplied by those of BLAS."""

    name = "implicit-1t"
    variables: ClassVar[dict[str, str]] = {"OPENBLAS_NUM_THREADS": "1"}


class ImplicitRecommend(Implicit):
    """`recommend` of a fitted model, all users at once or in batches; the queries are its user factors."""

    name = "implicit-recommend"

    def build(self, items: np.ndarray) -> None:
        from implicit.cpu.als import AlternatingLeastSquares

        self.model = AlternatingLeastSquares(items.shape[1], num_threads=self.n_threads)
        self.model.item_factors = items

    def settings(self, n_queries: int, job: str) -> list[Setting]:
        return [{"batch": batch} for batch in (n_queries, 4096, 1024, 256) if batch <= n_queries]

    def exclude(self, queries: np.ndarray, k: int, seen: csr_matrix, batch: int = 1) -> Found:
        self.model.user_factors = queries
        parts = [
            self.model.recommend(users, seen[users[0] : users[-1] + 1], N=k)
            for users in np.split(np.arange(len(queries)), range(batch, len(queries), batch))
        ]
        return np.concatenate([rows for rows, _ in parts]), np.concatenate([scores for _, scores in parts])


class ImplicitRecommendOneBlasThread(ImplicitRecommend):
    """The same, its own threads not multiplied by those of BLAS."""

    name = "implicit-recommend-1t"
    variables: ClassVar[dict[str, str]] = {"OPENBLAS_NUM_THREADS": "1"}


_LIBRARIES = (Numpy, Torch, Faiss, Scann, Implicit, ImplicitOneBlasThread)
_ALL = (
    Gpurec,
    GpurecFloat32,
    GpurecInt8,
    GpurecOneShot,
    GpurecReference,
    NumpyHere,
    *_LIBRARIES,
    ImplicitRecommend,
    ImplicitRecommendOneBlasThread,
)
CONTENDERS: dict[str, type[Contender]] = {kind.name: kind for kind in _ALL}
OURS, REFERENCE = Gpurec.name, GpurecReference.name
# Those that search any items for any queries, in the environment of their own.
RIVALS = [kind.name for kind in _LIBRARIES]


def _pieces(n_queries: int, n_items: int) -> list[Setting]:
    """Sizes of pieces of a batch worth trying: as large as the byte limit allows, and an eighth of that."""
    most = max(1, min(n_queries, _MATRIX_BYTES // (4 * n_items)))
    return [{"piece": piece} for piece in sorted({most, max(1, most // 8)})]


def _entries(seen: csr_matrix, first: int, n_queries: int) -> Found:
    """Query, counted from the first one, and row of each stored entry of a run of queries."""
    indptr = seen.indptr[first : first + n_queries + 1]
    return np.repeat(np.arange(n_queries), np.diff(indptr)), seen.indices[indptr[0] : indptr[-1]]


def _longest(seen: csr_matrix) -> int:
    return int(np.diff(seen.indptr).max())


def _without(rows: np.ndarray, scores: np.ndarray, seen: csr_matrix, k: int) -> Found:
    """The first k places of longer answers that hold no seen item."""
    # One number names a query and an item; those of the seen ones ascend, as the indices of a query do.
    queries, items = _entries(seen, 0, len(rows))
    known = queries * np.int64(seen.shape[1]) + items
    asked = (np.arange(len(rows))[:, None] * np.int64(seen.shape[1]) + rows).ravel()
    place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    hit = (known[place] == asked).reshape(rows.shape)
    kept = np.argsort(hit, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(np.asarray(rows), kept, axis=1), np.take_along_axis(scores, kept, axis=1)

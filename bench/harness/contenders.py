"""Exact top k of gpurec and of the libraries it is measured against, each behind `build` and `search`."""

from __future__ import annotations

from importlib import metadata
from typing import Any, ClassVar

import numpy as np

__all__ = ["CONTENDERS", "Contender", "Setting"]

# A matrix of scores beyond this is made in pieces: no library is asked to write gigabytes it then reads once.
_MATRIX_BYTES = 1 << 29

Setting = dict[str, Any]


class Contender:
    """One library's exact search for the largest inner products.

    `settings` lists the ways worth trying for a batch size; before a cell is measured each is tried and the
    fastest is kept, so that a rival is measured at its best.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    own_environment: ClassVar[bool] = True  # lives in build/rivals rather than beside gpurec
    processes: ClassVar[int] = 1  # of several equal processes the fastest counts
    variables: ClassVar[dict[str, str]] = {}

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads

    def build(self, items: np.ndarray) -> None:
        raise NotImplementedError

    def settings(self, n_queries: int) -> list[Setting]:
        return [{}]

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and scores, both (n_queries, k), best first."""
        raise NotImplementedError

    @classmethod
    def version(cls) -> str:
        return metadata.version(cls.package)


class Gpurec(Contender):
    """Ours, an index made once."""

    name, package, own_environment = "gpurec", "gpurec", False

    def build(self, items: np.ndarray) -> None:
        import gpurec

        self.index = gpurec.ItemIndex(items)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        found = self.index.search(queries, k)
        return found.rows, found.scores


class GpurecOneShot(Contender):
    """Ours without an index: checks, preparation and search in each call."""

    name, package, own_environment = "gpurec-one-shot", "gpurec", False

    def build(self, items: np.ndarray) -> None:
        self.items = items

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        import gpurec

        found = gpurec.score_top_k(queries, self.items, k)
        return found.rows, found.scores


class Numpy(Contender):
    """Matrix product, argpartition, sort."""

    name, package = "numpy", "numpy"

    def build(self, items: np.ndarray) -> None:
        self.items = items

    def settings(self, n_queries: int) -> list[Setting]:
        return [{"piece": piece} for piece in _pieces(n_queries, len(self.items))]

    def search(self, queries: np.ndarray, k: int, piece: int = 1) -> tuple[np.ndarray, np.ndarray]:
        rows = np.empty((len(queries), k), np.int64)
        best = np.empty((len(queries), k), np.float32)
        for first in range(0, len(queries), piece):
            scores = queries[first : first + piece] @ self.items.T
            found = np.argpartition(scores, len(self.items) - k, axis=1)[:, -k:]
            values = np.take_along_axis(scores, found, axis=1)
            order = np.argsort(-values, axis=1)
            rows[first : first + piece] = np.take_along_axis(found, order, axis=1)
            best[first : first + piece] = np.take_along_axis(values, order, axis=1)
        return rows, best


class NumpyHere(Numpy):
    """The same with the NumPy that lies beside gpurec, for runs without the rivals' environment."""

    name, own_environment = "numpy-here", False


class Torch(Contender):
    """Matrix product and topk."""

    name, package = "torch", "torch"

    def build(self, items: np.ndarray) -> None:
        import torch

        torch.set_num_threads(self.n_threads)
        self.torch = torch
        self.items = torch.from_numpy(items)

    def settings(self, n_queries: int) -> list[Setting]:
        return [{"piece": piece} for piece in _pieces(n_queries, len(self.items))]

    def search(self, queries: np.ndarray, k: int, piece: int = 1) -> tuple[np.ndarray, np.ndarray]:
        with self.torch.inference_mode():
            parts = [
                (self.torch.from_numpy(queries[first : first + piece]) @ self.items.T).topk(k)
                for first in range(0, len(queries), piece)
            ]
            rows = self.torch.cat([part.indices for part in parts])
            scores = self.torch.cat([part.values for part in parts])
        return rows.numpy(), scores.numpy()


class Faiss(Contender):
    """IndexFlatIP with its own kernel (batches below eight times the width) or with BLAS, the faster one.

    Its speed differs from one process to the next: the best of three counts.
    """

    name, package, processes = "faiss-tuned", "faiss-cpu", 3

    def build(self, items: np.ndarray) -> None:
        import faiss

        faiss.omp_set_num_threads(self.n_threads)
        self.faiss = faiss
        self.index = faiss.IndexFlatIP(items.shape[1])
        self.index.add(items)

    def settings(self, n_queries: int) -> list[Setting]:
        return [{"blas_from": self.index.d * 8}, {"blas_from": 20}][: 1 if n_queries < 20 else 2]

    def search(self, queries: np.ndarray, k: int, blas_from: int = 20) -> tuple[np.ndarray, np.ndarray]:
        self.faiss.cvar.distance_compute_blas_threshold = blas_from
        scores, rows = self.index.search(queries, k)
        return rows, scores


class Scann(Contender):
    """Brute force in float32; its parallel search cuts a batch into pieces, its plain one does not."""

    name, package = "scann-core", "scann-core"

    def build(self, items: np.ndarray) -> None:
        import scann

        builder = scann.scann_ops_pybind.builder(items, 10, "dot_product")
        self.searcher = builder.score_brute_force(quantize=False).build()
        self.searcher.set_num_threads(self.n_threads)

    def settings(self, n_queries: int) -> list[Setting]:
        sizes = {min(256, -(-n_queries // (parts * self.n_threads))) for parts in (1, 4)}
        return [{"batch_size": size} for size in [0, *sorted(sizes)]]

    def search(self, queries: np.ndarray, k: int, batch_size: int = 0) -> tuple[np.ndarray, np.ndarray]:
        if batch_size == 0:
            return self.searcher.search_batched(queries, k)
        return self.searcher.search_batched_parallel(queries, k, batch_size=batch_size)


class Implicit(Contender):
    """The top-k that its recommenders call, with threads of its own and those of BLAS."""

    name, package = "implicit", "implicit"

    def build(self, items: np.ndarray) -> None:
        from implicit.cpu.topk import topk

        self.topk = topk
        self.items = items

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        return self.topk(self.items, queries, k)


class ImplicitOneBlasThread(Implicit):
    """The same, its own threads not multiplied by those of BLAS."""

    name = "implicit-1t"
    variables: ClassVar[dict[str, str]] = {"OPENBLAS_NUM_THREADS": "1"}


CONTENDERS: dict[str, type[Contender]] = {
    kind.name: kind
    for kind in (
        Gpurec,
        GpurecOneShot,
        Numpy,
        NumpyHere,
        Torch,
        Faiss,
        Scann,
        Implicit,
        ImplicitOneBlasThread,
    )
}


def _pieces(n_queries: int, n_items: int) -> list[int]:
    """Sizes of pieces of a batch worth trying: as large as the byte limit allows, and an eighth of that."""
    most = max(1, min(n_queries, _MATRIX_BYTES // (4 * n_items)))
    return sorted({most, max(1, most // 8)})

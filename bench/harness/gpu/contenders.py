"""Who answers a workload on a GPU: each keeps items there and hands back what searches and waits."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["CONTENDERS", "STAND_INS", "Ask"]

# One search, waited for, that returns rows in host memory where asked: run(True).
Run = Callable[[bool], "np.ndarray | None"]
# (queries, k, (indptr, indices) to exclude or None) -> Run
Ask = Callable[[np.ndarray, int, "tuple[np.ndarray, np.ndarray] | None"], Run]


def ours(precision: str, backend: str) -> Callable[[np.ndarray], Ask]:
    """An index of ours; queries and exclusions lie on the device where a library of arrays is there."""

    def ready(items: np.ndarray) -> Ask:
        import gpurec

        index = gpurec.ItemIndex(items, precision=precision, backend=backend)
        to_device, wait = _array_library() if backend != "cuda_emulated" else (None, None)

        def ask(queries: np.ndarray, k: int, exclude: Any) -> Run:
            if to_device is not None and wait is not None:
                queries, exclude = to_device(queries), exclude and tuple(map(to_device, exclude))

            def run(answer: bool) -> np.ndarray | None:
                found = index.search(queries, k, exclude=exclude)
                if wait is not None:
                    wait()
                return _host(found.check().rows) if answer else None

            return run

        return ask

    return ready


def graph(precision: str) -> Callable[[np.ndarray], Ask]:
    """The same as a CUDA graph that is launched again and again: what a server with fixed shapes would do."""

    def ready(items: np.ndarray) -> Ask:
        import gpurec

        backend = gpurec.backends.get("cuda")
        index = gpurec.ItemIndex(items, precision=precision, backend=backend)
        torch = importlib.import_module("torch")

        def ask(queries: np.ndarray, k: int, exclude: Any) -> Run:
            q = torch.from_numpy(queries).cuda()
            pair = exclude and tuple(torch.from_numpy(part).cuda() for part in exclude)
            index.search(q, k, exclude=pair)
            index.reserve(len(queries), k)
            torch.cuda.synchronize()
            made = torch.cuda.CUDAGraph()
            with torch.cuda.graph(made):
                found = index.search(q, k, exclude=pair)

            def run(answer: bool) -> np.ndarray | None:
                made.replay()
                torch.cuda.synchronize()
                return found.rows.cpu().numpy() if answer else None

            return run

        return ask

    return ready


def _array_library() -> tuple[Any, Any]:
    """To a device, and wait for it, by PyTorch or CuPy; (None, None) without them."""
    try:
        torch = importlib.import_module("torch")
        if torch.cuda.is_available():
            return (lambda array: torch.from_numpy(array).cuda()), torch.cuda.synchronize
    except ImportError:
        pass
    try:
        cupy = importlib.import_module("cupy")
        return cupy.asarray, lambda: cupy.cuda.get_current_stream().synchronize()
    except (ImportError, RuntimeError):
        return None, None


def _host(array: Any) -> np.ndarray:
    return array.get() if hasattr(array, "get") else array.cpu().numpy() if hasattr(array, "cpu") else array


def _pieces(n_queries: int, n_items: int) -> int:
    """Queries whose scores take 4 GB."""
    return max(1, min(n_queries, (1 << 30) // n_items))


def with_cupy(items: np.ndarray) -> Ask:
    cupy = importlib.import_module("cupy")
    x = cupy.asarray(items)

    def ask(queries: np.ndarray, k: int, exclude: Any) -> Run:
        q, step = cupy.asarray(queries), _pieces(len(queries), len(items))
        owner = None
        if exclude is not None:
            owner = cupy.asarray(np.repeat(np.arange(len(queries)), np.diff(exclude[0])))
            denied = cupy.asarray(exclude[1])

        def run(answer: bool) -> np.ndarray | None:
            rows = []
            for first in range(0, len(q), step):
                scores = q[first : first + step] @ x.T
                if owner is not None:
                    here = (owner >= first) & (owner < first + step)
                    scores[owner[here] - first, denied[here]] = -cupy.inf
                best = cupy.argpartition(-scores, min(k, len(items) - 1), axis=1)[:, :k]
                order = cupy.argsort(-cupy.take_along_axis(scores, best, axis=1), axis=1)
                rows.append(cupy.take_along_axis(best, order, axis=1))
            cupy.cuda.get_current_stream().synchronize()
            return cupy.concatenate(rows).get() if answer else None

        return run

    return ask


def with_torch(items: np.ndarray) -> Ask:
    torch = importlib.import_module("torch")
    x = torch.from_numpy(items).cuda()

    def ask(queries: np.ndarray, k: int, exclude: Any) -> Run:
        q, step = torch.from_numpy(queries).cuda(), _pieces(len(queries), len(items))
        owner = None
        if exclude is not None:
            owner = torch.from_numpy(np.repeat(np.arange(len(queries)), np.diff(exclude[0]))).cuda()
            denied = torch.from_numpy(exclude[1]).cuda()

        def run(answer: bool) -> np.ndarray | None:
            rows = []
            for first in range(0, len(q), step):
                scores = q[first : first + step] @ x.T
                if owner is not None:
                    here = (owner >= first) & (owner < first + step)
                    scores[owner[here] - first, denied[here]] = -torch.inf
                rows.append(torch.topk(scores, k, dim=1).indices)
            torch.cuda.synchronize()
            return torch.cat(rows).cpu().numpy() if answer else None

        return run

    return ask


def with_faiss(items: np.ndarray) -> Ask:
    faiss = importlib.import_module("faiss")
    index = faiss.GpuIndexFlatIP(faiss.StandardGpuResources(), items.shape[1])
    index.add(items)

    def ask(queries: np.ndarray, k: int, exclude: Any) -> Run:
        if exclude is not None or k > 2048:
            raise NotImplementedError("no exclusions, and k up to 2048")
        return lambda answer: index.search(queries, k)[1] if answer else index.search(queries, k) and None

    return ask


def with_cuvs(items: np.ndarray) -> Ask:
    cupy = importlib.import_module("cupy")
    brute_force = importlib.import_module("cuvs.neighbors.brute_force")
    index = brute_force.build(cupy.asarray(items), metric="inner_product")

    def ask(queries: np.ndarray, k: int, exclude: Any) -> Run:
        if exclude is not None:
            raise NotImplementedError("no exclusion lists")
        q = cupy.asarray(queries)

        def run(answer: bool) -> np.ndarray | None:
            _, rows = brute_force.search(index, q, k)
            cupy.cuda.get_current_stream().synchronize()
            return cupy.asarray(rows).get() if answer else None

        return run

    return ask


def with_implicit(items: np.ndarray) -> Ask:
    gpu = importlib.import_module("implicit.gpu")
    knn, x = gpu.KnnQuery(), gpu.Matrix(items)

    def ask(queries: np.ndarray, k: int, exclude: Any) -> Run:
        if exclude is not None:
            raise NotImplementedError("exclusions of another form")
        q = gpu.Matrix(queries)
        return lambda answer: knn.topk(x, q, k)[0] if answer else knn.topk(x, q, k) and None

    return ask


def with_numpy(items: np.ndarray) -> Ask:
    """Stands in for a rival where there is no GPU."""

    def ask(queries: np.ndarray, k: int, exclude: Any) -> Run:
        def run(answer: bool) -> np.ndarray | None:
            scores = queries @ items.T
            if exclude is not None:
                scores[np.repeat(np.arange(len(queries)), np.diff(exclude[0])), exclude[1]] = -np.inf
            rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
            return rows if answer else None

        return run

    return ask


def that_crashes(items: np.ndarray) -> Ask:
    os.abort()


CONTENDERS: dict[str, Callable[[np.ndarray], Ask]] = {
    "gpurec-int8": ours("int8", "cuda"),
    "gpurec-fp32": ours("fp32", "cuda"),
    "gpurec-int8-graph": graph("int8"),
    "gpurec-on-cupy": ours("fp32", "cupy"),
    "cupy": with_cupy,
    "torch": with_torch,
    "cuvs": with_cuvs,
    "faiss": with_faiss,
    "implicit": with_implicit,
}
STAND_INS: dict[str, Callable[[np.ndarray], Ask]] = {
    "gpurec-int8": ours("int8", "cuda_emulated"),
    "gpurec-fp32": ours("fp32", "cuda_emulated"),
    "stand-in": with_numpy,
    "stand-in-that-crashes": that_crashes,
}

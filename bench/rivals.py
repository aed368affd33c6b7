"""The libraries that gpurec is measured against, each behind `build(items)` and `search(queries, k)`.

python bench/rivals.py --setup    make build/rivals, the environment they live in
python bench/rivals.py --check    import and try each of them there
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

__all__ = ["CONTENDERS", "Contender", "environment_python", "environment_variables"]

_ROOT = Path(__file__).resolve().parents[1]
_ENVIRONMENT = _ROOT / "build" / "rivals"
_REQUIREMENTS = Path(__file__).with_name("requirements-rivals.txt")
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
    """IndexFlatIP with its own kernel for batches below eight times the width, BLAS above.

    Its speed differs from one process to the next: the best of three counts.
    """

    name, package, processes = "faiss-tuned", "faiss-cpu", 3

    def build(self, items: np.ndarray) -> None:
        import faiss

        faiss.omp_set_num_threads(self.n_threads)
        faiss.cvar.distance_compute_blas_threshold = 8 * items.shape[1]
        self.index = faiss.IndexFlatIP(items.shape[1])
        self.index.add(items)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
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
RIVALS = [kind for kind in CONTENDERS.values() if kind.own_environment]


def _pieces(n_queries: int, n_items: int) -> list[int]:
    """Sizes of pieces of a batch worth trying: as large as the byte limit allows, and an eighth of that."""
    most = max(1, min(n_queries, _MATRIX_BYTES // (4 * n_items)))
    return sorted({most, max(1, most // 8)})


def environment_python() -> Path:
    """The interpreter of the rivals' environment.

    Raises
    ------
    RuntimeError
        If the environment has not been made.
    """
    python = _ENVIRONMENT / "bin" / "python"
    if not python.exists():
        raise RuntimeError(
            f"[rivals] expected the rivals' environment in {_ENVIRONMENT.relative_to(_ROOT)}; "
            "run python bench/rivals.py --setup"
        )
    return python


def environment_variables(kind: type[Contender], n_threads: int) -> dict[str, str]:
    """Variables of a contender's process: the caller's without any that steers BLAS or OpenMP, plus its own.

    OpenBLAS is held to its AVX-512 kernels where the processor has AVX-512.
    """
    steering = ("OPENBLAS_", "GOTO_", "OMP_", "GOMP_", "KMP_", "MKL_", "BLIS_", "NVPL_", "GPUREC_")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "GPUREC_NUM_THREADS"):
        variables[name] = str(n_threads)
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and " avx512dq " in cpuinfo.read_text():
        variables["OPENBLAS_CORETYPE"] = "SkylakeX"
    return {**variables, **kind.variables}


def set_up() -> None:
    """Make the rivals' environment anew from requirements-rivals.txt and try every rival in it."""
    shutil.rmtree(_ENVIRONMENT, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(_ENVIRONMENT)], check=True)
    python = str(environment_python())
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", str(_REQUIREMENTS)], check=True)
    check()


def check() -> None:
    """Let every rival answer a small search in its environment.

    Raises
    ------
    RuntimeError
        If one does not import or answers wrongly; it is named.
    """
    for kind in RIVALS:
        command = [str(environment_python()), __file__, "--try", kind.name]
        done = subprocess.run(command, env=environment_variables(kind, 2), capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"[rivals] {kind.name} does not work:\n{done.stderr.strip()}")
        print(f"{kind.name} {done.stdout.strip()}")


def _try(name: str) -> None:
    items = np.eye(64, dtype=np.float32)[::-1].copy() * np.arange(1, 65, dtype=np.float32)[:, None]
    contender = CONTENDERS[name](2)
    contender.build(items)
    for setting in contender.settings(16):
        rows, scores = contender.search(np.ones((16, 64), np.float32), 3, **setting)
        if np.asarray(rows).tolist() != [[63, 62, 61]] * 16 or np.asarray(scores)[0, 0] != 64.0:
            raise RuntimeError(f"[rivals] {name} {setting} answers {np.asarray(rows)[0].tolist()}")
    print(contender.version())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--setup", action="store_true")
    action.add_argument("--check", action="store_true")
    action.add_argument("--try", dest="name", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.name:
        _try(arguments.name)
    elif arguments.setup:
        set_up()
    else:
        check()


if __name__ == "__main__":
    main()

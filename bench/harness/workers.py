"""A contender in a process of its own, which answers requests in turn and sleeps in between.

Libraries of one process share BLAS settings and thread pools; here each has its own.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from . import BENCH, RIVALS_FOLDER, ROOT
from .contenders import CONTENDERS
from .data.filters import inputs
from .ours import Contender, Found, Setting
from .timing import typical

__all__ = ["Worker", "environment_python", "environment_variables"]

# A search that takes longer than this is not run once more only to warm it up.
_LONG = 0.5


def environment_python() -> Path:
    """The interpreter of the rivals' environment.

    Raises
    ------
    RuntimeError
        If the environment has not been made.
    """
    python = RIVALS_FOLDER / "bin" / "python"
    if not python.exists():
        raise RuntimeError(
            f"[rivals] expected the rivals' environment in {RIVALS_FOLDER.relative_to(ROOT)}; "
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
    variables["PYTHONPATH"] = str(BENCH)  # where the contender finds this package
    return {**variables, **kind.variables}


class Worker:
    """Starts the process of one contender and hands it requests."""

    def __init__(self, name: str, n_threads: int) -> None:
        kind = CONTENDERS[name]
        python = str(environment_python()) if kind.own_environment else sys.executable
        self.name = name
        self._process = subprocess.Popen(
            [python, "-m", __name__, name, str(n_threads)],
            env=environment_variables(kind, n_threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.version: str = self.ask("version")

    def ask(self, action: str, **arguments: Any) -> Any:
        """The contender's answer to one request.

        Raises
        ------
        RuntimeError
            If the contender fails or its process has ended.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"action": action, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"[rivals] {self.name}: its process ended with {self._process.wait()}")
        reply = json.loads(line)
        if "error" in reply:
            raise RuntimeError(f"[rivals] {self.name}: {reply['error']}")
        return reply["result"]

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class _Served:
    """The other end: what a request does."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.filters: dict[str, np.ndarray] = {}
        self.settings: dict[tuple[str, int, int], Setting] = {}
        self.next = 0

    def version(self) -> str:
        return self.contender.version()

    def build(self, items: str, queries: str, filters: str | None = None) -> float:
        # Read rather than mapped: a contender that searches the caller's array gets memory in large pages.
        table, self.queries = np.load(items), np.load(queries)
        if filters is not None:
            self.filters = dict(np.load(filters))
        start = time.perf_counter()
        self.contender.build(table)
        return time.perf_counter() - start

    def n_bytes(self) -> int | None:
        return self.contender.n_bytes()

    def can(self, job: str) -> bool:
        return hasattr(self.contender, job)

    def tune(self, job: str, n_queries: int, k: int) -> dict[str, Any]:
        """Keep the fastest setting for this cell; tells it and the seconds of one search."""
        best: tuple[float, Setting] | None = None
        for setting in self.contender.settings(n_queries, job):
            self.settings[job, n_queries, k] = setting
            seconds = self._search(job, n_queries, k)
            if seconds < _LONG:
                seconds = min(self._search(job, n_queries, k) for _ in range(5))
            if best is None or seconds < best[0]:
                best = (seconds, setting)
        assert best is not None
        self.settings[job, n_queries, k] = best[1]
        return {"seconds": best[0], "setting": best[1]}

    def turn(self, job: str, n_queries: int, k: int, n_calls: int) -> float:
        """Typical seconds of n_calls searches, each of other queries than the one before."""
        gc.collect()
        gc.disable()
        try:
            if n_calls > 1:
                self._search(job, n_queries, k)
            seconds = [self._search(job, n_queries, k) for _ in range(n_calls)]
            return typical(seconds)
        finally:
            gc.enable()

    def answer(self, job: str, n_queries: int, k: int, n_answers: int, file: str) -> None:
        """Write what was found for the first n_answers queries or more, searched n_queries at a time."""
        self.settings.setdefault((job, n_queries, k), {})
        found = [self._timed(job, first, n_queries, k)[1] for first in range(0, n_answers, n_queries)]
        rows, scores = (np.concatenate([np.asarray(part) for part in parts]) for parts in zip(*found))
        np.savez(file, rows=rows.astype(np.int64), scores=scores)

    def _search(self, job: str, n_queries: int, k: int) -> float:
        if self.next + n_queries > len(self.queries):
            self.next = 0
        seconds, _ = self._timed(job, self.next, n_queries, k)
        self.next += n_queries
        return seconds

    def _timed(self, job: str, first: int, n_queries: int, k: int) -> tuple[float, Found]:
        method = getattr(self.contender, job)
        queries = self.queries[first : first + n_queries]
        arguments = {**inputs(self.filters, job, first, n_queries), **self.settings[job, n_queries, k]}
        start = time.perf_counter()
        found = method(queries, k, **arguments)
        return time.perf_counter() - start, found


def serve(name: str, n_threads: int) -> None:
    """Answer requests, one JSON object a line, until the input ends."""
    # What a library prints must not get between the replies.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    served = _Served(CONTENDERS[name](n_threads))
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = {"result": getattr(served, request.pop("action"))(**request)}
        except Exception:
            reply = {"error": traceback.format_exc()}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))

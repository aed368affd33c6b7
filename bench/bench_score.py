"""Whole matrices of scores beside NumPy and PyTorch and beside the machine's limits.

python bench/bench_score.py            writes bench/results/score.{json,md}
python bench/bench_score.py --quick    small, beside NumPy; writes nothing
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from harness.contenders import CONTENDERS
from harness.limits import Limits
from harness.tables import number, rounds_text, spread_text, table, where_measured
from harness.timing import machine, milliseconds, ratio, spread, take_turns
from harness.workers import environment_python, environment_variables

_RESULTS = Path(__file__).parent / "results"
# Queries, items, components. The last two: rows that begin at no cache line in common, and few queries.
GRID = [
    (1024, 20_000, 64),
    (4096, 4096, 16),
    (4096, 4096, 64),
    (4096, 4096, 256),
    (1000, 10_001, 64),
    (64, 100_000, 64),
]
QUICK = [(300, 2000, 32), (200, 1001, 64)]
OURS = ("dot", "cosine", "pearson", "euclidean", "euclidean near", "new array")
_TURN_SECONDS = 0.25
# Rows of the matrix that contenders are compared on.
_N_COMPARED = 8


def matrices(contender: str, cell: list[int]) -> dict[str, Callable[[], Any]]:
    """What a contender can do with a cell: functions that write the matrix into an array made before."""
    n_queries, n_items, d = cell
    rng = np.random.default_rng(cell)
    queries, items = (rng.standard_normal((n, d), dtype=np.float32) for n in (n_queries, n_items))
    out = np.zeros((n_queries, n_items), np.float32)
    if contender == "torch":
        torch = importlib.import_module("torch")
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        q, x, scores = (torch.from_numpy(array) for array in (queries, items, out))
        return {"dot": lambda: torch.mm(q, x.T, out=scores).numpy()}
    if contender != "gpurec":
        return {"dot": lambda: np.matmul(queries, items.T, out=out)}
    gpurec = importlib.import_module("gpurec")
    near = queries + np.float32(4), items + np.float32(4)  # every pair is close: summed again in float64
    metrics = {
        m: partial(gpurec.similarity, queries, items, metric=m, out=out)
        for m in ("cosine", "pearson", "euclidean")
    }
    return {
        "dot": lambda: gpurec.score(queries, items, out=out),
        **metrics,
        "euclidean near": lambda: gpurec.similarity(*near, metric="euclidean", out=out),
        "new array": lambda: gpurec.score(queries, items),
    }


def serve(contender: str) -> None:
    """Answer requests, one JSON list a line: make a cell ready, time a job, save rows of a job's matrix."""
    jobs: dict[str, Callable[[], Any]] = {}
    for line in sys.stdin:
        action, *arguments = json.loads(line)
        reply: Any = None
        if action == "cell":
            jobs = matrices(contender, *arguments)
            reply = list(jobs)
        elif action == "turn":
            reply = _turn(jobs[arguments[0]])
        else:
            np.save(arguments[1], jobs[arguments[0]]()[:_N_COMPARED])
        print(json.dumps(reply), flush=True)


def _turn(job: Callable[[], Any]) -> float:
    """Median seconds of the calls of a turn, the first one left out unless it is one long call."""
    seconds: list[float] = []
    while sum(seconds) < _TURN_SECONDS:
        start = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - start)
    return median(seconds[1:] or seconds)


class Server:
    """The process of a contender, which has BLAS and threads to itself."""

    def __init__(self, contender: str, n_threads: int) -> None:
        kind = CONTENDERS[contender]
        python = str(environment_python()) if kind.own_environment else sys.executable
        command = [python, __file__, "--serve", contender]
        variables = environment_variables(kind, n_threads)
        self._process = subprocess.Popen(
            command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, *request: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"[bench] a contender ended with {self._process.wait()} at {request}")
        return json.loads(line)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def measure(
    cell: tuple[int, int, int], servers: dict[str, Server], limits: Limits, n_rounds: int
) -> dict[str, Any]:
    """One line of the tables.

    Raises
    ------
    RuntimeError
        If two contenders' matrices differ by more than rounding: nobody is timed on a wrong answer.
    """
    n_queries, n_items, d = cell
    turns: dict[str, Callable[[], float]] = {}
    rows: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, server in servers.items():
            for job in server.ask("cell", cell):
                turns[job if name == "gpurec" else name] = partial(server.ask, "turn", job)
            server.ask("save", "dot", f"{folder}/{name}.npy")
            rows[name] = np.load(f"{folder}/{name}.npy")
    for name, matrix in rows.items():
        if not np.allclose(matrix, rows["gpurec"], rtol=0, atol=1e-5 * d):
            raise RuntimeError(f"[bench] {name} and gpurec disagree on {cell}")
    turns |= {"flops": limits.flops, "write": limits.write_rate}
    figures = take_turns(turns, n_rounds)
    seconds = {name: rounds for name, rounds in figures.items() if name not in ("flops", "write")}
    by_flops = [2 * n_queries * n_items * d / rate for rate in figures["flops"]]
    by_write = [4 * n_queries * n_items / rate for rate in figures["write"]]
    floor = [max(pair) for pair in zip(by_flops, by_write)]
    best = min((name for name in seconds if name not in OURS), key=lambda name: median(seconds[name]))
    return {
        "n_queries": n_queries,
        "n_items": n_items,
        "d": d,
        "gflops": spread([rate / 1e9 for rate in figures["flops"]]),
        "write_gb_per_s": spread([rate / 1e9 for rate in figures["write"]]),
        "floor_ms": milliseconds(floor),
        "bound_by": "writes" if median(by_write) > median(by_flops) else "multiply-adds",
        "ms": {name: milliseconds(rounds) for name, rounds in seconds.items()},
        "fraction": {name: ratio(floor, seconds[name]) for name in OURS},
        "best_rival": best,
        "to_best": {name: ratio(seconds[name], seconds[best]) for name in OURS},
    }


def run(cells: list[tuple[int, int, int]], rivals: list[str], n_rounds: int) -> dict[str, Any]:
    n_threads = len(os.sched_getaffinity(0))
    result: dict[str, Any] = {"machine": machine(n_threads), "rounds": n_rounds, "cells": []}
    servers = {name: Server(name, n_threads) for name in ("gpurec", *rivals)}
    limits = Limits(1 << 28, n_threads)
    try:
        for cell in cells:
            result["cells"].append(measure(cell, servers, limits, n_rounds))
    finally:
        for server in servers.values():
            server.close()
    return result


def markdown(result: dict[str, Any]) -> str:
    cells = result["cells"]
    rivals = [name for name in cells[0]["ms"] if name not in OURS]
    limits = [["queries x items x d", "floor, ms", "set by", "GFLOP/s", "writes, GB/s"]]
    limits[0] += [f"{name}, of the floor" for name in OURS]
    times = [
        ["queries x items x d", *(f"{name}, ms" for name in (*OURS, *rivals)), "best rival", "dot / best"]
    ]
    for cell in cells:
        size = f"{cell['n_queries']:,} x {cell['n_items']:,} x {cell['d']}"
        rates = (number(cell[rate]["median"]) for rate in ("gflops", "write_gb_per_s"))
        fractions = (number(cell["fraction"][name]["median"]) for name in OURS)
        limits.append([size, number(cell["floor_ms"]["median"]), cell["bound_by"], *rates, *fractions])
        ms = (number(cell["ms"][name]["median"]) for name in (*OURS, *rivals))
        times.append([size, *ms, cell["best_rival"], spread_text(cell["to_best"]["dot"])])
    parts = [
        "# Whole matrices of scores",
        f"{where_measured(result['machine'])} {rounds_text(result['rounds'])} Normal random rows, float32. "
        "Every contender writes into an array made before, except in `new array`. `euclidean near`: rows so "
        "close together that all distances are summed in float64. The floor is the longer of 4 bytes written "
        "a score and 2 d operations a score, at the rates measured in the same rounds.",
        table(limits[0], limits[1:]),
        table(times[0], times[1:]),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small, NumPy only, nothing written")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=_RESULTS, help="folder of the results")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
    elif arguments.quick:
        print(markdown(run(QUICK, ["numpy-here"], n_rounds=3)))
    else:
        result = run(GRID, ["numpy", "torch"], arguments.rounds)
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "score.json").write_text(json.dumps(result, indent=1) + "\n")
        (arguments.out / "score.md").write_text(markdown(result))
        print(markdown(result))


if __name__ == "__main__":
    main()

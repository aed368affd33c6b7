"""The most similar rows of sparse matrices beside sparse-dot-topn and implicit: cosine, k=100.

python bench/bench_gram_top_k.py            5 M entries anywhere and skewed, gowalla, ml-100k; writes results
python bench/bench_gram_top_k.py --quick    small, ours alone; writes nothing

Each contender lives in a process of its own. A figure is one call of it on a matrix made ready before: rows
over their norms in float32 (sparse-dot-topn) or float64 (implicit's all_pairs_knn) and their transpose are
not counted, while ours is given the raw matrix. They count the row itself among its neighbours and are asked
for one more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from harness import BENCH
from harness.tables import number, rounds_text, spread_text, table, where_measured
from harness.timing import machine, ratio, spread, take_turns

_RESULTS = Path(__file__).parent / "results"
_DATA = Path(os.environ.get("GPUREC_DATA", BENCH.parents[1] / "shared" / "data"))
K = 100


def uniform(n_rows: int, n_columns: int, n_entries: int) -> sp.csr_matrix:
    """Entries anywhere, values in 0.1..1.1."""
    rng = np.random.default_rng(0)
    return _matrix(
        rng, rng.integers(0, n_rows, n_entries), rng.integers(0, n_columns, n_entries), n_rows, n_columns
    )


def skewed(n_rows: int, n_columns: int, n_entries: int) -> sp.csr_matrix:
    """Lognormal rows, and columns as popular as 1 / (30 + rank)."""
    rng = np.random.default_rng(0)
    active = rng.lognormal(0, 1, n_rows)
    popular = rng.permutation(1 / (30.0 + np.arange(n_columns)))
    rows = rng.choice(n_rows, n_entries, p=active / active.sum())
    columns = rng.choice(n_columns, n_entries, p=popular / popular.sum())
    return _matrix(rng, rows, columns, n_rows, n_columns)


def _matrix(rng, rows, columns, n_rows, n_columns) -> sp.csr_matrix:
    places = np.unique(rows.astype(np.int64) * n_columns + columns)
    values = rng.random(len(places), dtype=np.float32) + np.float32(0.1)
    return sp.csr_matrix((values, (places // n_columns, places % n_columns)), shape=(n_rows, n_columns))


def gowalla() -> sp.csr_matrix:
    """Users by items of the training part, all 1."""
    lists = [line.split() for line in (_DATA / "gowalla" / "train.txt").read_text().splitlines()]
    users = np.concatenate([np.full(len(items) - 1, int(items[0])) for items in lists])
    items = np.concatenate([np.array(items[1:], np.int64) for items in lists])
    return sp.csr_matrix((np.ones(len(users), np.float32), (users, items)))


def ml_100k() -> sp.csr_matrix:
    """Users by items, ratings 1 to 5."""
    users, items, ratings, _ = np.loadtxt(_DATA / "ml-100k" / "u.data", np.int64).T
    return sp.csr_matrix((ratings.astype(np.float32), (users - 1, items - 1)))


class Contender:
    """What one library does with a matrix; `run` gives rows and scores, the row itself among them or not."""

    def __init__(self, name: str, x: sp.csr_matrix, stride: int, n_threads: int) -> None:
        self.asked = np.arange(0, x.shape[0], stride)
        self.run: Callable[[], Any] = getattr(self, "_" + name.partition(" ")[0].replace("-", "_"))(
            x, n_threads if name.endswith("t") else 1
        )

    def _gpurec(self, x: sp.csr_matrix, n_threads: int) -> Callable[[], Any]:
        import gpurec
        from gpurec.backends.cpu import CpuBackend

        rows = None if len(self.asked) == x.shape[0] else self.asked
        return partial(gpurec.gram_top_k, x, K, rows=rows, backend=CpuBackend(n_threads=n_threads))

    def _sparse_dot_topn(self, x: sp.csr_matrix, n_threads: int) -> Callable[[], Any]:
        from sparse_dot_topn import sp_matmul_topn

        unit = _unit_rows(x, np.float32)
        return partial(
            sp_matmul_topn, unit[self.asked], unit.T.tocsr(), top_n=K + 1, sort=True, n_threads=n_threads
        )

    def _implicit(self, x: sp.csr_matrix, n_threads: int) -> Callable[[], Any]:
        from implicit._nearest_neighbours import all_pairs_knn

        return partial(all_pairs_knn, _unit_rows(x, np.float64).T.tocsr(), K + 1, n_threads, False)

    def timed(self) -> dict[str, float]:
        """Seconds of the clock and of the processor that one call takes."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.answer = self.run()
        return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}

    def scores(self, n: int) -> list[list[float]]:
        """Scores of the first n rows asked about, best first, without the row itself."""
        if hasattr(self.answer, "rows"):
            return [[float(s) for s in row if s > -np.inf] for row in self.answer.scores[:n]]
        found = self.answer.tocsr()
        out = []
        for i, row in enumerate(self.asked[:n].tolist()):
            part = slice(found.indptr[i], found.indptr[i + 1])
            others = found.data[part][found.indices[part] != row]
            out.append(np.sort(others)[::-1][:K].astype(float).tolist())
        return out


def _unit_rows(x: sp.csr_matrix, dtype: type) -> sp.csr_matrix:
    norms = np.sqrt(np.asarray(x.astype(np.float64).power(2).sum(axis=1)).ravel())
    unit = sp.diags(1 / np.where(norms > 0, norms, 1)) @ x.astype(np.float64)
    return unit.tocsr().astype(dtype)


class Worker:
    """The process of a contender."""

    def __init__(self, name: str, matrix: Path, stride: int, n_threads: int) -> None:
        python = sys.executable
        if not name.startswith("gpurec"):
            from harness.workers import environment_python

            python = str(environment_python())
        command = [python, __file__, "--worker", name, str(matrix), str(stride), str(n_threads)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.cpu: list[float] = []

    def ask(self, what: str) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def seconds(self) -> float:
        found = self.ask("timed")
        self.cpu.append(found["cpu"])
        return found["wall"]

    def close(self) -> None:
        self._process.communicate("")


def serve(name: str, matrix: str, stride: str, n_threads: str) -> None:
    """Answer requests from standard input until it ends."""
    contender = Contender(name, sp.load_npz(matrix).tocsr(), int(stride), int(n_threads))
    for line in sys.stdin:
        answer = contender.timed() if line.strip() == "timed" else contender.scores(200)
        print(json.dumps(answer), flush=True)


def measure(x: sp.csr_matrix, stride: int, names: list[str], n_rounds: int, n_threads: int) -> dict[str, Any]:
    """Figures of each contender in turn, and the share of its scores that are ours."""
    with tempfile.TemporaryDirectory() as folder:
        matrix = Path(folder) / "x.npz"
        sp.save_npz(matrix, x, compressed=False)
        workers = {name: Worker(name, matrix, stride, n_threads) for name in names}
        for worker in workers.values():
            if x.nnz * x.nnz / x.shape[1] < 1e8:  # a first call loads what is loaded later
                worker.seconds()
                worker.cpu.clear()
        wall = take_turns({name: worker.seconds for name, worker in workers.items()}, n_rounds)
        scores = {name: worker.ask("scores") for name, worker in workers.items()}
        cpu = {name: worker.cpu for name, worker in workers.items()}
        for worker in workers.values():
            worker.close()
    ours = "gpurec all t"
    return {
        "shape": x.shape,
        "entries": int(x.nnz),
        "products": int((np.bincount(x.indices).astype(np.int64) ** 2).sum()),
        "asked": len(range(0, x.shape[0], stride)),
        "seconds": {name: spread(figures) for name, figures in wall.items()},
        "cpu": {name: spread(figures) for name, figures in cpu.items()},
        "ours_to": {name: ratio(wall[ours], figures) for name, figures in wall.items()},
        "cpu_to": {name: ratio(cpu["gpurec 1"], figures) for name, figures in cpu.items()},
        "same_scores": {name: _share(scores[ours], theirs) for name, theirs in scores.items()},
    }


def _share(ours: list[list[float]], theirs: list[list[float]]) -> float:
    """Of our scores, place by place, those that theirs equal to a few roundings of float32."""
    same = [
        abs(a - b) <= 2e-6 * max(abs(a), 1e-3)
        for mine, other in zip(ours, theirs)
        for a, b in zip(mine, other + [np.inf] * (len(mine) - len(other)))
    ]
    return float(np.mean(same)) if same else 1.0


def markdown(result: dict[str, Any]) -> str:
    parts = [
        "# The most similar rows of sparse matrices",
        f"{where_measured(result['machine'])} {rounds_text(result['rounds'])} Cosine, k={K}. `1` is one "
        "thread, `all t` as many as there are cores. Ratios are ours beside each: of the clock, all threads; "
        "of the processor's time, ours on one thread. Scores equal: places of 200 rows whose score is ours "
        "to a few roundings.",
    ]
    for name, case in result["cases"].items():
        rows = [
            [
                contender,
                spread_text(case["seconds"][contender]),
                spread_text(case["ours_to"][contender]),
                spread_text(case["cpu"][contender]),
                spread_text(case["cpu_to"][contender]),
                number(case["same_scores"][contender]),
            ]
            for contender in case["seconds"]
        ]
        n_rows, n_columns = case["shape"]
        parts += [
            f"## {name}",
            f"{n_rows:,} x {n_columns:,}, {case['entries']:,} entries, {case['products']:.3g} products in "
            f"all; {case['asked']:,} rows asked about.",
            table(["", "s", "ours beside it", "s of the processor", "ours beside it", "scores equal"], rows),
        ]
    return "\n\n".join(parts) + "\n"


def cases(quick: bool) -> dict[str, tuple[Callable[[], sp.csr_matrix], int, int]]:
    """Matrix, which rows are asked about (every so-manyth), rounds."""
    if quick:
        return {"uniform": (partial(uniform, 2000, 500, 40_000), 1, 2)}
    return {
        "uniform": (partial(uniform, 100_000, 20_000, 5_000_000), 1, 2),
        "skewed, every 20th row": (partial(skewed, 100_000, 20_000, 5_000_000), 20, 2),
        "gowalla, items": (lambda: gowalla().T.tocsr(), 1, 5),
        "gowalla, users": (gowalla, 1, 5),
        "ml-100k, items": (lambda: ml_100k().T.tocsr(), 1, 9),
        "ml-100k, users": (ml_100k, 1, 9),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small, ours alone, nothing written")
    parser.add_argument("--only", default="", help="cases whose name begins so")
    parser.add_argument("--out", type=Path, default=_RESULTS, help="folder of the results")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        serve(*arguments.worker)
        return
    n_threads = len(os.sched_getaffinity(0))
    result: dict[str, Any] = {"machine": machine(n_threads), "rounds": 2, "cases": {}}
    for name, (make, stride, n_rounds) in cases(arguments.quick).items():
        if not name.startswith(arguments.only):
            continue
        names = ["gpurec all t", "gpurec 1"]
        if not arguments.quick:
            names += ["sparse-dot-topn 1", "sparse-dot-topn all t", *["implicit all t"] * (stride == 1)]
        result["cases"][name] = measure(make(), stride, names, n_rounds, n_threads)
    print(markdown(result))
    if not arguments.quick and not arguments.only:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "gram_top_k.json").write_text(json.dumps(result, indent=1) + "\n")
        (arguments.out / "gram_top_k.md").write_text(markdown(result))


if __name__ == "__main__":
    main()

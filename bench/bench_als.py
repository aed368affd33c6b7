"""Sweeps and newcomers of alternating least squares beside implicit: gowalla, 64 and 128 factors.

python bench/bench_als.py --factors 64 128    sweeps and newcomers; writes results, one file for all runs
python bench/bench_als.py --growth            time against factors, interactions and threads; likewise
python bench/bench_als.py --quick             few rounds, ours alone; writes nothing

Each contender lives in a process of its own and makes small what implicit does: confidence 10, weight 1 for
what is not there, penalty 0.01. A figure is the median sweep of a fit of three; losses are after five, from
starts of their own, computed alike from the factors. implicit runs with as many threads as there are cores
and OPENBLAS_NUM_THREADS=1, as it asks for, and with BLAS left to itself.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import scipy.sparse as sp
from harness import BENCH
from harness.tables import number, rounds_text, spread_text, table, where_measured
from harness.timing import machine, ratio, spread, take_turns

_RESULTS = Path(__file__).parent / "results"
_DATA = Path(os.environ.get("GPUREC_DATA", BENCH.parents[1] / "shared" / "data"))
ALPHA, PENALTY = 10.0, 0.01
N_NEW, N_ITEMS_OF_NEW = 10_000, 50
NAMES = (
    "gpurec cholesky",
    "gpurec cholesky, 1 thread",
    "gpurec cg",
    "implicit cg",
    "implicit cg, BLAS threads",
    "implicit cholesky",
)


def gowalla() -> sp.csr_matrix:
    """Users by items of the training part, all 1."""
    lists = [line.split() for line in (_DATA / "gowalla" / "train.txt").read_text().splitlines()]
    users = np.concatenate([np.full(len(items) - 1, int(items[0])) for items in lists])
    items = np.concatenate([np.array(items[1:], np.int64) for items in lists])
    return sp.csr_matrix((np.ones(len(users), np.float32), (users, items)))


def loss_of(x: sp.csr_matrix, users: np.ndarray, items: np.ndarray) -> float:
    """Of implicit's objective, in float64."""
    p, q = users.astype(np.float64), items.astype(np.float64)
    rows = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
    s = np.einsum("ij,ij->i", p[rows], q[x.indices])
    of_pairs = (ALPHA * (1 - s) ** 2 - s**2).sum() + ((p.T @ p) * (q.T @ q)).sum()
    return float(of_pairs + PENALTY * ((p**2).sum() + (q**2).sum()))


class Gpurec:
    """Ours, in the worker's process."""

    def __init__(self, name: str, x: sp.csr_matrix, d: int, n_threads: int) -> None:
        from gpurec import Interactions
        from gpurec.backends.cpu import CpuBackend

        self.x, self.solver, self.d = x, name.split()[1].strip(","), d
        coo = x.tocoo()
        self.records = Interactions.from_arrays(coo.row, coo.col)
        self.backend = CpuBackend(n_threads=1 if "1 thread" in name else n_threads)

    def fit(self, n_sweeps: int) -> list[float]:
        from gpurec import ImplicitALS, use_backend

        ends = [time.perf_counter()]
        settings = {"alpha": ALPHA, "weighting": "plain", "unobserved_weight": 1.0}
        settings |= {"regularisation": PENALTY, "regularisation_exponent": 0.0, "item_power": 0.0}
        settings["solver"] = self.solver
        self.model = ImplicitALS(self.d, n_sweeps=n_sweeps, **settings)
        with use_backend(self.backend):
            self.model.fit(self.records, callback=lambda *_: ends.append(time.perf_counter()), progress=False)
        return np.diff(ends[1:]).tolist()

    def loss(self) -> float:
        # Rows of ids in the order in which they were first met, which is that of the matrix's entries.
        users = self.model.user_factors[
            self.model.user_map.rows(np.arange(self.x.shape[0]), unknown="ignore")
        ]
        items = self.model.item_factors[
            self.model.item_map.rows(np.arange(self.x.shape[1]), unknown="ignore")
        ]
        return loss_of(self.x, users, items)

    def fold_in(self, rows: sp.csr_matrix) -> float:
        from gpurec import use_backend

        with use_backend(self.backend):
            self.model.fold_in_rows(rows[:1])  # what all users share is made once
            began = time.perf_counter()
            self.model.fold_in_rows(rows)
            return time.perf_counter() - began


class Implicit:
    """The rival, in the worker's process."""

    def __init__(self, name: str, x: sp.csr_matrix, d: int, n_threads: int) -> None:
        self.x, self.use_cg, self.d, self.n_threads = x, "cg" in name, d, n_threads

    def fit(self, n_sweeps: int) -> list[float]:
        from implicit.cpu.als import AlternatingLeastSquares

        self.model = AlternatingLeastSquares(
            self.d,
            PENALTY,
            ALPHA,
            iterations=n_sweeps,
            use_cg=self.use_cg,
            num_threads=self.n_threads,
            random_state=0,
        )
        seconds: list[float] = []
        self.model.fit(
            self.x, show_progress=False, callback=lambda sweep, elapsed, *_: seconds.append(elapsed)
        )
        return seconds

    def loss(self) -> float:
        return loss_of(self.x, self.model.user_factors, self.model.item_factors)

    def fold_in(self, rows: sp.csr_matrix) -> float:
        self.model.recalculate_user(np.arange(1), rows[:1])
        began = time.perf_counter()
        self.model.recalculate_user(np.arange(rows.shape[0]), rows)
        return time.perf_counter() - began


def serve(name: str, matrix: str, d: str, n_threads: str) -> None:
    """Answer requests from standard input until it ends."""
    x = sp.load_npz(matrix).tocsr()
    kind = Gpurec if name.startswith("gpurec") else Implicit
    contender = kind(name, x, int(d), int(n_threads))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for line in sys.stdin:
        what, *arguments = line.split()
        if what == "sweep":
            answer: Any = median(contender.fit(4 if kind is Gpurec else 3))
        elif what == "loss":
            contender.fit(5)
            answer = contender.loss()
        elif what == "memory":
            answer = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        else:
            answer = contender.fold_in(newcomers(x, int(arguments[0])))
        print(json.dumps(answer), flush=True)


def newcomers(x: sp.csr_matrix, n: int) -> sp.csr_matrix:
    """Users with so many items each, drawn as popular as items are."""
    rng = np.random.default_rng(0)
    items = [np.unique(rng.choice(x.indices, 2 * N_ITEMS_OF_NEW)) for _ in range(n)]
    columns = [rng.permutation(of)[:N_ITEMS_OF_NEW] for of in items]
    rows = np.repeat(np.arange(n), [len(of) for of in columns])
    ones = np.ones(len(rows), np.float32)
    return sp.csr_matrix((ones, (rows, np.concatenate(columns))), shape=(n, x.shape[1]))


class Worker:
    """The process of a contender."""

    def __init__(self, name: str, matrix: Path, d: int, n_threads: int) -> None:
        python, environment = sys.executable, dict(os.environ)
        if not name.startswith("gpurec"):
            from harness.workers import environment_python

            python = str(environment_python())
        if "BLAS threads" not in name:
            environment["OPENBLAS_NUM_THREADS"] = "1"
        command = [python, __file__, "--worker", name, str(matrix), str(d), str(n_threads)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, what: str) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate("")


def measure(x: sp.csr_matrix, d: int, names: list[str], n_rounds: int, n_threads: int) -> dict[str, Any]:
    """Sweeps, losses, memory and newcomers of each contender."""
    with tempfile.TemporaryDirectory() as folder:
        matrix = Path(folder) / "x.npz"
        sp.save_npz(matrix, x, compressed=False)
        workers = {name: Worker(name, matrix, d, n_threads) for name in names}
        losses = {name: worker.ask("loss") for name, worker in workers.items()}
        memory = {name: worker.ask("memory") for name, worker in workers.items()}
        sweeps = take_turns(
            {name: (lambda worker=worker: worker.ask("sweep")) for name, worker in workers.items()}, n_rounds
        )
        chosen = [name for name in names if name not in ("implicit cg, BLAS threads", "implicit cholesky")]
        new = {name: workers[name].ask(f"fold_in {N_NEW}") for name in chosen}
        one = [workers["gpurec cholesky, 1 thread"].ask("fold_in 1") for _ in range(20)]
        for worker in workers.values():
            worker.close()
    return {
        "losses": losses,
        "memory": memory,
        "sweeps": {name: spread(figures) for name, figures in sweeps.items()},
        "ratios": {
            ours: {name: ratio(sweeps[ours], figures) for name, figures in sweeps.items()}
            for ours in names
            if ours.startswith("gpurec")
        },
        "new": new,
        "one": spread(one[1:]),
    }


def growth(x: sp.csr_matrix, n_threads: int) -> list[dict[str, Any]]:
    """Seconds of our sweep against factors, interactions and threads."""
    found = []
    rng = np.random.default_rng(0)
    for d, share, threads in (
        (32, 1.0, n_threads),
        (64, 1.0, n_threads),
        (128, 1.0, n_threads),
        (256, 1.0, n_threads),
        (64, 0.25, n_threads),
        (64, 0.5, n_threads),
        (64, 1.0, 1),
        (128, 1.0, 1),
    ):
        kept = x.tocoo()
        some = rng.random(kept.nnz) < share
        part = sp.csr_matrix((kept.data[some], (kept.row[some], kept.col[some])), shape=x.shape)
        row: dict[str, Any] = {"d": d, "entries": int(part.nnz), "threads": threads}
        for solver in ("cholesky", "cg"):
            row[solver] = median(Gpurec(f"gpurec {solver}", part, d, threads).fit(4))
        found.append(row)
    return found


def markdown(result: dict[str, Any]) -> str:
    parts = [
        "# Alternating least squares on gowalla",
        f"{where_measured(result['machine'])} {rounds_text(result['rounds'])} implicit's objective: "
        "confidence 10, penalty 0.01. Losses after five sweeps. Memory: what the process grew by. Newcomers: "
        f"{N_NEW:,} users with {N_ITEMS_OF_NEW} items, solved at once.",
    ]
    for d, case in result["cases"].items():
        rows = [
            [
                name,
                spread_text(case["sweeps"][name]),
                spread_text(case["ratios"]["gpurec cholesky"][name]),
                spread_text(case["ratios"]["gpurec cg"][name]),
                f"{case['losses'][name]:,.0f}",
                f"{case['memory'][name] / 1e6:.0f}",
                number(case["new"][name]) if name in case["new"] else "",
            ]
            for name in case["sweeps"]
        ]
        head = ["", "s a sweep", "our cholesky beside it", "our cg beside it", "loss", "MB", "newcomers, s"]
        one = spread_text({key: 1e3 * value for key, value in case["one"].items()})
        parts += [
            f"## {d} factors",
            table(head, rows),
            f"One newcomer, one thread: {one} ms.",
        ]
    rows = [
        [
            str(row["d"]),
            f"{row['entries']:,}",
            str(row["threads"]),
            number(row["cholesky"]),
            number(row["cg"]),
        ]
        for row in result.get("growth", [])
    ]
    if rows:
        parts += ["## Growth", table(["factors", "interactions", "threads", "cholesky, s", "cg, s"], rows)]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds, ours alone, nothing written")
    parser.add_argument("--factors", type=int, nargs="*", default=[])
    parser.add_argument("--without", nargs="*", default=[], help="contenders to leave out, by name")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=_RESULTS, help="folder of the results")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        serve(*arguments.worker)
        return
    n_threads, x = len(os.sched_getaffinity(0)), gowalla()
    names = [name for name in NAMES if name not in arguments.without]
    names = [name for name in names if not arguments.quick or name.startswith("gpurec")]
    n_rounds = 1 if arguments.quick else arguments.rounds
    written = arguments.out / "als.json"
    result: dict[str, Any] = {"cases": {}}
    if written.exists() and not arguments.quick:
        result = json.loads(written.read_text())
    result |= {"machine": machine(n_threads), "rounds": n_rounds}
    for d in arguments.factors or ([64] if arguments.quick else []):
        result["cases"][str(d)] = measure(x, d, names, n_rounds, n_threads)
    if arguments.growth:
        result["growth"] = growth(x, n_threads)
    if not arguments.quick:
        (arguments.out / "als.json").write_text(json.dumps(result, indent=1) + "\n")
        (arguments.out / "als.md").write_text(markdown(result))
    print(markdown(result))


if __name__ == "__main__":
    main()

"""Epochs of `BPR` on gowalla beside implicit's: seconds, how well both rank, and in what time equally well.

    python bench/bench_bpr.py            side by side, and against threads, factors and interactions
    python bench/bench_bpr.py --quick    some users, ours alone, nothing written

Writes bench/results/bpr.*. Needs gowalla in the folder of the data sets (GPUREC_DATA, else ../shared/data),
and the rivals' environment (bench/rivals.py --setup). A fifth of each user's items is held out; AUC is the
share of pairs of a held-out item and one of 100 items that the user lacks, drawn once, in which the held-out
one scores more, taken after every epoch while the clock stands. Each measurement is a process.
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
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import scipy.sparse as sp

_DATA = Path(os.environ.get("GPUREC_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
RATE, PENALTY = 0.05, 0.01
START = 0.29 / 64  # what implicit's factors begin with, about
N_EPOCHS, N_DRAWN, EVERY = 13, 100, 5
# Ways to fit `BPR`: implicit's settings and draws, and what it does when nothing is set.
WAYS: dict[str, dict[str, Any]] = {
    "gpurec": {
        "learning_rate": RATE,
        "regularisation": PENALTY,
        "init_scale": START,
        "loss": "bpr",
        "metric": "dot",
        "temperature": 1.0,
        "n_negatives": 1,
        "negatives": "popularity",
        "popularity_power": 1.0,
        "learning_rate_decay": 1.0,
    },
    "gpurec, its defaults": {},
}
Watch = Callable[[np.ndarray, np.ndarray], None]


def held_out(n_users: int | None) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Four fifths of each user's items of gowalla's training part, and the rest."""
    lists = [line.split() for line in (_DATA / "gowalla" / "train.txt").read_text().splitlines()[:n_users]]
    rng = np.random.default_rng(0)
    parts: tuple[list, list] = ([], [])
    for user, words in enumerate(lists):
        items = rng.permutation(np.array(words[1:], np.int64))
        for part, chosen in zip(parts, (items[len(items) // 5 :], items[: len(items) // 5])):
            part.append(np.stack([np.full(len(chosen), user), chosen]))
    most = max(max(map(int, words[1:]), default=0) for words in lists)
    made = [np.concatenate(part, axis=1) for part in parts]
    return tuple(
        sp.csr_matrix((np.ones(rows.shape[1], np.float32), rows), (len(lists), most + 1)) for rows in made
    )


def ours(x: sp.csr_matrix, d: int, n_epochs: int, n_threads: int, way: str, watch: Watch) -> None:
    """Fit `BPR`; `watch` gets factors of users and items after each epoch, biases beside them."""
    import gpurec
    from gpurec.backends.cpu import CpuBackend

    coo = x.tocoo()
    data = gpurec.Interactions.from_arrays(
        coo.row.tolist(),
        coo.col.tolist(),
        user_map=gpurec.IdMap(range(x.shape[0])),
        item_map=gpurec.IdMap(range(x.shape[1])),
    )

    model = gpurec.BPR(d, n_epochs=n_epochs, **WAYS[way])

    def look(done: int, total: int) -> None:
        watch(model._user_vectors(np.arange(x.shape[0])), model._item_vectors(np.arange(x.shape[1])))

    with gpurec.use_backend(CpuBackend(n_threads=n_threads)):
        model.fit(data, progress=look)


def theirs(x: sp.csr_matrix, d: int, n_epochs: int, n_threads: int, way: str, watch: Watch) -> None:
    """The same of implicit, whose factors hold the bias and change in place."""
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    model = BayesianPersonalizedRanking(
        d,
        learning_rate=RATE,
        regularization=PENALTY,
        iterations=n_epochs,
        num_threads=n_threads,
        random_state=0,
    )
    model.fit(x, show_progress=False, callback=lambda *_: watch(model.user_factors, model.item_factors))


def auc(x: sp.csr_matrix, test: sp.csr_matrix, users: np.ndarray, items: np.ndarray) -> float:
    """Over every fifth user who has held-out items."""
    rng, shares = np.random.default_rng(1), []
    for user in range(0, x.shape[0], EVERY):
        wanted = test.indices[test.indptr[user] : test.indptr[user + 1]]
        if len(wanted) == 0:
            continue
        seen = x.indices[x.indptr[user] : x.indptr[user + 1]]
        drawn = np.setdiff1d(rng.integers(0, x.shape[1], N_DRAWN), np.concatenate([seen, wanted]))
        scores = items[wanted] @ users[user]
        shares.append((scores[:, None] > items[drawn] @ users[user]).mean())
    return float(np.mean(shares))


def worker(name: str, folder: str, d: int, n_epochs: int, n_threads: int) -> None:
    """One measurement, printed as JSON: seconds of an epoch, and AUC after each where all are made."""
    x, test = (sp.load_npz(Path(folder) / f"{part}.npz") for part in ("train", "test"))
    seconds: list[float] = []
    aucs: list[float] = []
    clock = time.perf_counter()

    def watch(users: np.ndarray, items: np.ndarray) -> None:
        nonlocal clock
        seconds.append(time.perf_counter() - clock)
        if n_epochs >= N_EPOCHS:
            aucs.append(auc(x, test, users, items))
        clock = time.perf_counter()

    (theirs if name == "implicit" else ours)(x, d, n_epochs, n_threads, name, watch)
    # Before the first epoch ends maps are made and pages touched: it counts like the others.
    print(json.dumps({"seconds": median(seconds[1:]), "auc": aucs}))


def measure(
    name: str, x: sp.csr_matrix, test: sp.csr_matrix, d: int, n_epochs: int, n_threads: int
) -> dict[str, Any]:
    python = sys.executable
    if name == "implicit":
        from harness.workers import environment_python

        python = str(environment_python())
    with tempfile.TemporaryDirectory() as folder:
        for part, matrix in (("train", x), ("test", test)):
            sp.save_npz(Path(folder) / f"{part}.npz", matrix, compressed=False)
        command = [python, __file__, "--worker", name, folder, str(d), str(n_epochs), str(n_threads)]
        variables = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=variables)
    return json.loads(done.stdout)


def run(quick: bool) -> dict[str, Any]:
    from harness.timing import machine

    n_threads = len(os.sched_getaffinity(0))
    x, test = held_out(2000 if quick else None)
    result: dict[str, Any] = {
        "machine": machine(n_threads),
        "n_interactions": int(x.nnz),
        "beside": {},
        "growth": [],
    }
    threads = sorted({1, n_threads})
    names = [*WAYS] if quick else [*WAYS, "implicit"]
    for _ in range(1 if quick else 3):  # in turn, so that a machine that drifts is the same for both
        for name in names:
            for t in threads:
                found = measure(name, x, test, 64, N_EPOCHS, t)
                result["beside"].setdefault(f"{name} {t}", []).append(found)
    for d in (16, 32, 64, 128, 256):
        for t in threads:
            result["growth"].append(
                {"d": d, "share": 1.0, "threads": t, **measure("gpurec", x, test, d, 5, t)}
            )
    for share in (0.25, 0.5):
        kept = np.random.default_rng(2).random(x.nnz) < share
        coo = x.tocoo()
        part = sp.csr_matrix((coo.data[kept], (coo.row[kept], coo.col[kept])), x.shape)
        result["growth"].append(
            {"d": 64, "share": share, "threads": 1, **measure("gpurec", part, test, 64, 5, 1)}
        )
    return result


def seconds_until(found: dict[str, Any], wanted: float) -> float | None:
    """Seconds of the epochs until an AUC is reached for good, by a straight line inside the last of them."""
    below = [at for at, reached in enumerate(found["auc"]) if reached < wanted]
    last = below[-1] + 1 if below else 0
    if last == len(found["auc"]):
        return None
    before = found["auc"][last - 1] if last else 0.5
    return found["seconds"] * (last + (wanted - before) / (found["auc"][last] - before))


def markdown(result: dict[str, Any]) -> str:
    """The tables of a result."""
    from harness.tables import number, table, where_measured

    beside = result["beside"]
    ms = {name: [f["seconds"] * 1e3 for f in found] for name, found in beside.items()}
    best = min(
        (name for name in ms if name.startswith("implicit")), key=lambda name: median(ms[name]), default=None
    )
    wanted = median(f["auc"][-1] for f in beside[best]) if best else 1.0
    rival = median(seconds_until(f, min(wanted, f["auc"][-1])) for f in beside[best]) if best else None
    rows = []
    for name, found in beside.items():
        times = [seconds_until(f, wanted) for f in found]
        reached = None if None in times else median(times)
        if best == name:
            reached = rival
        rows.append(
            [
                name,
                f"{number(median(ms[name]))} [{number(min(ms[name]))}-{number(max(ms[name]))}]",
                f"{median(ms[name]) / median(ms[best]):.3f}" if best else "-",
                f"{median(f['auc'][-1] for f in found):.4f}",
                "-" if reached is None else f"{reached:.2f}",
                "-" if reached is None or rival is None else f"{reached / rival:.3f}",
            ]
        )
    n = result["n_interactions"]
    growth = [
        [
            str(p["d"]),
            f"{p['share'] * n:,.0f}",
            str(p["threads"]),
            number(p["seconds"] * 1e3),
            number(p["seconds"] * 1e9 / (p["share"] * n)),
        ]
        for p in result["growth"]
    ]
    heads = ["library, threads", "ms an epoch", "of implicit's best", f"AUC after {N_EPOCHS}"]
    heads += ["s to implicit's AUC", "of implicit's"]
    return (
        "\n\n".join(
            [
                "# Epochs of BPR on gowalla",
                where_measured(result["machine"]),
                f"{n:,} interactions, 64 factors. `gpurec` has implicit's settings: learning rate {RATE}, "
                f"regularisation {PENALTY}, its small start, one negative, drawn by popularity. Medians of "
                "three processes each, in turn. implicit's threads race; its faster setting is what all are "
                "compared with: an epoch of it, and the time in which it comes to its AUC after "
                f"{N_EPOCHS} epochs.",
                table(heads, rows),
                "Epochs of `gpurec` by size:",
                table(["factors", "interactions", "threads", "ms an epoch", "ns a visit"], growth),
            ]
        )
        + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        name, folder, *sizes = arguments.worker
        worker(name, folder, *map(int, sizes))
        return
    result = run(arguments.quick)
    print(markdown(result))
    if not arguments.quick:
        from harness.tables import keep

        keep(arguments.out, "bpr", result, markdown(result))


if __name__ == "__main__":
    main()

"""Epochs of `BPR` on gowalla beside implicit's at equal settings: seconds, and how well both rank.

    python bench/bench_bpr.py            side by side, and against threads, factors and interactions
    python bench/bench_bpr.py --quick    some users, ours alone, nothing written

Writes bench/results/bpr.*. Needs gowalla in the folder of the data sets (GPUREC_DATA, else ../shared/data),
and the rivals' environment (bench/rivals.py --setup). A fifth of each user's items is held out; AUC is the
share of pairs of a held-out item and one of 100 items that the user lacks, drawn once, in which the held-out
one scores more. Each measurement is a process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import scipy.sparse as sp

_DATA = Path(os.environ.get("GPUREC_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
RATE, PENALTY = 0.05, 0.01
START = 0.29 / 64  # what implicit's factors begin with, about
N_EPOCHS, N_DRAWN, EVERY = 12, 100, 5


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


def ours(
    x: sp.csr_matrix, d: int, n_epochs: int, n_threads: int
) -> tuple[list[float], np.ndarray, np.ndarray]:
    """Seconds of each epoch of `BPR`, and what it learnt, biases beside factors."""
    import gpurec
    from gpurec.backends.cpu import CpuBackend

    coo = x.tocoo()
    data = gpurec.Interactions.from_arrays(
        coo.row.tolist(),
        coo.col.tolist(),
        user_map=gpurec.IdMap(range(x.shape[0])),
        item_map=gpurec.IdMap(range(x.shape[1])),
    )
    at = [0.0]
    model = gpurec.BPR(d, learning_rate=RATE, regularisation=PENALTY, init_scale=START, n_epochs=n_epochs + 1)
    with gpurec.use_backend(CpuBackend(n_threads=n_threads)):
        model.fit(data, progress=lambda done, total: at.append(time.perf_counter()))
    items = np.column_stack([model.item_factors, model.item_biases])
    return np.diff(at[1:]).tolist(), np.column_stack([model.user_factors, np.ones(x.shape[0])]), items


def theirs(
    x: sp.csr_matrix, d: int, n_epochs: int, n_threads: int
) -> tuple[list[float], np.ndarray, np.ndarray]:
    """The same of implicit, whose factors hold the bias."""
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    at: list[float] = []
    model = BayesianPersonalizedRanking(
        d,
        learning_rate=RATE,
        regularization=PENALTY,
        iterations=n_epochs + 1,
        num_threads=n_threads,
        random_state=0,
    )
    model.fit(x, show_progress=False, callback=lambda *_: at.append(time.perf_counter()))
    return np.diff(at).tolist(), model.user_factors, model.item_factors


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
    """One measurement, printed as JSON."""
    x, test = (sp.load_npz(Path(folder) / f"{part}.npz") for part in ("train", "test"))
    seconds, users, items = (ours if name == "gpurec" else theirs)(x, d, n_epochs, n_threads)
    found = {"seconds": median(seconds), "auc": auc(x, test, users, items) if n_epochs >= N_EPOCHS else None}
    print(json.dumps(found))


def measure(
    name: str, x: sp.csr_matrix, test: sp.csr_matrix, d: int, n_epochs: int, n_threads: int
) -> dict[str, Any]:
    python = sys.executable
    if name != "gpurec":
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
    names = ["gpurec"] if quick else ["gpurec", "implicit"]
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


def markdown(result: dict[str, Any]) -> str:
    """The tables of a result."""
    from harness.tables import number, table, where_measured

    beside = {name: [f["seconds"] * 1e3 for f in found] for name, found in result["beside"].items()}
    rivals = [median(ms) for name, ms in beside.items() if name.startswith("implicit")]
    rows = []
    for name, ms in beside.items():
        ratio = f"{median(ms) / min(rivals):.3f}" if rivals else "-"
        aucs = [found["auc"] for found in result["beside"][name]]
        spread = f"{number(median(ms))} [{number(min(ms))}-{number(max(ms))}]"
        rows.append([name, spread, ratio, f"{min(aucs):.4f}-{max(aucs):.4f}"])
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
    return (
        "\n\n".join(
            [
                "# Epochs of BPR on gowalla",
                where_measured(result["machine"]),
                f"{n:,} interactions, 64 factors, learning rate {RATE}, regularisation {PENALTY}. Medians of "
                f"the epochs of three processes each, in turn; AUC after {N_EPOCHS + 1} epochs. implicit "
                "draws negatives by popularity, its threads race, and its best setting counts.",
                table(["library, threads", "ms an epoch", "of implicit's best", "AUC"], rows),
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

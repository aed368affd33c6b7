"""Epochs of `BPR` on gowalla beside implicit's: seconds, how well both rank, and in what time equally well.

    python bench/bench_bpr.py            side by side, new users, against threads, factors and interactions
    python bench/bench_bpr.py --part growth     one of the three alone, beside what was written of the others
    python bench/bench_bpr.py --quick    some users, ours alone, nothing written

Writes bench/results/bpr.*. Needs gowalla in the folder of the data sets (GPUREC_DATA, else ../shared/data),
and the rivals' environment (bench/rivals.py --setup). A fifth of each user's items is held out; AUC is the
share of pairs of a held-out item and one of 100 items that the user lacks, drawn once, in which the held-out
one scores more, taken after every epoch of a first round while the clock stands. Each measurement is a
process. Of ours on one thread no AUC is taken, since its factors have the bits of those on more.
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
N_EPOCHS, N_DRAWN, EVERY, N_HAD = 13, 100, 5, 50
DEFAULTS = "gpurec's defaults"
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
    DEFAULTS: {},
}
PARTS = ("beside", "new users", "growth")
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


def new_user(x: sp.csr_matrix, d: int, n_threads: int, n_users: int) -> float:
    """Seconds in which someone new gets a vector from N_HAD items, of so many asked about at once."""
    import gpurec
    from gpurec.backends.cpu import CpuBackend

    coo = x.tocoo()
    data = gpurec.Interactions.from_arrays(
        coo.row.tolist(), coo.col.tolist(), item_map=gpurec.IdMap(range(x.shape[1]))
    )
    rng = np.random.default_rng(3)
    known = np.flatnonzero(np.bincount(x.indices, minlength=x.shape[1]))
    columns = np.concatenate([np.sort(rng.choice(known, N_HAD, replace=False)) for _ in range(n_users)])
    indptr = np.arange(n_users + 1) * N_HAD
    rows = sp.csr_matrix((np.ones(len(columns), np.float32), columns, indptr), (n_users, x.shape[1]))
    with gpurec.use_backend(CpuBackend(n_threads=n_threads)):
        model = gpurec.BPR(d, n_epochs=2).fit(data, progress=False)
        model.fold_in_rows(rows)
        times = []
        for _ in range(200 if n_users == 1 else 3):
            began = time.perf_counter()
            model.fold_in_rows(rows)
            times.append(time.perf_counter() - began)
    return median(times) / n_users


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


def worker(name: str, folder: str, d: int, n_epochs: int, n_threads: int, judged: int) -> None:
    """One measurement, printed as JSON: seconds of an epoch, and AUC after each where it is judged."""
    x, test = (sp.load_npz(Path(folder) / f"{part}.npz") for part in ("train", "test"))
    if name.startswith("new user"):
        print(json.dumps({"seconds": new_user(x, d, n_threads, int(name.split()[-1]))}))
        return
    seconds: list[float] = []
    aucs: list[float] = []
    clock = time.perf_counter()

    def watch(users: np.ndarray, items: np.ndarray) -> None:
        nonlocal clock
        seconds.append(time.perf_counter() - clock)
        if judged:
            aucs.append(auc(x, test, users, items))
        clock = time.perf_counter()

    (theirs if name == "implicit" else ours)(x, d, n_epochs, n_threads, name, watch)
    # Before the first epoch ends maps are made and pages touched: it counts like the others.
    print(json.dumps({"seconds": median(seconds[1:]), "auc": aucs}))


class Measure:
    """Asks processes to measure, with the data in a folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(
        self, name: str, x: sp.csr_matrix, d: int, n_epochs: int, n_threads: int, judged: bool = False
    ) -> dict[str, Any]:
        python = sys.executable
        if name == "implicit":
            from harness.workers import environment_python

            python = str(environment_python())
        sp.save_npz(Path(self.folder) / "train.npz", x, compressed=False)
        numbers = map(str, (d, n_epochs, n_threads, int(judged)))
        command = [python, __file__, "--worker", name, self.folder, *numbers]
        variables = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=variables)
        return json.loads(done.stdout)


def beside(measure: Measure, x: sp.csr_matrix, n_threads: int, quick: bool) -> dict[str, Any]:
    """Seconds of epochs, in turn, so that a machine that drifts is the same for all contenders, and AUC."""
    contenders = [("gpurec", 1), ("gpurec", n_threads), (DEFAULTS, n_threads)]
    if not quick:
        contenders += [("implicit", 1), ("implicit", n_threads)]
    found: dict[str, Any] = {}
    for turn in range(1 if quick else 3):
        for name, t in contenders:
            if turn and (name, t) == ("implicit", 1):
                continue  # takes long, and is not the better one
            judged = turn == 0 and (name, t) != ("gpurec", 1)
            measured = measure(name, x, 64, N_EPOCHS, t, judged=judged)
            of = found.setdefault(f"{name}, {t}", {"seconds": [], "auc": measured["auc"]})
            of["seconds"].append(measured["seconds"])
    found["gpurec, 1"]["auc"] = found[f"gpurec, {n_threads}"]["auc"]
    return {"beside": found}


def new_users(measure: Measure, x: sp.csr_matrix, quick: bool) -> dict[str, Any]:
    """Seconds of a newcomer, alone and among many, on one thread."""
    sizes = 1, 100 if quick else 10_000
    return {"new_users": {str(n): measure(f"new user {n}", x, 64, 2, 1)["seconds"] for n in sizes}}


def growth(measure: Measure, x: sp.csr_matrix, n_threads: int) -> dict[str, Any]:
    """Seconds of epochs against factors, interactions and threads."""
    found = []
    for d in (16, 32, 64, 128, 256):
        for t in sorted({1, n_threads}):
            found.append({"d": d, "share": 1.0, "threads": t, **measure("gpurec", x, d, 5, t)})
    for share in (0.25, 0.5):
        kept = np.random.default_rng(2).random(x.nnz) < share
        coo = x.tocoo()
        part = sp.csr_matrix((coo.data[kept], (coo.row[kept], coo.col[kept])), x.shape)
        found.append({"d": 64, "share": share, "threads": 1, **measure("gpurec", part, 64, 5, 1)})
    return {"growth": found}


def run(quick: bool, parts: list[str], before: dict[str, Any]) -> dict[str, Any]:
    from harness.timing import machine

    n_threads = len(os.sched_getaffinity(0))
    x, test = held_out(2000 if quick else None)
    result = {**before, "machine": machine(n_threads), "n_interactions": int(x.nnz)}
    with tempfile.TemporaryDirectory() as folder:
        sp.save_npz(Path(folder) / "test.npz", test, compressed=False)
        measure = Measure(folder)
        if "beside" in parts:
            result |= beside(measure, x, n_threads, quick)
        if "new users" in parts:
            result |= new_users(measure, x, quick)
        if "growth" in parts:
            result |= growth(measure, x, n_threads)
    return result


def epochs_until(aucs: list[float], wanted: float) -> float | None:
    """Epochs until an AUC is reached for good, by a straight line inside the last of them."""
    below = [at for at, reached in enumerate(aucs) if reached < wanted]
    last = below[-1] + 1 if below else 0
    if last == len(aucs):
        return None
    before = aucs[last - 1] if last else 0.5
    return last + (wanted - before) / (aucs[last] - before)


def markdown(result: dict[str, Any]) -> str:
    """The tables of a result."""
    from harness.tables import number, table, where_measured

    found = {name: (median(of["seconds"]), of["seconds"], of["auc"]) for name, of in result["beside"].items()}
    rivals = {name: of for name, of in found.items() if name.startswith("implicit")}
    best = min(rivals.values(), default=None)
    rows = []
    for name, (seconds, all_seconds, aucs) in found.items():
        cells = [
            name,
            f"{number(seconds * 1e3)} [{number(min(all_seconds) * 1e3)}-{number(max(all_seconds) * 1e3)}]",
            f"{seconds / best[0]:.3f}" if best else "-",
            f"{aucs[-1]:.4f} after {len(aucs)}",
            "-",
            "-",
        ]
        n = epochs_until(aucs, best[2][-1]) if best else None
        if n is not None:
            cells[4:] = f"{n * seconds:.2f}", f"{n * seconds / (len(best[2]) * best[0]):.3f}"
        rows.append(cells)
    n = result["n_interactions"]
    growth = [
        [
            str(p["d"]),
            f"{p['share'] * n:,.0f}",
            str(p["threads"]),
            number(p["seconds"] * 1e3),
            number(p["seconds"] * 1e9 / (p["share"] * n)),
        ]
        for p in result.get("growth", [])
    ]
    heads = ["library, threads", "ms an epoch", "of implicit's best", "AUC after epochs"]
    heads += ["s to implicit's AUC", "of implicit's"]
    new = ", ".join(f"{s * 1e3:.3f} ms of {int(n):,} at once" for n, s in result["new_users"].items())
    return (
        "\n\n".join(
            [
                "# Epochs of BPR on gowalla",
                where_measured(result["machine"]),
                f"{n:,} interactions, 64 factors. `gpurec` has implicit's settings: learning rate {RATE}, "
                f"regularisation {PENALTY}, its small start, one negative, drawn by popularity. Medians of "
                "three processes each, in turn. implicit's threads race; its faster setting is what all are "
                f"compared with: an epoch of it, and the time of its {N_EPOCHS} epochs.",
                table(heads, rows),
                f"`fold_in_rows` by the defaults for a user with {N_HAD} items, one thread: {new}.",
            ]
            + [
                table(["factors", "interactions", "threads", "ms an epoch", "ns a visit"], growth)
                for _ in growth[:1]
            ]
        )
        + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--part", choices=PARTS, help="one alone; by default all")
    parser.add_argument("--worker", nargs=6, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        name, folder, *sizes = arguments.worker
        worker(name, folder, *map(int, sizes))
        return
    written = arguments.out / "bpr.json"
    before = json.loads(written.read_text()) if arguments.part and written.exists() else {}
    parts = [arguments.part] if arguments.part else list(PARTS)
    result = run(arguments.quick, parts, before)
    print(markdown(result))
    if not arguments.quick:
        from harness.tables import keep

        keep(arguments.out, "bpr", result, markdown(result))


if __name__ == "__main__":
    main()

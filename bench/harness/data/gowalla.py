"""Factors of gowalla, and their recipes, which are run in the rivals' environment.

    python -m harness.data.gowalla als|bpr|bpr-mild|bpr-ours TRAIN.txt OUT.npz

On gowalla's training part, 64 factors, random_state 0:

als
    implicit's alternating least squares: regularisation 0.01, alpha 10, 10 sweeps, one BLAS thread.
bpr
    implicit's Bayesian personalised ranking: learning rate 0.1, regularisation 0.001, 150 sweeps, one thread.
    Its vectors have a 65th component, the item's bias, which stands beside a 1 of the user.
bpr-mild
    The same with implicit's own learning rate, 0.01, regularisation, 0.01, and 100 sweeps: norms differ more.
bpr-ours
    `gpurec.models.BPR` as it is by default, its biases a 65th component likewise; in gpurec's environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from .. import ROOT
from ..contenders import CONTENDERS
from ..workers import environment_python, environment_variables

__all__ = ["RECIPES", "factors", "few_factors", "read", "training_file"]

_Factors = tuple[np.ndarray, np.ndarray]


def training_file(data_folder: Path) -> Path:
    """gowalla's train.txt.

    Raises
    ------
    SystemExit
        If it is not there.
    """
    train = (data_folder / "gowalla" / "train.txt").resolve()
    if not train.exists():
        sys.exit(f"[gowalla] expected train.txt in {train.parent}; set GPUREC_DATA")
    return train


def read(train: Path) -> csr_matrix:
    """Lines of `user item item ...` as a matrix of ones, shape (n_users, n_items), items ascending."""
    with open(train) as file:
        lines = [np.array(line.split(), np.int32) for line in file]
    users = np.concatenate([np.full(len(line) - 1, line[0]) for line in lines])
    items = np.concatenate([line[1:] for line in lines])
    matrix = csr_matrix((np.ones(len(items), np.float32), (users, items)))
    matrix.sum_duplicates()
    return matrix


def factors(model: str, train: Path) -> tuple[np.ndarray, np.ndarray]:
    """User and item factors of one of `RECIPES`, fitted where build/bench does not hold them yet."""
    file = ROOT / "build" / "bench" / f"gowalla-{model}.npz"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        print(f"fitting the factors of {model}, once", file=sys.stderr, flush=True)
        fitted = file.with_suffix(".new.npz")
        python = sys.executable if model == "bpr-ours" else environment_python()
        recipe = [python, "-m", __name__, model, train, fitted]
        variables = environment_variables(CONTENDERS["implicit-1t"], len(os.sched_getaffinity(0)))
        subprocess.run(recipe, env=variables, check=True)
        fitted.replace(file)
    with np.load(file) as found:
        return found["users"], found["items"]


def few_factors(user_items: csr_matrix, d: int) -> tuple[np.ndarray, np.ndarray]:
    """User and item factors of a truncated singular value decomposition: quick, and without the rivals."""
    users, values, items = svds(user_items, d, v0=np.ones(min(user_items.shape), np.float32))
    return np.ascontiguousarray(users * values), np.ascontiguousarray(items.T)


def _als(seen: csr_matrix) -> _Factors:
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(factors=64, regularization=0.01, alpha=10, iterations=10, random_state=0)
    model.fit(seen, show_progress=False)
    return model.user_factors, model.item_factors


def _bpr(learning_rate: float, regularisation: float, n_sweeps: int, seen: csr_matrix) -> _Factors:
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    model = BayesianPersonalizedRanking(
        factors=64,
        learning_rate=learning_rate,
        regularization=regularisation,
        iterations=n_sweeps,
        num_threads=1,
        random_state=0,
    )
    model.fit(seen, show_progress=False)
    return model.user_factors, model.item_factors


def _bpr_ours(seen: csr_matrix) -> _Factors:
    from gpurec import Interactions
    from gpurec.models import BPR

    entries = seen.tocoo()
    model = BPR().fit(Interactions.from_arrays(entries.row, entries.col))
    ones = np.ones((len(model.user_factors), 1), np.float32)
    items = np.hstack([model.item_factors, model.item_biases[:, np.newaxis]])
    return np.hstack([model.user_factors, ones]), items


RECIPES: dict[str, Callable[[csr_matrix], _Factors]] = {
    "als": _als,
    "bpr": partial(_bpr, 0.1, 0.001, 150),
    "bpr-mild": partial(_bpr, 0.01, 0.01, 100),
    "bpr-ours": _bpr_ours,
}


def main(model: str, train: str, out: str) -> None:
    users, items = RECIPES[model](read(Path(train)))
    np.savez(out, users=users, items=items)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The recipe of the factors that bench_recommend.py searches: run in the rivals' environment.

    build/rivals/bin/python bench/harness/gowalla.py TRAIN.txt OUT.npz

implicit's alternating least squares on gowalla's training part: 64 factors, regularisation 0.01, alpha 10,
10 sweeps, random_state 0, one BLAS thread.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.sparse import csr_matrix


def read(train: str) -> csr_matrix:
    """Lines of `user item item ...` as a matrix of ones, shape (n_users, n_items), items ascending."""
    with open(train) as file:
        lines = [np.array(line.split(), np.int32) for line in file]
    users = np.concatenate([np.full(len(line) - 1, line[0]) for line in lines])
    items = np.concatenate([line[1:] for line in lines])
    matrix = csr_matrix((np.ones(len(items), np.float32), (users, items)))
    matrix.sum_duplicates()
    return matrix


def main(train: str, out: str) -> None:
    from implicit.cpu.als import AlternatingLeastSquares

    user_items = read(train)
    model = AlternatingLeastSquares(factors=64, regularization=0.01, alpha=10, iterations=10, random_state=0)
    model.fit(user_items, show_progress=False)
    np.savez(out, users=model.user_factors, items=model.item_factors)


if __name__ == "__main__":
    main(*sys.argv[1:])

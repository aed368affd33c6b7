"""`als`: what a dense float64 solve gives, the reference's steps, the same bits whoever else is solved."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import gpurec
from gpurec.backends.cpu import CpuBackend

from .cases import SEED
from .members import ISAS, MEMBERS, assert_same_bits, member_backend

N_PROBLEMS, AT_ONCE = 1000, 50
# Instruction sets whose kernels differ; others run these, and like backends without one a sample of problems.
DISTINCT = ("reference", "cpu-avx512", "cpu-avx2", "cpu-serial", "cuda", "cuda_emulated")
EVERY_SHARED = 8
# Of |A| |x| + |b|, beside n_factors + 16: what `als` promises.
TOLERANCE = 3e-6


def problem(number: int):
    """Rows without, with one and with many entries; factors of full rank or not; weights alike or not."""
    rng = np.random.default_rng([SEED, 17, number])
    n_columns, d = int(rng.choice([1, 3, 20, 90])), int(rng.choice([1, 2, 7, 16, 17, 40]))
    rank = d if rng.random() < 0.6 else int(rng.integers(0, d + 1))
    factors = rng.standard_normal((n_columns, rank)) @ rng.standard_normal((rank, d)) / np.sqrt(max(rank, 1))
    factors[rng.random(n_columns) < 0.1] = 0
    counts = rng.choice([0, 1, 2, n_columns // 2, n_columns], 6).clip(0, n_columns)
    entries = [
        (row, int(column)) for row, n in enumerate(counts) for column in rng.permutation(n_columns)[:n]
    ]
    rows, columns = (np.array([entry[side] for entry in entries], int) for side in (0, 1))
    spread = float(rng.choice([0, 1, 3]))
    weights = np.exp(spread * rng.standard_normal(len(rows)))
    if rng.random() < 0.2:
        weights[rng.random(len(rows)) < 0.3] = 0
    targets = np.ones(len(rows)) if rng.random() < 0.5 else rng.standard_normal(len(rows))
    shape = (len(counts), n_columns)
    arguments = {
        "weights": scipy.sparse.csr_array((np.float32(weights), (rows, columns)), shape=shape),
        "factors": np.float32(factors),
        "targets": scipy.sparse.csr_array((np.float32(targets), (rows, columns)), shape=shape),
        "unobserved_weight": float(rng.choice([0, 0.02, 1])),
        "l2": rng.choice([1e-6, 0.01, 3, 100], len(counts)) * (1 + rng.random(len(counts))),
    }
    return arguments, np.float32(rng.standard_normal((len(counts), d)))


def equations(arguments: dict, row: int):
    """A, b and the constant of the row's loss, float64."""
    y = arguments["factors"].astype(np.float64)
    w, t = (arguments[name][[row]].tocoo() for name in ("weights", "targets"))
    entries, weights = w.col, w.data.astype(np.float64)
    targets = t.data.astype(np.float64)
    w0 = arguments["unobserved_weight"]
    extra = (weights - w0)[:, np.newaxis] * y[entries]
    a = w0 * y.T @ y + y[entries].T @ extra + arguments["l2"][row] * np.eye(y.shape[1])
    return a, y[entries].T @ (weights * targets), weights @ (targets * targets)


@dataclass(frozen=True)
class Row:
    """One row's equations and all that does not depend on who solves them."""

    a: np.ndarray
    b: np.ndarray
    constant: float
    norm: float
    condition: float
    best: np.ndarray
    is_empty: bool


@lru_cache(maxsize=AT_ONCE)
def solved(number: int) -> tuple[dict, list[Row]]:
    """A problem with its dense float64 solutions: made once for all members, which take turns at it."""
    arguments, _ = problem(number)
    rows = []
    for row, n_entries in enumerate(np.diff(arguments["weights"].indptr)):
        a, b, constant = equations(arguments, row)
        best = np.linalg.solve(a, b)
        singular = np.linalg.svd(a, compute_uv=False)
        condition = singular[0] / singular[-1]
        rows.append(Row(a, b, constant, singular[0], condition, best, n_entries == 0))
    return arguments, rows


def of_member(member: str, numbers: range) -> list[int]:
    """All problems for kernels of its own, else a sample."""
    return list(numbers) if member in DISTINCT else [n for n in numbers if n % EVERY_SHARED == 0]


PARTS = [range(i, i + AT_ONCE) for i in range(0, N_PROBLEMS, AT_ONCE)]


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part.start}-{part.stop - 1}")
def test_rows_solve_their_equations(part, member):
    backend = member_backend(member)
    for number in of_member(member, part):
        arguments, rows = solved(number)
        found = gpurec.als(**arguments, backend=backend)
        loss, scale = 0.0, 0.0
        for at, (row, x) in enumerate(zip(rows, found.factors.astype(np.float64), strict=True)):
            left = np.linalg.norm(row.a @ x - row.b)
            size = row.norm * np.linalg.norm(x) + np.linalg.norm(row.b)
            assert left <= TOLERANCE * (len(x) + 16) * size, f"problem {number}, row {at}: {left / size}"
            error, size = np.linalg.norm(x - row.best), np.linalg.norm(row.best) + 1e-30
            assert error <= 2 * TOLERANCE * (len(x) + 16) * row.condition * size
            if row.is_empty:
                assert not x.any()
            loss += row.constant - 2 * row.b @ x + x @ row.a @ x
            scale += row.constant + row.norm * (x @ x)
        assert abs(found.loss - loss) <= TOLERANCE * (len(arguments["factors"][0]) + 16) * scale


N_STEPS = 120


@lru_cache(maxsize=N_STEPS)
def stepped(solver: str, number: int) -> tuple[dict[str, Any], float, float]:
    """A problem for steps, and the losses of the reference's steps and of its exact solution."""
    arguments, start = problem(number)
    # Where equations are far from any solution, roundings lead gradients elsewhere.
    arguments["l2"] = np.maximum(arguments["l2"], 0.1)
    arguments["weights"].data = arguments["weights"].data.clip(0, 10)
    exact = gpurec.als(**arguments, backend="reference").loss
    arguments |= {"solver": solver, "steps": 1 + number % 3, "block_size": 1 + number % 19}
    arguments["start"] = start if number % 2 else None
    return arguments, gpurec.als(**arguments, backend="reference").loss, exact


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("solver", ["cg", "block"])
def test_steps_are_those_of_the_reference(solver, member):
    for number in of_member(member, range(N_STEPS)):
        arguments, want, exact = stepped(solver, number)
        got = gpurec.als(**arguments, backend=member_backend(member)).loss
        scale = abs(want) + float((arguments["weights"].data * arguments["targets"].data ** 2).sum())
        assert exact <= want + 1e-6 * scale
        assert abs(got - want) <= 1e-4 * scale, f"{solver}, problem {number}"


@pytest.mark.parametrize("member", MEMBERS)
def test_conjugate_gradients_end_at_the_solution(member):
    rng = np.random.default_rng(SEED)
    weights = scipy.sparse.random(40, 60, 0.2, random_state=rng, dtype=np.float32)
    factors = rng.standard_normal((60, 12), dtype=np.float32)
    common = {"unobserved_weight": 0.3, "l2": 0.5, "backend": member_backend(member)}
    exact = gpurec.als(weights, factors, **common)
    for solver, steps in (("cg", 30), ("block", 200)):
        got = gpurec.als(weights, factors, **common, solver=solver, steps=steps, block_size=5)
        np.testing.assert_allclose(got.factors, exact.factors, atol=2e-4)
        assert abs(got.loss - exact.loss) <= 1e-5 * exact.loss


def large():
    rng = np.random.default_rng([SEED, 18])
    counts = rng.choice([0, 1, 5, 40, 300, 1400], 300, p=[0.1, 0.2, 0.4, 0.2, 0.08, 0.02])
    rows = np.repeat(np.arange(300), counts)
    columns = np.concatenate([rng.permutation(1500)[:n] for n in counts])
    weights = scipy.sparse.csr_array((rng.random(len(rows), np.float32) + 1, (rows, columns)), (300, 1500))
    return weights, rng.standard_normal((1500, 48), dtype=np.float32)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("solver", ["cholesky", "cg", "block"])
def test_neither_threads_nor_other_rows_show(isa, solver):
    weights, factors = large()
    start = np.random.default_rng(1).standard_normal((300, 48), dtype=np.float32)
    how = {"solver": solver, "l2": 0.1, "unobserved_weight": 0.2, "start": start}
    one = gpurec.als(weights, factors, **how, backend=CpuBackend(isa=isa, n_threads=1))
    for n_threads in (2, 7):
        more = gpurec.als(weights, factors, **how, backend=CpuBackend(isa=isa, n_threads=n_threads))
        assert_same_bits(more.factors, one.factors, f"{n_threads} threads")
        assert more.loss == one.loss
    half = gpurec.HalfSweep(factors, 0.2, backend=CpuBackend(isa=isa, n_threads=2))
    for rows in ([3], [299, 0, 7], list(range(100, 150))):
        part = half.solve(weights[rows], solver=solver, l2=0.1, start=start[rows])
        assert_same_bits(part.factors, one.factors[rows], f"rows {rows[:3]} alone")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("solver", ["cholesky", "cg", "block"])
def test_threads_share_a_heavy_row(isa, solver):
    """Rows between light ones, cut into parts: the residual of a solution, and the bits of one thread."""
    rng = np.random.default_rng([SEED, 19])
    counts = [5, 16_385, 0, 29_997, 3]
    columns = np.concatenate([rng.permutation(30_000)[:n] for n in counts])
    values = rng.random(len(columns), np.float32) + 0.5
    weights = scipy.sparse.csr_array((values, columns, np.cumsum([0, *counts])), shape=(5, 30_000))
    targets = weights.copy()
    targets.data = rng.standard_normal(len(columns)).astype(np.float32)
    factors = rng.standard_normal((30_000, 19), dtype=np.float32)
    arguments = {"weights": weights, "factors": factors, "targets": targets, "unobserved_weight": 0.3}
    arguments["l2"] = np.full(5, 0.5)
    start = rng.standard_normal((5, 19), dtype=np.float32)
    how = {"solver": solver, "steps": 12, "block_size": 7, "start": start}
    one = gpurec.als(**arguments, **how, backend=CpuBackend(isa=isa, n_threads=1))
    loss, scale = 0.0, 0.0
    for row, x in enumerate(one.factors.astype(np.float64)):
        a, b, constant = equations(arguments, row)
        size = np.linalg.norm(a, 2) * np.linalg.norm(x) + np.linalg.norm(b)
        if counts[row] > 16_384:
            assert np.linalg.norm(a @ x - b) <= 35 * TOLERANCE * size
        loss += constant - 2 * b @ x + x @ a @ x
        scale += constant
    assert abs(one.loss - loss) <= 1e-6 * scale
    for n_threads in (2, 7):
        more = gpurec.als(**arguments, **how, backend=CpuBackend(isa=isa, n_threads=n_threads))
        assert_same_bits(more.factors, one.factors, f"{n_threads} threads")
        assert more.loss == one.loss


@pytest.mark.parametrize("isa", ISAS)
def test_gram_matrices_are_float64(isa):
    factors = np.random.default_rng(2).standard_normal((3000, 19), dtype=np.float32)
    gram = gpurec.HalfSweep(factors, backend=CpuBackend(isa=isa)).gram
    wide = factors.astype(np.float64)
    np.testing.assert_allclose(gram, wide.T @ wide, rtol=1e-13, atol=1e-10)


def test_work_is_done_in_pieces_of_the_same_bits(monkeypatch):
    weights, factors = large()
    whole = gpurec.als(weights, factors, l2=0.1)
    monkeypatch.setattr(sys.modules["gpurec.ops.als"], "_WORK_AT_ONCE", 1e5)
    pieces = gpurec.als(weights, factors, l2=0.1)
    assert_same_bits(pieces.factors, whole.factors, "pieces")
    np.testing.assert_allclose(pieces.loss, whole.loss, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"weights": [[1.0, np.nan]]}, ValueError, "row 0 of weights"),
        ({"weights": [[1.0, -2.0]]}, ValueError, r"weights of at least 0, got -2.0 in row 0"),
        ({"weights": np.ones((1, 3))}, ValueError, "a column for each of 2 rows"),
        ({"factors": [[1.0], [np.inf]]}, ValueError, "row 1 of factors"),
        ({"targets": np.eye(2)}, ValueError, "same entries"),
        ({"targets": np.nan}, ValueError, "finite targets"),
        ({"unobserved_weight": -1}, ValueError, "unobserved_weight finite and at least 0"),
        ({"unobserved_weight": "1"}, TypeError, "number as unobserved_weight"),
        ({"l2": 0}, ValueError, "l2 above 0"),
        ({"l2": [1.0, 2.0]}, ValueError, "each of 1 rows"),
        ({"l2": True}, TypeError, "l2 as a number"),
        ({"solver": "qr"}, ValueError, "cholesky, cg, block"),
        ({"steps": 0}, ValueError, "steps >= 1"),
        ({"block_size": 1.5}, TypeError, "integer block_size"),
        ({"start": np.ones((2, 1))}, ValueError, "start with a row for each of 1"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match=rf"\[als\].*{words}"):
        gpurec.als(**{"weights": [[1.0, 2.0]], "factors": [[1.0], [2.0]], **arguments})

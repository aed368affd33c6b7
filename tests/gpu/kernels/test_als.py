"""Kernels of `als` against dense float64 equations, on many schedules, in shared and in global memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import scipy.sparse

import gpurec
from gpurec.backends.cuda import EmulatedCudaBackend

from ..devices import SEEDS_APART, module
from ..traffic import readable

# Of |A| |x| + |b|, beside d + 16: what `als` promises.
TOLERANCE = 3e-6
SOLVERS = [("cholesky", 32), ("cg", 32), ("block", 5), ("block", 8)]


def backend(seed: int, name: str = "_cuda_emulated") -> EmulatedCudaBackend:
    native = module(name)
    native.set_seed(seed + SEEDS_APART * (int(os.environ.get("GPUREC_EMULATED_SEED", "1")) - 1))
    return EmulatedCudaBackend(name)


def problem(d: int, seed: int, counts: tuple[int, ...] = (0, 1, 5, 150, 64, 0, 40), n_columns: int = 160):
    """Rows without an entry, with one, with as many as are staged at a time, with more."""
    rng = np.random.default_rng([seed, d])
    factors = rng.standard_normal((n_columns, d))
    if seed % 2:  # of less than full rank, some of them zero
        rank = int(rng.integers(0, d + 1))
        factors = factors[:, :rank] @ rng.standard_normal((rank, d)) / np.sqrt(max(rank, 1))
        factors[rng.random(n_columns) < 0.1] = 0
    rows = np.repeat(np.arange(len(counts)), counts)
    columns = np.concatenate([np.sort(rng.permutation(n_columns)[:n]) for n in counts]).astype(int)
    weights = np.exp(rng.choice([0, 1, 2]) * rng.standard_normal(len(rows)))
    weights[rng.random(len(rows)) < 0.1] = 0
    shape = (len(counts), n_columns)
    return {
        "weights": scipy.sparse.csr_array((np.float32(weights), (rows, columns)), shape=shape),
        "factors": np.float32(factors),
        "targets": scipy.sparse.csr_array(
            (np.float32(rng.standard_normal(len(rows))), (rows, columns)), shape=shape
        ),
        "unobserved_weight": float(rng.choice([0, 0.02, 1])),
        "l2": rng.choice([0.01, 3], len(counts)) * (1 + rng.random(len(counts))),
    }


def check(arguments: dict, found: gpurec.AlsRows) -> None:
    """Holds what was found to the equations of each row."""
    y = arguments["factors"].astype(np.float64)
    w0, d = arguments["unobserved_weight"], y.shape[1]
    loss = scale = 0.0
    for row, x in enumerate(found.factors.astype(np.float64)):
        w, t = (arguments[name][[row]].tocoo() for name in ("weights", "targets"))
        z, weights, targets = y[w.col], w.data.astype(np.float64), t.data.astype(np.float64)
        if len(weights) == 0:
            assert not x.any()
            continue
        a = w0 * y.T @ y + z.T @ ((weights - w0)[:, np.newaxis] * z) + arguments["l2"][row] * np.eye(d)
        b, size = z.T @ (weights * targets), np.linalg.norm(a, 2)
        left = np.linalg.norm(a @ x - b)
        assert left <= TOLERANCE * (d + 16) * (size * np.linalg.norm(x) + np.linalg.norm(b)), row
        constant = weights @ targets**2
        loss += constant - 2 * b @ x + x @ a @ x
        scale += constant + size * (x @ x)
    assert abs(found.loss - loss) <= TOLERANCE * (d + 16) * scale


@pytest.mark.parametrize("seed", range(1, 5))
@pytest.mark.parametrize("d", [1, 7, 32, 64, 128])
def test_rows_solve_their_equations(d: int, seed: int) -> None:
    arguments = problem(d, seed)
    check(arguments, gpurec.als(**arguments, backend=backend(seed)))


@pytest.mark.parametrize(
    ("d", "counts"), [(24, (1, 3, 4, 5, 20, 21, 23, 24)), (64, (17, 57, 61)), (120, (32, 33))]
)
def test_rows_with_fewer_entries_than_factors(d: int, counts: tuple[int, ...]) -> None:
    for seed in (1, 2):
        arguments = problem(d, seed, counts, max(counts))
        arguments["weights"].data += np.float32(1)  # more than columns without an entry
        check(arguments, gpurec.als(**arguments, backend=backend(seed)))


@pytest.mark.parametrize("d", [18, 32])
def test_rows_that_float32_does_not_suffice_for(d: int) -> None:
    """Nearly no penalty on few entries that are alike, or entries that take away what all others say.

    Of few entries that are not alike there are as many equations, which float32 suffices for.
    """
    arguments = problem(d, 2, (0, 1, 5, 160, 100))
    arguments["l2"] = np.full(5, 1e-6)
    weights = arguments["weights"]
    weights.data[: weights.indptr[3]] += 1  # of both rows with few entries
    weights.data[weights.indptr[3] : weights.indptr[4]] = 0
    few = weights.indices[weights.indptr[2] : weights.indptr[3]]
    for alike, w0, n_failed in ((False, 0.0, 0), (True, 0.0, 1), (False, 1.0, 1)):
        changed = arguments | {"factors": arguments["factors"].copy(), "unobserved_weight": w0}
        if alike:
            changed["factors"][few] = changed["factors"][few[0]]
        emulated = backend(d)
        with counted_failures(emulated) as failed:
            check(changed, gpurec.als(**changed, backend=emulated))
        assert failed == [n_failed]


@contextmanager
def counted_failures(emulated: EmulatedCudaBackend) -> Iterator[list[int]]:
    """How many rows each launch of `als_rows` leaves to the kernel after it."""
    launcher, found = emulated.launcher, []
    launch = launcher.launch

    def spy(kernel, params, *, stream, **how):
        launch(kernel, params, stream=stream, **how)
        if kernel == "als_rows":
            found.append(int(launcher.read(params.failed, (1,), np.uint32, stream)[0]))

    launcher.launch = spy
    yield found
    launcher.launch = launch


@pytest.mark.parametrize(("solver", "block_size"), SOLVERS)
@pytest.mark.parametrize("d", [1, 7, 24])
def test_steps_are_those_of_the_reference(d: int, solver: str, block_size: int) -> None:
    for seed in range(1, 4):
        arguments = problem(d, seed, (3, 0, 70, 1))
        arguments["l2"] = np.maximum(arguments["l2"], 0.1)
        start = np.random.default_rng(seed).standard_normal((4, d), dtype=np.float32)
        how = {
            "solver": solver,
            "steps": seed,
            "block_size": block_size,
            "start": start if seed > 1 else None,
        }
        want = gpurec.als(**arguments, **how, backend="reference")
        got = gpurec.als(**arguments, **how, backend=backend(seed))
        scale = abs(want.loss) + float((arguments["weights"].data * arguments["targets"].data ** 2).sum())
        assert abs(got.loss - want.loss) <= 1e-4 * scale
        np.testing.assert_allclose(got.factors, want.factors, atol=2e-3 * np.abs(want.factors).max())


@pytest.mark.parametrize(("solver", "block_size"), SOLVERS)
def test_neither_schedules_nor_other_rows_show(solver: str, block_size: int) -> None:
    arguments = problem(24, 2)
    start = np.random.default_rng(1).standard_normal((7, 24), dtype=np.float32)
    how = {"solver": solver, "block_size": block_size, "steps": 2}
    first = gpurec.als(**arguments, **how, start=start, backend=backend(0))
    for seed in range(1, 7):
        again = gpurec.als(**arguments, **how, start=start, backend=backend(seed))
        np.testing.assert_array_equal(again.factors.view("u4"), first.factors.view("u4"))
        assert again.loss == first.loss
    rows = [4, 3, 1]
    some = {name: arguments[name][rows] for name in ("weights", "targets", "l2")}
    part = gpurec.als(**(arguments | some), **how, start=start[rows], backend=backend(1))
    np.testing.assert_array_equal(part.factors.view("u4"), first.factors[rows].view("u4"))


def test_matrices_may_lie_in_global_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = problem(32, 2)
    shared = gpurec.als(**arguments, backend=backend(1))
    small = backend(2)
    small.launcher.properties["shared_per_block"] = 24 << 10  # the rest takes 22 KB
    monkeypatch.setattr("gpurec.backends.cuda.factors._MATRIX_BYTES", 1 << 14)  # for few blocks at a time
    found = gpurec.als(**arguments, backend=small)
    np.testing.assert_array_equal(found.factors.view("u4"), shared.factors.view("u4"))
    assert found.loss == shared.loss


def test_what_no_block_has_room_for_is_left_to_the_host() -> None:
    arguments = problem(32, 2)
    small = backend(1)
    small.launcher.properties["shared_per_block"] = 4 << 10
    found = gpurec.als(**arguments, backend=small)
    host = gpurec.als(**arguments, backend="cpu")
    np.testing.assert_array_equal(found.factors.view("u4"), host.factors.view("u4"))


@pytest.mark.parametrize("n", [1, 300, 3000])
def test_gram_matrices_are_float64(n: int) -> None:
    for d in (1, 19, 64):
        factors = np.random.default_rng(n).standard_normal((n, d), dtype=np.float32)
        gram = gpurec.HalfSweep(factors, backend=backend(d)).gram
        wide = factors.astype(np.float64)
        np.testing.assert_allclose(gram, wide.T @ wide, rtol=1e-12, atol=1e-12 * n)


@pytest.mark.parametrize("seed", range(1, 4))
@pytest.mark.parametrize(("solver", "block_size"), SOLVERS)
def test_no_races(solver: str, block_size: int, seed: int) -> None:
    traced = backend(seed, "_cuda_traced")
    native = module("_cuda_traced")
    native.reset_trace()
    arguments = problem(12, seed, (0, 1, 5, 70))
    arguments["l2"][2] = 1e-6
    start = np.zeros((4, 12), np.float32)
    gpurec.als(**arguments, solver=solver, block_size=block_size, steps=2, start=start, backend=traced)
    reports = native.trace()["reports"]
    assert not reports, readable(native, reports)

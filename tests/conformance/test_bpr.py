"""`bpr_epochs`: the reference's bits, gradients, draws that no user has, errors."""

from __future__ import annotations

import math
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from gpurec import RankingRates, bpr_epochs
from gpurec.backends.cpu import CpuBackend
from gpurec.backends.ranking import RankingJob
from gpurec.backends.reference_bpr import bpr_epochs as reference_epochs
from gpurec.ops.sparse_arguments import as_sparse_rows

from .cases import SEED
from .members import MEMBERS, assert_same_bits, chunks, member_backend

RATES = RankingRates(0.1, 0.05, 0.07, 0.02)


def tables(rng, n_users, n_items, n_factors, scale=1.0):
    return (
        (scale * rng.standard_normal((n_users, n_factors))).astype(np.float32),
        rng.standard_normal((n_items, n_factors)).astype(np.float32),
        rng.standard_normal(n_items).astype(np.float32),
    )


def case(number: int):
    """Few and many positives, factors around the width of vectors, every way to draw and to move."""
    rng = np.random.default_rng([SEED, 19, number])
    n_users, n_items = int(rng.integers(1, 30)), int(rng.choice([1, 2, 7, 40]))
    n_factors = int(rng.choice([0, 1, 3, 8, 15, 16, 17, 32, 39]))
    has = rng.random((n_users, n_items)) < rng.choice([0.0, 0.1, 0.5, 1.0], (n_users, 1))
    positives = csr_array(has.astype(np.float32))
    given = tables(rng, n_users, n_items, n_factors, rng.choice([1e-25, 0.1, 1.0, 30.0]))
    weights = [None, rng.integers(0, 9, n_items), rng.integers(0, 2, n_items), [2**32 - 1] * n_items]
    chosen = weights[rng.integers(len(weights))]
    how = {
        "loss": str(rng.choice(["bpr", "softmax"])),
        "sharpness": float(rng.choice([1.0, 1.0, 0.3, 10.0])),
        "unit": bool(rng.random() < 0.3),
        "n_negatives": int(rng.choice([1, 1, 2, 5, 16, 20])),
        "n_candidates": int(rng.choice([1, 1, 3])),
        "weights": None if chosen is None else np.array(chosen, np.uint32),
        "among": None if rng.random() < 0.6 else np.flatnonzero(rng.random(n_items) < 0.7).astype(np.int32),
        "seed": int(rng.integers(0, 2**64, dtype=np.uint64)),
        "first_epoch": int(rng.integers(0, 5)),
        "n_epochs": int(rng.choice([1, 2])),
        "n_blocks": int(rng.choice([1, 2, 5])),
        "moves": [("users", "positives", "negatives"), ("users",), ("positives",), ()][
            rng.choice([0, 0, 0, 1, 2, 3])
        ],
        "visited": None if rng.random() < 0.7 else rng.random(positives.nnz) < 0.5,
        "keys": None if rng.random() < 0.7 else rng.integers(0, 3, n_users),
    }
    rates = RATES if rng.random() < 0.8 else RankingRates(3.0, 0.0, 1.0, 0.5)
    return positives, given, rates, how


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("numbers", chunks(), ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}")
def test_factors_equal_the_reference(numbers, member):
    for number in numbers:
        positives, given, rates, how = case(number)
        want, got = ([table.copy() for table in given] for _ in range(2))
        expected = bpr_epochs(positives, *want, rates, backend="reference", **how)
        found = bpr_epochs(positives, *got, rates, backend=member_backend(member), **how)
        for mine, theirs in zip(got, want):
            finite = np.isfinite(theirs)
            assert (np.isfinite(mine) == finite).all(), f"{member}: case {number}"
            assert_same_bits(mine[finite], theirs[finite], f"{member}: case {number} {how}")
        assert (found.n_visits, found.n_skipped) == (expected.n_visits, expected.n_skipped)
        assert found.right == expected.right
        if math.isfinite(expected.loss):
            assert math.isclose(found.loss, expected.loss, rel_tol=1e-12, abs_tol=1e-12)


def learning(n_users=60, n_items=90, n_factors=20):
    rng = np.random.default_rng([SEED, 20])
    positives = csr_array((rng.random((n_users, n_items)) < 0.2).astype(np.float32))
    return positives, tables(rng, n_users, n_items, n_factors)


@pytest.mark.parametrize("n_threads", [1, 2, 7])
@pytest.mark.parametrize(
    "how", [{}, {"loss": "softmax", "n_negatives": 9, "unit": True, "sharpness": 8.0}, {"n_candidates": 4}]
)
def test_threads_and_pieces_do_not_show(n_threads, how):
    positives, given = learning()
    backend = CpuBackend(n_threads=n_threads)
    want, pieces = ([table.copy() for table in given] for _ in range(2))
    bpr_epochs(positives, *want, RATES, n_epochs=4, n_blocks=8, backend=CpuBackend(n_threads=1), **how)
    for first, n_epochs in ((0, 1), (1, 0), (1, 2), (3, 1)):
        bpr_epochs(
            positives,
            *pieces,
            RATES,
            first_epoch=first,
            n_epochs=n_epochs,
            n_blocks=8,
            backend=backend,
            **how,
        )
    for mine, theirs in zip(pieces, want):
        assert_same_bits(mine, theirs, f"{n_threads} threads")


@pytest.mark.parametrize("loss", ["bpr", "softmax"])
@pytest.mark.parametrize(("n_negatives", "sharpness"), [(1, 1.0), (1, 2.5), (2, 1.0), (4, 0.5)])
def test_visits_move_along_the_gradient(loss, n_negatives, sharpness):
    """In float64, a visit's steps are those of the loss by differences: of every factor and bias."""
    rng = np.random.default_rng([SEED, 21, n_negatives])
    n_items, d, item = 30, 5, 3
    matrix = as_sparse_rows(csr_array((np.ones(1), ([0], [item])), shape=(1, n_items)), "positives", "test")
    rates = RankingRates(1e-3, 0.3, 2e-3, 0.7)
    start = [0.4 * rng.standard_normal(shape) for shape in ((1, d), (n_items, d), (n_items,))]

    def objective(p, q, b, rows):
        x = sharpness * np.array([(b[item] - b[row]) + p[0] @ (q[item] - q[row]) for row in rows])
        softmax = np.log1p(np.exp(-x).sum())
        data = softmax if loss == "softmax" else np.log1p(np.exp(-x)).mean()
        squares = (p[0] ** 2).sum() + (q[item] ** 2).sum() + np.mean([(q[row] ** 2).sum() for row in rows])
        biases = b[item] ** 2 + np.mean([b[row] ** 2 for row in rows])
        return data, rates.regularisation / 2 * squares, rates.bias_regularisation / 2 * biases

    n_compared = 0
    for seed in range(8):
        moved = [table.copy() for table in start]
        how = {"loss": loss, "sharpness": sharpness, "unit": False}
        job = RankingJob(
            *how.values(), n_negatives, 1, *vars(rates).values(), True, True, True, seed, 0, 1, 1
        )
        found, *_ = reference_epochs(matrix, None, None, *moved, None, None, job)
        rows = np.setdiff1d(np.flatnonzero(moved[2] != start[2]), [item])
        if len(rows) < n_negatives:  # one was drawn twice: its second step begins where the first ended
            continue
        n_compared += 1
        assert math.isclose(found, objective(*start, rows)[0], rel_tol=1e-12)
        for table, rate in (
            (0, rates.learning_rate),
            (1, rates.learning_rate),
            (2, rates.bias_learning_rate),
        ):
            step = (start[table] - moved[table]) / rate
            for at in np.ndindex(step.shape):
                ends = []
                for h in (1e-5, -1e-5):
                    shifted = [t.copy() for t in start]
                    shifted[table][at] += h
                    data, *penalties = objective(*shifted, rows)
                    ends.append(data / sharpness + sum(penalties))
                assert abs(step[at] - (ends[0] - ends[1]) / 2e-5) < 1e-8, (table, at)
    assert n_compared >= 4


@pytest.mark.parametrize("member", MEMBERS)
def test_rows_that_moved_have_length_one(member):
    positives, given = learning()
    given[1][5] = 0
    before = [table.copy() for table in given]
    how = {"unit": True, "sharpness": 5.0, "backend": member_backend(member)}
    for n_negatives in (1, 4):
        users, items, _ = (table.copy() for table in given)
        bpr_epochs(positives, users, items, given[2].copy(), RATES, n_negatives=n_negatives, **how)
        for table, old in ((users, before[0]), (items, before[1])):
            moved = (table != old).any(axis=1)
            assert moved.sum() > 50
            np.testing.assert_allclose(np.linalg.norm(table[moved], axis=1), 1, rtol=1e-6)
    # What does not move is left at its length.
    bpr_epochs(positives, *given, RATES, moves=("users",), **how)
    assert_same_bits(given[1], before[1], member)


@pytest.mark.parametrize("moves", [("users",), ("users", "positives", "negatives")])
@pytest.mark.parametrize("weighted", [False, True])
def test_items_that_are_not_among_weigh_nothing(moves, weighted):
    positives, given = learning()
    rng = np.random.default_rng([SEED, 23])
    weights = rng.integers(0, 4, len(given[1])).astype(np.uint32) if weighted else None
    among = np.sort(rng.permutation(len(given[1]))[:30]).astype(np.int32)
    masked = np.zeros(len(given[1]), np.uint32)
    masked[among] = 1 if weights is None else weights[among]
    got, want = ([table.copy() for table in given] for _ in range(2))
    bpr_epochs(positives, *got, RATES, weights=weights, among=among, moves=moves)
    bpr_epochs(positives, *want, RATES, weights=masked, moves=moves)
    for mine, theirs in zip(got, want):
        assert_same_bits(mine, theirs, str(moves))


def drawn_counts(positives, n_epochs, **how):
    """How often each item was drawn, from biases that a draw moves by almost nothing."""
    n_users, n_items = positives.shape
    users, items = np.zeros((n_users, 1), np.float32), np.zeros((n_items, 1), np.float32)
    biases, step = np.zeros(n_items, np.float32), 2.0**-30
    rates = RankingRates(0, 0, step, 0)
    bpr_epochs(positives, users, items, biases, rates, n_epochs=n_epochs, moves=("negatives",), **how)
    return np.rint(-biases.astype(np.float64) / (step / 2)).astype(np.int64)


@pytest.mark.parametrize("n_blocks", [1, 4])
@pytest.mark.parametrize("kind", ["alike", "weights"])
@pytest.mark.parametrize("n_positives", [3, 20])
def test_draws_are_no_positives_and_as_likely_as_they_should(n_blocks, kind, n_positives):
    rng = np.random.default_rng([SEED, 22])
    n_items = 60
    items = rng.permutation(n_items)[:n_positives]
    positives = csr_array((np.ones(n_positives), ([0] * n_positives, items)), shape=(1, n_items))
    weights = None if kind == "alike" else rng.integers(0, 4, n_items).astype(np.uint32)
    n_epochs = 12_000 // n_positives
    counts = drawn_counts(positives, n_epochs, weights=weights, n_blocks=n_blocks, seed=5)
    assert (counts[items] == 0).all() and (counts >= 0).all()
    free = np.ones(n_items) if weights is None else weights.astype(float)
    free[items] = 0
    assert (counts[free == 0] == 0).all()
    total = counts.sum()
    assert total >= 0.99 * n_epochs * n_positives
    if n_blocks == 1:
        expected = total * free / free.sum()
        chi = ((counts - expected)[free > 0] ** 2 / expected[free > 0]).sum()
        n = int((free > 0).sum()) - 1
        assert abs(chi - n) < 5 * math.sqrt(2 * n)
    else:  # by blocks drawn anew each epoch: all are met, none much more than others of its weight
        shares = counts[free > 0] / free[free > 0]
        assert shares.min() > 0.7 * shares.mean() and shares.max() < 1.4 * shares.mean()


@pytest.mark.parametrize("member", MEMBERS)
def test_hard_negatives_score_highest(member):
    positives = csr_array(np.float32([[1, 0, 0, 0, 1, 0]]))
    users, items = np.ones((1, 1), np.float32), np.zeros((6, 1), np.float32)
    biases = np.float32([0, 1, 3, 2, 9, 3])
    bpr_epochs(
        positives,
        users,
        items,
        biases,
        RankingRates(0, 0, 2.0**-20, 0),
        n_candidates=200,
        moves=("negatives",),
        backend=member_backend(member),
    )
    # Items 2 and 5 tie, and whichever was drawn first lost twice a little, or each once.
    assert biases[[0, 1, 3, 4]].tolist() == [0, 1, 2, 9] and min(biases[2], biases[5]) < 3
    assert biases[[2, 5]].min() > 3 - 1e-5


@pytest.mark.parametrize("member", MEMBERS)
def test_users_with_everything_are_skipped(member):
    positives = csr_array(np.float32([[1, 1, 1], [1, 1, 0]]))
    given = tables(np.random.default_rng(1), 2, 3, 4)
    first = given[0][0].copy()
    done = bpr_epochs(positives, *given, RATES, backend=member_backend(member))
    assert (done.n_visits, done.n_skipped) == (2, 3)
    assert_same_bits(given[0][0], first, member)


def test_what_does_not_move_may_be_read_only():
    positives, given = learning()
    for table in given[1:]:
        table.flags.writeable = False
    kept = given[1].copy()
    keys = np.zeros(positives.shape[0], np.int64)
    bpr_epochs(positives, *given, RATES, moves=("users",), n_epochs=3, keys=keys)
    assert_same_bits(given[1], kept, "items")
    alone = learning()[1][0][7:8].copy()
    bpr_epochs(positives[[7]], alone, *given[1:], RATES, moves=("users",), n_epochs=3, keys=keys[:1])
    assert_same_bits(alone, given[0][7:8], "a user alone")


def test_flush_to_zero_in_the_caller_changes_nothing():
    from gpurec._native import cpu as native

    positives, given = learning(8, 10, 9)
    given[0][...] *= np.float32(1e-21)
    given[1][...] *= np.float32(1e-21)
    given[2][...] = 0
    want, got = ([table.copy() for table in given] for _ in range(2))
    rates = replace(RATES, bias_learning_rate=0.0)
    bpr_epochs(positives, *want, rates, backend="reference")
    native.set_flush_denormal(True)
    try:
        bpr_epochs(positives, *got, rates, backend="cpu")
    finally:
        native.set_flush_denormal(False)
    for mine, theirs in zip(got, want):
        assert mine.tobytes() == theirs.tobytes()


def test_ctrl_c_ends_a_long_call():
    positives, given = learning(400, 600, 64)

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        began = time.perf_counter()
        with pytest.raises(KeyboardInterrupt):
            bpr_epochs(positives, *given, RATES, n_epochs=10**6, backend="cpu")
        assert time.perf_counter() - began < 1.2
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

"""`elastic_net`: the reference's bits, weights that nothing improves, what scikit-learn finds."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import gpurec

from .cases import SEED
from .members import MEMBERS, assert_same_bits, chunks, member_backend


def net_case(number: int):
    """Columns of ones or of any sign, some empty, and for each target some that may say it."""
    rng = np.random.default_rng([SEED, 16, number])
    n_rows, n_columns = int(rng.choice([1, 5, 60])), int(rng.choice([1, 2, 9, 30]))
    present = rng.random((n_rows, n_columns)) < rng.choice([0.0, 0.1, 0.6], n_columns)
    values = np.ones((n_rows, n_columns)) if rng.random() < 0.5 else rng.standard_normal((n_rows, n_columns))
    matrix = scipy.sparse.csr_array(np.float32(present * values))
    targets = rng.integers(0, n_columns, int(rng.choice([1, 3, 20])))
    choices = rng.random((len(targets), n_columns)) < rng.choice([0.2, 1.0])
    choices[np.arange(len(targets)), targets] = False
    rates = {"l1": float(rng.choice([0, 0.3, 2])), "l2": float(rng.choice([0, 0.5, 10]))}
    limits = {"tolerance": float(rng.choice([0, 1e-6, 0.1])), "max_sweeps": int(rng.choice([1, 2, 40]))}
    return matrix, scipy.sparse.csr_array(choices.astype(np.float32)), {"targets": targets, **rates, **limits}


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("numbers", chunks(), ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}")
def test_weights_equal_the_reference(numbers, member):
    for number in numbers:
        matrix, candidates, settings = net_case(number)
        want = gpurec.elastic_net(matrix, candidates, **settings, backend="reference")
        got = gpurec.elastic_net(matrix, candidates, **settings, backend=member_backend(member))
        assert_same_bits(got.weights.toarray(), want.weights.toarray(), f"{member}: case {number}")
        assert got.n_sweeps.tolist() == want.n_sweeps.tolist(), f"{member}: case {number}"
        assert got.n_sweeps.max() <= settings["max_sweeps"] and (got.weights.data > 0).all()


def problem(signed: bool):
    rng = np.random.default_rng(SEED)
    dense = (rng.random((200, 40)) < 0.15) * (rng.standard_normal((200, 40)) if signed else 1.0)
    candidates = np.ones((40, 40)) - np.eye(40)
    return dense.astype(np.float32), candidates


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("signed", [False, True])
def test_no_weight_can_be_moved_to_advantage(member, signed):
    """The slope along each weight is 0 above 0, and does not fall from 0: what an optimum must be."""
    dense, candidates = problem(signed)
    l1, l2 = 0.7, 3.0
    found = gpurec.elastic_net(
        dense, candidates, l1=l1, l2=l2, tolerance=1e-9, max_sweeps=1000, backend=member_backend(member)
    )
    assert found.n_sweeps.max() < 1000 and found.weights.nnz > 100
    wide, weights = dense.astype(np.float64), found.weights.toarray().astype(np.float64).T
    pull = wide.T @ (wide - wide @ weights) - l1 - l2 * weights
    np.fill_diagonal(pull, 0)
    assert np.abs(pull[weights > 0]).max() < 1e-4  # of weights rounded to float32
    assert pull[weights == 0].max() < 1e-4


def test_scikit_learn_finds_the_same():
    linear_model = pytest.importorskip("sklearn.linear_model")
    dense, candidates = problem(signed=False)
    l1, l2 = 0.7, 3.0
    found = gpurec.elastic_net(dense, candidates, l1=l1, l2=l2, tolerance=1e-9, max_sweeps=1000)
    net = linear_model.ElasticNet(
        alpha=(l1 + l2) / len(dense),
        l1_ratio=l1 / (l1 + l2),
        positive=True,
        fit_intercept=False,
        tol=1e-10,
        max_iter=10_000,
    )
    for target in range(dense.shape[1]):
        others = np.delete(np.arange(dense.shape[1]), target)
        net.fit(dense[:, others].astype(np.float64), dense[:, target].astype(np.float64))
        got = found.weights.toarray()[target, others]
        np.testing.assert_allclose(got, net.coef_, atol=1e-6)


def test_a_target_that_has_not_settled_is_told():
    dense, candidates = problem(signed=False)
    short = gpurec.elastic_net(dense, candidates, tolerance=0, max_sweeps=2)
    assert (short.n_sweeps == 2).all()
    alone = gpurec.elastic_net(dense, candidates[:1] * 0, targets=[3])
    assert alone.weights.nnz == 0 and alone.n_sweeps.tolist() == [1]


@pytest.mark.parametrize("n_threads", [1, 2, 7])
def test_threads_do_not_show(n_threads):
    dense, candidates = problem(signed=True)
    got = gpurec.elastic_net(
        dense, candidates, l1=0.2, backend=gpurec.backends.cpu.CpuBackend(n_threads=n_threads)
    )
    want = gpurec.elastic_net(dense, candidates, l1=0.2, backend="reference")
    assert_same_bits(got.weights.toarray(), want.weights.toarray(), f"{n_threads} threads")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"candidates": np.ones((2, 3))}, ValueError, r"shape \(2, 2\), a row for each target"),
        ({"targets": [0]}, ValueError, r"shape \(1, 2\)"),
        ({"targets": [0, 2]}, ValueError, "0..1"),
        ({"targets": [0.5, 1]}, TypeError, "integer"),
        ({"l1": -1}, ValueError, "l1 finite and at least 0"),
        ({"l2": np.inf}, ValueError, "l2 finite"),
        ({"tolerance": "0"}, TypeError, "number as tolerance"),
        ({"max_sweeps": 0}, ValueError, "max_sweeps >= 1"),
        ({"matrix": [[1.0, np.nan]]}, ValueError, "row 0 of matrix"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match=rf"\[elastic_net\].*{words}"):
        gpurec.elastic_net(**{"matrix": np.ones((3, 2)), "candidates": np.eye(2)[::-1], **arguments})

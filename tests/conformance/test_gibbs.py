"""`gibbs_half_sweep`: the reference's bits, the distributions that it must draw from, errors that add up."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import scipy.sparse

import gpurec
from gpurec import GibbsDraw, GibbsSide, gibbs_half_sweep
from gpurec.backends import SparseRows
from gpurec.backends.cpu import CpuBackend
from gpurec.backends.reference_normals import normals, philox

from .cases import SEED
from .members import MEMBERS, chunks, member_backend

CHANGED = ("own", "vectors", "means", "weights")


def assert_same_bits(got: np.ndarray, want: np.ndarray, text: str) -> None:
    assert got.dtype == want.dtype == np.float64 and got.tobytes() == want.tobytes(), text


def side_of(
    rng: np.random.Generator,
    n_rows: int,
    width: int,
    features: np.ndarray | None = None,
    owners: np.ndarray | None = None,
) -> GibbsSide:
    """A side in the middle of a chain."""
    sparse = groups = None
    if features is not None:
        matrix = scipy.sparse.csr_array(features.astype(np.float32))
        sparse = SparseRows(
            matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data, features.shape[1]
        )
        groups = rng.integers(1, 3, len(features)).astype(np.int32)
    side = GibbsSide.of(n_rows, width, sparse, groups, owners)
    for table in (side.own, side.weights, side.prior_means):
        table[:] = rng.standard_normal(table.shape) / 2
    side.vectors[:] = side.own if features is None else side.own + from_features(side)
    side.precisions[:] = rng.gamma(3, 1, n_rows)
    side.prior_precisions[:] = rng.gamma(3, 1, side.prior_precisions.shape)
    return side


def from_features(side: GibbsSide) -> np.ndarray:
    """What each row has from the features of its owner."""
    of_owners = np.zeros((side.features.n_columns, side.own.shape[1]))
    for j in range(len(side.weights)):
        owners, values = side.features.of(j)
        of_owners[owners] += values[:, np.newaxis] * side.weights[j]
    return of_owners if side.owners is None else of_owners[side.owners]


def gibbs_case(number: int):
    """Rows with no, one or many ratings, some of 0; widths around the tiles; features that no row has.

    In a third of the cases with features rows share owners, of whom some may have no row.
    """
    rng = np.random.default_rng([SEED, 18, number])
    n_rows, n_others = int(rng.choice([1, 3, 20])), int(rng.choice([1, 7, 33]))
    width = int(rng.choice([1, 2, 4, 7, 8, 9, 11, 16, 17, 25]))
    rated = rng.random((n_rows, n_others)) < rng.choice([0.0, 0.1, 0.7], (n_rows, 1))
    rows, columns = np.nonzero(rated)
    values = np.float32(rng.integers(-2, 3, len(rows)))
    ratings = scipy.sparse.csr_array((values, (rows, columns)), shape=(n_rows, n_others))
    features = owners = None
    if rng.random() < 0.6:
        n_owners = n_rows
        if rng.random() < 0.4:
            n_owners = int(rng.choice([1, 2, 6, 30]))
            owners = rng.integers(0, n_owners, n_rows).astype(np.int32)
        n_features = int(rng.choice([1, 5, 12]))
        present = rng.random((n_features, n_owners)) < rng.choice([0.0, 0.3, 1.0], (n_features, 1))
        features = np.float32(present * rng.random((n_features, n_owners)))
    side = side_of(rng, n_rows, width, features, owners)
    draw = GibbsDraw(int(rng.integers(1 << 63)), int(rng.integers(1 << 32)), number % 2, number % 5 > 0)
    return ratings, side_of(rng, n_others, width), side, draw


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("numbers", chunks(), ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}")
def test_draws_equal_the_reference(numbers, member):
    for number in numbers:
        ratings, others, side, draw = gibbs_case(number)
        want, got = copy.deepcopy(side), copy.deepcopy(side)
        wanted = gibbs_half_sweep(ratings, others, want, draw, backend="reference")
        errors = gibbs_half_sweep(ratings, others, got, draw, backend=member_backend(member))
        assert_same_bits(errors, wanted, f"{member}: case {number}, errors")
        for name in CHANGED:
            text = f"{member}: case {number}, {name}"
            assert_same_bits(getattr(got, name), getattr(want, name), text)


def errors_of(ratings, others: GibbsSide, side: GibbsSide) -> np.ndarray:
    """Each row's squared errors, times the others' precisions, entry by entry."""
    coo = ratings.tocoo()
    p, q = side.vectors[coo.row], others.vectors[coo.col]
    left = coo.data - (p[:, 0] + q[:, 0] + (p[:, 1:] * q[:, 1:]).sum(axis=1))
    return np.bincount(coo.row, left**2 * others.precisions[coo.col], ratings.shape[0])


@pytest.mark.parametrize("number", range(40))
def test_errors_and_vectors_are_those_of_the_tables(number):
    ratings, others, side, draw = gibbs_case(number)
    errors = gibbs_half_sweep(ratings, others, side, draw)
    np.testing.assert_allclose(errors, errors_of(ratings, others, side), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(side.vectors, side.own + from_features(side), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("random", [True, False])
def test_rows_that_share_an_owner_are_rows_that_repeat_its_features(random):
    rng = np.random.default_rng(SEED + 3)
    owners = np.int32([2, 0, 0, 3, 2, 2, 5, 0])
    features = np.float32(rng.random((7, 6)) * (rng.random((7, 6)) < 0.6))
    ratings = scipy.sparse.csr_array(np.float32(rng.integers(-2, 3, (8, 12)) * (rng.random((8, 12)) < 0.5)))
    others, side = side_of(rng, 12, 5), side_of(rng, 8, 5, features, owners)
    same = side_of(rng, 8, 5, features[:, owners])
    repeated = GibbsSide(**{**vars(copy.deepcopy(side)), "features": same.features, "owners": None})
    draw = GibbsDraw(3, 1, 0, random)
    for one in (side, repeated):
        errors = gibbs_half_sweep(ratings, others, one, draw)
        np.testing.assert_allclose(errors, errors_of(ratings, others, one), rtol=1e-9, atol=1e-9)
    for name in CHANGED:
        np.testing.assert_allclose(getattr(side, name), getattr(repeated, name), rtol=1e-9, atol=1e-9)


def dense_posterior(ratings, others: GibbsSide, side: GibbsSide, r: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of a row's own part, by dense float64 solves."""
    row = ratings[[r]].tocoo()
    designs = others.vectors[row.col].copy()
    biases = designs[:, 0].copy()
    designs[:, 0] = 1
    noise = side.precisions[r] * others.precisions[row.col]
    left = row.data - biases - designs @ (side.vectors[r] - side.own[r])
    precision = (designs.T * noise) @ designs + np.diag(side.prior_precisions[0])
    target = designs.T @ (noise * left) + side.prior_precisions[0] * side.prior_means[0]
    return np.linalg.solve(precision, target), np.linalg.inv(precision)


def test_rows_are_drawn_from_their_conditional_distributions():
    rng = np.random.default_rng(SEED)
    ratings = scipy.sparse.csr_array(np.float32(rng.integers(-2, 3, (6, 15)) * (rng.random((6, 15)) < 0.5)))
    others, side = side_of(rng, 15, 4), side_of(rng, 6, 4)
    n = 4000
    drawn = np.empty((n, *side.own.shape))
    for sweep in range(n):
        gibbs_half_sweep(ratings, others, side, GibbsDraw(5, sweep))
        drawn[sweep] = side.own
    for r in range(6):
        mean, covariance = dense_posterior(ratings, others, side, r)
        np.testing.assert_allclose(side.means[r], mean, rtol=1e-9, atol=1e-9)
        deviations = np.sqrt(np.diag(covariance))
        # Five standard errors of a mean, and of a covariance.
        assert (np.abs(drawn[:, r].mean(axis=0) - mean) < 5 * deviations / np.sqrt(n)).all()
        apart = np.abs(np.cov(drawn[:, r].T) - covariance)
        assert (apart < 5 * np.sqrt(2 / n) * np.outer(deviations, deviations)).all()


def test_means_in_place_of_draws_lower_the_objective_and_then_rest():
    """A weight's and a row's mean is where the sum of squares and penalties is least along it."""
    rng = np.random.default_rng(SEED + 1)
    features = np.float32((rng.random((9, 14)) < 0.4) * 0.5)
    dense = rng.integers(-2, 3, (14, 20)) * (rng.random((14, 20)) < 0.5)
    ratings, others = scipy.sparse.csr_array(np.float32(dense)), side_of(rng, 20, 5)
    side = side_of(rng, 14, 5, features)

    def objective() -> float:
        errors = (errors_of(ratings, others, side) * side.precisions).sum()
        group = side.groups
        of_rows = side.prior_precisions[0] * (side.own - side.prior_means[0]) ** 2
        of_features = side.prior_precisions[group] * (side.weights - side.prior_means[group]) ** 2
        return errors + of_rows.sum() + of_features.sum()

    before = objective()
    for sweep in range(400):
        gibbs_half_sweep(ratings, others, side, GibbsDraw(0, sweep, random=False))
        now = objective()
        assert now <= before * (1 + 1e-12)
        before = now
    # Central differences of a quadratic are its slopes, but for rounding.
    for table in (side.own, side.weights):
        for place in [(0, 0), (3, 2), (8, 4)]:
            slopes = []
            for step in (1e-3, -1e-3):
                table[place] += step
                side.vectors[:] = side.own + features.T @ side.weights
                slopes.append(objective())
                table[place] -= step
            side.vectors[:] = side.own + features.T @ side.weights
            assert abs(slopes[0] - slopes[1]) / 2e-3 < 1e-5 * before


@pytest.mark.parametrize("n_threads", [1, 2, 7])
def test_threads_do_not_show(n_threads):
    rng = np.random.default_rng(SEED + 2)
    features = np.float32(rng.random((20, 150)) < 0.2)
    ratings = scipy.sparse.csr_array(np.float32(rng.random((150, 40)) < 0.3))
    others, side = side_of(rng, 40, 6), side_of(rng, 150, 6, features)
    want = copy.deepcopy(side)
    gibbs_half_sweep(ratings, others, want, GibbsDraw(1, 2), backend="reference")
    gibbs_half_sweep(ratings, others, side, GibbsDraw(1, 2), backend=CpuBackend(n_threads=n_threads))
    for name in CHANGED:
        assert_same_bits(getattr(side, name), getattr(want, name), f"{n_threads} threads, {name}")


def test_normal_numbers_are_normal_and_differ_by_counter():
    special = pytest.importorskip("scipy.special")
    drawn = normals(11, np.arange(20_000), 1, 4, 6)
    n = drawn.size
    assert abs(drawn.mean()) < 5 / np.sqrt(n) and abs(drawn.var() - 1) < 5 * np.sqrt(2 / n)
    below = np.sort(special.ndtr(drawn.ravel()))
    assert np.abs(below - (np.arange(n) + 0.5) / n).max() < 1.95 / np.sqrt(n)  # Kolmogorov's bound for 1e-3
    assert len(np.unique(drawn)) == n
    others = [normals(*key) for key in ((11, [3], 1, 5, 6), (11, [3], 2, 4, 6), (12, [3], 1, 4, 6))]
    assert all((other != drawn[3]).all() for other in others)


def test_philox_gives_the_numbers_of_its_authors():
    """The answers that Random123 lists for counters and keys of zeros and of ones."""
    words = [int(w) for w in philox(0, 0, 0, 0, 0)]
    assert words == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    ones = 0xFFFFFFFF
    words = [int(w) for w in philox((ones << 32) | ones, ones, ones, ones, ones)]
    assert words == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"own": np.zeros((2, 3), np.float32)}, TypeError, "own as a C-contiguous writeable float64"),
        ({"means": np.zeros((3, 3))}, ValueError, r"means of shape \(2, 3\)"),
        ({"vectors": np.full((2, 3), np.nan)}, ValueError, "finite numbers in vectors"),
        ({"precisions": np.zeros(2)}, ValueError, "precisions above 0"),
        ({"precisions": np.ones(3)}, ValueError, "array of 2 rows"),
        ({"prior_precisions": np.zeros((1, 3))}, ValueError, "prior precisions above 0"),
        ({"groups": np.zeros(1, np.int32)}, ValueError, "0 features"),
        ({"features": None}, ValueError, "SparseRows of 2 columns"),
        ({"owners": np.zeros(2)}, ValueError, "owners as an int32 array of 2 rows"),
        ({"owners": np.int32([0, 2])}, ValueError, r"owners of 0\.\.1"),
        ({"seed": -1}, ValueError, "seed in 0"),
        ({"sweep": 0.5}, TypeError, "sweep as an integer"),
        ({"number": 2}, ValueError, r"number in 0\.\.1"),
        ({"random": 1}, TypeError, "random as True or False"),
        ({"ratings": [[1.0, np.inf], [0, 1]]}, ValueError, "row 0 of ratings"),
        ({"ratings": np.ones((2, 4))}, ValueError, r"others.vectors of shape \(4, None\)"),
        ({"others": None}, TypeError, "two of GibbsSide"),
    ],
)
def test_wrong_arguments_are_named(changes, error, words):
    tables = vars(GibbsSide.of(2, 3))
    draw = {"seed": 0, "sweep": 0, "number": 0, "random": True}
    given = {"ratings": np.ones((2, 2)), "others": GibbsSide.of(2, 3), **tables, **draw} | changes
    with pytest.raises(error, match=rf"\[gibbs_half_sweep\].*{words}"):
        gpurec.gibbs_half_sweep(
            given["ratings"],
            given["others"],
            GibbsSide(**{name: given[name] for name in tables}),
            GibbsDraw(**{name: given[name] for name in draw}),
        )

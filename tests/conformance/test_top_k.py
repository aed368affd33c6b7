"""`top_k` of given scores on every member against the reference, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

import gpurec
from gpurec.backends.reference import ReferenceBackend

from .cases import SEED
from .members import MEMBERS, assert_same_answer, chunks, member_backend


def random_scores(rng, shape):
    return rng.standard_normal(shape)


def many_ties(rng, shape):
    return rng.integers(-2, 3, shape).astype(np.float64)


def one_value(rng, shape):
    return np.full(shape, rng.choice([0.0, -0.0, 1.5, np.nan, np.inf, -np.inf]))


def special_values(rng, shape):
    values = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 1e-39, 3.4e38, -3.4e38, 1.0]
    return rng.choice(values, shape)


def mostly_masked(rng, shape):
    return np.where(rng.random(shape) < 0.99, -np.inf, rng.standard_normal(shape))


def ascending(rng, shape):
    return np.sort(rng.standard_normal(shape), axis=-1)


def descending(rng, shape):
    return -np.sort(rng.standard_normal(shape), axis=-1)


def ulps_apart(rng, shape):
    return (rng.integers(0, 200, shape).astype(np.uint32) + np.float32(-1.0).view(np.uint32)).view(np.float32)


def subnormal(rng, shape):
    return rng.integers(-300, 300, shape) * 2.0**-149


KINDS = (
    random_scores,
    many_ties,
    one_value,
    special_values,
    mostly_masked,
    ascending,
    descending,
    ulps_apart,
    subnormal,
)


def scores_case(number: int):
    rng = np.random.default_rng([SEED, 2, number])
    kind = KINDS[number % len(KINDS)]
    big = number % 2 == 0
    n = int(rng.choice([1280, 2049, 5000, 9000] if big else [0, 1, 2, 15, 16, 17, 63, 64, 65, 257]))
    shape = (int(rng.choice([0, 1, 2, 5, 9])), n)
    k = int(rng.choice([1, 2, 10, n // 50, 700] if big else [1, 2, 10, n + 1, max(n, 1)]))
    with np.errstate(over="ignore"):
        scores = np.ascontiguousarray(kind(rng, shape).astype(np.float32))
    layout = str(rng.choice(["plain", "fortran", "reversed", "float16"]))
    if layout == "fortran":
        given = np.asfortranarray(scores)
    elif layout == "reversed":
        given = scores[:, ::-1].copy()[:, ::-1]
    elif layout == "float16":
        with np.errstate(over="ignore", invalid="ignore"):
            given = scores.astype(np.float16)
            scores = given.astype(np.float32)
    else:
        given = scores
    return scores, given, k, f"scores_case({number}) of kind {kind.__name__}, {shape}, k={k}, {layout}"


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("numbers", chunks(), ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}")
def test_answers_equal_the_reference(numbers, member):
    for number in numbers:
        scores, given, k, name = scores_case(number)
        got = gpurec.top_k(given, k, backend=member_backend(member))
        assert_same_answer(got, ReferenceBackend().top_k(scores, k), f"{member}: {name}")


@pytest.mark.parametrize("member", MEMBERS)
def test_only_float16_and_float32_are_canonical_scores(member):
    with pytest.raises(TypeError):
        gpurec.top_k(np.zeros((1, 3)), 1, backend=member_backend(member))


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("k", [1, 100, 5000])
def test_one_long_row_is_shared_by_threads(k, member):
    """The best values and their ties lie in all parts of the row."""
    rng = np.random.default_rng(k)
    scores = rng.integers(0, 3000, (1, 200_001)).astype(np.float32)
    scores[0, rng.integers(0, scores.size, 500)] = np.nan
    got = gpurec.top_k(scores, k, backend=member_backend(member))
    assert_same_answer(got, ReferenceBackend().top_k(scores, k), f"{member}: k={k}")

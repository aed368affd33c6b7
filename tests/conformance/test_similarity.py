"""`similarity` on every member within the bound that test_score.py states, of rows prepared bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

import gpurec
from gpurec.backends.base import METRICS
from gpurec.backends.reference import prepare_rows

from .cases import search_case
from .cases.disguises import disguise_table
from .members import MEMBERS, assert_same_bits, chunks, member_backend
from .test_score import assert_within, table_pair


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("numbers", chunks(), ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}")
def test_similarities_are_within_the_bound(numbers, member):
    for number in numbers:
        case, a, b, rng = table_pair(number)
        metric = METRICS[number % len(METRICS)]
        got = gpurec.similarity(
            disguise_table(rng, a), disguise_table(rng, b), metric=metric, backend=member_backend(member)
        )
        assert_within(got, a, b, metric, f"{member}: {metric} of {case}")


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("metric", METRICS)
def test_one_table_is_compared_with_itself(metric, member):
    rows = np.random.default_rng(5).standard_normal((70, 17), np.float32)
    got = gpurec.similarity(rows, metric=metric, backend=member_backend(member))
    assert_within(got, rows, rows, metric, f"{member}: {metric}")


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("d", [1, 2, 33, 64, 300])
def test_near_rows_keep_the_digits_of_their_distance(d, member):
    """Far from zero, an ulp apart, and equal: distances that a float32 product of rows knows nothing of."""
    rng = np.random.default_rng(d)
    rows = (1000 + rng.standard_normal((40, d))).astype(np.float32)
    rows = np.concatenate([rows, np.nextafter(rows, np.float32(np.inf)), rows, rows * np.float32(0.5)])
    got = gpurec.similarity(rows, metric="euclidean", backend=member_backend(member))
    assert_within(got, rows, rows, "euclidean", f"{member}: d={d}")
    assert not got[np.arange(160), np.arange(160)].any() and not got[np.arange(40), np.arange(80, 120)].any()
    assert not np.signbit(got[got == 0]).any() and (got <= 0).all()


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("scale", [2.0**-75, 2.0**-60, 2.0**63.7])
def test_distances_at_both_ends_of_float32(scale, member):
    """Squares and their sums leave the range where the distances of rows at a small angle do not."""
    angles = np.linspace(0, 0.6, 50)
    rows = (scale * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype(np.float32)
    got = gpurec.similarity(rows, metric="euclidean", backend=member_backend(member))
    assert_within(got, rows, rows, "euclidean", f"{member}: {scale}")


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("metric", ["cosine", "pearson"])
def test_rows_without_direction_are_similar_to_nothing(metric, member):
    rows = np.float32([[0, 0, 0], [1, 2, 4], [0.1, 0.1, 0.1]])
    got = gpurec.similarity(rows, metric=metric, backend=member_backend(member))
    assert not got[0].any() and abs(got[1, 1] - 1) < 1e-6
    if metric == "pearson":
        assert not got[2].any()


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("numbers", chunks(), ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}")
def test_prepared_rows_equal_the_reference(numbers, member):
    for number in numbers:
        case = search_case(number)
        for metric in METRICS:
            got = member_backend(member).prepare_rows(case.plain_items, metric)
            assert_same_bits(got, prepare_rows(case.plain_items, metric), f"{member}: {metric} of {case}")


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("d", [2, 3, 7, 31, 33, 49, 100])
def test_prepared_rows_of_hard_shapes_equal_the_reference(d, member):
    """Constant rows, almost constant ones far from zero, and rows at both ends of float32."""
    rng = np.random.default_rng(d)
    noise = rng.standard_normal((40, d))
    rows = [
        np.repeat(rng.standard_normal((40, 1)), d, axis=1),
        rng.uniform(1, 2, (40, 1)) * (1 + noise * 2.0**-23),
        noise * 2.0**-146,
        np.clip(noise, -3, 3) * 1e38,
        np.where(noise > 1, 1e38, 1e-38 * noise),
        np.where(noise > 0, 0.0, -0.0),
    ]
    for metric in ("cosine", "pearson"):
        table = np.concatenate(rows).astype(np.float32)
        got = member_backend(member).prepare_rows(table, metric)
        assert_same_bits(got, prepare_rows(table, metric), f"{member}: {metric}, d={d}")

"""Rating errors and bootstrap intervals against values known by hand or by theory."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpurec.evaluation import bootstrap_interval, mae, mse, rmse
from gpurec.evaluation.bootstrap import resampled_sums
from gpurec.evaluation.ratings import rating_errors

ratings = st.floats(-100, 100, width=32)


def test_errors_by_hand():
    actual, predicted = [4.0, 3.0, 5.0, 1.0], [3.0, 3.0, 2.0, 3.0]
    assert mse(actual, predicted) == (1 + 0 + 9 + 4) / 4
    assert rmse(actual, predicted) == math.sqrt(3.5)
    assert mae(actual, predicted) == (1 + 0 + 3 + 2) / 4


def test_float32_input_is_widened_before_the_difference():
    actual = np.array([1.0], dtype=np.float32)
    predicted = np.array([0.1], dtype=np.float32)
    assert mae(actual, predicted) == 1.0 - float(np.float32(0.1))


def test_errors_per_user_by_hand():
    ids = np.array(["ann", "bob", "eve"], dtype=object)
    got = rating_errors(ids, np.array([2, 0, 2]), [4.0, 2.0, 1.0], [3.0, 4.0, 3.0])
    assert got.user_ids.tolist() == ["ann", "eve"]
    assert got.n_ratings.tolist() == [1, 2]
    assert got.squared.tolist() == [4.0, 5.0]
    assert got.absolute.tolist() == [2.0, 3.0]
    assert got.mse == 9 / 3
    assert got.rmse == math.sqrt(3)
    assert got.mae == 5 / 3


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), ratings, ratings), min_size=1, max_size=30))
def test_errors_are_the_definitions(records):
    users, actual, predicted = (np.array(column) for column in zip(*records))
    errors = [a - p for _, a, p in records]
    expected_mse = math.fsum(e * e for e in errors) / len(errors)
    expected_mae = math.fsum(map(abs, errors)) / len(errors)
    got = rating_errors(np.arange(5), users, actual, predicted)
    assert got.n_ratings.sum() == len(records)
    assert (got.mse, got.mae) == pytest.approx((expected_mse, expected_mae), rel=1e-12)
    assert (mse(actual, predicted), mae(actual, predicted)) == pytest.approx((got.mse, got.mae), rel=1e-12)
    assert rmse(actual, predicted) == pytest.approx(math.sqrt(expected_mse), rel=1e-12)


@pytest.mark.parametrize(
    ("actual", "predicted", "text"),
    [
        ([], [], "at least one rating"),
        ([1.0], [1.0, 2.0], "one shape"),
        ([[1.0]], [[1.0]], "one shape"),
        ([1.0, 2.0], [1.0, math.nan], "position 1"),
        ([math.inf, 2.0], [1.0, 2.0], "position 0"),
    ],
)
@pytest.mark.parametrize("metric", [rmse, mse, mae])
def test_bad_ratings(metric, actual, predicted, text):
    with pytest.raises(ValueError, match=text):
        metric(actual, predicted)


# --- intervals --------------------------------------------------------------------------------------------


def test_interval_has_the_width_that_theory_gives():
    """For many users the percentile interval is the mean -+ 1.96 standard errors."""
    values = np.random.default_rng(0).normal(3.0, 2.0, size=4000)
    got = bootstrap_interval(values, n_resamples=4000)
    error = values.std() / math.sqrt(len(values))
    assert got.estimate == pytest.approx(values.mean(), abs=1e-12)
    assert got.low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert got.high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for sample in range(300):
        got = bootstrap_interval(rng.normal(size=80), level=0.8, n_resamples=200, random_state=sample)
        covered += got.low <= 0 <= got.high
    assert 0.73 <= covered / 300 <= 0.87  # three standard errors of 0.8 over 300 samples


def test_interval_is_the_same_for_the_same_seed_only():
    values = np.random.default_rng(2).random(50)
    assert bootstrap_interval(values, random_state=7) == bootstrap_interval(values, random_state=7)
    assert bootstrap_interval(values, random_state=7) != bootstrap_interval(values, random_state=8)


def test_paired_interval_sees_a_small_constant_difference():
    """Users differ a lot and the models by 0.01 on each of them: only the paired interval shows it."""
    first = np.random.default_rng(3).random(100)
    second = first + 0.01
    alone = bootstrap_interval(first)
    assert alone.low < second.mean() < alone.high
    paired = bootstrap_interval(second, minus=first)
    assert (paired.low, paired.high) == pytest.approx((0.01, 0.01), abs=1e-12)
    assert paired.excludes_zero()
    assert not bootstrap_interval(first, minus=first).excludes_zero()


def test_interval_of_sums_weighs_ratings_and_takes_the_root():
    squared, counts = np.array([4.0, 16.0]), np.array([1, 4])
    got = bootstrap_interval(squared, counts=counts, root=True)
    assert got.estimate == got.low == got.high == 2.0  # each user has a mean square of 4
    uneven = bootstrap_interval(np.array([0.0, 9.0]), counts=counts)
    assert uneven.estimate == 9 / 5
    assert (uneven.low, uneven.high) == (0.0, 9 / 4)  # resamples of one user alone are a quarter each


def test_interval_leaves_out_users_without_a_value():
    got = bootstrap_interval(np.array([1.0, np.nan, 1.0]))
    assert (got.estimate, got.low, got.high) == (1.0, 1.0, 1.0)


def test_one_draw_serves_all_columns():
    table = np.random.default_rng(4).random((30, 1))
    sums = resampled_sums(np.column_stack([table, 2 * table]), 20)
    np.testing.assert_allclose(sums[:, 1], 2 * sums[:, 0], rtol=1e-14)
    assert len(np.unique(sums[:, 0])) == 20


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"values": [np.nan]}, "at least one user"),
        ({"values": []}, "at least one user"),
        ({"values": [1.0], "level": 1.0}, "level between 0 and 1"),
        ({"values": [1.0], "n_resamples": 0}, "n_resamples of 1 or more"),
        ({"values": [1.0], "minus": [1.0, 2.0]}, "one shape"),
        ({"values": [[1.0]]}, "one shape"),
    ],
)
def test_bad_interval(arguments, text):
    with pytest.raises(ValueError, match=text):
        bootstrap_interval(**arguments)

"""Cleaning: each step against a plain Python definition, and reports that add up."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpurec.data import (
    Interactions,
    Records,
    Scaler,
    binarize,
    clean,
    drop_missing,
    keep_core,
    keep_finite,
    limit_weights,
    random_split,
    resolve_duplicates,
    scale_weights,
)

RECORDS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(-4, 4), st.integers(0, 3)), max_size=25
)


def interactions_of(records, times=True):
    users, items, weights, seconds = zip(*records) if records else ((), (), (), ())
    return Interactions.from_arrays(users, items, weights, seconds if times else None)


def records_of(interactions):
    users, items = interactions.user_ids().tolist(), interactions.item_ids().tolist()
    times = [None] * len(users) if interactions.timestamps is None else interactions.timestamps.tolist()
    return list(zip(users, items, interactions.weights.tolist(), times))


@pytest.fixture
def raw():
    return Records(
        np.array([1, None, 2, 3, 4, 5], dtype=object),
        np.array(["a", "b", None, "c", "d", "e"], dtype=object),
        np.array([1, 2, 3, np.nan, np.inf, 9]),
        np.array([10, 20, 30, 40, 50, np.iinfo(np.int64).min]),
    )


def test_drop_missing_counts_each_kind(raw):
    kept, step = drop_missing(raw)
    assert kept.user_ids.tolist() == [1, 4]
    assert (step.rows_before, step.rows_after, step.rows_affected) == (6, 2, 4)
    assert step.details == {"user": 1, "item": 1, "weight": 1, "timestamp": 1}
    with pytest.raises(ValueError, match="got 4, the first at place 1"):
        drop_missing(raw, "error")


def test_keep_finite_drops_infinite_weights_also_beyond_float32():
    weights = np.array([np.inf, -np.inf, 1e39, 3e38, 1.0])
    records = Records(np.arange(5), np.arange(5), weights)
    kept, step = keep_finite(records)
    assert kept.weights.tolist() == [3e38, 1.0] and step.rows_affected == 3
    with pytest.raises(ValueError, match="weight is infinite, got 3, the first at place 0"):
        keep_finite(records, "error")
    unweighted = Records(np.arange(2), np.arange(2))
    assert keep_finite(unweighted)[1].rows_affected == 0


def test_limit_weights_includes_its_bounds():
    ratings = Interactions.from_arrays([1] * 4, range(4), [0.5, 1, 5, 5.5])
    assert limit_weights(ratings, 1, 5)[0].weights.tolist() == [1, 5]
    clipped, step = limit_weights(ratings, 1, 5, outside="clip")
    assert clipped.weights.tolist() == [1, 1, 5, 5]
    assert (step.rows_before, step.rows_after, step.rows_affected) == (4, 4, 2)
    assert limit_weights(ratings, None, 1)[0].weights.tolist() == [0.5, 1]
    assert limit_weights(ratings, 5)[0].weights.tolist() == [5, 5.5]
    with pytest.raises(ValueError, match=r"outside 1\.\.5, got 2, the first at place 0"):
        limit_weights(ratings, 1, 5, outside="error")
    with pytest.raises(ValueError, match="low <= high"):
        limit_weights(ratings, 5, 1)
    with pytest.raises(ValueError, match="low <= high"):
        limit_weights(ratings, float("nan"))


@given(RECORDS, st.sampled_from(["last", "max", "sum", "mean"]), st.booleans())
def test_resolve_duplicates_equals_its_definition(records, how, times):
    groups = {}
    for place, record in enumerate(records):
        groups.setdefault(record[:2], []).append((record[3] if times else 0, place, float(record[2])))
    combine = {"max": max, "sum": sum, "mean": lambda weights: np.float32(sum(weights) / len(weights))}
    survivors = []
    for (user, item), members in groups.items():
        time, place, last = max(members)
        weight = last if how == "last" else combine[how]([weight for _, _, weight in members])
        survivors.append((place, (user, item, weight, time if times else None)))

    found, step = resolve_duplicates(interactions_of(records, times), how)
    assert records_of(found) == [record for _, record in sorted(survivors)]
    assert (step.rows_before, step.rows_after) == (len(records), len(groups))
    assert step.rows_affected == len(records) - len(groups)


def test_resolve_duplicates_can_refuse():
    twice = Interactions.from_arrays(["ann", "bob", "bob", "bob"], ["x", "x", "y", "y"])
    with pytest.raises(ValueError, match="got 1 more, the first for user 'bob' and item 'y'"):
        resolve_duplicates(twice, "error")
    once = twice.take([0, 1, 2])
    assert resolve_duplicates(once, "error")[0] is once
    with pytest.raises(ValueError, match=r"duplicates among \['last'"):
        resolve_duplicates(once, "first")


def test_binarize():
    ratings = Interactions.from_arrays([1, 2, 3, 4], [1, 2, 3, 4], [0.5, 1, 3.5, 5])
    found, step = binarize(ratings, 1)
    assert found.user_ids().tolist() == [2, 3, 4] and found.weights.tolist() == [1, 1, 1]
    assert (step.rows_before, step.rows_after, step.rows_affected) == (4, 3, 3)
    with pytest.raises(ValueError, match="finite implicit_threshold"):
        binarize(ratings, float("nan"))


@given(RECORDS, st.integers(1, 4), st.integers(1, 4))
def test_keep_core_is_the_largest_part_in_which_all_have_enough(records, min_user, min_item):
    expected = [record[:2] for record in records]
    while True:  # one user or item at a time
        users, items = [user for user, _ in expected], [item for _, item in expected]
        rare = next((u for u in users if users.count(u) < min_user), None)
        if rare is not None:
            expected = [record for record in expected if record[0] != rare]
            continue
        rare = next((i for i in items if items.count(i) < min_item), None)
        if rare is None:
            break
        expected = [record for record in expected if record[1] != rare]

    found, step = keep_core(interactions_of(records), min_user, min_item)
    assert [record[:2] for record in records_of(found)] == expected
    assert set(found.user_map) == {user for user, _ in expected}
    assert set(found.item_map) == {item for _, item in expected}
    assert step.rows_after == len(expected) and step.rows_affected == len(records) - len(expected)


def test_keep_core_unravels_a_chain_to_its_end():
    chain = Interactions.from_arrays([1, 1, 2, 2, 3, 3], ["a", "b", "b", "c", "c", "d"])
    found, step = keep_core(chain, 2, 2)
    assert len(found) == 0 and step.details == {"rounds": 3, "users_dropped": 3, "items_dropped": 4}


@pytest.mark.parametrize("least", [0, -1, 1.5, True, None])
def test_keep_core_refuses_other_minima(least):
    with pytest.raises(ValueError, match="min_user to be an integer >= 1"):
        keep_core(Interactions.from_arrays([1], [1]), least)


WEIGHTS = st.lists(st.floats(-1000, 1000, width=32), min_size=1, max_size=30)


@given(WEIGHTS, st.sampled_from(["minmax", "zscore"]))
def test_scaling_has_its_range_and_its_inverse(weights, kind):
    data = Interactions.from_arrays(range(len(weights)), range(len(weights)), weights)
    scaled, step = scale_weights(data, kind)
    values = scaled.weights.astype(np.float64)
    spread = max(weights) - min(weights)
    if kind == "minmax":
        assert values.min() == 0 and values.max() == (1 if spread else 0)
    elif spread > 1e-3:
        assert abs(values.mean()) < 1e-5 and abs(values.std() - 1) < 1e-5
    back = Scaler.from_dict(json.loads(json.dumps(step.details))).inverse(scaled)
    # Two roundings to float32, of values no larger than the largest weight and the spread.
    np.testing.assert_allclose(
        back.weights, weights, rtol=0, atol=4 * 2**-24 * max(1e-30, *map(abs, weights)) * 2
    )


def test_a_scaler_is_fitted_on_the_training_part_alone():
    train = Interactions.from_arrays([1, 2], [1, 2], [1, 5])
    scaler = Scaler.fit(train, "minmax")
    test = Interactions.from_arrays([1, 2], [1, 2], [9, 3])
    assert scaler.transform(test).weights.tolist() == [2, 0.5]
    assert scaler.inverse(scaler.transform(test)).weights.tolist() == [9, 3]
    assert scaler.transform(np.array([5.0])).dtype == np.float32


def test_constant_weights_become_zero_and_come_back():
    for kind in ("minmax", "zscore"):
        scaler = Scaler.fit(np.full(10, 0.1, dtype=np.float32), kind)
        assert scaler.divisor == 1 and scaler.transform(np.float32([0.1])).tolist() == [0]
        assert scaler.inverse([0]).tolist() == [np.float32(0.1)]


def test_scalers_that_cannot_be():
    with pytest.raises(ValueError, match="'minmax' or 'zscore'"):
        Scaler.fit([1.0, 2.0], "log")
    with pytest.raises(ValueError, match="at least one weight"):
        Scaler.fit([], "minmax")
    with pytest.raises(ValueError, match="finite weights"):
        Scaler.fit([1.0, np.nan], "minmax")
    with pytest.raises(ValueError, match="divisor > 0"):
        Scaler("minmax", 0.0, 0.0)


def test_clean_runs_its_steps_in_the_stated_order(raw):
    more = Records(
        np.concatenate([raw.user_ids, np.array([1, 1, 6], dtype=object)]),
        np.concatenate([raw.item_ids, np.array(["a", "b", "b"], dtype=object)]),
        np.concatenate([raw.weights, [4, 5, 0]]),
        np.concatenate([raw.timestamps, [5, 6, 7]]),
    )
    found, report = clean(more, weight_range=(1, 5), duplicates="max", min_user=2, scale="minmax")
    assert records_of(found) == [(1, "a", 0.0, 10), (1, "b", 1.0, 6)]
    assert [step.name for step in report] == ["missing", "non-finite", "range", "duplicates", "core", "scale"]
    counts = [(step.rows_before, step.rows_after, step.rows_affected) for step in report]
    assert counts == [(9, 5, 4), (5, 4, 1), (4, 3, 1), (3, 2, 1), (2, 2, 0), (2, 2, 2)]
    assert (report.rows_before, report.rows_after) == (9, 2)
    assert report["scale"].details == {"kind": "minmax", "offset": 4.0, "divisor": 1.0}
    assert json.loads(json.dumps(report.to_dict()))["steps"][3]["name"] == "duplicates"
    assert len(str(report).splitlines()) == 6 and str(report).startswith(
        "missing: 9 -> 5 records, 4 affected"
    )
    with pytest.raises(KeyError, match="no step 'implicit'"):
        report["implicit"]


@given(RECORDS)
def test_clean_reports_add_up(records):
    if not records:
        with pytest.raises(ValueError, match="expected records to remain"):
            clean(interactions_of(records))
        return
    found, report = clean(interactions_of(records), duplicates="sum")
    assert report.rows_before == len(records) and report.rows_after == len(found)
    assert all(a.rows_after == b.rows_before for a, b in zip(report.steps, report.steps[1:]))
    assert len(set(zip(found.user_rows.tolist(), found.item_rows.tolist()))) == len(found)


@pytest.mark.parametrize("library", [pl, pd])
def test_clean_takes_frames_and_files(library, tmp_path):
    frame = library.DataFrame({"who": [1, 1, None], "item": ["a", "a", "b"], "rating": [4.0, 2.0, 5.0]})
    found, report = clean(frame, columns={"user": "who"}, implicit_threshold=1)
    assert records_of(found) == [(1, "a", 1.0, None)] and type(found.user_ids()[0].item()) is int
    assert report["implicit"].rows_affected == 1
    path = tmp_path / "a.csv"
    path.write_text("who,item,rating\n1,a,4\n1,a,2\n,b,5\n")
    assert records_of(clean(path, columns={"user": "who"})[0]) == [(1, "a", 2.0, None)]
    with pytest.raises(TypeError, match="polars or pandas DataFrame, got list"):
        clean([1, 2])


def test_clean_refuses_what_makes_no_sense():
    one = Interactions.from_arrays([1], [1])
    with pytest.raises(ValueError, match="scale or implicit_threshold, got both"):
        clean(one, scale="minmax", implicit_threshold=1)
    with pytest.raises(ValueError, match="columns for a frame or file alone"):
        clean(one, columns={"user": "who"})
    with pytest.raises(ValueError, match="missing among"):
        clean(one, missing="fill")
    with pytest.raises(ValueError, match="expected records to remain, but none did:\nmissing: 1 -> 1"):
        clean(one, min_item=2)


def test_cleaning_leaves_its_input_alone():
    plays = Interactions.from_arrays([1, 1, 2], [1, 1, 2], [1, 2, 3])
    before = records_of(plays)
    clean(plays, duplicates="sum", weight_range=(2, 3), out_of_range="clip", scale="zscore")
    assert records_of(plays) == before


@pytest.mark.data
def test_cores_of_real_ratings(data_folder):
    ratings, report = clean(data_folder / "ml-100k" / "u.data", min_user=20, min_item=10)
    assert report["duplicates"].rows_affected == 0
    assert np.bincount(ratings.user_rows).min() >= 20 and np.bincount(ratings.item_rows).min() >= 10
    assert len(random_split(ratings).train) + len(random_split(ratings).test) == len(ratings)

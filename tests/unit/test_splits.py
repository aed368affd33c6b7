"""Splits: the parts are disjoint, together they are the whole, and a seed gives one answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gpurec.data import (
    Interactions,
    Split,
    k_fold,
    leave_one_out,
    published_folds,
    random_split,
    time_split,
    user_holdout,
)

USERS = st.lists(st.integers(0, 5), min_size=2, max_size=40)
SEEDS = st.integers(0, 2**32)


def numbered(users, times=None):
    """Interactions whose weights number the records, so that parts can be compared record by record."""
    return Interactions.from_arrays(users, range(len(users)), range(len(users)), times)


def places(part):
    return part.weights.astype(int).tolist()


def assert_splits(whole, split):
    train, test = split
    assert sorted(places(train) + places(test)) == list(range(len(whole)))
    assert places(train) == sorted(places(train)) and places(test) == sorted(places(test))
    assert len(train) and len(test)
    for part in (train, test):
        assert part.user_map is whole.user_map and part.item_map is whole.item_map
        assert part.user_ids().tolist() == whole.take(places(part)).user_ids().tolist()


@given(USERS, st.floats(0.01, 0.99), SEEDS)
def test_random_split(users, fraction, seed):
    whole = numbered(users)
    n_test = int(len(users) * fraction + 0.5)
    assume(0 < n_test < len(users))
    split = random_split(whole, fraction, random_state=seed)
    assert_splits(whole, split)
    assert len(split.test) == n_test
    assert places(random_split(whole, fraction, random_state=seed).test) == places(split.test)


def test_seeds_give_different_parts_and_every_record_a_chance():
    whole = numbered([1] * 20)
    drawn = [tuple(places(random_split(whole, 0.5, random_state=seed).test)) for seed in range(50)]
    assert len(set(drawn)) > 40
    assert {place for part in drawn for place in part} == set(range(20))


def test_a_generator_goes_on_from_where_it_is():
    whole = numbered([1] * 20)
    generator = np.random.default_rng(5)
    first, second = (places(random_split(whole, 0.5, random_state=generator).test) for _ in range(2))
    assert first == places(random_split(whole, 0.5, random_state=5).test) and first != second


@given(USERS, st.integers(1, 4), SEEDS)
def test_user_holdout_takes_n_of_each_user_but_leaves_one(users, n, seed):
    counts = np.bincount(users)
    assume(counts.max() > 1)
    whole = numbered(users)
    split = user_holdout(whole, n=n, random_state=seed)
    assert_splits(whole, split)
    held = np.bincount(split.test.user_ids(), minlength=counts.size)
    assert held.tolist() == [max(min(n, count - 1), 0) for count in counts.tolist()]
    assert places(user_holdout(whole, n=n, random_state=seed).test) == places(split.test)


@given(USERS, st.sampled_from([0.1, 0.25, 0.5, 0.9]))
def test_user_holdout_takes_a_fraction_of_each_user_but_leaves_one(users, fraction):
    counts = np.bincount(users)
    expected = [max(min(int(count * fraction + 0.5), count - 1), 0) for count in counts.tolist()]
    assume(sum(expected))
    whole = numbered(users)
    split = user_holdout(whole, fraction=fraction)
    assert_splits(whole, split)
    assert np.bincount(split.test.user_ids(), minlength=counts.size).tolist() == expected


@given(USERS, st.data())
def test_leave_one_out_by_time_takes_the_last_record(users, data):
    assume(np.bincount(users).max() > 1)
    times = data.draw(st.lists(st.integers(-3, 3), min_size=len(users), max_size=len(users)))
    whole = numbered(users, times)
    split = leave_one_out(whole)
    assert_splits(whole, split)
    expected = []
    for user in set(users):
        mine = [(times[place], place) for place, other in enumerate(users) if other == user]
        expected += [max(mine)[1]] if len(mine) > 1 else []
    assert places(split.test) == sorted(expected)


def test_leave_one_out_at_random_needs_no_times():
    whole = numbered([1, 1, 1, 2])
    assert {places(leave_one_out(whole, by="random", random_state=seed).test)[0] for seed in range(30)} == {
        0,
        1,
        2,
    }
    with pytest.raises(ValueError, match="expected timestamps to go by"):
        leave_one_out(whole)


def test_holdout_keeps_users_without_records():
    whole = numbered([1, 1, 2, 2]).take([2, 3])
    split = user_holdout(whole, n=1)
    assert len(split.test) == 1 and split.test.n_users == 2


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=30), st.floats(0.01, 0.99))
def test_time_split_parts_the_records_at_one_moment(times, fraction):
    whole = numbered([1] * len(times), times)
    n_test = int(np.ceil(len(times) * fraction))
    moment = sorted(times)[len(times) - n_test]
    assume(min(times) < moment)
    split = time_split(whole, fraction=fraction)
    assert_splits(whole, split)
    assert split.train.timestamps.max() < moment == split.test.timestamps.min()
    assert len(split.test) >= n_test
    assert places(time_split(whole, at=moment).test) == places(split.test)


@given(USERS, st.integers(2, 6), SEEDS)
def test_k_fold_tests_every_record_once(users, n_folds, seed):
    assume(n_folds <= len(users))
    whole = numbered(users)
    splits = list(k_fold(whole, n_folds, random_state=seed))
    assert len(splits) == n_folds
    for split in splits:
        assert_splits(whole, split)
    sizes = [len(split.test) for split in splits]
    assert max(sizes) - min(sizes) <= 1
    assert sorted(place for split in splits for place in places(split.test)) == list(range(len(users)))
    again = [places(split.test) for split in k_fold(whole, n_folds, random_state=seed)]
    assert again == [places(split.test) for split in splits]


def test_split_of_gives_common_maps():
    train = Interactions.from_arrays(["ann", "bob"], [1, 2], [5, 4])
    test = Interactions.from_arrays(["cleo", "ann"], [2, 3], [3, 2])
    split = Split.of(train, test)
    assert list(split.train.user_map) == ["ann", "bob", "cleo"] and list(split.test.item_map) == [1, 2, 3]
    assert split.test.user_rows.tolist() == [2, 0] and split.test.item_rows.tolist() == [1, 2]
    assert split.train.user_items.shape == split.test.user_items.shape == (3, 3)
    assert train.n_users == 2
    with pytest.raises(ValueError, match=r"same maps; do: Split\.of"):
        Split(train, test)


def test_published_folds_are_read_with_common_maps(tmp_path):
    for fold in (1, 2):
        (tmp_path / f"u{fold}.base").write_text(f"1\t{fold}\t5\t1\n2\t7\t4\t2\n")
        (tmp_path / f"u{fold}.test").write_text("3\t7\t2\t3\n")
    splits = list(published_folds(tmp_path, [1, 2]))
    assert [split.train.item_ids().tolist() for split in splits] == [[1, 7], [2, 7]]
    assert all(split.test.user_rows.tolist() == [2] and split.train.n_users == 3 for split in splits)
    with pytest.raises(FileNotFoundError, match=r"u3\.base"):
        published_folds(tmp_path, range(1, 4))


WHOLE = numbered([1, 1, 2, 2], [1, 2, 3, 4])


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: random_split(WHOLE, 0), ValueError, "test_fraction between 0 and 1, got 0"),
        (lambda: random_split(WHOLE, 1.0), ValueError, r"test_fraction between 0 and 1, got 1\.0"),
        (lambda: random_split(WHOLE, float("nan")), ValueError, "between 0 and 1, got nan"),
        (lambda: random_split(WHOLE, 0.1), ValueError, "both parts, got 4 for training, 0 for test"),
        (lambda: random_split(WHOLE, random_state=-1), ValueError, "random_state >= 0"),
        (lambda: random_split(WHOLE, random_state=None), TypeError, "an integer random_state, got None"),
        (lambda: user_holdout(WHOLE), ValueError, "n or fraction, got n=None and fraction=None"),
        (lambda: user_holdout(WHOLE, n=1, fraction=0.5), ValueError, "n or fraction"),
        (lambda: user_holdout(WHOLE, n=0), ValueError, "n >= 1, got 0"),
        (lambda: user_holdout(WHOLE, n=1.0), TypeError, r"an integer n, got 1\.0"),
        (lambda: user_holdout(WHOLE, n=1, by="size"), ValueError, "'random' or 'time', got 'size'"),
        (lambda: user_holdout(WHOLE.take([0, 2]), n=1), ValueError, "got 2 for training, 0 for test"),
        (lambda: time_split(WHOLE), ValueError, "fraction or at"),
        (lambda: time_split(WHOLE, at=1), ValueError, "got 0 for training, 4 for test"),
        (lambda: time_split(WHOLE, at=5), ValueError, "got 4 for training, 0 for test"),
        (lambda: time_split(WHOLE.take([]), fraction=0.5), ValueError, "got 0 for training, 0 for test"),
        (lambda: time_split(numbered([1, 2]), fraction=0.5), ValueError, "expected timestamps"),
        (lambda: k_fold(WHOLE, 1), ValueError, "n_folds >= 2, got 1"),
        (lambda: k_fold(WHOLE, 5), ValueError, r"n_folds in 2\.\.4"),
    ],
)
def test_splits_that_cannot_be(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_a_huge_holdout_leaves_each_user_one_record():
    assert len(user_holdout(WHOLE, n=2**70).train) == 2


@pytest.mark.data
def test_published_folds_of_movielens(data_folder):
    splits = list(published_folds(data_folder / "ml-100k"))
    assert [(len(split.train), len(split.test)) for split in splits] == [(80_000, 20_000)] * 5
    pairs = {
        pair
        for split in splits
        for pair in zip(split.test.user_ids().tolist(), split.test.item_ids().tolist())
    }
    assert len(pairs) == 100_000

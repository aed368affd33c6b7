"""Interactions: what they accept, what they refuse, and that records survive every change of maps."""

from __future__ import annotations

import dataclasses
import doctest
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array, csr_array, csr_matrix

from gpurec.data import Interactions, Records
from gpurec.data.matrix import user_items_matrix
from gpurec.errors import UnknownIdError
from gpurec.types import IdMap

IDS = st.one_of(st.integers(0, 5), st.sampled_from(["0", "1", "a"]), st.tuples(st.integers(0, 1)))
RECORDS = st.lists(st.tuples(IDS, IDS, st.integers(-5, 5)), max_size=25)


def records_of(interactions):
    """The records as external ids and weights, in order."""
    users, items = interactions.user_ids().tolist(), interactions.item_ids().tolist()
    return list(zip(users, items, interactions.weights.tolist()))


def interactions_of(records):
    users, items, weights = zip(*records) if records else ((), (), ())
    return Interactions.from_arrays(users, items, weights)


@pytest.fixture
def plays():
    return Interactions.from_arrays(
        ["ann", "bob", "ann", "cleo"], [7, 7, 3, 9], [5, 3.5, 1, 2], timestamps=[40, 30, 20, 10]
    )


def test_from_arrays_gives_rows_by_first_appearance(plays):
    assert plays.user_rows.tolist() == [0, 1, 0, 2] and plays.item_rows.tolist() == [0, 0, 1, 2]
    assert list(plays.user_map) == ["ann", "bob", "cleo"] and list(plays.item_map) == [7, 3, 9]
    assert (plays.n_users, plays.n_items, len(plays)) == (3, 3, 4)
    assert plays.weights.dtype == np.float32 and plays.user_rows.dtype == np.int64
    assert plays.timestamps.tolist() == [40, 30, 20, 10] and plays.timestamps.dtype == np.int64
    assert plays.user_ids().tolist() == ["ann", "bob", "ann", "cleo"]
    assert plays.item_ids().dtype == np.int64


def test_weights_are_one_and_timestamps_none_where_not_given():
    pairs = Interactions.from_arrays([1, 2], [3, 4])
    assert pairs.weights.tolist() == [1, 1] and pairs.timestamps is None


def test_interactions_cannot_be_changed(plays):
    with pytest.raises(ValueError, match="read-only"):
        plays.weights[0] = 9
    with pytest.raises(dataclasses.FrozenInstanceError):
        plays.weights = None
    mine = np.array([1.0, 2.0], dtype=np.float32)
    Interactions(np.array([0, 0]), np.array([0, 0]), mine, None, IdMap([1]), IdMap([1]))
    mine[0] = 5  # the caller's own array stays writable
    assert mine[0] == 5


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"user_rows": np.array([0, 2])}, ValueError, r"user_rows in 0\.\.1, got 2 in record 1"),
        ({"item_rows": np.array([-1, 0])}, ValueError, r"item_rows in 0\.\.1, got -1 in record 0"),
        ({"item_rows": np.array([0])}, ValueError, r"item_rows of shape \(2,\), got \(1,\)"),
        ({"user_rows": np.array([0.0, 1.0])}, TypeError, "user_rows of int64, got float64"),
        ({"user_rows": np.array([0, 1], dtype=np.uint64)}, TypeError, "user_rows of int64, got uint64"),
        ({"weights": np.ones(3)}, ValueError, r"weights of shape \(2,\), got \(3,\)"),
        ({"weights": np.array(["a", "b"])}, TypeError, "weights that are numbers"),
        ({"weights": np.array([1, np.nan])}, ValueError, "finite in float32, got nan in record 1"),
        ({"weights": np.array([1e39, 1])}, ValueError, r"finite in float32, got 1e\+39 in record 0"),
        ({"timestamps": np.array([1.5, 2.0])}, TypeError, "timestamps of int64, got float64"),
        ({"timestamps": np.array([1])}, ValueError, r"timestamps of shape \(2,\)"),
    ],
)
def test_wrong_columns_are_refused_with_the_record(change, error, text):
    good = {
        "user_rows": np.array([0, 1]),
        "item_rows": np.array([1, 0]),
        "weights": np.ones(2),
        "timestamps": None,
        "user_map": IdMap(["ann", "bob"]),
        "item_map": IdMap([5, 6]),
    }
    assert len(Interactions(**good)) == 2
    with pytest.raises(error, match=text):
        Interactions(**{**good, **change})


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (([1, None], [1, 2]), "expected every record to have its user, got 1 without .the first is record 1"),
        (([1, 2], [float("nan"), 2]), "have its item"),
        (([1, 2], [1, 2], [None, 1]), "have its weight"),
        (([1, 2], [1, 2], None, [3, None]), "have its timestamp"),
        (([1, 2], [1, 2, 3]), "columns of one length, got {'user': 2, 'item': 3}"),
        (([1], [1], ["five"]), "expected a number as weight, got 'five' in record 0"),
        (([1], [1], None, ["soon"]), "seconds or an ISO date as timestamp, got 'soon'"),
        ((np.zeros((2, 2)), [1, 2]), "one value a record, got shape"),
    ],
)
def test_from_arrays_refuses(arguments, text):
    with pytest.raises(ValueError, match=text):
        Interactions.from_arrays(*arguments)


def test_one_text_is_no_sequence_of_ids():
    with pytest.raises(TypeError, match="got the single 'ann'"):
        Interactions.from_arrays("ann", [1, 2, 3])


def test_given_maps_are_used_and_must_hold_every_id():
    users = IdMap(["zoe", "ann"])
    plays = Interactions.from_arrays(["ann"], [1], user_map=users)
    assert plays.user_map is users and plays.user_rows.tolist() == [1]
    with pytest.raises(UnknownIdError, match="got 'bob'"):
        Interactions.from_arrays(["bob"], [1], user_map=users)


@given(RECORDS)
def test_ids_and_weights_come_back_as_they_went_in(records):
    expected = [(user, item, float(weight)) for user, item, weight in records]
    found = records_of(interactions_of(records))
    assert found == expected
    assert [(type(u), type(i)) for u, i, _ in found] == [(type(u), type(i)) for u, i, _ in expected]


@given(RECORDS, RECORDS)
def test_with_maps_of_keeps_records_and_begins_with_the_maps_of_the_training_part(train, test):
    train, test = interactions_of(train), interactions_of(test)
    before = list(train.user_map), list(train.item_map)
    moved = test.with_maps_of(train)
    assert records_of(moved) == records_of(test)
    assert list(moved.user_map)[: train.n_users] == before[0] == list(train.user_map)
    assert list(moved.item_map)[: train.n_items] == before[1] == list(train.item_map)
    assert set(moved.item_map) == set(train.item_map) | set(test.item_map)


@given(RECORDS, st.data())
def test_compact_and_take_keep_the_records_that_are_chosen(records, data):
    plays = interactions_of(records)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(plays), max_size=len(plays))), dtype=bool)
    taken = plays.take(mask)
    compacted = taken.compact()
    expected = [record for record, kept in zip(records_of(plays), mask) if kept]
    assert records_of(taken) == records_of(compacted) == expected
    assert taken.user_map is plays.user_map
    assert set(compacted.user_map) == {user for user, _, _ in expected}
    assert set(compacted.item_map) == {item for _, item, _ in expected}


def test_take_by_places_keeps_their_order(plays):
    assert plays.take([2, 0]).timestamps.tolist() == [20, 40]
    assert len(plays.take([])) == 0
    with pytest.raises(ValueError, match="a mask of 4 records"):
        plays.take(np.ones(3, dtype=bool))
    with pytest.raises(TypeError, match="a mask or integer places, got float64"):
        plays.take([0.5])


def test_reindex_raises_or_drops_what_the_maps_lack(plays):
    users, items = IdMap(["cleo", "ann"]), IdMap([9, 7, 3, 1])
    with pytest.raises(UnknownIdError, match="got 'bob'"):
        plays.reindex(users, items)
    moved = plays.reindex(users, items, unknown="drop")
    assert records_of(moved) == [("ann", 7, 5.0), ("ann", 3, 1.0), ("cleo", 9, 2.0)]
    assert moved.timestamps.tolist() == [40, 20, 10] and moved.n_items == 4
    # Ids that no record uses need not be known.
    assert len(plays.take([3]).reindex(IdMap(["cleo"]), IdMap([9]))) == 1
    with pytest.raises(ValueError, match="'raise' or 'drop'"):
        plays.reindex(users, items, unknown="ignore")


def test_user_items_sums_duplicates_and_sorts_rows():
    plays = Interactions.from_arrays([1, 1, 2, 1], ["a", "b", "a", "a"], [1, 2, 3, 4])
    matrix = plays.user_items
    assert isinstance(matrix, csr_array) and matrix.dtype == np.float32 and matrix.shape == (2, 2)
    assert matrix.toarray().tolist() == [[5, 2], [3, 0]]
    assert matrix.has_canonical_format and plays.user_items is matrix


def test_user_items_sums_in_float64():
    weights = np.float32([2**24, 1, 1])
    assert user_items_matrix(np.zeros(3, int), np.zeros(3, int), weights, (1, 1)).data.tolist() == [2**24 + 2]


def test_user_items_keeps_stored_zeros_and_empty_rows():
    matrix = user_items_matrix(np.array([2]), np.array([0]), np.float32([0]), (4, 3))
    assert matrix.nnz == 1 and matrix.indptr.tolist() == [0, 0, 0, 1, 1]


def test_user_items_widens_its_offsets_only_where_needed():
    rows, weights = np.array([0, 1]), np.ones(2, np.float32)
    assert user_items_matrix(rows, rows, weights, (2, 2)).indptr.dtype == np.int32
    wide = user_items_matrix(rows, np.array([1, 2**31 + 5]), weights, (2, 2**31 + 6))
    assert wide.indptr.dtype == wide.indices.dtype == np.int64
    assert wide.indices.tolist() == [1, 2**31 + 5]


@pytest.mark.parametrize("kind", [csr_array, csr_matrix, coo_array])
def test_from_sparse_takes_every_stored_entry(kind):
    plays = Interactions.from_sparse(kind(([2.0, 0.0], ([0, 1], [1, 0])), shape=(2, 3)), ["ann", "bob"])
    assert sorted(records_of(plays)) == [("ann", 1, 2.0), ("bob", 0, 0.0)]
    assert plays.n_items == 3
    assert plays.user_items.toarray().tolist() == [[0, 2, 0], [0, 0, 0]]


def test_from_sparse_refuses_what_does_not_fit():
    matrix = csr_array((2, 3))
    with pytest.raises(ValueError, match="expected 3 item_ids, got 2"):
        Interactions.from_sparse(matrix, item_ids=["a", "b"])
    with pytest.raises(TypeError, match="expected a scipy sparse matrix, got ndarray"):
        Interactions.from_sparse(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="finite"):
        Interactions.from_sparse(csr_array([[np.inf]]))


WHEN = datetime(2020, 1, 1, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize("library", [pl, pd])
def test_from_frame_recognises_usual_columns_and_dates(library):
    frame = library.DataFrame(
        {
            "datetime": [WHEN.replace(tzinfo=None), WHEN.replace(tzinfo=None) + timedelta(seconds=1.5)],
            "Movie ID": ["a", "b"],
            "userId": [4, 5],
            "Rating": [1.0, 2.5],
        }
    )
    plays = Interactions.from_frame(frame)
    assert records_of(plays) == [(4, "a", 1.0), (5, "b", 2.5)]
    assert plays.timestamps.tolist() == [int(WHEN.timestamp()), int(WHEN.timestamp()) + 1]


@pytest.mark.parametrize("library", [pl, pd])
def test_from_frame_reads_zoned_times_and_days(library):
    zone = timezone(timedelta(hours=2))
    frame = library.DataFrame({"user": [1], "item": [2], "time": [WHEN.astimezone(zone)]})
    assert Interactions.from_frame(frame).timestamps.tolist() == [int(WHEN.timestamp())]
    frame = library.DataFrame({"user": [1], "item": [2], "date": [date(1970, 1, 3)]})
    assert Interactions.from_frame(frame).timestamps.tolist() == [2 * 86400]


@pytest.mark.parametrize("library", [pl, pd])
def test_from_frame_names_missing_values(library):
    frame = library.DataFrame({"user": [1, None, 3], "item": ["a", "b", "c"]})
    with pytest.raises(ValueError, match="have its user, got 1 without"):
        Interactions.from_frame(frame)


def test_integers_that_pandas_made_floats_are_integers_again():
    raw = pd.DataFrame({"user": [1, None, 3], "item": [1.5, None, 2]})
    from gpurec.data import records_from_frame

    records = records_from_frame(raw)
    assert records.user_ids.tolist() == [1, None, 3] and type(records.user_ids[0]) is int
    assert records.item_ids.tolist() == [1.5, None, 2.0]
    extension = pd.DataFrame({"user": pd.array([1, None], dtype="Int64"), "item": ["a", pd.NA]})
    assert records_from_frame(extension).user_ids.tolist() == [1, None]
    assert records_from_frame(extension).item_ids.tolist() == ["a", None]


def test_from_frame_lists_the_columns_that_there_are():
    frame = pl.DataFrame({"who": [1], "item": [2], "rating": [3], "stars": [4]})
    with pytest.raises(ValueError, match=r"a column of users, but the columns are \['who', 'item'"):
        Interactions.from_frame(frame, {"weight": "stars"})
    with pytest.raises(ValueError, match="both 'rating' and 'stars' look like the weight"):
        Interactions.from_frame(frame, {"user": "who"})
    with pytest.raises(ValueError, match="expected one column 'whom' as the user, but the columns are"):
        Interactions.from_frame(frame, {"user": "whom", "weight": None})
    with pytest.raises(ValueError, match="roles among"):
        Interactions.from_frame(frame, {"users": "who"})
    with pytest.raises(ValueError, match="a column of its own"):
        Interactions.from_frame(frame, {"user": "who", "item": 0})
    assert Interactions.from_frame(frame, {"user": "who", "weight": None}).weights.tolist() == [1]


def test_from_frame_takes_lazy_frames_and_refuses_other_things():
    assert len(Interactions.from_frame(pl.LazyFrame({"user": [1], "item": [2]}))) == 1
    with pytest.raises(TypeError, match="polars or pandas DataFrame, got dict"):
        Interactions.from_frame({"user": [1], "item": [2]})


def test_to_frame_is_read_back_alike(plays):
    frame = plays.to_frame()
    assert frame.columns == ["user_id", "item_id", "weight", "timestamp"]
    assert frame.schema["user_id"] == pl.String and frame.schema["item_id"] == pl.Int64
    again = Interactions.from_frame(frame)
    assert records_of(again) == records_of(plays) and again.timestamps.tolist() == plays.timestamps.tolist()
    mixed = Interactions.from_arrays([1, "1"], [(1, 2), (3, 4)])
    assert mixed.to_frame().rows() == [(1, (1, 2), 1.0), ("1", (3, 4), 1.0)]


def test_records_refuse_columns_of_different_length():
    with pytest.raises(ValueError, match="columns of one length"):
        Records(np.array([1]), np.array([1]), np.array([1.0, 2.0]))


def test_no_record_at_all_is_legal():
    empty = Interactions.from_arrays([], [], [], [])
    assert len(empty) == 0 and empty.user_items.shape == (0, 0) and len(empty.compact()) == 0
    assert empty.to_frame().height == 0


def test_the_examples_of_the_documentation_run():
    document = Path(__file__).parents[2] / "docs" / "data.md"
    failed, tried = doctest.testfile(str(document), module_relative=False)
    assert failed == 0 and tried > 10

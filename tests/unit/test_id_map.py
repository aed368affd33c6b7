"""IdMap: ids keep their type, rows are stable, and both of its stores give the same answers."""

from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpurec.errors import UnknownIdError
from gpurec.types import IdMap

SMALL_INTEGERS = st.integers(-20, 20)
ANY_INTEGERS = st.integers(-(2**63), 2**63 - 1)
ANY_IDS = st.one_of(
    SMALL_INTEGERS,
    st.integers(-(2**70), 2**70),
    st.text(max_size=2),
    st.booleans(),
    st.sampled_from([0.0, 1.0, -2.0]),
    st.tuples(SMALL_INTEGERS, st.booleans()),
)


def typed(value):
    """What makes two ids the same: type and value, also inside tuples."""
    if isinstance(value, tuple):
        return tuple, tuple(map(typed, value))
    return type(value), value


def assert_same_ids(found, expected):
    assert [typed(v) for v in found] == [typed(v) for v in expected]


@given(st.lists(st.lists(st.one_of(ANY_INTEGERS, SMALL_INTEGERS), max_size=40), max_size=5))
def test_integer_ids_get_rows_in_order_of_first_appearance(batches):
    ids, expected = IdMap(), {}
    for batch in batches:
        rows = ids.add(batch)
        assert rows.dtype == np.int64
        assert rows.tolist() == [expected.setdefault(key, len(expected)) for key in batch]
    assert list(ids) == list(expected) and len(ids) == len(expected)
    assert ids.rows(list(expected)).tolist() == list(range(len(expected)))
    assert ids.ids().tolist() == list(expected)


@given(st.lists(st.lists(ANY_IDS, max_size=12), max_size=5))
def test_ids_of_any_kind_get_rows_in_order_of_first_appearance(batches):
    ids, expected, values = IdMap(), {}, []
    for batch in batches:
        for key in batch:
            if typed(key) not in expected:
                expected[typed(key)] = len(expected)
                values.append(key)
        assert ids.add(batch).tolist() == [expected[typed(key)] for key in batch]
    assert_same_ids(ids, values)
    assert ids.rows(values).tolist() == list(range(len(values)))


def test_adding_one_by_one_equals_adding_at_once():
    values = (np.random.default_rng(0).permutation(3000) * 12347 - 5).tolist()
    grown = IdMap(values[:500])
    for value in values[500:]:
        grown.extend([value])
    assert grown == IdMap(values)
    assert grown.rows(values).tolist() == list(range(3000))
    assert grown.rows([-6, 12347 * 3000], unknown="ignore").tolist() == [-1, -1]
    with pytest.raises(ValueError, match="expected each id once"):
        grown.extend([values[-1]])


def test_ids_that_compare_equal_across_types_stay_apart():
    values = [1, "1", 1.0, True, Decimal(1), b"1", (1,), (True,), (1.0,), None, datetime.date(2020, 1, 1)]
    ids = IdMap(values)
    assert ids.rows(values).tolist() == list(range(len(values)))
    assert_same_ids(ids.ids(), values)
    assert 1 in ids and 2 not in ids and (2,) not in ids


def test_numpy_scalars_and_arrays_are_the_python_values_they_hold():
    ids = IdMap(np.array([5, 6], dtype=np.uint8))
    assert ids.rows([np.int32(6), 5, np.uint64(5)]).tolist() == [1, 0, 0]
    assert type(next(iter(ids))) is int
    texts = IdMap(np.array(["a", "b"]))
    assert texts.rows(["b", np.str_("a")]).tolist() == [1, 0]
    huge = IdMap(np.array([2**63, 2**64 - 1], dtype=np.uint64))
    assert list(huge) == [2**63, 2**64 - 1] and huge.ids().dtype == object
    assert IdMap(np.array([True, False])).rows([1], unknown="ignore").tolist() == [-1]


def test_dates_from_arrays_stay_dates():
    days = np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[ns]")
    ids = IdMap(days)
    assert ids.rows(days[::-1]).tolist() == [1, 0]
    assert ids.rows([days[0].astype(np.int64)], unknown="ignore").tolist() == [-1]


def test_integers_at_the_ends_of_64_bits():
    values = [2**63 - 1, -(2**63), 0]
    ids = IdMap(values)
    assert ids.rows(values).tolist() == [0, 1, 2]
    close = IdMap([2**63 - 1, 2**63 - 2])
    assert close.rows([2**63 - 2, -(2**63), 2**63], unknown="ignore").tolist() == [1, -1, -1]


def test_ids_gives_integers_as_int64_and_the_shape_of_rows():
    numbers, mixed = IdMap([30, 10, 20]), IdMap([30, "x", (1, 2), (3, 4)])
    assert numbers.ids([[0, 2], [1, 1]]).tolist() == [[30, 20], [10, 10]]
    assert numbers.ids().dtype == np.int64 and numbers.ids([]).shape == (0,)
    assert mixed.ids([0]).dtype == np.int64
    pairs = mixed.ids([2, 3])
    assert pairs.dtype == object and pairs.shape == (2,) and pairs.tolist() == [(1, 2), (3, 4)]


@pytest.mark.parametrize("rows", [[3], [-1], [2**40]])
def test_ids_refuses_rows_that_it_does_not_have(rows):
    with pytest.raises(ValueError, match=r"expected rows in 0\.\.2"):
        IdMap([1, 2, 3]).ids(rows)


def test_ids_refuses_rows_that_are_not_integers():
    with pytest.raises(TypeError, match="expected integer rows, got float64"):
        IdMap([1, 2, 3]).ids([0.5])


@pytest.mark.parametrize("values", [[4, 5, 4], ["a", "b", "a"], [1, "a", 1], [10**9, 5, 10**9]])
def test_an_id_that_stands_twice_changes_nothing(values):
    with pytest.raises(ValueError, match=f"got {values[0]!r} twice"):
        IdMap(values)
    ids = IdMap([7])
    with pytest.raises(ValueError, match="twice"):
        ids.extend(values)
    with pytest.raises(ValueError, match="got 7 again"):
        ids.extend([8, 7])
    assert list(ids) == [7] and ids.rows([7, *values], unknown="ignore").tolist() == [0, -1, -1, -1]


def test_ids_that_cannot_be_ids():
    for ids in (IdMap(), IdMap([1]), IdMap(["a"])):
        with pytest.raises(TypeError, match="unhashable"):
            ids.extend([[1]])
        with pytest.raises(TypeError, match="unhashable"):
            ids.rows([{}])
        with pytest.raises(ValueError, match="NaN"):
            ids.extend([2, float("nan")])
        assert len(ids) <= 1
        assert ids.rows([float("nan")], unknown="ignore").tolist() == [-1]
    with pytest.raises(TypeError, match="single id 'abc'"):
        IdMap("abc")
    with pytest.raises(ValueError, match="one dimension"):
        IdMap(np.zeros((2, 2)))


def test_unknown_ids_are_named_and_the_right_type_is_suggested():
    with pytest.raises(UnknownIdError, match=r"expected one of the 2 known ids, got 3$"):
        IdMap([1, 2]).rows([1, 3, 4])
    with pytest.raises(UnknownIdError, match="got '2'; do: ask for 2"):
        IdMap([1, 2]).rows(["2"])
    with pytest.raises(UnknownIdError, match="got 2; do: ask for '2'"):
        IdMap(["1", "2"]).rows(np.array([2]))
    with pytest.raises(ValueError, match="'raise' or 'ignore'"):
        IdMap([1]).rows([1], unknown="drop")


@pytest.mark.parametrize("values", [[3, 1, 2], ["c", "a"], [1, "1", 1.0]])
def test_copies_are_equal_and_grow_apart(values):
    ids = IdMap(values)
    other = ids.copy()
    assert other == ids
    other.extend([99])
    assert other != ids and 99 not in ids
    ids.extend([98])
    assert 98 not in other and other.rows([99]).tolist() == ids.rows([98]).tolist()


def test_equality_looks_at_types_and_order():
    assert IdMap([1, 2]) != IdMap([2, 1])
    assert IdMap([1]) != IdMap([1.0]) and IdMap([True]) != IdMap([1.0])
    grown = IdMap([1, "a"])
    assert grown == IdMap(np.array([1, "a"], dtype=object)) and grown != [1, "a"]
    with pytest.raises(TypeError):
        hash(grown)


def test_the_empty_map():
    ids = IdMap()
    assert len(ids) == 0 and list(ids) == [] and ids.ids().shape == (0,)
    assert ids.rows([]).shape == (0,) and ids.rows([]).dtype == np.int64
    assert ids.rows([5, "a"], unknown="ignore").tolist() == [-1, -1] and ids == IdMap([])

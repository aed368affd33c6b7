"""The reference against exact rational arithmetic and answers known by hand: nothing else checks it."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from gpurec.backends.base import Filters, RowSets
from gpurec.backends.reference import (
    ReferenceBackend,
    best_rows,
    canonical_scores,
    permitted,
    prepare_rows,
    round_scores,
    sum_lanes,
)
from gpurec.backends.report import SearchReport

backend = ReferenceBackend()


def search(queries, items, k, metric="dot", active=None, filters=None):
    index = backend.build_index(np.float32(items), metric, active)
    rows, scores = backend.search(index, np.float32(queries), k, filters or Filters())
    return rows.tolist(), scores.tolist()


def sets(*rows, which=None):
    indptr = np.cumsum([0, *map(len, rows)])
    return RowSets(indptr, np.array([r for s in rows for r in s], dtype=np.int64), which)


def scalar_sum(terms):
    """The canonical order once more, as Python scalars: a second reading of the same sentence."""
    lanes = [0.0] * 32
    for i, term in enumerate(terms):
        lanes[i % 32] += float(term)
    for half in (16, 8, 4, 2, 1):
        for lane in range(half):
            lanes[lane] += lanes[lane + half]
    return lanes[0]


def exact_dot(q, x):
    return sum((Fraction(float(a)) * Fraction(float(b)) for a, b in zip(q, x)), Fraction(0))


# --- sums ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 16, 31, 32, 33, 63, 64, 65, 100, 1056, 4099])
def test_sum_lanes_follows_the_stated_order(d):
    rng = np.random.default_rng(d)
    terms = rng.standard_normal((5, d)) * 10.0 ** rng.integers(-12, 12, (5, d))
    assert sum_lanes(terms).tolist() == [scalar_sum(row) for row in terms]


def test_sum_lanes_is_sensitive_to_the_order():
    """Terms for which lanes, left to right, and pairs all differ: the order above is really tested."""
    terms = np.zeros((1, 96))
    terms[0, [0, 32, 64]] = 1.0, 2.0**53, -(2.0**53)  # one lane, in order: 1 is swallowed
    assert sum_lanes(terms).tolist() == [0.0]
    terms = np.zeros((1, 96))
    terms[0, [0, 2, 18]] = 1.0, 2.0**53, -(2.0**53)  # lanes 2 and 18 cancel before lane 0 meets them
    assert sum_lanes(terms).tolist() == [1.0]
    terms = np.zeros((1, 96))
    terms[0, [0, 2, 1]] = 1.0, 2.0**53, -(2.0**53)  # lane 0 meets lane 2 first, and is swallowed
    assert sum_lanes(terms).tolist() == [0.0]


@pytest.mark.parametrize("d", [1, 7, 33, 64, 257])
def test_canonical_dot_is_the_exact_one_within_its_own_rounding(d):
    rng = np.random.default_rng(d)
    q = np.float32(rng.standard_normal((20, d)))
    x = np.float32(rng.standard_normal((20, d)))
    for a, b in zip(q, x):
        exact = exact_dot(a, b)
        total = Fraction(float(sum_lanes((np.float64(a) * np.float64(b))[np.newaxis])[0]))
        size = Fraction(math.fsum(abs(float(u) * float(v)) for u, v in zip(a, b)))
        assert abs(total - exact) <= Fraction(d // 32 + 6, 2**53) * size * 2


def test_canonical_dot_of_small_integers_is_exact():
    rng = np.random.default_rng(3)
    q, x = rng.integers(-9, 10, (2, 50, 77)).astype(np.float32)
    assert canonical_scores(q, x, "dot").tolist() == [float(exact_dot(a, b)) for a, b in zip(q, x)]
    squares = [exact_dot(a - b, a - b) for a, b in zip(q, x)]
    assert canonical_scores(q, x, "euclidean").tolist() == [-float(square) for square in squares]


def test_euclidean_rounds_the_difference_before_it_squares():
    q, x = np.float32([[1.0]]), np.float32([[2.0**-60]])
    assert canonical_scores(q, x, "euclidean").tolist() == [-1.0]
    far = np.float32([[3e38]])
    assert canonical_scores(far, -far, "euclidean").tolist() == [-math.inf]


def test_equal_rows_are_at_distance_plus_zero():
    score = canonical_scores(np.float32([[1, 2]]), np.float32([[1, 2]]), "euclidean")
    assert score.tolist() == [0.0] and not np.signbit(score[0])


# --- rounding and order ----------------------------------------------------------------------------------


def test_scores_round_once_to_nearest_even_and_have_no_negative_zero():
    sums = np.array([264257537.0, 16777217.0, 16777219.0, -0.0, 1e39, -1e39, 2.0**-150])
    rounded = round_scores(sums)
    assert rounded.tolist() == [264257536.0, 16777216.0, 16777220.0, 0.0, math.inf, -math.inf, 0.0]
    assert not np.signbit(rounded[3])


def test_dots_that_tie_after_rounding_go_by_row():
    """264257536 and 264257537 are one float32: the smaller row wins although its dot is smaller."""
    items = [[16256, 0], [16256, 1]]  # 16256^2 = 264257536
    assert search([[16256, 1]], items, 2) == ([[0, 1]], [[264257536.0, 264257536.0]])


def test_an_item_that_overflows_is_never_returned_and_removes_no_other():
    items = [[3e38, 3e38], [1, 0], [-3e38, -3e38], [0.5, 0]]
    assert search([[3e38 / 2, 1e38]], items, 4)[0] == [[1, 3, -1, -1]]
    assert search([[2, 2]], items, 3) == ([[1, 3, -1]], [[2.0, 1.0, -math.inf]])


def test_partial_sums_beyond_float32_with_a_finite_answer():
    items = [[3e38, 1.0, 3e38], [0, 2.0, 0]]
    assert search([[3e38, 1.0, -3e38]], items, 2) == ([[1, 0]], [[2.0, 1.0]])


def test_underflow_keeps_products_that_float32_would_lose():
    assert search([[2.0**-75]], [[2.0**-75], [2.0**-74]], 2) == ([[1, 0]], [[2.0**-149, 0.0]])
    assert search([[2.0**-74]], [[2.0**-75], [-(2.0**-75)]], 2) == ([[0, 1]], [[2.0**-149, -(2.0**-149)]])


def test_best_rows_orders_ties_by_row_and_pads():
    rows, scores = best_rows(np.float32([1, 2, np.nan, 2, np.inf, -np.inf]), np.array([9, 8, 0, 3, 1, 2]), 5)
    assert rows.tolist() == [3, 8, 9, -1, -1]
    assert scores.tolist() == [2.0, 2.0, 1.0, -math.inf, -math.inf]
    assert rows.dtype == np.int64 and scores.dtype == np.float32


def test_top_k_of_given_scores():
    scores = np.float32([[-0.0, 0.0, np.nan, np.inf, -np.inf, -1.0], [5, 5, 5, 5, 5, 6]])
    rows, best = backend.top_k(scores, 4)
    assert rows.tolist() == [[0, 1, 5, -1], [5, 0, 1, 2]]
    assert not np.signbit(best[0, :2]).any()
    rows, best = backend.top_k(np.empty((0, 6), dtype=np.float32), 4)
    assert rows.shape == best.shape == (0, 4)


def test_no_items_and_more_places_than_items():
    assert search([[1.0]], np.empty((0, 1)), 2) == ([[-1, -1]], [[-math.inf] * 2])
    assert search([[2.0]], [[1.0], [-1.0]], 3) == ([[0, 1, -1]], [[2.0, -2.0, -math.inf]])
    rows, scores = search(np.empty((0, 3)), [[1, 2, 3]], 2)
    assert rows == [] and scores == []


# --- preparation -----------------------------------------------------------------------------------------


def nearest_float32(value: Fraction) -> float:
    """Round a rational number to float32, half to even, without any float64 in between."""
    if value == 0:
        return 0.0
    sign, value = (-1 if value < 0 else 1), abs(value)
    exponent = max(math.floor(math.log2(value)), -126)
    exponent -= value < Fraction(2) ** exponent if exponent > -126 else 0
    unit = Fraction(2) ** (exponent - 23)
    return sign * float(round(value / unit) * unit)  # round() of a Fraction is half to even


@pytest.mark.parametrize("scale", [1.0, 2.0**100, 2.0**-130, 2.0**-145])
@pytest.mark.parametrize("metric", ["cosine", "pearson"])
def test_prepared_rows_are_the_rounded_exact_ones(metric, scale):
    """Exact up to float64's error, which moves a float32 by at most one unit, and almost never does."""
    rng = np.random.default_rng(11)
    rows = np.float32(rng.standard_normal((40, 37)) * scale)
    rows = rows[np.abs(rows).max(axis=1) > 0]
    prepared = prepare_rows(rows, metric)
    wrong = 0
    for row, got in zip(rows, prepared):
        exact = [Fraction(float(v)) for v in row]
        if metric == "pearson":
            mean = sum(exact) / len(exact)
            exact = [v - mean for v in exact]
        square = sum(v * v for v in exact)
        norm = Fraction(math.isqrt(int(square * Fraction(2) ** 800)), 2**400)
        want = np.float32([nearest_float32(v / norm) for v in exact])
        assert np.all(np.abs(want - got) <= np.spacing(np.abs(want)))
        wrong += int(np.sum(want != got))
    assert wrong <= 2


@pytest.mark.parametrize("metric", ["cosine", "pearson"])
def test_preparation_ignores_powers_of_two(metric):
    rng = np.random.default_rng(5)
    rows = np.float32(rng.integers(-1000, 1000, (30, 50)))  # exact at every scale, subnormal ones too
    want = prepare_rows(rows, metric)
    for exponent in (-149, -80, 60, 117):
        assert np.array_equal(prepare_rows(np.ldexp(rows, exponent), metric), want)


def test_preparation_known_by_hand():
    assert prepare_rows(np.float32([[3, 4]]), "cosine").tolist() == [[np.float32(0.6), np.float32(0.8)]]
    half = np.float32(1 / math.sqrt(2))
    assert prepare_rows(np.float32([[5, 7]]), "pearson").tolist() == [[-half, half]]
    assert prepare_rows(np.float32([[0, 0]]), "cosine").tolist() == [[0.0, 0.0]]
    tiny = np.float32(2.0**-149)
    assert prepare_rows(np.array([[tiny, 0]]), "cosine").tolist() == [[1.0, 0.0]]
    assert prepare_rows(np.array([[-np.finfo(np.float32).max]]), "cosine").tolist() == [[-1.0]]


@pytest.mark.parametrize("d", [1, 3, 10, 33, 49])
@pytest.mark.parametrize("value", [0.1, -7.3, 1e-42, 3e38])
def test_constant_rows_have_no_direction(d, value):
    """Exactly +0, and never what rounding may leave of a component minus the mean."""
    prepared = prepare_rows(np.full((2, d), value, dtype=np.float32), "pearson")
    assert not prepared.any() and not np.signbit(prepared).any()


def test_almost_constant_rows_keep_their_direction():
    row = np.full((1, 8), 0.1, dtype=np.float32)
    row[0, 5] = np.nextafter(np.float32(0.1), np.float32(1))
    prepared = prepare_rows(row, "pearson")[0]
    assert prepared[5] > 0.9 and np.all(prepared[:5] < 0)


def test_centring_happens_in_float64():
    """A large mean: centring in float32 would round 1/3 of the last bit away."""
    row = np.float32([[2**23, 2**23 + 1, 2**23 + 1]])
    want = np.float32([-2 / math.sqrt(6), 1 / math.sqrt(6), 1 / math.sqrt(6)])
    assert np.allclose(prepare_rows(row, "pearson")[0], want, rtol=1e-7, atol=0)


def test_dot_and_euclidean_take_rows_as_they_are():
    rows = np.float32([[1, 2]])
    assert prepare_rows(rows, "dot") is rows and prepare_rows(rows, "euclidean") is rows


# --- filters ---------------------------------------------------------------------------------------------


def test_permitted_is_the_meeting_of_all_filters():
    filters = Filters(
        mask=np.array([True, True, True, False, True, True]),
        allow=sets([0, 1, 2, 3, 4], [5], which=np.array([0, 1, 0])),
        deny=(sets([0], [], []), sets([1], which=np.array([0, 0, 0]))),
    )
    active = np.array([True, True, True, True, False, True])
    assert np.flatnonzero(permitted(filters, 0, 6, active)).tolist() == [2]
    assert np.flatnonzero(permitted(filters, 1, 6, active)).tolist() == [5]
    assert np.flatnonzero(permitted(filters, 2, 6, active)).tolist() == [0, 2]
    assert active.tolist() == [True, True, True, True, False, True]  # not written to


def test_an_empty_allow_list_allows_nothing():
    assert search([[1.0]], [[1.0], [2.0]], 1, filters=Filters(allow=sets([]))) == ([[-1]], [[-math.inf]])


def test_search_filters_before_it_chooses():
    filters = Filters(deny=(sets([2], [0]),))
    rows, _ = search([[1.0], [1.0]], [[1.0], [2.0], [3.0]], 2, filters=filters)
    assert rows == [[1, 0], [2, 1]]
    assert search([[1.0]], [[1.0], [2.0]], 1, active=np.array([True, False]))[0] == [[0]]


# --- the ops agree with one another ----------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["dot", "cosine", "pearson", "euclidean"])
def test_search_pairs_and_matrices_give_the_same_scores(metric):
    rng = np.random.default_rng(2)
    queries = np.float32(rng.standard_normal((3, 40)))
    items = np.float32(rng.standard_normal((50, 40)))
    matrix = np.empty((3, 50), dtype=np.float32)
    backend.similarity(queries, items, metric, matrix)
    pairs = backend.score_pairs(np.repeat(queries, 50, axis=0), np.tile(items, (3, 1)), metric)
    assert np.array_equal(matrix.ravel(), pairs)
    report = SearchReport()
    index = backend.build_index(items, metric)
    rows, scores = backend.search(index, queries, 50, Filters(), report=report)
    assert np.array_equal(np.take_along_axis(matrix, rows, axis=1), scores)
    assert np.array_equal(np.sort(rows, axis=1), np.tile(np.arange(50), (3, 1)))
    assert {name: count.tolist() for name, count in report.counts.items()} == {
        "candidates": [50, 50, 50],
        "rescored": [50, 50, 50],
    }
    chosen = backend.top_k(matrix, 7)
    assert np.array_equal(chosen[0], rows[:, :7]) and np.array_equal(chosen[1], scores[:, :7])


def test_long_inputs_are_cut_into_blocks_without_a_seam():
    rng = np.random.default_rng(8)
    items = np.float32(rng.standard_normal((700, 4099)))
    queries = items[:1]
    index = backend.build_index(items, "dot")
    rows, scores = backend.search(index, queries, 700, Filters())
    for row, score in zip(rows[0, ::50].tolist(), scores[0, ::50].tolist()):
        assert score == float(np.float32(scalar_sum(np.float64(queries[0]) * np.float64(items[row]))))

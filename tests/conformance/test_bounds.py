"""The certificate against exact rational arithmetic: L <= canonical <= U, norms, and what follows from them.

A search shows a wrong bound only where it loses an answer; a defect inside the slack shows only here.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from gpurec._native import cpu as _cpu
from gpurec.backends.reference import canonical_scores

from .cases import SEED

WIDTHS = (1, 2, 3, 5, 16, 17, 33, 64, 200, 1056)
PAIRS = 12  # of each family and width


# --- pairs of vectors ------------------------------------------------------------------------------------


def random_pairs(rng, d):
    return rng.standard_normal((2, PAIRS, d))


def parallel(rng, d):
    q = rng.standard_normal((PAIRS, d))
    return q, q * rng.uniform(-2, 2, (PAIRS, 1))


def swallowed_terms(rng, d):
    """q = x = (1, t, t, ...) with t^2 just below half a unit of 1: a sequential sum loses every term.

    It stays at 1 while the exact value is 1 + (d - 1) 2^-24, which is all that gamma_d |q||x| allows.
    """
    q = np.full((PAIRS, d), 2.0**-12 * (1 - 2.0**-23))
    q[:, 0] = 1
    signs = np.where(np.arange(PAIRS)[:, np.newaxis] % 2, 1.0, -1.0)
    return q, q * signs


def decades(rng, d):
    return rng.standard_normal((2, PAIRS, d)) * 10.0 ** rng.uniform(-8, 8, (2, PAIRS, d))


def cancelling(rng, d):
    q, x = rng.standard_normal((2, PAIRS, d))
    half = d // 2
    q[:, half : 2 * half] = q[:, :half]
    x[:, half : 2 * half] = -x[:, :half] * (1 + rng.integers(-1, 2, (PAIRS, half)) * 2.0**-23)
    return q * 1e4, x * 1e4


def below_normal(rng, d):
    return rng.standard_normal((2, PAIRS, d)) * 2.0 ** -rng.integers(60, 90, (2, PAIRS, 1)).astype(np.float64)


def half_the_smallest(rng, d):
    """Every product is 2^-150, which float32 rounds to zero: the sum is lost whole."""
    return np.full((2, PAIRS, d), 2.0**-75) * rng.choice([1.0, 1.25, -1.0], (2, PAIRS, 1))


def integers(rng, d):
    q, x = rng.integers(-20, 21, (2, PAIRS, d)).astype(np.float64)
    q[:, 0], x[:, 0] = 16256, rng.choice([16256, -16256], PAIRS)
    return q, x


def close_rows(rng, d):
    q = rng.standard_normal((PAIRS, d)) * 100
    return q, q * (1 + rng.integers(-2, 3, (PAIRS, d)) * 2.0**-23)


def near_the_guard(rng, d):
    q = rng.standard_normal((PAIRS, d))
    q *= 2.0 ** rng.uniform(60, 64, (PAIRS, 1)) / np.linalg.norm(q, axis=1, keepdims=True)
    return q, q * rng.uniform(-1, 1, (PAIRS, 1))


def zeros(rng, d):
    q, x = rng.standard_normal((2, PAIRS, d))
    q[::2], x[::3] = 0, -0.0
    return q, x


FAMILIES = (
    random_pairs,
    parallel,
    swallowed_terms,
    decades,
    cancelling,
    below_normal,
    half_the_smallest,
    integers,
    close_rows,
    near_the_guard,
    zeros,
)


def pairs_of(family, d):
    rng = np.random.default_rng([SEED, 4, FAMILIES.index(family), d])
    q, x = family(rng, d)
    return zip(np.asarray(q, dtype=np.float32), np.asarray(x, dtype=np.float32))


each_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
each_width = pytest.mark.parametrize("d", WIDTHS)


# --- exact values, and float32 sums in many orders -------------------------------------------------------


def exact_dot(q, x) -> Fraction:
    """Rational arithmetic on integers: every float32 is a multiple of 2^-149."""
    total = sum(int(a) * int(b) for a, b in zip(_multiples(q), _multiples(x)))
    return Fraction(total, 2**298)


def _multiples(v) -> list[int]:
    return [int(m) << e for m, e in zip(*_mantissas(v))]


def _mantissas(v):
    fraction, exponent = np.frexp(v.astype(np.float64))
    # Below 2^-149 there is nothing, so the shift is at least 0 once the mantissa has what bits it needs.
    shift = np.maximum(exponent + 149 - 24, 0)
    return np.ldexp(fraction, exponent + 149 - shift).astype(np.int64).tolist(), shift.tolist()


def nearest_float32(value: Fraction) -> float:
    """Round a rational number to float32, half to even, by integers alone."""
    if value == 0:
        return 0.0
    sign, value = (-1.0 if value < 0 else 1.0), abs(value)
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    exponent -= value < Fraction(2) ** exponent
    unit = Fraction(2) ** (max(exponent, -126) - 23)
    rounded = round(value / unit) * unit  # round() of a Fraction is half to even
    return sign * (float(rounded) if rounded < 2**128 else math.inf)


def sum_in_order(terms) -> np.float32:
    return np.add.accumulate(terms, dtype=np.float32)[-1]


def scan_values(q, x, start) -> dict[str, np.float32]:
    """What a float32 scan may come to: the start value, then the products in any order, fused or not."""
    with np.errstate(all="ignore"):
        products = q * x
        terms = np.concatenate([[start], products]).astype(np.float32)
        by_size = np.argsort(np.abs(products), kind="stable")
        lanes = [sum_in_order(np.append(np.float32(0), products[lane::16])) for lane in range(16)]
        lanes[0] = sum_in_order(np.append(start, products[::16]).astype(np.float32))
        fused = start
        for a, b in zip(q.astype(np.float64).tolist(), x.astype(np.float64).tolist()):
            fused = np.float32(a * b + float(fused))
        return {
            "in order": sum_in_order(terms),
            "backwards": sum_in_order(np.append(start, products[::-1]).astype(np.float32)),
            "largest first": sum_in_order(np.append(start, products[by_size[::-1]]).astype(np.float32)),
            "smallest first": sum_in_order(np.append(start, products[by_size]).astype(np.float32)),
            "16 lanes": sum_in_order(np.array(lanes, dtype=np.float32)),
            "fused": fused,
        }


# --- the certificate -------------------------------------------------------------------------------------


@each_width
@each_family
def test_the_dot_interval_holds(family, d):
    checked = 0
    for q, x in pairs_of(family, d):
        canonical = canonical_scores(q[np.newaxis], x[np.newaxis], "dot")[0]
        exact = nearest_float32(exact_dot(q, x))
        for order, scanned in scan_values(q, x, np.float32(0)).items():
            lower, upper, valid = _cpu.bounds_dot(q, x, float(scanned))
            if valid:
                checked += 1
                assert lower <= canonical <= upper, f"{order}: {q!r} . {x!r}"
                assert lower <= exact <= upper, f"{order}: {q!r} . {x!r}"
    assert checked or family is near_the_guard


@each_width
@each_family
def test_the_euclidean_interval_holds(family, d):
    checked = 0
    for q, x in pairs_of(family, d):
        canonical = canonical_scores(q[np.newaxis], x[np.newaxis], "euclidean")[0]
        exact = nearest_float32(2 * exact_dot(q, x) - exact_dot(q, q) - exact_dot(x, x))
        for start in _cpu.scan_starts(x):
            for order, scanned in scan_values(q, x, np.float32(start)).items():
                lower, upper, valid = _cpu.bounds_euclidean(q, x, float(scanned))
                if valid:
                    checked += 1
                    assert lower <= canonical <= upper, f"{order}: {q!r}, {x!r}"
                    assert lower <= exact <= upper, f"{order}: {q!r}, {x!r}"
    assert checked or family in (near_the_guard, decades)


@each_width
def test_the_dot_interval_is_no_wider_than_promised(d):
    """A bound that always says "anything" would pass the tests above."""
    for q, x in pairs_of(random_pairs, d):
        size = math.sqrt(exact_dot(q, q) * exact_dot(x, x))
        scanned = scan_values(q, x, np.float32(0))["in order"]
        lower, upper, valid = _cpu.bounds_dot(q, x, float(scanned))
        assert valid
        assert upper - lower <= 2 * (d + 0.1) * 2.0**-24 * size + 4 * np.spacing(np.float32(abs(scanned)))


def test_an_interval_is_not_offered_where_float32_may_overflow():
    huge = np.float32([2.0**70, 1.0])
    assert not _cpu.bounds_dot(huge, huge, 0.0)[2]
    assert not _cpu.bounds_euclidean(huge, np.float32([1.0, 1.0]), 0.0)[2]
    assert _cpu.bounds_dot(huge, np.float32([2.0**50, 0.0]), 2.0**120)[2]


def test_intervals_hold_no_negative_zero():
    for lower, upper, _ in (
        _cpu.bounds_dot(np.float32([0.0]), np.float32([1.0]), -0.0),
        _cpu.bounds_euclidean(np.float32([0.0]), np.float32([0.0]), -0.0),
    ):
        assert not (lower == 0 and math.copysign(1, lower) < 0)
        assert not (upper == 0 and math.copysign(1, upper) < 0)


# --- norms -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [*WIDTHS, 4099])
@each_family
def test_norms_are_bounds(family, d):
    rows = [row for pair in pairs_of(family, d) for row in pair]
    for x in [
        *rows,
        np.full(d, 0.1, np.float32),
        np.full(d, 3e38, np.float32),
        np.full(d, 1e-45, np.float32),
    ]:
        square = exact_dot(x, x)
        upper, lower = Fraction(_cpu.norm_upper(x)), Fraction(_cpu.norm_lower(x))
        assert lower**2 <= square <= upper**2
        # Neither may be so loose as to be of no use: norms are stored as float32, rounded up.
        assert upper**2 <= square * (1 + Fraction(8 * (d // 32 + 13), 2**53)) + Fraction(1, 2**1000)
        if upper > Fraction(float(np.finfo(np.float32).max)):
            assert _cpu.stored_norm(x) == np.inf
            continue
        stored = Fraction(_cpu.stored_norm(x))
        assert upper <= stored <= lower * (1 + Fraction(1, 2**20)) + Fraction(1, 2**146)


# --- what the scan derives from the interval -------------------------------------------------------------


@each_width
@each_family
@pytest.mark.parametrize("metric", ["dot", "euclidean"])
def test_what_is_rejected_lies_below_the_threshold(metric, family, d):
    """A scan value at the limit, or below it, of this item or of a shorter one, has U < tau."""
    bounds = _cpu.bounds_dot if metric == "dot" else _cpu.bounds_euclidean
    for q, x in pairs_of(family, d):
        score = canonical_scores(q[np.newaxis], x[np.newaxis], metric)[0]
        if not bounds(q, x, 0.0)[2]:
            continue
        norm = _cpu.norm_upper(x)
        for tau in (score, np.nextafter(score, np.float32(np.inf)), np.float32(0), np.float32(1e-45), -score):
            limit = np.float32(_cpu.reject_at(metric, q, norm, float(tau)))
            for scanned in (limit, np.nextafter(limit, np.float32(-np.inf))):
                if np.isfinite(scanned):
                    assert bounds(q, x, float(scanned))[1] < tau
                    assert bounds(q, (x / 2).astype(np.float32), float(scanned))[1] < tau
        assert _cpu.reject_at(metric, q, norm, -math.inf) == -math.inf


@each_width
@each_family
def test_a_true_score_is_never_rejected(family, d):
    """The scan value of an item that scores exactly tau stays above the limit, whatever the order."""
    for q, x in pairs_of(family, d):
        for metric, bounds in (("dot", _cpu.bounds_dot), ("euclidean", _cpu.bounds_euclidean)):
            tau = canonical_scores(q[np.newaxis], x[np.newaxis], metric)[0]
            if bounds(q, x, 0.0)[2]:
                limit = _cpu.reject_at(metric, q, _cpu.norm_upper(x), float(tau))
                for start in _cpu.scan_starts(x) if metric == "euclidean" else (0.0,):
                    for order, scanned in scan_values(q, x, np.float32(start)).items():
                        assert not scanned <= limit, f"{metric}, {order}: {q!r}, {x!r}"


@each_width
@each_family
@pytest.mark.parametrize("metric", ["dot", "euclidean"])
def test_no_score_is_above_the_best_possible(metric, family, d):
    for q, x in pairs_of(family, d):
        for item in (x, q, -q, (q * np.float32(1.5)).astype(np.float32)):
            score = canonical_scores(q[np.newaxis], item[np.newaxis], metric)[0]
            lower, upper = _cpu.norm_lower(item), _cpu.norm_upper(item)
            assert score <= _cpu.best_possible(metric, q, lower, upper)
            assert score <= _cpu.best_possible(metric, q, lower / 2, upper * 2)


@each_width
@each_family
def test_norms_rule_out_no_score_that_reaches_the_threshold(family, d):
    """Nor one that was rounded up to tau: below the normal range from little more than half of it."""
    for q, x in pairs_of(family, d):
        for item in (x, -x, q, (q * np.float32(1.5)).astype(np.float32)):
            score = canonical_scores(q[np.newaxis], item[np.newaxis], "dot")[0]
            if 0 < score < np.inf:
                assert not _cpu.stored_norm(item) < _cpu.least_norm("dot", q, float(score))


@each_width
def test_norms_rule_out_what_they_can(d):
    for q, x in pairs_of(random_pairs, d):
        tau = np.float32(math.sqrt(exact_dot(q, q) * exact_dot(x, x)))
        assert _cpu.norm_upper(x) * (1 - 2.0**-22) < _cpu.least_norm("dot", q, float(tau))
        for of_nothing in (0.0, -0.0, -1.0, -math.inf, 1e-45):
            assert _cpu.least_norm("dot", q, of_nothing) == 0
        assert _cpu.least_norm("euclidean", q, float(tau)) == 0

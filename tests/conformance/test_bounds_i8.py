"""The certificate of the int8 scan: L <= score <= U, and an item that reaches the threshold comes near.

Scores are the canonical ones, and exact ones in rational arithmetic, as are norms and what codes leave out.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from gpurec._native import cpu as _cpu
from gpurec.backends.cpu import available_isas
from gpurec.backends.reference import canonical_scores

from .cases import SEED
from .test_bounds import exact_dot, nearest_float32

WIDTHS = (1, 2, 3, 4, 5, 16, 31, 33, 64, 130, 1056)
TILES = 3  # of each family and width
Tile = tuple[np.ndarray, np.ndarray]


def random_tile(rng, d):
    return rng.standard_normal(d), rng.standard_normal((64, d))


def falling_norms(rng, d):
    return rng.standard_normal(d), rng.standard_normal((64, d)) * np.sort(
        10.0 ** rng.uniform(-3, 2, (64, 1))
    )[::-1]


def item_errors_parallel(rng, d):
    """Each component of an item lies nearly half a code off, with the sign of the query's."""
    q = rng.choice([-1.0, 1.0], d) * rng.uniform(0.9, 1.1, d)
    codes = rng.integers(-126, 126, (64, d)).astype(np.float64)
    codes[:, 0] = 127
    return q, (codes + 0.499 * np.sign(q) * rng.choice([-1, 1], (64, 1)) * (np.arange(d) > 0)) * 2.0**-6


def query_errors_parallel(rng, d):
    """The same for the query, along the items."""
    signs = rng.choice([-1.0, 1.0], d)
    q = rng.integers(-126, 126, d) + 0.499 * signs * (np.arange(d) > 0)
    q[0] = 127
    return q, signs * rng.uniform(0.8, 1.2, (64, d)) * rng.choice([-1, 1], (64, 1))


def parallel(rng, d):
    """Scores are the products of the norms."""
    q = rng.standard_normal(d)
    return q, q * (1 + rng.integers(-9, 10, (64, 1)) * 2.0**-23)


def small_integers(rng, d):
    """Codes are exact where the largest is 127, and masses of scores are equal."""
    q, x = rng.integers(-3, 4, d).astype(np.float64), rng.integers(-2, 3, (64, d)).astype(np.float64)
    q[0], x[:, 0] = 127, 127
    return q, x


def one_large(rng, d):
    """One component takes all codes; the others vanish."""
    q, x = rng.standard_normal(d), rng.standard_normal((64, d))
    q[rng.integers(d)] *= 1000
    x[:, rng.integers(d)] *= 1000
    return q, x


def zeros(rng, d):
    x = rng.standard_normal((64, d))
    x[rng.random(64) < 0.5] = 0
    return rng.standard_normal(d) * rng.integers(0, 2), x


def at_the_edge_of_scales(rng, d):
    signs = rng.choice([-1.0, 1.0], (65, d)) * rng.uniform(1, 2, (65, d))
    return signs[0] * 2.0 ** rng.choice([-33, 45]), signs[1:] * 2.0**-33


def close_rows(rng, d):
    q = rng.standard_normal(d) * 10
    return q, q * (1 + rng.integers(-2, 3, (64, d)) * 2.0**-20)


FAMILIES = (
    random_tile,
    falling_norms,
    item_errors_parallel,
    query_errors_parallel,
    parallel,
    small_integers,
    one_large,
    zeros,
    at_the_edge_of_scales,
    close_rows,
)


def is_too_large_for_words(q: np.ndarray, isa: str) -> bool:
    """Whether a query may have no codes on an ISA that wants a scale up to four times as large."""
    return _cpu.adds_in_words(isa) and bool(np.abs(q).max() > 2.0**44)


def tiles_of(family: Callable[..., Tile], d: int) -> list[Tile]:
    rng = np.random.default_rng([SEED, d, *family.__name__.encode()])
    tiles = [family(rng, d) for _ in range(TILES)]
    return [(np.float32(q), np.float32(x[: rng.integers(1, 65)])) for q, x in tiles]


def exact_score(q: np.ndarray, x: np.ndarray, metric: str) -> np.float32:
    if metric == "dot":
        return nearest_float32(exact_dot(q, x))
    return nearest_float32(2 * exact_dot(q, x) - exact_dot(q, q) - exact_dot(x, x))


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("metric", ["dot", "euclidean"])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
@pytest.mark.parametrize("d", WIDTHS)
def test_no_item_is_lost(d, family, metric, isa):
    for q, x in tiles_of(family, d):
        scores = np.array(
            [canonical_scores(q[np.newaxis], row[np.newaxis], metric)[0] for row in x], np.float32
        )
        # The first threshold lets all through; then each item's own score, where equality must be kept.
        found = _cpu.int8_tile(metric, q, x, np.append(np.float32(-np.inf), scores), isa)
        if is_too_large_for_words(q, isa):
            continue
        assert found is not None
        _, lowers, uppers, near, _ = found
        assert (np.float32(lowers) <= scores).all() and (scores <= np.float32(uppers)).all()
        near = np.array(near)
        assert near[0].all()
        for j, score in enumerate(scores):
            assert near[1 + j][scores >= score].all(), f"threshold {score!r}"


@pytest.mark.parametrize("metric", ["dot", "euclidean"])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
@pytest.mark.parametrize("d", [1, 3, 16, 33, 64])
def test_exact_scores_lie_within(d, family, metric):
    for q, x in tiles_of(family, d):
        _, lowers, uppers, *_ = _cpu.int8_tile(metric, q, x, np.float32([-np.inf]), "")
        for row, lower, upper in zip(x, lowers, uppers):
            assert lower <= exact_score(q, row, metric) <= upper


UNIT = 149  # every float32 is a multiple of 2^-UNIT


def whole(values: np.ndarray) -> list[int]:
    """Float32 values in units of 2^-UNIT."""
    return [int(v) for v in np.ldexp(np.asarray(values, np.float64), UNIT).tolist()]


def squared_length(row: np.ndarray, scale: float, codes: list[int]) -> Fraction:
    """|row - scale * codes|^2, exactly."""
    (unit,) = whole(np.float32([scale]))
    return Fraction(sum((x - unit * c) ** 2 for x, c in zip(whole(row), codes)), 1 << 2 * UNIT)


ADDS_IN_WORDS = sorted({_cpu.adds_in_words(isa) for isa in available_isas()})
# ISAs that take codes of any kind, and of a kind of their own.
CODINGS = [
    next(isa for isa in available_isas() if _cpu.adds_in_words(isa) == in_words) for in_words in ADDS_IN_WORDS
]


def sums_of_words(codes: list[int]) -> np.ndarray:
    """Of the codes that a kernel adds in one word, those of one sign."""
    words = np.zeros(-(-len(codes) // 8) * 8, np.int64)
    words[: len(codes)] = codes
    words = words.reshape(-1, 2, 2, 2).transpose(0, 2, 1, 3).reshape(-1, 4)
    return np.append(np.maximum(words, 0).sum(axis=1), np.maximum(-words, 0).sum(axis=1))


def assert_bounds(upper: float, square: Fraction, roundings: Fraction) -> None:
    """`upper` is no smaller than the root of `square`, nor larger by more than relative errors and 2^-149."""
    assert square <= Fraction(upper) ** 2 <= square * (1 + roundings) ** 2 + Fraction(1, 2**298)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
@pytest.mark.parametrize("d", [*WIDTHS, 300])
@pytest.mark.parametrize("isa", CODINGS)
def test_norms_and_errors_are_bounds(isa, d, family):
    """Of the query's codes and of what they leave out, of a tile's worst error and of its norms, exactly."""
    of_sum, of_float32 = Fraction(d // 32 + 40, 2**52), Fraction(1, 2**23)
    for q, x in tiles_of(family, d):
        if is_too_large_for_words(q, isa):
            continue
        q_codes, x_codes, (t, length, q_error), (s, error, smallest, largest) = _cpu.int8_codes(q, x, isa)
        assert_bounds(length, squared_length(0 * q, t, q_codes), Fraction(1, 2**49))
        assert_bounds(q_error, squared_length(q, t, q_codes), of_sum)
        assert_bounds(error, max(map(squared_length, x, [s] * len(x), x_codes)), of_sum + of_float32)
        norms = [exact_dot(row, row) for row in x]
        assert Fraction(smallest) ** 2 <= min(norms)
        assert_bounds(largest, max(norms), of_sum + of_float32)
        # Codes are the nearest, so that errors are as small as this scale allows.
        for row, codes, scale in [(q, q_codes, t), *((row, codes, s) for row, codes in zip(x, x_codes))]:
            assert max(map(abs, codes)) <= 127 and not any(codes[d:])
            assert np.abs(row - scale * np.array(codes[:d])).max() <= 0.5 * scale * (1 + 2.0**-20)
        if _cpu.adds_in_words(isa):
            assert all(255 * most < 2**15 for most in sums_of_words(q_codes))


@pytest.mark.parametrize("d", [16, 64, 130])
def test_the_scan_tells_items_apart(d):
    """A bound that always says "anything" would pass the tests above."""
    rng = np.random.default_rng(d)
    q, x = np.float32(rng.standard_normal(d)), np.float32(rng.standard_normal((64, d)))
    scores = np.array([canonical_scores(q[np.newaxis], row[np.newaxis], "dot")[0] for row in x], np.float32)
    _, lowers, uppers, near, _ = _cpu.int8_tile("dot", q, x, np.float32([-np.inf, np.sort(scores)[-4]]), "")
    assert max(np.subtract(uppers, lowers)) < 0.75 * scores.std()
    assert np.count_nonzero(near[1]) <= 16


def test_tiles_without_codes_say_so():
    rng = np.random.default_rng(0)
    q, x = np.float32(rng.standard_normal(5)), np.float32(rng.standard_normal((7, 5)))
    taus = np.float32([0.0])
    assert _cpu.int8_tile("dot", q, x, taus, "") is not None
    assert _cpu.int8_tile("dot", q * np.float32(2.0**60), x, taus, "") is None
    assert _cpu.int8_tile("dot", q, x * np.float32(2.0**-60), taus, "") is None
    wide = np.ones(65537, np.float32)
    assert _cpu.int8_tile("dot", wide, wide[np.newaxis], taus, "") is None

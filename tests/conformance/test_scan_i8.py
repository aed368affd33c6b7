"""Kernels of the int8 scan on every ISA: exact integer dots, safe start values, scores bit for bit."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from gpurec._native import cpu as _cpu
from gpurec.backends.cpu import available_isas

ITEMS = 64
WIDTHS = [*range(1, 34), 63, 64, 65, 100, 127, 128, 129, 255, 256, 300]


def packed(codes: np.ndarray) -> np.ndarray:
    """Codes (64, d) of -127..127 as the kernel wants them: (n_groups, 64, 4) of 1..255."""
    d = codes.shape[1]
    wide = np.zeros((ITEMS, -d % 4 + d), np.int64)
    wide[:, :d] = codes
    return np.ascontiguousarray((wide + 128).astype(np.uint8).reshape(ITEMS, -1, 4).transpose(1, 0, 2))


def padded(queries: np.ndarray) -> np.ndarray:
    wide = np.zeros((len(queries), -queries.shape[1] % 4 + queries.shape[1]), np.int8)
    wide[:, : queries.shape[1]] = queries
    return wide


def assert_scanned(queries: np.ndarray, start: np.ndarray, codes: np.ndarray, isa: str) -> None:
    """`start` in int64, the offset not taken back; it wraps as the sums do."""
    offset = -128 * queries.astype(np.int64).sum(axis=1)
    dots = queries.astype(np.int64) @ codes.astype(np.int64).T
    expected = (start[:, None] + dots).astype(np.int32)
    wanted = np.flatnonzero((expected >= 0).any(axis=1))
    kernel_start = (start + offset).astype(np.int32)
    for ask in (False, True):
        near, hits, sums = _cpu.scan_tile_i8(padded(queries), kernel_start, packed(codes), ask, isa)
        assert np.array_equal(near, wanted)
        bits = (expected[wanted] >= 0).astype(np.uint64) << np.arange(ITEMS, dtype=np.uint64)
        assert np.array_equal(hits, np.bitwise_or.reduce(bits, axis=1))
        assert np.array_equal(sums, expected[wanted])


def drawn_codes(rng: np.random.Generator, shape: tuple[int, int], most: int = 127) -> np.ndarray:
    match rng.integers(3):
        case 0:
            return rng.integers(-most, most + 1, shape)
        case 1:  # extremes, where products of bytes saturate
            return rng.choice([-most, most], shape)
        case _:
            return np.full(shape, rng.choice([-most, -1, 0, 1, most]))


def drawn_queries(rng: np.random.Generator, shape: tuple[int, int], isa: str) -> np.ndarray:
    """Of four components that one word takes, codes of one sign reach 128 at most."""
    if not _cpu.adds_in_words(isa):
        return drawn_codes(rng, shape)
    match rng.integers(3):
        case 0:
            return drawn_codes(rng, shape, 32)
        case 1:  # one of a word
            ones = rng.choice([[0, 2], [1, 3], [4, 6], [5, 7]])
            return drawn_codes(rng, shape) * np.isin(np.arange(shape[1]) % 8, ones)
        case _:  # two of each sign
            return drawn_codes(rng, (shape[0], 1), 64) * np.where(np.arange(shape[1]) % 2, 1, -1)


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("n_queries", [*range(1, 15), 23, 128])
def test_sums_are_exact(n_queries: int, isa: str) -> None:
    rng = np.random.default_rng(n_queries)
    for d in WIDTHS if n_queries < 23 else (1, 64, 130):
        queries, codes = drawn_queries(rng, (n_queries, d), isa), drawn_codes(rng, (ITEMS, d))
        dots = queries @ codes.T
        for start in (
            -np.quantile(dots, 0.99, axis=1).astype(np.int64),  # a few come near
            -dots.max(axis=1),  # the best of each query comes near by nothing
            -dots.max(axis=1) - 1,  # and falls short by one
            np.where(rng.random(n_queries) < 0.3, -dots.max(axis=1), -(2**30)),  # of some queries
            np.full(n_queries, -(2**30)),
            np.full(n_queries, 2**30),
        ):
            assert_scanned(queries, start, codes, isa)


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("item", range(ITEMS))
def test_every_place_of_a_tile_is_told(item: int, isa: str) -> None:
    rng = np.random.default_rng(item)
    for n_queries in range(1, 8):
        queries = rng.integers(-20, 21, (n_queries, 9))
        codes = np.zeros((ITEMS, 9), np.int64)
        codes[item] = 127 * np.sign(queries[rng.integers(n_queries)])
        assert_scanned(queries, -(queries @ codes.T).max(axis=1), codes, isa)


@pytest.mark.parametrize("isa", available_isas())
def test_the_widest_sums_wrap_around(isa: str) -> None:
    d = 65_536
    rng = np.random.default_rng(d)
    most = 32 if _cpu.adds_in_words(isa) else 127
    queries = np.stack([np.full(d, most), np.full(d, -most), rng.choice([-most, most], d)] * 3)
    codes = np.stack([np.full(d, s) for s in rng.choice([-127, 127], ITEMS)])
    for start in (0, 2**30, -(2**30), -most * 127 * d, -most * 127 * d - 1):
        assert_scanned(queries, np.full(len(queries), start), codes, isa)


# The start values' formula, each step in float32 and rounded once.
F = np.float32


def start_values(terms: dict[str, np.ndarray], tile: dict[str, float]) -> np.ndarray:
    error, norm, inverse, shift = (F(tile[name]) for name in ("error", "norm", "inverse_scale", "shift"))
    below = terms["below"]
    with np.errstate(all="ignore"):
        item_error = (terms["error"] * norm + terms["length"] * error) * F(1 + 2.0**-20)
        g = below + shift - (np.abs(below) + np.abs(shift)) * F(2.0**-22) - item_error
        r = g * terms["inverse_scale"] * inverse
        bound = r - np.abs(r) * F(2.0**-20) - F(1)
    bound = np.where(np.isnan(bound), F(-(2.0**30)), np.clip(bound, F(-(2.0**30)), F(2.0**30)))
    return (terms["offset"] - (np.floor(bound).astype(np.int64) + 1)).astype(np.int32)


def native_start_values(terms: dict[str, np.ndarray], tile: dict[str, float], isa: str) -> np.ndarray:
    names = ("below", "length", "error", "inverse_scale", "offset")
    return _cpu.start_values_i8(
        *(terms[name] for name in names),
        *(float(F(tile[name])) for name in ("error", "norm", "inverse_scale", "shift")),
        isa,
    )


def drawn_terms(
    rng: np.random.Generator, n: int, spread: int
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Terms of n queries and of a tile, of magnitudes 2^-spread to 2^spread."""

    def size(n: int) -> np.ndarray:
        return np.ldexp(rng.random(n), rng.integers(-spread, spread + 1, n)).astype(F)

    terms = {
        "below": size(n) * rng.choice([-1, 1], n).astype(F),
        "length": size(n),
        "error": size(n),
        "inverse_scale": size(n) + F(2.0**-40),
        "offset": rng.integers(-(2**30), 2**30, n).astype(np.int32),
    }
    tile = dict(zip(("error", "norm", "inverse_scale"), size(3).tolist()))
    return terms, tile | {"shift": float(rng.choice([0.0, -0.0, float(size(1)[0]), -float(size(1)[0])]))}


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 15, 16, 17, 31, 128, 131])
def test_start_values_are_the_same_bits(n: int, isa: str) -> None:
    rng = np.random.default_rng(n)
    for spread in (2, 5, 10, 30, 40):
        for _ in range(20):
            terms, tile = drawn_terms(rng, n, spread)
            special = [-math.inf, -3.4e38, 3.4e38, 0.0, -0.0, 1e-45, -1e-45]
            terms["below"][rng.random(n) < 0.3] = F(rng.choice(special))
            assert np.array_equal(native_start_values(terms, tile, isa), start_values(terms, tile))


@pytest.mark.parametrize("isa", available_isas())
def test_start_values_are_never_too_low(isa: str) -> None:
    """A sum of at most R, exactly, may be given up: none above it."""
    rng = np.random.default_rng(7)
    for spread in (1, 4, 8, 16, 40):
        for _ in range(60):
            terms, tile = drawn_terms(rng, 8, spread)
            start = native_start_values(terms, tile, isa).astype(np.int64)
            t = {name: Fraction(float(F(value))) for name, value in tile.items()}
            for m, value in enumerate(start):
                q = {name: Fraction(float(terms[name][m])) for name in terms}
                g = q["below"] + t["shift"] - q["error"] * t["norm"] - q["length"] * t["error"]
                given_up = int(terms["offset"][m]) - int(value) - 1  # the largest sum that does not come near
                assert given_up <= g * q["inverse_scale"] * t["inverse_scale"] or given_up == -(2**30)


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("below", [-math.inf, math.nan, math.inf])
def test_everything_comes_near_where_there_is_no_threshold(below: float, isa: str) -> None:
    terms, tile = drawn_terms(np.random.default_rng(3), 20, 3)
    terms["below"][:] = below
    assert np.array_equal(native_start_values(terms, tile, isa), terms["offset"] + np.int32(2**30 - 1))


@pytest.mark.parametrize("isa", available_isas())
def test_scores_are_the_same_bits(isa: str) -> None:
    rng = np.random.default_rng(5)
    limits = np.iinfo(np.int32)
    for _ in range(200):
        sums = rng.integers(limits.min, limits.max, ITEMS, endpoint=True).astype(np.int32)
        sums[:6] = [limits.min, limits.max, 0, -1, 2**24 + 1, -(2**24) - 3]
        add = int(rng.choice([0, 1, -1, 2**30, -(2**30), int(rng.integers(limits.min, limits.max))]))
        scale = F(np.ldexp(rng.random(), rng.integers(-40, 41)))
        shift = F(rng.choice([0.0, -0.0, float(scale) * float(rng.integers(-(2**20), 2**20)), 1e30]))
        dots = (sums.astype(np.int64) + add).astype(np.int32)
        expected = dots.astype(F) * scale - shift
        found = _cpu.scores_of_sums(sums, add, float(scale), float(shift), isa)
        assert np.array_equal(found.view(np.int32), expected.view(np.int32))


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("d", WIDTHS)
def test_codes_of_queries_have_the_same_bits(d: int, isa: str) -> None:
    rng = np.random.default_rng(d)
    for scale in (0.0, 1e-30, 1e-3, 1.0, 3e5, 1e30):
        query = (rng.standard_normal(d) * scale).astype(np.float32)
        query[rng.integers(d)] *= rng.choice([1, 4])
        codes, *terms = _cpu.quantise_query(query, isa)
        plain = "avx2" if _cpu.adds_in_words(isa) else "serial"  # codes that words hold are smaller
        expected, *expected_terms = _cpu.quantise_query(query, plain)
        assert terms == expected_terms
        if terms[0] == 0.0:
            continue  # no scale and no codes
        assert np.array_equal(codes, expected) and not codes[d:].any()
        error = query.astype(np.float64) - np.float64(np.float32(terms[0])) * codes[:d]
        assert np.linalg.norm(error) <= terms[2] <= np.linalg.norm(error) * (1 + 1e-12) + 1e-300


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("half", [False, True], ids=["int8", "int4"])
@pytest.mark.parametrize("d", WIDTHS)
def test_codes_of_items_have_the_same_bits(d: int, half: bool, isa: str) -> None:
    rng = np.random.default_rng(d)
    for scale in (0.0, 1e-30, 1e-3, 1.0, 3e5, 1e30):
        n = int(rng.choice([1, 5, ITEMS]))
        for values in (rng.standard_normal((n, d)), rng.standard_t(1.5, (n, d)), rng.integers(-7, 8, (n, d))):
            items = (values * scale).astype(np.float32)
            codes, *terms = _cpu.quantise_tile(items, half, isa)
            expected, *expected_terms = _cpu.quantise_tile(items, half, "serial")
            assert terms == expected_terms and np.array_equal(codes, expected)

"""Kernels of the bfloat16 scan on every ISA that has them, bit for bit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from gpurec._native import cpu as _cpu
from gpurec.backends.cpu import available_isas

from .test_bounds import nearest_float32

ITEMS = 64
F = np.float32
ISAS_WITH_BF16 = [isa for isa in available_isas() if _cpu.has_bf16(isa)]
SMALLEST_NORMAL = F(2.0**-126)


def flushed(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < SMALLEST_NORMAL, np.copysign(F(0), x), x)


def floats(pairs: np.ndarray) -> np.ndarray:
    """Components, float32, of pairs along the first axis."""
    halves = np.stack([pairs << np.uint32(16), pairs & np.uint32(0xFFFF0000)], axis=1).view(F)
    return halves.reshape(2 * len(pairs), *pairs.shape[1:])


def drawn_pairs(rng: np.random.Generator, shape: tuple[int, ...], exponents: tuple[int, int]) -> np.ndarray:
    """Finite numbers whose exponent fields lie in a range."""
    low, high = exponents
    field = rng.integers(low, high + 1, (2, *shape)) << 7
    halves = rng.integers(0, 2, (2, *shape)) << 15 | field | rng.integers(0, 128, (2, *shape))
    return (halves[0] | halves[1] << 16).astype(np.uint32)


# Exponent fields: numbers about 1; products about the smallest normal number and about the largest; all.
RANGES = [(118, 132), (56, 70), (0, 20), (185, 193), (0, 254)]


def test_the_arithmetic_is_always_tried() -> None:
    assert "serial" in ISAS_WITH_BF16


@pytest.mark.parametrize("exponents", RANGES)
def test_a_pair_is_two_fused_steps(exponents: tuple[int, int]) -> None:
    """The plain form against rational arithmetic, one pair at a time."""
    rng = np.random.default_rng(exponents[0])
    for _ in range(3):
        queries, tile = drawn_pairs(rng, (1, 1), exponents), drawn_pairs(rng, (1, ITEMS), exponents)
        start = floats(drawn_pairs(rng, (1, ITEMS), exponents))[1]
        scores, _ = _cpu.scan_tile_bf16(queries, tile, start, F([np.inf]), "serial")
        q, x = floats(queries[0]), floats(tile)
        for j in range(ITEMS):
            total = flushed(start[j])
            for component in (1, 0):
                a, b = flushed(q[component]), flushed(x[component, j])
                if not np.isfinite(total):
                    break
                exact = Fraction(float(total)) + Fraction(float(a)) * Fraction(float(b))
                total = flushed(nearest_float32(exact))
            assert scores[0, j] == total


@pytest.mark.parametrize("isa", ISAS_WITH_BF16)
@pytest.mark.parametrize("exponents", RANGES)
@pytest.mark.parametrize("n_pairs", [1, 2, 3, 17, 64, 300])
def test_sums_are_the_same_bits(n_pairs: int, exponents: tuple[int, int], isa: str) -> None:
    rng = np.random.default_rng([n_pairs, *exponents])
    for n_queries in range(1, 7):
        queries = drawn_pairs(rng, (n_queries, n_pairs), exponents)
        tile = drawn_pairs(rng, (n_pairs, ITEMS), exponents)
        start = floats(drawn_pairs(rng, (1, ITEMS), exponents))[0]
        reject = floats(drawn_pairs(rng, (1, n_queries), exponents))[0]
        expected, hits = _cpu.scan_tile_bf16(queries, tile, start, reject, "serial")
        found = _cpu.scan_tile_bf16(queries, tile, start, reject, isa)
        assert np.array_equal(found[0], expected, equal_nan=True)
        assert found[1] == hits
        with np.errstate(invalid="ignore"):
            near = ~(expected <= reject[:, None])
        assert [sum(1 << int(j) for j in np.flatnonzero(row)) for row in near] == hits


SPECIAL = [0.0, -0.0, 1.0, 1 + 2.0**-8, 1 + 3 * 2.0**-8, 2.0**-126, 2.0**-126 * (1 - 2.0**-23), 2.0**-149]
SPECIAL += [-(2.0**-127), 255.5, 2.0**-100 * (1 + 2.0**-8 + 2.0**-23), 1 - 2.0**-24, 2.0**63 * (1 + 2.0**-9)]


@pytest.mark.parametrize("isa", ISAS_WITH_BF16)
@pytest.mark.parametrize("d", [1, 2, 3, 8, 33])
def test_numbers_are_rounded_to_even_and_what_is_taken_off_is_told(d: int, isa: str) -> None:
    rng = np.random.default_rng(d)
    for scale in (2.0**-123, 2.0**-60, 1.0, 2.0**60):
        rows = np.float32(rng.standard_normal((ITEMS, d)) * scale)
        special = rng.random(rows.shape) < 0.4
        rows[special] = rng.choice(np.float32(SPECIAL), np.count_nonzero(special))
        panels = np.ascontiguousarray(rows.reshape(4, 16, d).transpose(0, 2, 1))
        pairs, largest = _cpu.round_tile_bf16(panels, isa)
        rounded = floats(pairs)
        assert np.array_equal(rounded[d:], np.zeros_like(rounded[d:]))
        rounded = rounded[:d].T
        off = np.abs(rounded.astype(np.float64) - rows)
        normal = np.abs(rows) >= SMALLEST_NORMAL
        assert (rounded[~normal] == 0).all()
        # No neighbour with a lower half of zero is nearer, or as near and even.
        bits = rounded.view(np.uint32)
        for neighbour in (bits + np.uint32(1 << 16), bits - np.uint32(1 << 16)):
            other = np.abs(neighbour.view(F).astype(np.float64) - rows)
            closer = (off < other) | ((off == other) & ((bits >> 16) % 2 == 0))
            assert closer[normal & (rounded != 0)].all()
        squares = (off**2).sum(axis=1)
        assert largest == pytest.approx(squares.max(), rel=d * 2.0**-23, abs=d * 2.0**-149)
        assert all(np.array_equal(_cpu.round_row_bf16(row), column) for row, column in zip(rows, pairs.T))


@pytest.mark.parametrize("isa", ISAS_WITH_BF16)
def test_items_that_are_not_finite_do_not_count(isa: str) -> None:
    rows = np.full((ITEMS, 3), F(1 + 2.0**-10))
    rows[5, 1], rows[63, 2], rows[40, 0] = np.nan, np.inf, -np.inf
    panels = np.ascontiguousarray(rows.reshape(4, 16, 3).transpose(0, 2, 1))
    assert _cpu.round_tile_bf16(panels, isa)[1] == F(3 * 2.0**-20)

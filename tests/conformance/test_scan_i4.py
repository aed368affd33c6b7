"""The 4-bit scan's kernel on every ISA and the codes it reads: exact integer dots, errors that are bounds."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import gpurec
from gpurec._native import cpu as _cpu
from gpurec.backends.cpu import available_isas

ITEMS = 64
WIDTHS = [*range(1, 20), 31, 32, 33, 64, 100, 127, 128, 129, 300]


def packed(codes: np.ndarray) -> np.ndarray:
    """Codes (64, d) of -7..7 as the kernel wants them: (n_pairs, 64, 4), two codes to a byte."""
    d = codes.shape[1]
    wide = np.zeros((ITEMS, -d % 8 + d), np.int64)
    wide[:, :d] = codes
    halves = (wide + 8).reshape(ITEMS, -1, 2, 4)
    return np.ascontiguousarray((halves[:, :, 0] | halves[:, :, 1] << 4).astype(np.uint8).transpose(1, 0, 2))


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("n_queries", [1, 2, 3, 5])
def test_what_comes_near_is_exact(n_queries: int, isa: str) -> None:
    rng = np.random.default_rng(n_queries)
    for d in WIDTHS:
        queries = rng.integers(-127, 128, (n_queries, d))
        codes = rng.integers(-7, 8, (ITEMS, d)) if d % 3 else rng.choice([-7, 7], (ITEMS, d))
        if d % 3 == 0:  # and the largest sums that there may be
            queries = rng.choice([-127, 127], (n_queries, d))
            queries[0], codes[0], codes[1] = 127, 7, -7
        wide = np.zeros((n_queries, -d % 8 + d), np.int8)
        wide[:, :d] = queries
        dots = queries @ codes.T
        weights, shares = rng.integers(0, 5000, n_queries), rng.integers(0, 256, ITEMS)
        if d % 4 == 0:
            weights[0], shares[0] = 1 << 22, 255
        strayed = -(-weights[:, None] * shares // 256)
        dots = dots + strayed
        for start in (
            -np.quantile(dots, 0.95, axis=1).astype(np.int64),
            -dots.max(axis=1),
            -dots.max(axis=1) - 1,
            np.where(rng.random(n_queries) < 0.5, -dots.min(axis=1), -(2**30)),
        ):
            expected = start[:, None] + dots >= 0
            kernel_start = (start - 8 * queries.sum(axis=1)).astype(np.int32)
            for ask in (False, True):
                hits, sums = _cpu.scan_tile_i4(
                    wide,
                    kernel_start,
                    weights.astype(np.int32),
                    packed(codes),
                    shares.astype(np.uint8),
                    ask,
                    isa,
                )
                bits = expected.astype(np.uint64) << np.arange(ITEMS, dtype=np.uint64)
                assert np.array_equal(hits, np.bitwise_or.reduce(bits, axis=1))
                assert np.array_equal(sums, np.where(expected.any(axis=1)[:, None], start[:, None] + dots, 0))


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e9])
@pytest.mark.parametrize("d", [1, 7, 8, 33, 128])
def test_the_errors_of_codes_are_bounds(d: int, scale: float, isa: str) -> None:
    rng = np.random.default_rng(d)
    tables = [
        rng.standard_normal((ITEMS, d)) * scale,
        rng.standard_t(1.5, (ITEMS, d)) * scale,  # a few values far above the others
        rng.choice([-1.0, 0.0, 1.0], (3, d)) * scale,
    ]
    for table in tables:
        items = table.astype(np.float32)
        codes, step, unit, shares = _cpu.half_byte_codes(items, isa)
        assert step > 0 and np.abs(codes).max() <= 7 and not codes[len(items) :].any()
        assert shares.max() in (0, 254, 255) and not shares[len(items) :].any()
        for item, of_item, share in zip(items, codes, shares):
            differences = [Fraction(float(x)) - Fraction(step) * int(c) for x, c in zip(item, of_item)]
            squares = sum((difference**2 for difference in differences), Fraction(0))
            assert squares <= (Fraction(unit) * int(share)) ** 2
            # and hardly larger than they have to be
            assert unit < 1e-40 or float(squares) ** 0.5 >= 0.999 * unit * (int(share) - 1.001)


def test_what_an_item_may_stray_is_rounded_up():
    """length share unit / (scale tile_scale), in 256ths of a unit of the sums."""
    rng = np.random.default_rng(2)
    for _ in range(2000):
        scale, tile_scale = np.float32(2.0) ** np.float32(rng.uniform(-40, 40, 2).astype(np.float32))
        length = np.float32(scale * rng.uniform(1, 30_000))
        unit = np.float32(tile_scale * 10 ** rng.uniform(-50, 0.5))
        one = np.float32(1)
        weight = _cpu.weight_of_share(length, one / scale, unit, one / tile_scale)
        exact = 256 * Fraction(float(length)) * Fraction(float(unit))
        exact /= Fraction(float(scale)) * Fraction(float(tile_scale))
        assert weight > 1 << 22 or exact <= weight <= exact * Fraction(100_001, 100_000) + 2
        assert weight <= 1 << 22 or exact > (1 << 22) - 8


@pytest.mark.parametrize("isa", available_isas())
def test_codes_of_normal_numbers_leave_out_little(isa: str) -> None:
    """An item errs by about 0.12 of the spread; steps up to the largest value would err by 0.18."""
    items = np.random.default_rng(1).standard_normal((ITEMS, 128)).astype(np.float32)
    _, _, unit, shares = _cpu.half_byte_codes(items, isa)
    assert np.median(shares) * unit < 0.125 * np.sqrt(128)


@pytest.mark.parametrize("metric", ["dot", "cosine", "euclidean"])
@pytest.mark.parametrize("n_queries", [1, 2])
def test_few_queries_of_a_large_index_get_the_same_answer(metric: str, n_queries: int) -> None:
    """In blocks past the first, with removed and excluded rows."""
    rng = np.random.default_rng(n_queries)
    items = rng.standard_normal((50_000, 100)).astype(np.float32)
    queries = rng.standard_normal((n_queries, 100)).astype(np.float32)
    seen = [rng.integers(0, len(items), 300) for _ in queries]
    answers = {}
    for precision in ("int4", "fp32"):
        index = gpurec.ItemIndex(items, metric=metric, precision=precision, backend="cpu")
        index.remove(np.arange(0, len(items), 7))
        index.append(items[:2000])  # ties again
        answers[precision] = index.search(queries, 10, exclude=seen)
        if precision == "int4":
            explained = index.explain_search(queries, 10, exclude=seen)
            assert set(explained.choices["precision"]) == {"int4"}
            assert explained.counts["scored_at_once"].min() > 0
    assert np.array_equal(answers["int4"].rows, answers["fp32"].rows)
    assert np.array_equal(answers["int4"].scores.view(np.int32), answers["fp32"].scores.view(np.int32))

"""Panels made on the way: their items, and norms from float32 squares against rational arithmetic."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import numpy as np
import pytest

import gpurec
from gpurec._native import cpu as _cpu
from gpurec.backends.cpu import CpuBackend, available_isas


def tables(d: int) -> list[np.ndarray]:
    rng = np.random.default_rng(d)
    normal = rng.standard_normal((16, d)).astype(np.float32)
    scales = np.ldexp(np.float32(1), rng.integers(-74, 60, (16, 1))).astype(np.float32)
    return [
        normal,
        normal * scales,
        normal[:5],
        np.full((16, d), 0.1, np.float32),
        normal * np.float32(2**-75),
    ]


@cache
def rows_and_their_sums(d: int) -> tuple[np.ndarray, list[tuple[np.ndarray, list[tuple[Fraction, ...]]]]]:
    """A query, and tables with the dot of each row, what its terms come to in size, and the row's square."""
    rng = np.random.default_rng(d)
    query = rng.standard_normal(d).astype(np.float32)
    tables = []
    for n in (64, 37, 1):
        rows = rng.standard_normal((n, d)).astype(np.float32)
        rows *= np.ldexp(np.float32(1), rng.integers(-40, 40, (n, 1))).astype(np.float32)
        sums = []
        for row in rows:
            terms = [Fraction(float(q)) * Fraction(float(x)) for q, x in zip(query, row)]
            sums.append((sum(terms), sum(map(abs, terms)), sum(Fraction(float(x)) ** 2 for x in row)))
        tables.append((rows, sums))
    return query, tables


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("d", [1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 200, 1056])
def test_packed_norms_are_bounds_and_items_are_kept(d: int, isa: str) -> None:
    for rows in tables(d):
        norms, panel = _cpu.packed_norms(rows, isa)
        lanes = np.asarray(panel, np.float32).reshape(d, 16)
        assert np.array_equal(lanes[:, : len(rows)].T, rows) and not lanes[:, len(rows) :].any()
        for norm, row in zip(norms, rows):
            exact = sum(Fraction(float(x)) ** 2 for x in row)
            slack = Fraction(4 * (d + 1), 2**24)
            assert exact <= Fraction(norm) ** 2 <= exact * (1 + slack) + Fraction(2 * d, 2**149)


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("d", [1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 200, 1056])
def test_rows_scanned_as_they_lie_keep_their_bounds(d: int, isa: str) -> None:
    query, tables = rows_and_their_sums(d)
    for rows, sums in tables:
        scores, squares = _cpu.scan_rows(query, rows, isa)
        assert len(scores) == len(squares) == 64
        for j in range(64):
            # The last one stands for those that are missing.
            exact, size, square = sums[min(j, len(rows) - 1)]
            gamma = Fraction(d, 2**24) / (1 - Fraction(d, 2**24))
            assert abs(Fraction(scores[j]) - exact) <= gamma * size + Fraction(d, 2**149)
            norm = Fraction(_cpu.norm_upper_float32(squares[j], d))
            assert square <= norm**2 <= square * (1 + Fraction(4 * (d + 1), 2**24)) + Fraction(2 * d, 2**149)


@pytest.mark.parametrize("isa", available_isas())
def test_squares_beyond_float32_have_no_norm(isa: str) -> None:
    norms, _ = _cpu.packed_norms(np.full((16, 3), 1e30, np.float32), isa)
    assert all(norm == np.inf for norm in norms)


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_invalid_row_is_found(bad: float, n_threads: int) -> None:
    rows = np.zeros((5000, 3), np.float32)
    assert _cpu.first_invalid_row(rows, n_threads) == len(rows)
    for row in (4999, 3000, 1024, 1023, 0):
        rows[row, row % 3] = bad
        assert _cpu.first_invalid_row(rows, n_threads) == row
    assert _cpu.first_invalid_row(rows[:0], n_threads) == 0


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("metric", ["dot", "cosine", "pearson", "euclidean"])
@pytest.mark.parametrize("n_queries", [1, 2, 5, 1100])
def test_items_that_are_not_finite_are_named(n_queries: int, metric: str, isa: str) -> None:
    rng = np.random.default_rng(n_queries)
    items = rng.standard_normal((300, 17)).astype(np.float32)
    queries = rng.standard_normal((n_queries, 17)).astype(np.float32)
    queries[:, 3] = 0  # zero times infinity must not go unseen
    for row, bad in ((299, np.nan), (64, -np.inf), (5, np.inf)):
        items[row, 3] = bad
        with pytest.raises(ValueError, match=f"NaN or infinity in row {row} of items"):
            gpurec.score_top_k(queries, items, 4, metric=metric, backend=CpuBackend(isa=isa, n_threads=2))


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("n_queries", [1, 5])
def test_items_whose_squares_overflow_are_finite_all_the_same(n_queries: int, isa: str) -> None:
    items = np.full((70, 3), 2.0**100, np.float32)
    items[1::2] = 1.0
    found = gpurec.score_top_k(np.ones((n_queries, 3), np.float32), items, 70, backend=CpuBackend(isa=isa))
    assert (found.scores[:, :35] == np.float32(3 * 2.0**100)).all() and (found.scores[:, 35:] == 3).all()

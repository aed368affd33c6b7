"""Panels made on the way: their items, and norms from float32 squares against rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from gpurec._native import cpu as _cpu
from gpurec.backends.cpu import available_isas


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

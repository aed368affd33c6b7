"""Kernel `quantise_tiles` makes the same codes, scales and errors as the CPU, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from gpurec._native import cpu

from .devices import MODULES, OpenDevice, clean, open_device

TILE = 64
ROWS = ["source", "source_stride", "source_rows", "n", "metric", "rows", "codes", "squares", "norms"]
TILES = [
    "scales",
    "errors",
    "smallest",
    "largest",
    "row_of",
    "mask",
    "permits",
    "status",
    "n_tiles",
    "first_tile",
]
FIELDS = [*ROWS, *TILES, "n_rows", "d", "row_stride", "code_stride"]


def quantised(
    s: OpenDevice, rows: np.ndarray, d: int, grid: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n_tiles, code_stride = len(rows) // TILE, -(-d // 64) * 64
    codes = s.empty((len(rows), code_stride), np.int8)
    scales, errors = s.empty(n_tiles, np.float32), s.empty(n_tiles, np.float32)
    params = dict.fromkeys(FIELDS, 0) | {
        "rows": s.put(rows),
        "codes": codes,
        "scales": scales,
        "errors": errors,
        "n_tiles": n_tiles,
        "d": d,
        "row_stride": rows.shape[1],
        "code_stride": code_stride,
    }
    s.launch("quantise_tiles", grid, 256, 64, *params.values())
    return s.get(codes), s.get(scales), s.get(errors)


@pytest.mark.parametrize("d", [1, 4, 31, 32, 33, 64, 100])
@pytest.mark.parametrize("name", MODULES)
def test_same_as_the_cpu(name: str, d: int) -> None:
    rng = np.random.default_rng(d)
    n_tiles, stride = 3, -(-d // 4) * 4
    rows = np.zeros((n_tiles * TILE, stride), np.float32)
    rows[:, :d] = rng.standard_normal((len(rows), d)) * 2.0 ** rng.integers(-8, 8, (len(rows), 1))
    rows[TILE : 2 * TILE] = 0  # a tile of zeros has codes
    rows[-1, 0] = 2.0**100  # this one cannot have any
    with open_device(name, seed=d) as s:
        codes, scales, errors = quantised(s, rows, d, grid=2)
        assert clean(s)
    for tile in range(n_tiles):
        items = np.ascontiguousarray(rows[tile * TILE : (tile + 1) * TILE, :d])
        of_tile = codes[tile * TILE : (tile + 1) * TILE]
        expected = cpu.int8_codes(np.ones(d, np.float32), items, "serial")
        if expected is None:
            assert (scales[tile], errors[tile]) == (0, 0)
            assert not of_tile.any()
            continue
        _, expected_codes, _, (scale, error, _, _) = expected
        np.testing.assert_array_equal(of_tile[:, :d], expected_codes)
        assert not of_tile[:, d:].any()
        assert (scales[tile], errors[tile]) == (scale, error)

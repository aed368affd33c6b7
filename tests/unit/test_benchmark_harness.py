"""What the benchmarks search, and how they tell a right answer from a wrong one."""

from __future__ import annotations

import doctest
import importlib
import platform
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import gpurec
from gpurec.backends.cpu import available_isas

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from harness.data.kinds import KINDS, Items
from harness.limits import Limits
from harness.team import agreement

DRAWN = [kind for kind in KINDS if not kind.startswith("gowalla")]


@pytest.mark.parametrize("kind", DRAWN)
def test_drawn_items_are_equal_in_every_run(kind: str) -> None:
    items, queries = Items(kind, 2_000, 16).make()
    again = Items(kind, 2_000, 16).make()
    assert items.shape == (2_000, 16) and queries.shape[1] == 16
    assert items.dtype == queries.dtype == np.float32
    assert items.tobytes() == again[0].tobytes() and queries.tobytes() == again[1].tobytes()


def test_kinds_are_what_their_names_say() -> None:
    made = {kind: Items(kind, 20_000, 16).make()[0] for kind in DRAWN}
    spread = made["steep"].std(axis=0)
    np.testing.assert_allclose(spread * np.arange(1, 17), 1, rtol=0.05)
    np.testing.assert_allclose(np.linalg.norm(made["flat"], axis=1), 1, rtol=1e-6)
    lengths = np.linalg.norm(made["skewed"], axis=1)
    assert lengths.max() > 50 * np.median(lengths)
    assert len(np.unique(made["tied"], axis=0)) == 1_000


def test_fitted_factors_must_have_the_size_that_is_told(data_folder: Path) -> None:
    with pytest.raises(ValueError, match=r"expected gowalla svd of \(7, 8\), got \(40981, 8\)"):
        Items("gowalla svd", 7, 8).make()


def test_equal_scores_stand_for_one_another_and_nothing_else_does() -> None:
    items, queries = Items("tied", 4_000, 8).make()
    found = gpurec.score_top_k(queries[:3], items, 10)
    ours = found.rows, found.scores
    rows = found.rows.copy()
    assert agreement(rows, ours, queries, items) == 1.0
    equal = np.flatnonzero((items == items[rows[0, -1]]).all(axis=1))
    other = next(row for row in equal if row not in rows[0])
    rows[0, -1] = other
    assert agreement(rows, ours, queries, items) == 1.0
    rows[0, 0] = other  # twice in one answer
    assert agreement(rows, ours, queries, items) == 29 / 30
    rows[1, 3] = int(np.argmin(items @ queries[1]))
    assert agreement(rows, ours, queries, items) == 28 / 30


@pytest.mark.parametrize("module", ["tables", "team", "timing"])
def test_examples_of_the_harness_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"harness.{module}"))
    assert result.attempted > 0 and result.failed == 0


@pytest.mark.skipif(
    platform.machine() != "x86_64" or shutil.which("g++") is None, reason="needs g++ on x86-64"
)
def test_the_limits_know_the_int8_tile_of_each_isa() -> None:
    limits = Limits(1 << 20, n_threads=1)
    for isa in available_isas():
        if isa != "serial":
            assert limits.multiply_adds_i8(isa) > 0
    with pytest.raises(
        RuntimeError, match=r"^\[limits\] expected an ISA with known int8 instructions, got x"
    ):
        limits.multiply_adds_i8("x")

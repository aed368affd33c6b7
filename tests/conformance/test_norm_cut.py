"""Norms rule out what is left of a segment, and nothing of another one."""

from __future__ import annotations

import numpy as np
import pytest

from gpurec.backends.base import NO_FILTERS

from .members import MEMBERS, assert_same_bits, member_backend


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("precision", ["fp32", "int8", "int4", "bf16"])
def test_a_later_segment_may_hold_larger_norms(member: str, precision: str) -> None:
    # One block of the first segment falls from norm 10 to 2; the second segment's, at 9, comes after it.
    rng = np.random.default_rng(0)
    items = rng.standard_normal((600, 16)).astype(np.float32)
    items *= (np.linspace(10, 1, len(items)) / np.linalg.norm(items, axis=1)).astype(np.float32)[:, None]
    queries = rng.standard_normal((96, 16)).astype(np.float32)
    along = queries * (9 / np.linalg.norm(queries, axis=1)).astype(np.float32)[:, None]
    backend = member_backend(member)
    index = backend.build_index(items, "dot", precision=precision)
    index = index.with_items(along, np.arange(600, 696), 696)
    rows, scores = backend.search(index, queries, 3, NO_FILTERS)
    expected = backend.score_top_k(queries, np.concatenate([items, along]), 3, "dot", NO_FILTERS)
    assert (rows[:, 0] == np.arange(600, 696)).all()
    assert np.array_equal(rows, expected[0])
    assert_same_bits(scores, expected[1], "with a segment more")

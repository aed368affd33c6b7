"""Norms rule out what is left of a segment, but nothing of another one nor what rounding lifts."""

from __future__ import annotations

import numpy as np
import pytest

from gpurec.backends.base import NO_FILTERS, RowSets
from gpurec.backends.reference import ReferenceBackend

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


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("precision", ["fp32", "int8", "int4", "bf16"])
def test_rounding_may_lift_a_score_to_the_threshold(member: str, precision: str) -> None:
    # Every score is 1.25 * 2^-150, which rounds to 2^-149. The hint proves that a threshold; it is 1.6 times
    # as much as norm times norm of the smallest rows, which come last.
    items = np.zeros((640, 2), np.float32)
    items[:, 0] = 1.25 * 2.0**-75
    items[:, 1] = np.linspace(0, 2.0**-73, len(items))
    queries = np.float32([[2.0**-75, 0]] * 7)
    hint = RowSets(np.arange(0, 71, 10), np.tile(np.arange(630, 640), 7))
    backend = member_backend(member)
    index = backend.build_index(items, "dot", precision=precision)
    rows, scores = backend.search(index, queries, 10, NO_FILTERS, hint)
    reference = ReferenceBackend()
    expected = reference.search(reference.build_index(items, "dot"), queries, 10, NO_FILTERS)
    assert (expected[0] == np.arange(10)).all() and (expected[1] == np.float32(2.0**-149)).all()
    assert np.array_equal(rows, expected[0])
    assert_same_bits(scores, expected[1], "where scores are rounded up to the threshold")

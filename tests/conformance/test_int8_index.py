"""What befalls an index in int8 where the cases of the other tests do not lead it."""

from __future__ import annotations

import numpy as np
import pytest

import gpurec
from gpurec.backends.base import NO_FILTERS
from gpurec.backends.reference import ReferenceBackend

from .members import MEMBERS, assert_same_answer, member_backend


@pytest.mark.parametrize("member", MEMBERS)
def test_dots_that_int32_cannot_hold(member):
    """135,400 products of 127 with 127 add up to more than 2^31."""
    rows = np.tile(np.float32([[1], [-1], [0.5], [0.25], [1]]), (1, 135_400))
    rows[4, 0] = 2
    index = gpurec.ItemIndex(rows, precision="int8", backend=member_backend(member))
    expected = ReferenceBackend().score_top_k(rows[:2], rows, 5, "dot", NO_FILTERS)
    assert_same_answer(index.search(rows[:2], 5), expected, member)


@pytest.mark.parametrize("member", MEMBERS)
def test_each_query_has_a_threshold_of_its_own(member: str) -> None:
    """Scores of one query are a million times those of the next; a tile comes near for some of them only."""
    rng = np.random.default_rng(4)
    items = rng.standard_normal((2000, 16)).astype(np.float32)
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    queries = rng.standard_normal((24, 16)).astype(np.float32)
    queries[::2] *= 1e-3
    queries[1::2] *= 1e3
    reference = ReferenceBackend()
    expected = reference.search(reference.build_index(items, "dot"), queries, 10, NO_FILTERS)
    with gpurec.use_backend(member_backend(member)):
        got = gpurec.ItemIndex(items, precision="int8").search(queries, 10)
    assert_same_answer(got, expected, member)

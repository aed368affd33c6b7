"""Few places where norms fall fast: items are scored while the scan goes on, which each score may end."""

from __future__ import annotations

import numpy as np
import pytest

import gpurec
from gpurec.backends.base import NO_FILTERS
from gpurec.backends.reference import ReferenceBackend

from .members import MEMBERS, assert_same_answer, member_backend

N_ITEMS, TILE = 512, 64

each_member = pytest.mark.parametrize("member", MEMBERS)


def search_followed(member: str, items: np.ndarray, k: int) -> None:
    queries = np.zeros((8, items.shape[1]), np.float32)
    queries[:, 0] = np.arange(1, 9)
    reference = ReferenceBackend()
    with gpurec.use_backend(member_backend(member)):
        got = gpurec.ItemIndex(items, precision="int8").explain_search(queries, k)
    expected = reference.search(reference.build_index(items, "dot"), queries, k, NO_FILTERS)
    assert_same_answer(got.answer, expected, member)
    if member.startswith("cpu-"):
        assert got.counts["scored_at_once"].min() > 0


def items_of(scores: np.ndarray) -> np.ndarray:
    """Norms fall from 64 to 1 as rows rise, whatever the scores."""
    items = np.zeros((N_ITEMS, 4), np.float32)
    items[:, 0] = scores
    items[:, 1] = np.linspace(64, 1, N_ITEMS)
    return items


@each_member
@pytest.mark.parametrize("k", [1, 10, 31])
def test_the_best_lie_in_the_last_tile(member: str, k: int) -> None:
    scores = np.full(N_ITEMS, -1, np.float32)
    scores[-TILE:] = 2 + np.arange(TILE) / TILE
    search_followed(member, items_of(scores), k)


@each_member
@pytest.mark.parametrize("k", [1, 10, 31])
def test_ties_at_the_last_place_go_by_row(member: str, k: int) -> None:
    """The smaller rows come later."""
    scores = np.random.default_rng(k).integers(1, 3, N_ITEMS).astype(np.float32)
    search_followed(member, np.ascontiguousarray(items_of(scores)[::-1]), k)

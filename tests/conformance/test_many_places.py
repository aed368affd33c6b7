"""Many queries that want many items have tiles scored at once: ties, filters, and what four leave over."""

from __future__ import annotations

import numpy as np
import pytest

import gpurec
from gpurec.backends.base import NO_FILTERS, Filters, RowSets
from gpurec.backends.reference import ReferenceBackend

from .members import MEMBERS, assert_same_answer, member_backend

N_ITEMS, N_QUERIES = 1024, 96

# Without a sample, of which a second scan would mend what is lost, and with one.
each_k = pytest.mark.parametrize("k", [20, 160])
each_member = pytest.mark.parametrize("member", MEMBERS)


def search_at_once(
    member: str, items: np.ndarray, queries: np.ndarray, k: int, denied: list[np.ndarray]
) -> None:
    """Compares a search of both, without and with what is denied to each query, with the reference."""
    reference = ReferenceBackend()
    with gpurec.use_backend(member_backend(member)):
        index = gpurec.ItemIndex(items, precision="int8")
        for exclude in (None, denied):
            got = index.explain_search(queries, k, exclude=exclude)
            sets = RowSets(np.cumsum([0, *map(len, denied)]), np.concatenate(denied))
            filters = NO_FILTERS if exclude is None else Filters(deny=(sets,))
            expected = reference.search(reference.build_index(items, "dot"), queries, k, filters)
            assert_same_answer(got.answer, expected, member)
            if member.startswith("cpu-"):
                assert got.counts["scored_at_once"].min() > 0


def rows_of_each(rng: np.random.Generator, rows: np.ndarray) -> list[np.ndarray]:
    """Half of the rows, others for each query."""
    return [np.sort(rng.choice(rows, len(rows) // 2, replace=False)) for _ in range(N_QUERIES)]


@each_member
@each_k
def test_ties_at_the_last_place_go_by_row(member: str, k: int) -> None:
    """Scores are whole numbers, a quarter of them the largest; norms fall as rows rise, or rise.

    Where the best rows come last, each of them only reaches the threshold that others have set. Any number of
    a tile's items are among them, so that groups of four are incomplete.
    """
    rng = np.random.default_rng(1)
    items = np.zeros((N_ITEMS, 8), np.float32)
    items[:, 0] = rng.integers(1, 5, N_ITEMS)
    queries = np.zeros((N_QUERIES, 8), np.float32)
    queries[:, 0] = np.arange(1, N_QUERIES + 1)
    largest = np.flatnonzero(items[:, 0] == 4)
    for rising in (np.linspace(5, 9, N_ITEMS), np.linspace(9, 5, N_ITEMS)):
        items[:, 1] = rising
        search_at_once(member, items, queries, k, rows_of_each(rng, largest))


@each_member
@each_k
def test_the_best_may_be_denied(member: str, k: int) -> None:
    rng = np.random.default_rng(2)
    items = rng.standard_normal((N_ITEMS, 16)).astype(np.float32)
    queries = rng.standard_normal((N_QUERIES, 16)).astype(np.float32)
    best = np.argsort(-(queries @ items.T), axis=1)[:, : 2 * k]
    search_at_once(member, items, queries, k, [np.sort(rng.permutation(rows)[:k]) for rows in best])

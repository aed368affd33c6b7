"""`score_pairs` on every member against the reference, bit for bit, infinite scores included."""

from __future__ import annotations

import numpy as np
import pytest

import gpurec
from gpurec.backends.reference import ReferenceBackend

from .cases import SEED, search_case
from .cases.disguises import disguise_table
from .members import MEMBERS, assert_same_bits, chunks, member_backend


def pairs(number: int):
    """Every query of a search case with some of its items."""
    case = search_case(number)
    rng = np.random.default_rng([SEED, 1, number])
    n = 0 if not case.n_queries or not case.n_items else int(rng.choice([1, 7, 64, 200, 1000]))
    queries = case.plain_queries[np.arange(n) % max(case.n_queries, 1)]
    items = case.plain_items[rng.integers(0, max(case.n_items, 1), n)]
    return case, queries, items, rng


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("numbers", chunks(), ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}")
def test_scores_equal_the_reference(numbers, member):
    for number in numbers:
        case, queries, items, rng = pairs(number)
        expected = ReferenceBackend().score_pairs(queries, items, case.metric)
        got = gpurec.score_pairs(
            disguise_table(rng, queries),
            disguise_table(rng, items),
            metric=case.metric,
            backend=member_backend(member),
        )
        assert_same_bits(got, expected, f"{member}: {len(items)} pairs of {case}")


@pytest.mark.parametrize("member", MEMBERS)
def test_pairs_score_as_the_search_does(member):
    backend = member_backend(member)
    for number in range(20):
        case = search_case(number)
        rows, scores = gpurec.score_top_k(**case.arguments(), backend=backend)
        query, place = np.nonzero(rows >= 0)
        got = gpurec.score_pairs(
            case.plain_queries[query],
            case.plain_items[rows[query, place]],
            metric=case.metric,
            backend=backend,
        )
        assert_same_bits(got, scores[query, place], f"{member}: {case}")

"""`score` and `similarity` give whole matrices, so they promise the error bound of a float32 sum.

For a dot of d terms: |score - exact| <= gamma_d * sum |q_i x_i| + d * 2^-149, gamma_d = d u / (1 - d u),
u = 2^-24, wherever no partial sum can leave float32's range. Cosine and Pearson promise the same of the
prepared rows; euclidean gamma_{d+4} * (|q| + |x|)^2 + (2 d + 4) * 2^-149.
"""

from __future__ import annotations

import numpy as np
import pytest

import gpurec
from gpurec.backends.base import METRICS
from gpurec.backends.reference import ReferenceBackend, prepare_rows

from .cases import SEED, search_case
from .cases.disguises import disguise_table
from .members import MEMBERS, chunks, member_backend

UNIT = 2.0**-24
LARGEST = 2.0**127


def exact_and_bound(a: np.ndarray, b: np.ndarray, metric: str):
    """Float64 scores, whose own error is nothing beside the bound, and the bound itself."""
    a, b = (prepare_rows(rows, metric).astype(np.float64) for rows in (a, b))
    d = a.shape[1]
    products = np.abs(a) @ np.abs(b).T
    if metric == "euclidean":
        terms = d + 4
        norms = (np.linalg.norm(a, axis=1)[:, np.newaxis] + np.linalg.norm(b, axis=1)) ** 2
        exact = np.stack([-np.square(row - b).sum(axis=1) for row in a]) if len(a) else products
        size, smallest = norms, 2 * d + 4
    else:
        terms, exact, size, smallest = d, a @ b.T, products, d
    gamma = terms * UNIT / (1 - terms * UNIT)
    bound = gamma * size * (1 + 1e-9) + smallest * 2.0**-149
    return exact, np.where(size < LARGEST, bound, np.inf)


def assert_within(got, a, b, metric, context):
    exact, bound = exact_and_bound(a, b, metric)
    assert got.dtype == np.float32 and got.shape == exact.shape, context
    in_range = np.isfinite(bound)
    error = np.abs(got.astype(np.float64) - exact)[in_range]
    wrong = ~(error <= bound[in_range])  # a NaN is wrong too
    assert not wrong.any(), f"{wrong.sum()} of {got.size} beyond the bound\n{context}"


def table_pair(number: int):
    case = search_case(number)
    rng = np.random.default_rng([SEED, 3, number])
    return case, case.plain_queries, case.plain_items[: int(rng.choice([1, 63, 64, 300]))], rng


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("numbers", chunks(), ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}")
def test_scores_are_within_the_bound(numbers, member):
    for number in numbers:
        case, queries, items, rng = table_pair(number)
        got = gpurec.score(
            disguise_table(rng, queries), disguise_table(rng, items), backend=member_backend(member)
        )
        assert_within(got, queries, items, "dot", f"{member}: {case}")


@pytest.mark.parametrize("member", MEMBERS)
def test_scores_go_into_the_array_that_is_given(member):
    rng = np.random.default_rng(SEED)
    queries, items = rng.standard_normal((7, 33), np.float32), rng.standard_normal((130, 33), np.float32)
    out = np.full((7, 130), np.nan, dtype=np.float32)
    assert gpurec.score(queries, items, out=out, backend=member_backend(member)) is out
    assert_within(out, queries, items, "dot", member)


@pytest.mark.parametrize("member", [name for name in MEMBERS if name != "reference"])
def test_the_bound_is_one_that_a_wrong_score_breaks(member):
    """The test above can fail: a score computed without its last component is beyond the bound."""
    rng = np.random.default_rng(SEED)
    queries, items = rng.standard_normal((7, 33), np.float32), rng.standard_normal((130, 33), np.float32)
    short = gpurec.score(queries[:, :32], items[:, :32], backend=member_backend(member))
    with pytest.raises(AssertionError):
        assert_within(short, queries, items, "dot", member)


def test_the_reference_gives_canonical_scores():
    """It has no float32 sum to be excused for."""
    backend = ReferenceBackend()
    for number in range(10):
        _, queries, items, _ = table_pair(number)
        for metric in METRICS:
            got = gpurec.similarity(queries, items, metric=metric, backend="reference")
            for i, query in enumerate(queries):
                pairs = backend.score_pairs(np.broadcast_to(query, items.shape), items, metric)
                assert np.array_equal(got[i], pairs)

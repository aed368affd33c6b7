"""`score` and `similarity` give whole matrices, so they promise the error bound of a float32 sum.

For a dot of d terms: |score - exact| <= gamma_d * sum |q_i x_i| + d * 2^-149, gamma_d = d u / (1 - d u),
u = 2^-24, wherever no partial sum can leave float32's range. Cosine and Pearson promise the same of the
prepared rows; euclidean g / (1 - g) * |exact| + 2^-149 with g = 8 gamma_{d+4}.
"""

from __future__ import annotations

import numpy as np
import pytest

import gpurec
from gpurec.backends.base import METRICS
from gpurec.backends.reference import ReferenceBackend, prepare_rows

from .cases import SEED, search_case
from .cases.disguises import disguise_table
from .members import MEMBERS, assert_same_bits, chunks, member_backend

UNIT = 2.0**-24
LARGEST = 2.0**127


def exact_and_bound(a: np.ndarray, b: np.ndarray, metric: str):
    """Float64 scores, whose own error is nothing beside the bound, and the bound itself."""
    a, b = (prepare_rows(rows, metric).astype(np.float64) for rows in (a, b))
    d = a.shape[1]
    if metric == "euclidean":
        exact = np.stack([-np.square(row - b).sum(axis=1) for row in a]) if len(a) else np.empty((0, len(b)))
        size, share, smallest = -exact, 8 * gamma(d + 4) / (1 - 8 * gamma(d + 4)), 1
    else:
        exact, size, share, smallest = a @ b.T, np.abs(a) @ np.abs(b).T, gamma(d), d
    bound = share * size * (1 + 1e-9) + smallest * 2.0**-149
    return exact, np.where(size < LARGEST, bound, np.inf)


def gamma(n_terms: int) -> float:
    """Relative error of a float32 sum of so many terms."""
    return n_terms * UNIT / (1 - n_terms * UNIT)


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


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("offset", [0, 1, 15])
@pytest.mark.parametrize("width", [1024, 1037])
def test_scores_depend_on_no_neighbour_and_no_place(width, offset, member):
    """A large matrix at any place in memory has the bits of its pieces, if they are of three rows or more."""
    rng = np.random.default_rng(SEED)
    queries, items = rng.standard_normal((1030, 3), np.float32), rng.standard_normal((width, 3), np.float32)
    room = np.full(1030 * width + 32, np.nan, np.float32)
    out = room[offset : offset + 1030 * width].reshape(1030, width)
    backend = member_backend(member)
    for metric in ("dot", "euclidean"):
        gpurec.similarity(queries, items, metric=metric, out=out, backend=backend)
        assert np.isnan(room[:offset]).all() and np.isnan(room[offset + out.size :]).all()
        for rows, columns in ((slice(0, 7), slice(0, 65)), (slice(1000, 1030), slice(500, width))):
            piece = gpurec.similarity(queries[rows], items[columns], metric=metric, backend=backend)
            assert_same_bits(out[rows, columns], piece, f"{member}: {metric}")


@pytest.mark.parametrize("member", MEMBERS)
def test_out_may_be_a_mapped_file(member, tmp_path):
    queries, items = np.eye(4, dtype=np.float32), np.arange(20, dtype=np.float32).reshape(5, 4)
    out = np.memmap(tmp_path / "scores", np.float32, "w+", shape=(4, 5))
    gpurec.score(queries, items, out=out, backend=member_backend(member))
    out.flush()
    assert np.fromfile(tmp_path / "scores", np.float32).reshape(4, 5).tolist() == items.T.tolist()


@pytest.mark.parametrize("op", [gpurec.score, gpurec.similarity])
def test_what_out_cannot_be(op):
    a, b = np.ones((3, 3), np.float32), np.ones((3, 3), np.float32)
    read_only = np.empty((3, 3), np.float32)
    read_only.flags.writeable = False
    unaligned = np.empty(37, np.uint8)[1:].view(np.float32).reshape(3, 3)
    for out in (
        np.empty((3, 4), np.float32),
        np.empty((6, 6), np.float32)[::2, ::2],
        read_only,
        unaligned,
        a,
        b,
    ):
        with pytest.raises(ValueError, match=r"expected .*out"):
            op(a, b, out=out)
    for out in (np.empty((3, 3)), np.empty((3, 3), ">f4"), [[0.0] * 3] * 3):
        with pytest.raises(TypeError, match="expected out as a float32 array"):
            op(a, b, out=out)
    assert (a == 1).all() and (b == 1).all()


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

"""`similarity_top_k` on every member against the reference's search, each row left out of its own answer."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import gpurec
from gpurec.backends.base import METRICS, Filters, RowSets
from gpurec.backends.reference import ReferenceBackend

from .cases import SEED, search_case
from .cases.disguises import disguise_one_set, disguise_sets, disguise_table
from .members import MEMBERS, assert_same_answer, chunks, member_backend


def sets_of(allowed: np.ndarray) -> RowSets:
    """The rows that are True in each row of a boolean matrix (n_queries, n_items)."""
    indptr = np.concatenate([[0], np.cumsum(allowed.sum(axis=1))]).astype(np.int64)
    return RowSets(indptr, np.nonzero(allowed)[1].astype(np.int64))


def expected(items: np.ndarray, k: int, metric: str, asked: np.ndarray, allowed: np.ndarray):
    """The reference's answer to the rows as queries; it is asked in no batches and of no exclusion."""
    reference = ReferenceBackend()
    index = reference.build_index(items, metric)
    return reference.search(index, items[asked], k, Filters(allow=sets_of(allowed)))


def similarity_case(number: int):
    """Items, the arguments of the op, and the answer, which is made before anything is disguised."""
    rng = np.random.default_rng([SEED, 7, number])
    case = search_case(number)
    items = case.plain_items[: int(rng.choice([0, 1, 2, 17, 64, 65, 300, 1400]))]
    n, metric = len(items), METRICS[number % len(METRICS)]
    k = int(rng.choice([1, 3, 10, max(n - 1, 1), n + 2]))
    arguments: dict = {"k": k, "metric": metric}
    asked = np.arange(n)
    if rng.random() < 0.8 and n:
        asked = rng.integers(0, n, int(rng.choice([0, 1, 5, 40])))
        arguments["rows"] = asked.astype(rng.choice([np.int32, np.int64, np.uint16]))
    allowed = np.ones((len(asked), n), np.bool_)
    if rng.random() < 0.7:
        allowed[np.arange(len(asked)), asked] = False
    else:
        arguments["include_self"] = True
    if rng.random() < 0.4:
        sets = [np.flatnonzero(rng.random(n) < 0.3) for _ in asked]
        arguments["exclude"] = disguise_sets(rng, sets, n, which=None, forms=("list", "pair", "csr"))
        for i, rows in enumerate(sets):
            allowed[i, rows] = False
    for name in ("allow", "deny"):
        share = float(rng.choice([0.02, 0.5, 0.95]))
        form = rng.choice(["none", "shared", "per_query", "chosen"], p=[0.55, 0.15, 0.15, 0.15])
        if form == "shared":
            rows = np.flatnonzero(rng.random(n) < share)
            arguments[name] = disguise_one_set(rng, rows, n)
            chosen = [rows] * len(asked)
        elif form == "per_query":
            chosen = [np.flatnonzero(rng.random(n) < share) for _ in asked]
            arguments[name] = disguise_sets(rng, chosen, n, which=None, forms=("list", "pair", "csr"))
        elif form == "chosen":
            sets = [np.flatnonzero(rng.random(n) < share) for _ in range(3)]
            which = rng.integers(0, 3, len(asked))
            arguments[name] = disguise_sets(rng, sets, n, which=which, forms=("list",))
            chosen = [sets[w] for w in which]
        else:
            continue
        within = np.zeros_like(allowed)
        for i, rows in enumerate(chosen):
            within[i, rows] = True
        allowed &= within if name == "allow" else ~within
    name = f"similarity_case({number}) of {case.kind}, items {items.shape}, {len(asked)} rows, {arguments}"
    return disguise_table(rng, items), arguments, expected(items, k, metric, asked, allowed), name


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Batches so small that these tables are asked about in several, and some not."""
    op = importlib.import_module("gpurec.ops.similarity_top_k")  # beside it lies the function of that name
    monkeypatch.setattr(op, "_ROWS_AT_ONCE", 23)


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("numbers", chunks(), ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}")
def test_answers_equal_the_reference(numbers, member):
    for number in numbers:
        items, arguments, answer, name = similarity_case(number)
        got = gpurec.similarity_top_k(items, **arguments, backend=member_backend(member))
        assert_same_answer(got, answer, f"{member}: {name}")


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("metric", METRICS)
def test_only_the_row_itself_is_left_out(metric, member):
    """Of five equal rows each gets the four others, in their order: ties are no reason to go."""
    items = np.tile(np.float32([[1, 2, 4], [3, -1, 2]]), (5, 1))
    got = gpurec.similarity_top_k(items, 4, metric=metric, backend=member_backend(member))
    for row, found in enumerate(got.rows.tolist()):
        assert found == [other for other in range(row % 2, 10, 2) if other != row] or metric == "dot"
        assert row not in found
    assert (got.scores == got.scores[:, :1]).all() or metric == "dot"
    itself = gpurec.similarity_top_k(
        items, 5, metric=metric, include_self=True, backend=member_backend(member)
    )
    if metric != "dot":
        assert itself.rows.tolist() == [list(range(row % 2, 10, 2)) for row in range(10)]


@pytest.mark.parametrize("member", MEMBERS)
def test_a_table_of_one_row_has_nobody_else(member):
    got = gpurec.similarity_top_k([[1.0, 2.0]], 2, backend=member_backend(member))
    assert got.rows.tolist() == [[-1, -1]] and np.isneginf(got.scores).all()


@pytest.mark.parametrize("member", MEMBERS)
def test_the_result_is_refused_before_it_is_made(member, monkeypatch):
    monkeypatch.setenv("GPUREC_MAX_RESULT_BYTES", "100000")
    items = np.eye(100, dtype=np.float32)
    with pytest.raises(ValueError, match="at most 100000 bytes"):
        gpurec.similarity_top_k(items, 99, backend=member_backend(member))
    assert len(gpurec.similarity_top_k(items, 99, rows=[3], backend=member_backend(member))) == 1


@pytest.mark.parametrize(
    ("rows", "error"),
    [([3], ValueError), ([-1], ValueError), ([0.5], TypeError), ([[0]], TypeError), ([True], TypeError)],
)
def test_rows_that_are_none_of_the_table(rows, error):
    with pytest.raises(error, match=r"\[similarity_top_k\] expected rows"):
        gpurec.similarity_top_k(np.eye(3, dtype=np.float32), 1, rows=rows)

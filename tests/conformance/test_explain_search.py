"""`explain_search` on every member: the answer of `search`, and counts that can be known beforehand."""

from __future__ import annotations

import json

import numpy as np
import pytest

import gpurec
from gpurec.backends.report import SearchReport

from .cases import expected_answer, search_case
from .members import EXAMPLES, ISAS, MEMBERS, assert_same_answer, chunks, member_backend

TILE = 64


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize(
    "numbers", chunks(min(EXAMPLES, 280)), ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}"
)
def test_the_answer_is_that_of_search(numbers, member):
    with gpurec.use_backend(member_backend(member)):
        for number in numbers:
            case = search_case(number)
            index = gpurec.ItemIndex(
                case.items, metric=case.metric, precision=("int8", "fp32", "int4")[number % 3]
            )
            got = index.explain_search(case.queries, case.k, **case.filters)
            assert_same_answer(got.answer, expected_answer(number), f"{member}: {case}")
            found = (np.asarray(got.answer.rows) >= 0).sum(axis=1)
            assert (got.counts["candidates"] >= found).all(), f"{member}: {case}"
            assert (got.counts["rescored"] >= found).all(), f"{member}: {case}"
            columns = [*got.choices.values(), *got.counts.values(), got.thresholds]
            assert {column.shape for column in columns} == {(case.n_queries,)}
            assert got.total_seconds >= sum(got.seconds.values()) > 0
            told = json.loads(json.dumps(got.to_dict(), allow_nan=False))
            assert told["queries"] == got.to_dict()["queries"] and len(told["queries"]) == case.n_queries
            assert f"for {case.n_queries} queries" in str(got)


def flat(n_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Items of about one norm, which rules none of them out, and queries."""
    rng = np.random.default_rng(7)
    items = rng.standard_normal((n_items, 48), dtype=np.float32)
    return items / np.linalg.norm(items, axis=1, keepdims=True), items[:9] * np.float32(2)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
@pytest.mark.parametrize("isa", ISAS)
def test_every_tile_is_scanned_where_norms_tell_nothing(isa, precision):
    items, queries = flat(40 * TILE)
    with gpurec.use_backend(member_backend(f"cpu-{isa}")):
        index = gpurec.ItemIndex(items, precision=precision)
        for asked in (queries, queries[:1]):
            got = index.explain_search(asked, 5)
            assert set(got.counts["tiles_scanned"]) == {40} and set(got.counts["items_scanned"]) == {
                40 * TILE
            }
            assert not got.counts["tiles_skipped"].any()
            assert (got.thresholds <= got.answer.scores[:, -1]).all() and np.isfinite(got.thresholds).all()
            assert set(got.choices["precision"]) == {precision} and set(got.choices["isa"]) == {isa}
            assert set(got.choices["items"]) == {"all"} and set(got.choices["n_items"]) == {40 * TILE}
            assert set(got.thread_seconds) >= {"scan", "rescore", "order"}


@pytest.mark.parametrize("isa", ISAS)
def test_tiles_of_small_norm_are_skipped_query_by_query(isa):
    """The last three quarters are far too short for queries with a long partner, and not for the others."""
    items, _ = flat(64 * TILE)
    items[16 * TILE :] *= np.float32(1e-3)
    items[:, 0] = np.where(np.arange(len(items)) < 16 * TILE, 1, 0)
    queries = np.zeros((2, items.shape[1]), np.float32)
    queries[0, 0] = 1  # meets only the long ones
    queries[1] = 1e-3
    queries[1, 0] = -1  # the long ones come last
    with gpurec.use_backend(member_backend(f"cpu-{isa}")):
        got = gpurec.ItemIndex(items).explain_search(queries, 10)
    scanned, skipped = got.counts["tiles_scanned"].tolist(), got.counts["tiles_skipped"].tolist()
    assert scanned[0] <= 24 and skipped[0] >= 40
    assert scanned[1] == 64 and skipped[1] == 0


@pytest.mark.parametrize("isa", ISAS)
def test_filters_that_choose_few_items_are_seen(isa):
    items, queries = flat(40 * TILE)
    n = len(items)
    with gpurec.use_backend(member_backend(f"cpu-{isa}")):
        index = gpurec.ItemIndex(items)
        shared = index.explain_search(queries[:2], 3, allow=np.arange(20))
        assert set(shared.choices["items"]) == {"gathered"} and set(shared.choices["n_items"]) == {20}
        lists = index.explain_search(queries[:3], 3, allow=[[1, 2, 3, 4, 5], [], [n - 1]])
        assert set(lists.choices["split"]) == {"lists"}
        assert lists.counts["rescored"].tolist() == [5, 0, 1] == lists.counts["candidates"].tolist()
        # Enough queries to each of two sets: a search for each, over a table of its own.
        asked = np.tile(queries, (4, 1))
        which = np.arange(len(asked)) % 2
        sets = [np.arange(70), np.arange(n)]
        two = index.explain_search(asked, 3, allow=(sets, which))
        assert_same_answer(two.answer, tuple(index.search(asked, 3, allow=(sets, which))), isa)
        assert two.choices["n_items"].tolist() == np.where(which == 0, 70, n).tolist()
        assert two.counts["items_scanned"].tolist() == np.where(which == 0, 70, n).tolist()
        assert "items" in str(two).split("\n\n")[-1]  # a column, where it is not one for all


@pytest.mark.parametrize("isa", ISAS)
def test_a_deep_search_tells_of_its_sample(isa):
    items, queries = flat(400 * TILE)
    with gpurec.use_backend(member_backend(f"cpu-{isa}")):
        index = gpurec.ItemIndex(items)
        deep, shallow = index.explain_search(queries, 1000), index.explain_search(queries, 5)
    every = deep.choices["sample_every"][0]
    assert every > 1 and set(shallow.choices["sample_every"]) == {0}
    assert (deep.counts["supposed"] >= 1).all() and not shallow.counts["supposed"].any()
    assert set(deep.counts["tiles_scanned"] - deep.counts["rescans"] * 400) == {400 + 400 // every}


def test_the_reference_tells_what_it_scored():
    items, queries = flat(3 * TILE)
    with gpurec.use_backend("reference"):
        got = gpurec.ItemIndex(items).explain_search(queries[:2], 4, exclude=[[1, 2], []])
    assert got.counts["rescored"].tolist() == [3 * TILE] * 2
    assert got.counts["candidates"].tolist() == [3 * TILE - 2, 3 * TILE]
    assert got.backend == "reference" and not got.thread_seconds
    assert got.to_dict()["queries"][0]["threshold"] is None


@pytest.mark.parametrize("member", MEMBERS)
def test_a_search_reads_no_clock(member, monkeypatch):
    items, queries = flat(TILE)
    index = gpurec.ItemIndex(items, backend=MEMBERS[member]())

    def never(self, phase):
        raise AssertionError("a clock was started")

    monkeypatch.setattr(SearchReport, "begin", never)
    index.search(queries, 3, deny=[1], exclude=[[0]] * len(queries))
    with pytest.raises(AssertionError, match="clock"):
        index.explain_search(queries, 3)


def test_errors_name_the_method():
    index = gpurec.ItemIndex([[1.0, 2.0]])
    with pytest.raises(ValueError, match=r"\[explain_search\] expected k >= 1, got 0"):
        index.explain_search([[1.0, 1.0]], 0)
    with pytest.raises(ValueError, match=r"\[explain_search\] expected queries with 2 components"):
        index.explain_search([[1.0]], 1)

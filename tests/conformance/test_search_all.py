"""`search_all` on every member: blocks that together are one search, in memory that does not grow."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

import gpurec
from gpurec.index.blocks import BLOCK_BYTES
from gpurec.ops import filter_blocks

from .cases import expected_answer, search_case
from .members import MEMBERS, assert_same_answer, chunks, member_backend


def joined(blocks) -> gpurec.TopK:
    """The blocks as one answer; each begins where the one before ended."""
    found, at = [], 0
    for first, answer in blocks:
        assert first == at
        at += len(answer)
        found.append(answer)
    rows, scores = (np.concatenate([np.asarray(part) for part in parts]) for parts in zip(*found))
    return gpurec.TopK(rows, scores, found[0].version)


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("numbers", chunks(), ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}")
def test_blocks_are_one_search(numbers, member):
    with gpurec.use_backend(member_backend(member)):
        for number in numbers:
            case = search_case(number)
            index = gpurec.ItemIndex(case.items, metric=case.metric)
            filters = {name: given for name, given in case.filters.items() if name != "hint"}
            for batch in (1, 7, "auto"):
                blocks = list(index.search_all(case.queries, case.k, **filters, batch=batch))
                if case.n_queries == 0:
                    assert blocks == []
                    continue
                got = joined(blocks)
                assert_same_answer(got, expected_answer(number), f"{member}, batch {batch}: {case}")
                assert got.version == index.version


N_QUERIES, N_ITEMS, D = 40, 90, 6


@pytest.fixture
def tables():
    rng = np.random.default_rng(5)
    return rng.standard_normal((N_QUERIES, D), dtype=np.float32), rng.standard_normal(
        (N_ITEMS, D), dtype=np.float32
    )


def seen(seed: int = 3) -> csr_array:
    return random_array((N_QUERIES, N_ITEMS), density=0.2, format="csr", rng=np.random.default_rng(seed))


class Slices:
    """Something with a length that can be sliced and nothing else."""

    def __init__(self, whole):
        self._whole = whole
        self.asked: list[tuple[int, int]] = []

    def __len__(self):
        return N_QUERIES

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        self.asked.append((rows.start, rows.stop))
        return self._whole[rows]


@pytest.mark.parametrize("batch", [1, 7, 40, 10**9, "auto"])
def test_every_form_of_filters_is_cut(tables, batch):
    queries, items = tables
    index = gpurec.ItemIndex(items, ids=[f"item {row}" for row in range(N_ITEMS)])
    lists = [row.indices for row in seen(8)]
    sets, which = [np.arange(30), np.arange(20, 90), []], np.arange(N_QUERIES) % 3
    mask = np.arange(N_ITEMS) % 4 > 0
    forms = [
        {},
        {"exclude": seen()},
        {"exclude": seen().tocsc(), "allow": mask},
        {"exclude": (seen().indptr, seen().indices), "deny": [3, 5, -1]},
        {"exclude": lists, "allow": (sets, which), "deny": (sets[:1], which * 0)},
        {"allow": lists, "deny": seen(4)},
        {"allow": seen(9).tocoo(), "deny": ~mask, "exclude": lists},
    ]
    for filters in forms:
        want = index.search(queries, 5, **filters)
        found = list(index.search_all(queries, 5, **filters, batch=batch))
        assert_same_answer(joined(found), (want.rows, want.scores), f"batch {batch}, {list(filters)}")
        assert np.concatenate([answer.ids for _, answer in found]).tolist() == want.ids.tolist()


@pytest.mark.parametrize("form", ["csr", "list"])
def test_what_can_be_sliced_is_enough(tables, form):
    """Queries and exclusions of which no more than a block is ever asked for."""
    queries, items = tables
    index = gpurec.ItemIndex(items)
    excluded = seen() if form == "csr" else [row.indices for row in seen()]
    given, exclude = Slices(queries.tolist()), Slices(excluded)
    got = joined(index.search_all(given, 4, exclude=exclude, batch=16))
    want = index.search(queries, 4, exclude=excluded)
    assert_same_answer(got, (want.rows, want.scores), form)
    assert given.asked == exclude.asked == [(0, 16), (16, 32), (32, 40)]


def test_a_mapped_file_is_read_by_blocks(tables, tmp_path):
    queries, items = tables
    np.save(tmp_path / "queries.npy", queries.astype(np.float64))
    mapped = np.load(tmp_path / "queries.npy", mmap_mode="r")
    index = gpurec.ItemIndex(items)
    want = index.search(queries, 3)
    assert_same_answer(joined(index.search_all(mapped, 3, batch=9)), (want.rows, want.scores), "mapped")


def test_progress_is_told_before_each_block(tables):
    queries, items = tables
    told: list[tuple[int, int]] = []
    blocks = gpurec.ItemIndex(items).search_all(
        queries, 2, batch=15, progress=lambda done, total: told.append((done, total))
    )
    assert told == []  # nothing is searched before it is asked for
    assert next(blocks)[0] == 0 and told == [(15, 40)]
    assert [first for first, _ in blocks] == [15, 30] and told == [(15, 40), (30, 40), (40, 40)]


def test_a_change_meanwhile_changes_no_block(tables):
    queries, items = tables
    index = gpurec.ItemIndex(items)
    want = index.search(queries, 5)
    found = []
    for first, answer in index.search_all(queries, 5, batch=10):
        found.append((first, answer))
        index.remove(answer.rows[0])
    assert_same_answer(joined(found), (want.rows, want.scores), "removed meanwhile")
    assert {answer.version for _, answer in found} == {0} and index.version == 4


def test_no_queries_give_no_blocks():
    index = gpurec.ItemIndex([[1.0, 2.0]])
    assert list(index.search_all(np.empty((0, 2)), 3, exclude=[])) == []


def test_entries_of_filters_make_blocks_smaller(tables, monkeypatch):
    """A block takes no more than it may, however long the lists of its queries are, but one query always."""
    queries, items = tables
    index = gpurec.ItemIndex(items)
    lists = [np.arange(N_ITEMS)] * 10 + [np.arange(2)] * 30
    monkeypatch.setattr("gpurec.index.blocks.BLOCK_BYTES", 100_000)
    monkeypatch.setattr("gpurec.index.blocks._ENTRY_BYTES", 400)
    blocks = list(index.search_all(queries, 1, exclude=lists))
    sizes = [len(answer) for _, answer in blocks]
    assert max(sizes[:3]) <= 2 and max(sizes) >= 20
    want = index.search(queries, 1, exclude=lists)
    assert_same_answer(joined(blocks), (want.rows, want.scores), sizes)
    assert filter_blocks.n_entries({"exclude": lists, "deny": seen()}) == 960 + seen().nnz
    monkeypatch.setattr("gpurec.index.blocks.BLOCK_BYTES", 1)
    assert [len(answer) for _, answer in index.search_all(queries, 1, exclude=lists)] == [1] * N_QUERIES


def test_memory_does_not_grow_with_the_queries():
    """NumPy reports what it allocates: four times the queries, and the same peak."""
    rng = np.random.default_rng(1)
    index = gpurec.ItemIndex(rng.standard_normal((500, 4), dtype=np.float32))
    k, peaks = 100, []
    for n in (2_000, 8_000):
        queries = rng.standard_normal((n, 4), dtype=np.float32)
        exclude = csr_array(
            (np.ones(n * 20), np.tile(np.arange(20), n), np.arange(n + 1) * 20), shape=(n, 500)
        )
        tracemalloc.start()
        n_found = sum(
            int((answer.rows >= 0).sum())
            for _, answer in index.search_all(queries, k, exclude=exclude, batch=200)
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert n_found == n * k
    block = 200 * k * 12
    assert peaks[1] < peaks[0] * 1.2 and peaks[1] < 6 * block, (peaks, block)


IN_A_PROCESS = """
import resource, sys
import numpy as np, gpurec
rng = np.random.default_rng(1)
n, k = 15_000, 400
index = gpurec.ItemIndex(rng.standard_normal((2_000, 8), dtype=np.float32))
queries = rng.standard_normal((n, 8), dtype=np.float32)
exclude = (np.arange(n + 1) * 50, np.tile(np.arange(50), n))
index.search(queries[:64], k, exclude=[[1]] * 64)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
n_blocks = sum(1 for _ in index.search_all(queries, k, exclude=exclude))
print(n_blocks, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_a_block_stays_within_its_bytes():
    """The whole process, native lists too, while an answer for all would be 72 MB."""
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS], capture_output=True, text=True, check=True, timeout=300
    )
    n_blocks, grown = map(int, done.stdout.split())
    assert n_blocks > 1 and grown <= BLOCK_BYTES, done.stdout


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"queries": 5}, TypeError, "expected queries that have a length and can be sliced, got int"),
        (
            {"queries": np.zeros((3, 1, 2))},
            ValueError,
            r"expected queries of shape \(n, d\), got 3 dimensions",
        ),
        ({"k": 0}, ValueError, "expected k >= 1, got 0"),
        ({"batch": 0}, ValueError, "expected batch of 1 or more, got 0"),
        ({"batch": True}, TypeError, "expected batch as an integer or 'auto', got True"),
        ({"batch": "all"}, TypeError, "expected batch as an integer or 'auto', got 'all'"),
        ({"progress": True}, TypeError, "expected progress as a function"),
        ({"k": 10**10}, ValueError, "expected a result of at most"),
        ({"exclude": seen()[:7]}, ValueError, r"expected a sparse exclude of shape \(40, 90\)"),
        ({"exclude": [[1]]}, ValueError, "expected exclude of 40 row arrays, one a query, got 1"),
        ({"exclude": np.arange(40)}, TypeError, "expected exclude as scipy sparse"),
        ({"exclude": ([[1]], [0] * 40)}, TypeError, "expected exclude as sparse"),
        ({"exclude": (1, 2, 3)}, TypeError, "expected exclude as scipy sparse"),
        ({"allow": [90]}, ValueError, r"expected allow rows in 0\.\.89"),
        ({"deny": ([[1]], [0])}, ValueError, "expected deny's which as 40 integers"),
    ],
)
def test_wrong_arguments_are_seen_at_once(tables, arguments, error, text):
    queries, items = tables
    index = gpurec.ItemIndex(items)
    with pytest.raises(error, match=rf"^\[search_all\] {text}"):
        index.search_all(**({"queries": queries, "k": 2} | arguments))


def test_wrong_values_are_seen_in_their_block(tables):
    queries, items = tables
    index = gpurec.ItemIndex(items)
    queries[33, 2] = np.nan
    blocks = index.search_all(queries, 2, batch=10)
    assert [next(blocks)[0] for _ in range(3)] == [0, 10, 20]
    with pytest.raises(ValueError, match=r"^\[search_all\] expected finite .* in row 33 of queries"):
        next(blocks)
    late = index.search_all(queries, 2, exclude=[[]] * 39 + [[90]], batch=20)
    next(late)
    with pytest.raises(ValueError, match="in row 33 of queries"):
        next(late)
    with pytest.raises(ValueError, match=r"^\[search_all\] expected exclude rows in 0\.\.89"):
        list(index.search_all(queries[:5], 2, exclude=[[]] * 4 + [[90]]))
    with pytest.raises(ValueError, match=r"^\[search_all\] expected queries with 6 components"):
        list(index.search_all(queries[:, :4], 2))
    with pytest.raises(ValueError, match=r"^\[search_all\] expected queries of shape \(n, d\)"):
        list(index.search_all(queries[0].tolist(), 2))

"""`ItemIndex.search` on every member against the reference: built, saved and loaded, shared by threads."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

import gpurec
from gpurec.backends.base import Filters, RowSets
from gpurec.backends.reference import ReferenceBackend, prepare_rows

from .cases import expected_answer, numbers_of, search_case
from .members import MEMBERS, assert_same_answer, chunks, member_backend

N_THREADS = 8


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("numbers", chunks(), ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}")
def test_answers_equal_the_reference(numbers, member):
    with gpurec.use_backend(member_backend(member)):
        for number in numbers:
            case = search_case(number)
            precision = ("int8", "bf16", "auto")[number % 3]
            index = gpurec.ItemIndex(case.items, metric=case.metric, precision=precision)
            got = index.search(case.queries, case.k, **case.filters)
            assert_same_answer(got, expected_answer(number), f"{member}: {case}")
            assert index.n_items == case.n_items and got.version == index.version


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("member", MEMBERS)
def test_a_loaded_index_answers_the_same(member, mmap, tmp_path):
    with gpurec.use_backend(member_backend(member)):
        for number in range(25):
            case = search_case(number)
            path = tmp_path / str(number)
            precision = ("int8", "bf16", "fp32")[number % 3]
            pruning = ("auto", ("norms", "directions"))[number // 3 % 2]
            gpurec.ItemIndex(case.items, metric=case.metric, precision=precision, pruning=pruning).save(path)
            index = gpurec.ItemIndex.load(path, mmap=mmap)
            got = index.search(case.queries, case.k, **case.filters)
            assert_same_answer(got, expected_answer(number), f"{member}: loaded, mmap={mmap}: {case}")


@pytest.mark.parametrize("member", MEMBERS)
def test_get_returns_the_items_as_they_are_scored(member):
    with gpurec.use_backend(member_backend(member)):
        for kind in ("norms_over_16_decades", "below_normal_range", "other_inputs"):
            case = search_case(numbers_of(kind, 1)[0])
            for metric in ("dot", "cosine"):
                index = gpurec.ItemIndex(case.items, metric=metric)
                rows = np.random.default_rng(1).permutation(case.n_items)[:100]
                got = np.asarray(index.get(rows))
                want = prepare_rows(case.plain_items, metric)[rows]
                assert got.dtype == np.float32 and np.array_equal(got, want)


@pytest.mark.parametrize("member", MEMBERS)
def test_invalid_items_are_dropped_and_keep_their_rows(member):
    """The best items of every query become NaN or infinite: nothing may be returned for them."""
    case = search_case(numbers_of("random_factors", 1)[0])
    items = case.plain_items.copy()
    bad = np.unique(expected_answer(case.number)[0][:, :5])
    bad = bad[bad >= 0]
    items[bad[::2], 0], items[bad[1::2], -1] = np.nan, np.inf
    active = np.isfinite(items).all(axis=1)
    assert not active.all()
    reference = ReferenceBackend()
    index = reference.build_index(np.where(active[:, np.newaxis], items, np.float32(0)), "dot", active)
    expected = reference.search(index, case.plain_queries, 20, Filters())
    with gpurec.use_backend(member_backend(member)):
        got = gpurec.ItemIndex(items, on_invalid="drop").search(case.plain_queries, 20)
        assert_same_answer(got, expected, f"{member}: {case} with {len(bad)} invalid items")
        with pytest.raises(ValueError, match=str(int(bad[0]))):
            gpurec.ItemIndex(items)


@pytest.mark.parametrize("metric", ["dot", "euclidean"])
@pytest.mark.parametrize("member", MEMBERS)
def test_inactive_rows_are_never_returned(member, metric):
    """Valid rows, the best of every query among them, that the index was told to leave out."""
    backend, reference = member_backend(member), ReferenceBackend()
    case = search_case(numbers_of("random_factors", 1)[0])
    whole = reference.build_index(case.plain_items, metric)
    best, _ = reference.search(whole, case.plain_queries, 30, Filters())
    active = np.ones(case.n_items, dtype=bool)
    active[best[:, ::2]] = False
    hint = RowSets(np.arange(case.n_queries + 1) * 30, np.sort(best, axis=1).ravel())
    expected = reference.search(
        reference.build_index(case.plain_items, metric, active), case.plain_queries, 20, Filters()
    )
    for hinted in (None, hint):
        index = backend.build_index(case.plain_items, metric, active)
        got = gpurec.TopK(*backend.search(index, case.plain_queries, 20, Filters(), hint=hinted))
        assert_same_answer(got, expected, f"{member}: {metric}, hint {hinted is not None}: {case}")


@pytest.mark.parametrize("member", MEMBERS)
def test_ids_stand_beside_the_rows(member):
    case = search_case(numbers_of("long_tail", 1)[0])
    ids = [f"item {row}" for row in range(case.n_items)]
    with gpurec.use_backend(member_backend(member)):
        got = gpurec.ItemIndex(case.plain_items, ids=ids).search(case.plain_queries, 5)
    assert [[ids[row] for row in rows] for rows in got.rows.tolist()] == np.asarray(got.ids).tolist()


@pytest.mark.parametrize("member", MEMBERS)
def test_eight_threads_search_one_index(member):
    """All start at once, and each asks for other queries in another order."""
    with gpurec.use_backend(member_backend(member)):
        number = numbers_of("many_queries", 1)[0]
        case = search_case(number)
        index = gpurec.ItemIndex(case.plain_items, metric=case.metric)
        want = index.search(case.plain_queries, case.k)
        barrier = Barrier(N_THREADS)

        def search(thread: int) -> None:
            rng = np.random.default_rng(thread)
            barrier.wait()
            for _ in range(10):
                chosen = rng.permutation(case.n_queries)[: int(rng.integers(1, case.n_queries))]
                got = index.search(case.plain_queries[chosen], case.k)
                assert_same_answer(got, (want.rows[chosen], want.scores[chosen]), f"{member}, {thread}")

        with ThreadPoolExecutor(N_THREADS) as pool:
            for finished in [pool.submit(search, thread) for thread in range(N_THREADS)]:
                finished.result(timeout=120)


def _search_and_send(connection, index, queries, k):
    got = index.search(queries, k)
    connection.send((got.rows, got.scores))
    connection.close()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("member", MEMBERS)
def test_a_forked_child_can_search(member):
    """The parent has used its threads before the fork; the child has none of them and must not wait."""
    context = multiprocessing.get_context("fork")
    with gpurec.use_backend(member_backend(member)):
        case = search_case(numbers_of("many_queries", 1)[0])
        index = gpurec.ItemIndex(case.plain_items, metric=case.metric)
        want = index.search(case.plain_queries, case.k)
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_search_and_send, args=(sender, index, case.plain_queries, case.k))
        child.start()
        sender.close()
        try:
            assert receiver.poll(60), "the child did not answer within 60 s"
            rows, scores = receiver.recv()
        finally:
            child.join(5)
            if child.is_alive():
                child.kill()
        assert_same_answer(gpurec.TopK(rows, scores), (want.rows, want.scores), member)
        assert child.exitcode == 0

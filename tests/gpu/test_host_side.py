"""The host's half of backend `cuda` on the emulator: memory, storage, sizes, and answers all the same."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
from scipy.sparse import csr_array

import gpurec
from gpurec import ItemIndex
from gpurec._native import device_module
from gpurec.backends.base import Filters, RowSets
from gpurec.backends.cuda import EmulatedCudaBackend
from gpurec.backends.cuda.planning import Limits, choose_sample, plan_search, workspace_sizes
from gpurec.backends.cuda.table import table_bytes
from gpurec.backends.reference import ReferenceBackend

from . import planted_host

NATIVE = device_module("_cuda_emulated")
pytestmark = pytest.mark.skipif(NATIVE is None, reason="built without GPUREC_EMULATED=ON")

RNG = np.random.default_rng(11)
ITEMS = RNG.standard_normal((500, 17)).astype(np.float32)
QUERIES = RNG.standard_normal((5, 17)).astype(np.float32)
REFERENCE = ReferenceBackend()


def same(found: gpurec.TopK, expected: gpurec.TopK) -> None:
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.scores.view(np.uint32), expected.scores.view(np.uint32))


@pytest.fixture
def little_memory():
    """Sets how much an emulated device has besides what is in use."""
    before = NATIVE.Device(0).properties()["total_memory"]
    gc.collect()
    yield lambda n_bytes: NATIVE.set_memory_limit(NATIVE.counters()["used_bytes"] + n_bytes)
    NATIVE.set_memory_limit(before)


def test_too_little_memory_is_said_with_both_figures(little_memory):
    backend = EmulatedCudaBackend()
    needed, _ = table_bytes(512, 512, 17, True, "device")
    little_memory(needed)
    with pytest.raises(
        gpurec.DeviceError, match=rf"expected {needed} bytes .* 512 items, got \d+ that are free"
    ):
        ItemIndex(ITEMS, backend=backend)
    little_memory(2 * needed + (64 << 10))
    index = ItemIndex(ITEMS, backend=backend)
    little_memory(1000)
    with pytest.raises(gpurec.DeviceError, match=r"expected \d+ bytes of .* for a search, got \d+"):
        index.search(QUERIES, 400)
    little_memory(64 << 20)
    same(index.search(QUERIES, 400), gpurec.score_top_k(QUERIES, ITEMS, 400, backend=REFERENCE))


def test_originals_may_stay_with_the_host():
    backend = EmulatedCudaBackend(originals="host")
    for metric in gpurec.backends.METRICS:
        index = ItemIndex(ITEMS, metric=metric, precision="fp32", backend=backend)
        expected = gpurec.score_top_k(QUERIES, ITEMS, 9, metric=metric, backend=REFERENCE)
        same(index.search(QUERIES, 9), expected)
        same(index.search(QUERIES[:1], 9), gpurec.TopK(expected.rows[:1], expected.scores[:1]))
    on_device, on_host = table_bytes(500, 500, 17, True, "host")
    storage = index._now.index.table_now.storage
    assert storage._pinned.n_bytes == on_host and storage._buffer.n_bytes <= on_device
    with pytest.raises(ValueError, match="originals of device or host"):
        EmulatedCudaBackend(originals="disk")


def test_memory_is_given_back():
    backend = EmulatedCudaBackend()
    ItemIndex(ITEMS, backend=backend).search(QUERIES, 3)
    gc.collect()
    backend.launcher.memory.free_discarded()
    before = NATIVE.counters()["used_bytes"]
    for _ in range(3):
        index = ItemIndex(ITEMS, backend=backend)
        index.update([3], ITEMS[:1])
        index.search(QUERIES, 3)
        del index
        gc.collect()
        backend.launcher.memory.free_discarded()
    assert NATIVE.counters()["used_bytes"] == before


def test_a_warm_search_allocates_nothing():
    backend = EmulatedCudaBackend()
    index = ItemIndex(ITEMS, backend=backend)
    lists = [np.arange(i, 300, 3) for i in range(5)]
    index.search(QUERIES, 40, exclude=lists)
    before = NATIVE.counters()["allocations"]
    for k in (1, 10, 40):
        for some in (QUERIES, QUERIES[:2], QUERIES[:1]):
            index.search(some, k, exclude=lists[: len(some)])
    assert NATIVE.counters()["allocations"] == before


def test_versions_share_storage_and_stay_what_they_are():
    backend = EmulatedCudaBackend()
    index = ItemIndex(ITEMS[:300], backend=backend)
    old = index._now.index
    expected = gpurec.score_top_k(QUERIES, ITEMS[:300], 300, backend=REFERENCE)
    index.append(ITEMS[300:310])  # new storage, with room
    storages = set()
    for number in range(60):
        index.update([number], ITEMS[400 + number : 401 + number])
        storages.add(id(index._now.index.table_now.storage))
    assert 1 < len(storages) < 12  # grown by half each time it was full, without what had become of no use
    rows, scores = backend.search(old, QUERIES, 300, Filters())
    same(gpurec.TopK(rows, scores), expected)
    table = np.concatenate([ITEMS[400:460], ITEMS[60:310]])
    same(index.search(QUERIES, 310), gpurec.score_top_k(QUERIES, table, 310, backend=REFERENCE))


def test_branches_of_one_version_do_not_meet():
    backend = EmulatedCudaBackend()
    index = backend.build_index(ITEMS[:64], "dot")
    base = index.with_items(ITEMS[64:70], np.arange(64, 70), 70)
    one = base.with_items(ITEMS[100:101], np.array([70]), 71)
    other = base.with_items(ITEMS[200:202], np.array([3, 70]), 71)
    for branch, table in (
        (one, np.concatenate([ITEMS[:70], ITEMS[100:101]])),
        (other, np.concatenate([ITEMS[:3], ITEMS[200:201], ITEMS[4:70], ITEMS[201:202]])),
        (base, ITEMS[:70]),
    ):
        found = backend.search(branch, QUERIES, 20, Filters())
        same(gpurec.TopK(*found), gpurec.score_top_k(QUERIES, table, 20, backend=REFERENCE))


def test_more_kinds_of_denied_rows_than_kernels_take():
    backend = EmulatedCudaBackend()
    index = backend.build_index(ITEMS, "dot")
    which = np.array([1, 0, 0, 1, 2])
    deny = []
    for i in range(6):
        lists = [np.sort(RNG.choice(500, 60, replace=False)) for _ in range(5 if i % 2 else 3)]
        indptr = np.cumsum([0, *map(len, lists)], dtype=np.int64)
        deny.append(RowSets(indptr, np.concatenate(lists), None if i % 2 else which))
    filters = Filters(deny=tuple(deny))
    expected = REFERENCE.search(REFERENCE.build_index(ITEMS, "dot"), QUERIES, 30, filters)
    same(gpurec.TopK(*backend.search(index, QUERIES, 30, filters)), gpurec.TopK(*expected))


def test_blocks_of_queries_bound_the_workspace():
    queries = RNG.standard_normal((40, 17)).astype(np.float32)
    lists = [RNG.integers(0, 500, 30) for _ in queries]
    backend = EmulatedCudaBackend(
        limits=Limits(least_capacity=64, least_sampled=2, most_bytes=200_000, units=2)
    )
    expected = gpurec.score_top_k(queries, ITEMS, 12, exclude=lists, backend=REFERENCE)
    same(gpurec.score_top_k(queries, ITEMS, 12, exclude=lists, backend=backend), expected)
    explained = ItemIndex(ITEMS, backend=backend).explain_search(queries, 12, exclude=lists)
    same(explained.answer, expected)
    assert (explained.counts["candidates"] >= 12).all()


def test_threads_search_at_once():
    backend = EmulatedCudaBackend()
    index = ItemIndex(ITEMS, backend=backend)
    expected = gpurec.score_top_k(QUERIES, ITEMS, 8, backend=REFERENCE)
    failures: list[BaseException] = []

    def search() -> None:
        try:
            for _ in range(5):
                same(index.search(QUERIES, 8), expected)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


@pytest.mark.parametrize("k", [1, 10, 100, 1_000, 10_000, 200_000])
@pytest.mark.parametrize("n_tiles", [1, 3, 40, 15_625, 1_562_500])
def test_samples_are_large_enough_and_lists_hold_what_is_expected(n_tiles, k):
    limits = Limits()
    sample = choose_sample(n_tiles, k, limits)
    plan = plan_search(32, n_tiles, n_tiles * 64, k, True, limits)
    assert plan.capacity <= n_tiles * 64
    if sample is None:
        assert plan.capacity == n_tiles * 64
        return
    assert sample.first + (sample.n_sampled - 1) * sample.every < n_tiles
    assert sample.first + sample.n_sampled * sample.every >= n_tiles
    assert 4 * sample.rank <= sample.n_sampled * 64 // sample.group or sample.group == 1
    assert sample.n_expected >= k and plan.capacity >= min(2 * sample.n_expected, n_tiles * 64)
    assert all(size >= 0 for size in workspace_sizes(plan, 64, 64, 64).values())


RATES = gpurec.RankingRates(0.1, 0.05, 0.07, 0.02)
POSITIVES = csr_array((RNG.random((12, 20)) < 0.4).astype(np.float32))


def ranked(backend, **how) -> list[np.ndarray]:
    """Tables after two epochs of ranking by pairs."""
    rng = np.random.default_rng(3)
    tables = [rng.standard_normal(shape, dtype=np.float32) for shape in ((12, 9), (20, 9), (20,))]
    gpurec.bpr_epochs(POSITIVES, *tables, RATES, n_epochs=2, n_blocks=3, backend=backend, **how)
    return tables


@pytest.mark.parametrize(
    ("how", "on_device"),
    [({"n_negatives": 3}, True), ({"n_negatives": 10_000}, False), ({"unit": True, "sharpness": 3.0}, True)],
)
def test_negatives_for_which_a_block_has_no_room_are_the_hosts(how, on_device):
    before = NATIVE.counters()["launches"]
    found = ranked(EmulatedCudaBackend(), **how)
    assert (NATIVE.counters()["launches"] > before) == on_device
    for mine, theirs in zip(found, ranked("cpu", **how)):
        np.testing.assert_array_equal(mine.view(np.uint32), theirs.view(np.uint32))


def test_epochs_without_memory_change_nothing(little_memory):
    tables = [np.ones(shape, np.float32) for shape in ((12, 9), (20, 9), (20,))]
    backend = EmulatedCudaBackend()
    little_memory(1000)
    with pytest.raises(gpurec.DeviceError, match=r"expected \d+ bytes"):
        gpurec.bpr_epochs(POSITIVES, *tables, RATES, backend=backend)
    assert all((table == 1).all() for table in tables)


@pytest.mark.parametrize("unit", [False, True])
def test_epochs_are_free_of_races(unit):
    traced = device_module("_cuda_traced")
    if traced is None:
        pytest.skip("the traced module is not built")
    traced.reset_trace()
    weights = RNG.integers(0, 3, 20).astype(np.uint32)
    how = {"weights": weights, "keys": np.arange(12) + 5, "visited": RNG.random(POSITIVES.nnz) < 0.8}
    how |= {"unit": unit, "sharpness": 3.0 if unit else 1.0, "n_candidates": 3 if unit else 1}
    for mine, theirs in zip(ranked(EmulatedCudaBackend("_cuda_traced"), **how), ranked("cpu", **how)):
        np.testing.assert_array_equal(mine.view(np.uint32), theirs.view(np.uint32))
    seen = traced.trace()
    assert (seen["races"], seen["uninitialised_reads"], seen["outside"]) == (0, 0, 0), seen["reports"]


@pytest.mark.parametrize("metric", ["dot", "euclidean"])
@pytest.mark.parametrize("n_queries", [1, 5, 12])
def test_whole_searches_are_free_of_races(n_queries, metric):
    """What the host launches one after another, on the device that reports races and memory nobody wrote."""
    traced = device_module("_cuda_traced")
    if traced is None:
        pytest.skip("the traced module is not built")
    backend = EmulatedCudaBackend("_cuda_traced")
    queries = RNG.standard_normal((n_queries, 17)).astype(np.float32)
    lists = [RNG.integers(0, 300, 20) for _ in queries]
    traced.reset_trace()
    for precision in ("fp32", "int8"):
        index = ItemIndex(ITEMS[:300], metric=metric, precision=precision, backend=backend)
        index.update([7], ITEMS[400:401])
        table = np.concatenate([ITEMS[:7], ITEMS[400:401], ITEMS[8:300]])
        for filters in ({}, {"exclude": lists}, {"allow": lists}, {"deny": np.arange(0, 300, 3)}):
            expected = gpurec.score_top_k(queries, table, 4, metric=metric, backend=REFERENCE, **filters)
            same(index.search(queries, 4, **filters), expected)
    seen = traced.trace()
    assert (seen["races"], seen["uninitialised_reads"], seen["outside"]) == (0, 0, 0), seen["reports"]


def test_planted_defects_are_lines_of_the_host_code():
    for name, defect in planted_host.DEFECTS.items():
        text = (planted_host.PACKAGE / defect.file).read_text()
        assert text.count(defect.right) == 1, name
        file, test = defect.test.split("::")
        assert f"def {test}(" in (planted_host.PROJECT / "tests" / "gpu" / file).read_text(), name

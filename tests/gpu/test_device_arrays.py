"""Arrays that lie on a device: answers in their library, on their stream, with nothing read back."""

from __future__ import annotations

import numpy as np
import pytest

import gpurec
from gpurec import ItemIndex
from gpurec._native import device_module
from gpurec.backends.cuda import EmulatedCudaBackend
from gpurec.backends.cuda.planning import Limits
from gpurec.backends.reference import ReferenceBackend

from . import device_library as library

NATIVE = device_module("_cuda_emulated")
pytestmark = pytest.mark.skipif(NATIVE is None, reason="built without GPUREC_EMULATED=ON")

RNG = np.random.default_rng(7)
ITEMS = RNG.standard_normal((900, 20)).astype(np.float32)
QUERIES = RNG.standard_normal((11, 20)).astype(np.float32)


def same(found: gpurec.TopK, expected: gpurec.TopK) -> None:
    assert type(found.rows) is type(found.scores) is library.Array
    np.testing.assert_array_equal(found.check().rows.get(), expected.rows)
    np.testing.assert_array_equal(
        found.scores.get().view(np.uint32), np.asarray(expected.scores).view(np.uint32)
    )


@pytest.mark.parametrize("metric", ["dot", "cosine", "pearson", "euclidean"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_search_stays_on_the_device(taking, stream, metric, precision):
    index = ItemIndex(ITEMS, metric=metric, precision=precision, backend=taking)
    plain = ItemIndex(ITEMS, metric=metric, backend=ReferenceBackend())
    before = NATIVE.counters()
    for queries in (QUERIES, QUERIES[:1], QUERIES[::3], np.asfortranarray(QUERIES), QUERIES.astype("f8")):
        on_device = library.asarray(queries)
        if queries.flags.f_contiguous and not queries.flags.c_contiguous:
            on_device = library.asarray(np.ascontiguousarray(queries.T))
            on_device = library.Array(
                on_device.address, queries.shape, "f4", (4, 4 * len(queries)), on_device
            )
        same(index.search(on_device, 7), plain.search(queries, 7))
        same(index.search(on_device, 1000), plain.search(queries, 1000))
    same(index.search(library.asarray(QUERIES[2]), 3), plain.search(QUERIES[2], 3))
    assert NATIVE.counters()["refused"] == before["refused"]


def test_items_on_the_device(taking, stream):
    index = ItemIndex(library.asarray(ITEMS), backend=taking)
    same(index.search(library.asarray(QUERIES), 5), gpurec.score_top_k(QUERIES, ITEMS, 5))
    found = gpurec.score_top_k(library.asarray(QUERIES), library.asarray(ITEMS), 5, backend=taking)
    same(found, gpurec.score_top_k(QUERIES, ITEMS, 5))


def test_nothing_waits_for_a_search(backend, stream):
    index = ItemIndex(ITEMS, backend=backend)
    queries = library.asarray(QUERIES)
    index.search(queries, 5)
    before = NATIVE.counters()
    found = index.search(queries, 5)
    after = NATIVE.counters()
    for name in ("allocations", "synchronisations", "copies"):
        assert after[name] == before[name], name
    found.check()
    assert NATIVE.counters()["synchronisations"] > after["synchronisations"]


def test_filters_on_the_device(taking, stream):
    index = ItemIndex(ITEMS, backend=taking)
    rng = np.random.default_rng(3)
    lists = [rng.integers(-1, 900, rng.integers(0, 300)) for _ in QUERIES]  # unsorted, repeated, with -1
    indptr = np.cumsum([0, *map(len, lists)]).astype(np.int32)
    indices = np.concatenate(lists).astype(np.int32)
    pair = library.asarray(indptr), library.asarray(indices)
    queries = library.asarray(QUERIES)
    same(index.search(queries, 9, exclude=pair), gpurec.score_top_k(QUERIES, ITEMS, 9, exclude=lists))
    same(index.search(queries, 9, allow=pair), gpurec.score_top_k(QUERIES, ITEMS, 9, allow=lists))
    mask = rng.random(900) < 0.3
    masks = library.asarray(mask)
    expected = gpurec.score_top_k(QUERIES, ITEMS, 9, allow=mask, exclude=lists)
    same(index.search(queries, 9, allow=masks, exclude=pair), expected)
    expected = gpurec.score_top_k(QUERIES, ITEMS, 9, deny=mask, exclude=lists)
    same(index.search(queries, 9, deny=masks, exclude=pair), expected)
    on_device = [library.asarray(rows) for rows in lists]
    same(index.search(queries, 9, exclude=on_device), gpurec.score_top_k(QUERIES, ITEMS, 9, exclude=lists))
    expected = gpurec.score_top_k(QUERIES, ITEMS, 9, allow=lists, deny=lists[0])
    same(index.search(queries, 9, allow=on_device, deny=on_device[0]), expected)
    expected = gpurec.score_top_k(QUERIES, ITEMS, 9, allow=lists[1], exclude=lists)
    same(index.search(queries, 9, allow=on_device[1], exclude=on_device), expected)
    with pytest.raises(TypeError, match="do: make it one of these there"):
        index.search(queries, 9, exclude=on_device[0])
    with pytest.raises(TypeError, match="do: make it one of these there"):
        index.search(queries, 9, exclude=lists)
    with pytest.raises(ValueError, match="indptr of 12 entries, got 11"):
        index.search(queries, 9, exclude=(library.asarray(indptr[:-1]), pair[1]))
    with pytest.raises(ValueError, match=r"mask of shape \(900,\)"):
        index.search(queries, 9, allow=library.asarray(mask[:-1]))


def test_what_is_wrong_comes_with_check(backend, stream):
    index = ItemIndex(ITEMS, backend=backend)
    bad = QUERIES.copy()
    bad[4, 3] = np.nan
    found = index.search(library.asarray(bad), 5)
    expected = gpurec.score_top_k(QUERIES, ITEMS, 5)
    rows = found.rows.get()
    assert (rows[4] == -1).all() and np.isneginf(found.scores.get()[4]).all()
    np.testing.assert_array_equal(np.delete(rows, 4, 0), np.delete(expected.rows, 4, 0))
    with pytest.raises(ValueError, match="NaN or infinity in row 4"):
        found.check()
    lists = np.array([[0, 1], [2, 900]] + [[0, 0]] * 9)
    pair = library.asarray(np.arange(12) * 2), library.asarray(lists.ravel())
    found = index.search(library.asarray(QUERIES), 5, exclude=pair)
    assert (found.rows.get()[1] == -1).all() and (found.rows.get()[[0, 2]] >= 0).all()
    with pytest.raises(ValueError, match="got others for query 1"):
        found.check()


def test_boosts_meet_queries_on_the_device(taking, stream):
    boost = RNG.standard_normal(900).astype(np.float32)
    for metric in ("dot", "cosine", "pearson"):
        index = ItemIndex(ITEMS, metric=metric, boost=boost, backend=taking)
        plain = ItemIndex(ITEMS, metric=metric, boost=boost, backend=ReferenceBackend())
        same(index.search(library.asarray(QUERIES), 7), plain.search(QUERIES, 7))


def test_given_scores(taking, stream):
    scores = RNG.integers(-50, 50, (5, 3000)).astype(np.float32)
    scores[1, ::7], scores[2, ::5], scores[3] = np.nan, -np.inf, np.inf
    for k in (1, 10, 700, 4000):
        found = gpurec.top_k(library.asarray(scores), k, backend=taking)
        same(found, gpurec.top_k(scores, k, backend=ReferenceBackend()))
    part = library.asarray(scores)[:, 100:900]
    same(gpurec.top_k(part, 10, backend=taking), gpurec.top_k(scores[:, 100:900], 10))
    with pytest.raises(TypeError, match="round them yourself"):
        gpurec.top_k(library.asarray(scores.astype("f8")), 3, backend=taking)


def test_where_no_backend_takes_them():
    queries = library.asarray(QUERIES)
    with pytest.raises(TypeError, match="on cuda:0"):
        ItemIndex(ITEMS, backend="reference").search(queries, 3)
    with pytest.raises(TypeError, match="on cuda:0"):
        gpurec.score(queries, ITEMS, backend="reference")


def test_a_graph_answers_what_changes(backend, stream):
    """500 replays with changing queries: the answers of a search, no allocation, nothing waited for."""
    index = ItemIndex(ITEMS[:300], precision="int8", backend=backend)
    plain = ItemIndex(ITEMS[:300], backend=ReferenceBackend())
    queries = library.asarray(QUERIES[:2])
    index.search(queries, 4)
    index.reserve(2, 4)
    held = [library.empty(shape, dtype) for shape, dtype in (((2, 4), "i8"), ((2, 4), "f4"), ((2,), "i4"))]
    del held  # a library's own cache has what the capture will ask for
    before = NATIVE.counters()
    library.device.begin_capture(stream)
    found = index.search(queries, 4)
    graph = library.device.end_capture(stream)
    index.search(library.asarray(QUERIES[:7]), 9)  # works elsewhere than the graph does
    rng = np.random.default_rng(5)
    allocations = NATIVE.counters()["allocations"]
    for _ in range(500):
        asked = rng.standard_normal((2, 20)).astype(np.float32)
        queries.set(asked)
        before = NATIVE.counters()
        library.device.launch_graph(graph, stream)
        after = NATIVE.counters()
        assert after["synchronisations"] == before["synchronisations"]
        expected = plain.search(asked, 4)
        np.testing.assert_array_equal(found.rows.get(), expected.rows)
        np.testing.assert_array_equal(found.scores.get(), expected.scores)
    assert NATIVE.counters()["allocations"] == allocations
    assert NATIVE.counters()["refused"] == 0 or after["refused"] == before["refused"]
    library.device.destroy_graph(graph)


def test_a_capture_that_has_nothing_reserved_fails(backend, stream):
    index = ItemIndex(ITEMS, backend=EmulatedCudaBackend())
    queries = library.asarray(QUERIES)
    index.search(queries, 6)
    fresh = library.device.create_stream()
    library.cuda.stream.ptr = fresh
    held = [
        library.empty(shape, kind) for shape, kind in (((11, 600), "i8"), ((11, 600), "f4"), ((11,), "i4"))
    ]
    del held
    library.device.begin_capture(fresh)
    try:
        with pytest.raises(gpurec.DeviceError, match="while a stream is being captured"):
            index.search(queries, 600)
    finally:
        library.device.destroy_graph(library.device.end_capture(fresh))


def test_ids_come_with_check(taking, stream):
    for ids in (np.arange(900) * 7, np.array([f"film {i}" for i in range(900)])):
        index = ItemIndex(ITEMS, ids=ids, backend=taking)
        found = index.search(library.asarray(QUERIES), 5)
        assert found.ids is None
        expected = ItemIndex(ITEMS, ids=ids).search(QUERIES, 5).ids
        np.testing.assert_array_equal(found.check().ids, expected)
    found = index.search(library.asarray(QUERIES[:1]), 901).check()
    assert found.ids[0, 900] is None


def test_what_cannot_be_reserved(backend):
    index = ItemIndex(ITEMS, backend=backend)
    with pytest.raises(ValueError, match=r"\[reserve\] expected n_queries >= 1, got 0"):
        index.reserve(0, 3)
    with pytest.raises(TypeError, match="got one of backend 'reference'"):
        ItemIndex(ITEMS, backend="reference").reserve(1, 3)


def test_devices_have_numbers(monkeypatch):
    opened = []
    monkeypatch.setattr(gpurec.backends.cuda, "CudaBackend", lambda *device: opened.append(device))
    gpurec.backends._load.cache_clear()
    for name in ("cuda", "cuda:0", "cuda:3", "cuda:3"):
        gpurec.backends.get(name)
    assert opened == [(), (3,)]
    gpurec.backends._load.cache_clear()
    for name in ("cuda:", "cuda:-1", "cuda:x", "cpu:0", "rocm"):
        with pytest.raises(ValueError, match=r"expected one of cpu, .* or cuda:1, got"):
            gpurec.backends.get(name)


def test_many_queries_go_in_blocks(stream):
    """A workspace that holds few queries: each block has its own queries, filters and status."""
    limits = Limits(least_capacity=64, least_sampled=2, most_bytes=150_000, units=2)
    index = ItemIndex(ITEMS, backend=EmulatedCudaBackend(limits=limits))
    queries = RNG.standard_normal((40, 20)).astype(np.float32)
    lists = [RNG.integers(0, 900, 30) for _ in queries]
    pair = tuple(map(library.asarray, (np.cumsum([0, *map(len, lists)]), np.concatenate(lists))))
    before = NATIVE.counters()["launches"]
    found = index.search(library.asarray(queries), 6, exclude=pair)
    assert NATIVE.counters()["launches"] - before > 2 * 8  # several blocks
    same(found, gpurec.score_top_k(queries, ITEMS, 6, exclude=lists))
    queries[3] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity in row 3"):
        index.search(library.asarray(queries), 6).check()


def test_a_graph_has_its_workspace_for_itself(stream):
    """Another search on the stream, whose lists lie elsewhere, changes nothing of what a graph works in."""
    backend = EmulatedCudaBackend()
    index = ItemIndex(ITEMS, backend=backend)
    queries = library.asarray(QUERIES[:2])
    index.search(queries, 4)
    index.reserve(2, 4)
    library.device.begin_capture(stream)
    found = index.search(queries, 4)
    graph = library.device.end_capture(stream)
    addresses = [w._buffer.address for w in backend.workspaces._captured]
    index.search(library.asarray(QUERIES), 300)
    others = [*backend.workspaces._of_stream.values(), *backend.workspaces._idle]
    assert addresses and not {w._buffer.address for w in others if w._buffer} & set(addresses)
    library.device.launch_graph(graph, stream)
    same(found, ItemIndex(ITEMS, backend="reference").search(QUERIES[:2], 4))
    library.device.destroy_graph(graph)

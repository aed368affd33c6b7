"""Whole matrices and all above a threshold, of arrays on a device; and devices that are not there."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import gpurec
from gpurec import ItemIndex
from gpurec._native import device_module
from gpurec.backends.cuda import EmulatedCudaBackend
from gpurec.backends.cuda.planning import Limits

from . import device_library as library

NATIVE = device_module("_cuda_emulated")
pytestmark = pytest.mark.skipif(NATIVE is None, reason="built without GPUREC_EMULATED=ON")

RNG = np.random.default_rng(8)
A, B = (RNG.standard_normal((n, 20)).astype(np.float32) for n in (70, 150))
METRICS = ["dot", "cosine", "pearson", "euclidean"]


class Elsewhere(library.Array):
    """An array that says it lies on the second device."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 1


def elsewhere(values: np.ndarray) -> Elsewhere:
    lies = library.asarray(values)
    return Elsewhere(lies.address, lies.shape, lies.dtype, base=lies)


def same(found: library.Array, expected: np.ndarray) -> None:
    assert type(found) is library.Array and found.dtype == np.float32
    np.testing.assert_array_equal(found.get(), expected)


@pytest.mark.parametrize("metric", METRICS)
def test_a_matrix_stays_on_the_device(taking, stream, metric):
    a, b = library.asarray(A), library.asarray(B)
    expected = gpurec.similarity(A, B, metric=metric, backend=taking)
    np.testing.assert_allclose(expected, gpurec.similarity(A, B, metric=metric), rtol=1e-5, atol=1e-5)
    same(gpurec.similarity(a, b, metric=metric, backend=taking), expected)
    same(gpurec.similarity(a[::3], b[5:6], metric=metric, backend=taking), expected[::3, 5:6])
    same(gpurec.similarity(a[7], b, metric=metric, backend=taking), expected[7:8])
    same(
        gpurec.similarity(a, a, metric=metric, backend=taking),
        gpurec.similarity(A, None, metric=metric, backend=taking),
    )
    part = gpurec.similarity(A[:, 3:16], B[:, 3:16], metric=metric, backend=taking)
    same(gpurec.similarity(a[:, 3:16], b[:, 3:16], metric=metric, backend=taking), part)
    doubles = gpurec.similarity(library.asarray(A.astype("f8")), b, metric=metric, backend=taking)
    same(doubles, expected)


def test_scores_and_those_of_a_table_with_itself(taking, stream):
    a, b = library.asarray(A), library.asarray(B)
    same(gpurec.score(a, b, backend=taking), gpurec.score(A, B, backend=taking))
    same(gpurec.similarity(a, backend=taking), gpurec.similarity(A, backend=taking))
    for n_a, n_b in ((0, 5), (5, 0)):
        assert gpurec.score(a[:n_a], b[:n_b], backend=taking).shape == (n_a, n_b)


@pytest.mark.parametrize("metric", METRICS)
def test_what_is_not_finite_is_seen(taking, stream, metric):
    a, b = A.copy(), B.copy()
    a[3, 19], a[65, 0], b[140, 7], b[2, 2] = np.nan, np.inf, -np.inf, np.nan
    found = gpurec.similarity(library.asarray(a), library.asarray(b), metric=metric, backend=taking).get()
    expected = gpurec.similarity(A, B, metric=metric, backend=taking)
    expected[[3, 65]], expected[:, [140, 2]] = np.nan, np.nan
    np.testing.assert_array_equal(found, expected)


def test_nothing_waits_for_a_matrix(backend, stream):
    a, b = library.asarray(A), library.asarray(B)
    gpurec.score(a, b, backend=backend)
    before = NATIVE.counters()
    gpurec.score(a, b, backend=backend)
    after = NATIVE.counters()
    for name in ("allocations", "synchronisations", "copies"):
        assert after[name] == before[name], name


def test_large_matrices_go_in_pieces(stream):
    for most_bytes in (4096, 20_000):
        small = EmulatedCudaBackend(limits=Limits(most_bytes=most_bytes))
        before = NATIVE.counters()["launches"]
        for metric in ("dot", "euclidean"):
            found = gpurec.similarity(library.asarray(A), library.asarray(B), metric=metric, backend=small)
            same(found, gpurec.similarity(A, B, metric=metric, backend=small))
        assert NATIVE.counters()["launches"] - before > 4 * 3


def test_a_result_is_written_in_place(taking, stream):
    a, b, out = library.asarray(A), library.asarray(B), library.empty((70, 150))
    assert gpurec.score(a, b, out=out, backend=taking) is out
    same(out, gpurec.score(A, B, backend=taking))
    assert gpurec.similarity(a, b, out=out, backend=taking) is out
    same(out, gpurec.similarity(A, B, backend=taking))
    table = library.empty((90, 20))
    for wrong, error, text in (
        (library.empty((70, 149)), ValueError, r"out of shape \(70, 150\), got \(70, 149\)"),
        (library.empty((70, 300))[:, ::2], ValueError, "out in C order"),
        (library.asarray(np.zeros((70, 150))), TypeError, "out as a float32 array, got float64"),
        (np.zeros((70, 150), np.float32), TypeError, "got out in host memory"),
    ):
        with pytest.raises(error, match=text):
            gpurec.score(a, b, out=wrong, backend=taking)
    with pytest.raises(ValueError, match="out apart from the rows"):
        gpurec.score(table[:20], table[40:60], out=table[19:39], backend=taking)
    gpurec.score(table[:20], table[40:60], out=table[20:40], backend=taking)


def test_all_arrays_lie_on_the_device_or_none(taking):
    a = library.asarray(A)
    with pytest.raises(TypeError, match=r"\[score\] .* got items in host memory \(ndarray\); do: move it"):
        gpurec.score(a, B, backend=taking)
    with pytest.raises(TypeError, match=r"\[similarity\] .* got a in host memory \(list\)"):
        gpurec.similarity([[1.0] * 20], a, backend=taking)
    with pytest.raises(TypeError, match=r"\[score\] .* got queries in host memory"):
        gpurec.score(A, B, out=library.empty((70, 150)), backend=taking)
    with pytest.raises(ValueError, match="items with 20 components a row, got 19"):
        gpurec.score(a, a[:, 1:], backend=taking)


def test_a_graph_of_a_matrix(backend, stream):
    a, b, out = library.asarray(A[:9]), library.asarray(B), library.empty((9, 150))
    gpurec.similarity(a, b, out=out, backend=backend)
    library.device.begin_capture(stream)
    gpurec.similarity(a, b, out=out, backend=backend)
    graph = library.device.end_capture(stream)
    for asked in (A[9:18], A[20:29]):
        a.set(asked)
        library.device.launch_graph(graph, stream)
        same(out, gpurec.similarity(asked, B, backend=backend))
    library.device.destroy_graph(graph)


def test_another_library_s_stream_is_waited_for(backend, stream):
    class Other(library.Array):
        @property
        def __cuda_array_interface__(self):
            return super().__cuda_array_interface__ | {"stream": other}

    a, lies = library.asarray(A), library.asarray(B)
    b, other = Other(lies.address, lies.shape, lies.dtype, base=lies), library.device.create_stream()
    gpurec.score(a, lies, backend=backend)
    before = NATIVE.counters()["synchronisations"]
    found = gpurec.score(a, b, backend=backend)
    assert NATIVE.counters()["synchronisations"] == before + 1
    same(found, gpurec.score(A, B, backend=backend))


def test_all_above_a_threshold(taking, stream):
    ids = np.array([f"film {i}" for i in range(150)])
    index, plain = ItemIndex(B, ids=ids, backend=taking), ItemIndex(B, ids=ids, backend="reference")
    lists = [RNG.integers(-1, 150, 30) for _ in A]
    on_device = [library.asarray(rows) for rows in lists]
    indptr = np.cumsum([0, *map(len, lists)])
    mask, listed = RNG.random(150) < 0.5, RNG.random((70, 150)) < 0.2
    for there, here in (
        ({}, {}),
        ({"max_results": 3}, {"max_results": 3}),
        ({"exclude": (library.asarray(indptr), library.asarray(np.concatenate(lists)))}, {"exclude": lists}),
        ({"exclude": on_device, "allow": library.asarray(mask)}, {"exclude": lists, "allow": mask}),
        ({"deny": on_device[0], "exclude": lists}, {"deny": lists[0], "exclude": lists}),
        ({"exclude": sparse.dok_matrix(listed)}, {"exclude": sparse.csr_matrix(listed)}),
    ):
        found = index.search_above(library.asarray(A), 2.5, **there)
        expected = plain.search_above(A, 2.5, **here)
        assert len(expected.rows) > 100
        for name in ("indptr", "rows", "scores"):
            assert type(getattr(found, name)) is library.Array
            np.testing.assert_array_equal(getattr(found, name).get(), getattr(expected, name))
            assert getattr(found, name).dtype == getattr(expected, name).dtype
        np.testing.assert_array_equal(found.ids, expected.ids)
    bad = A.copy()
    bad[4, 4] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity in row 4 of queries"):
        index.search_above(library.asarray(bad), 1.0)
    with pytest.raises(
        TypeError, match=r"\[search_above\] .* got Array on cuda:0, where backend 'reference'"
    ):
        plain.search_above(library.asarray(A), 1.0)


def test_what_takes_host_arrays_alone_says_so(taking):
    a = library.asarray(A)
    index = ItemIndex(B, backend=taking)
    for ask in (
        lambda: gpurec.score_pairs(a, a, backend=taking),
        lambda: gpurec.similarity_top_k(a, 3, backend=taking),
        lambda: index.explain_search(a, 3),
        lambda: next(index.search_all(a, 3)),
    ):
        with pytest.raises(TypeError, match=r"in host memory, got Array on cuda:0, .* copy it to the host"):
            ask()


def test_a_device_that_is_not_there_has_a_name(monkeypatch, taking):
    """Arrays choose their device; where nothing computes there, the text says which it is, and why."""
    opened = []

    def missing(*device: int) -> None:
        opened.append(device)
        raise gpurec.BackendUnavailableError("[backend] cuda:1: one device is there")

    monkeypatch.setattr(gpurec.backends.cuda, "CudaBackend", missing)
    monkeypatch.setattr(gpurec.backends.cupy, "CupyBackend", missing)
    gpurec.backends._load.cache_clear()
    gpurec.backends._missing.cache_clear()
    index = ItemIndex(B, backend="reference")
    text = r"on cuda:1, where backend '(cpu|reference)' does not compute; .*\(\[backend\] cuda:1: one device"
    for ask in (
        lambda: gpurec.score(elsewhere(A), elsewhere(B)),
        lambda: gpurec.similarity(elsewhere(A)),
        lambda: gpurec.top_k(elsewhere(A), 3),
        lambda: gpurec.score_top_k(elsewhere(A), B, 3),
        lambda: ItemIndex(elsewhere(B)),
        lambda: index.search(elsewhere(A), 3),
        lambda: index.search_above(elsewhere(A), 1.0),
    ):
        with pytest.raises(TypeError, match=text):
            ask()
    assert opened[0] == (1,)
    gpurec.backends._load.cache_clear()
    gpurec.backends._missing.cache_clear()


def test_arrays_of_another_device_than_the_backend_s(backend):
    index = ItemIndex(B, backend=backend)
    text = r'on cuda:0, where this backend computes, got one on cuda:1; do: move it, or use backend="cuda:1"'
    for ask in (
        lambda: gpurec.score(elsewhere(A), elsewhere(B), backend=backend),
        lambda: gpurec.score(library.asarray(A), elsewhere(B), backend=backend),
        lambda: gpurec.top_k(elsewhere(A), 3, backend=backend),
        lambda: index.search(elsewhere(A), 3),
    ):
        with pytest.raises(ValueError, match=text):
            ask()


def test_no_block_is_left_out(backend):
    with pytest.raises(gpurec.DeviceError, match="at most 65535 blocks high, got 65536 of score_tile"):
        backend.launcher.launch("score_tile", b"", y=65536)

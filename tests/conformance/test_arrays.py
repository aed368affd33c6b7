"""One table as every kind of array: every op gives the same bits, in the library of the queries."""

from __future__ import annotations

import array
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpurec
from gpurec import ItemIndex

from .cases.foreign_arrays import (
    KINDS,
    Exported,
    ExportedBfloat16,
    bfloat16_bits,
    library,
    library_of,
    tensor_library,
)
from .members import MEMBERS, assert_same_answer, assert_same_bits, member_backend

# Seven bits of mantissa, so that bfloat16 holds them; few values, so that scores tie.
_RNG = np.random.default_rng(20)
ITEMS = (_RNG.integers(-127, 128, (70, 9)) / 16).astype(np.float32)
QUERIES = (_RNG.integers(-127, 128, (6, 9)) / 16).astype(np.float32)
MORE = (_RNG.integers(-127, 128, (3, 9)) / 16).astype(np.float32)
BOOST = (_RNG.integers(-127, 128, 70) / 2).astype(np.float32)
SCORES = (_RNG.integers(-127, 128, (5, 300)) / 8).astype(np.float32)

both = [pytest.mark.parametrize("member", MEMBERS), pytest.mark.parametrize("kind", KINDS)]


def for_each(test):
    for mark in both:
        test = mark(test)
    return test


def numpy_of(result: Any, kind: str) -> np.ndarray:
    """The result as NumPy's, after a look at whose it is."""
    assert type(result).__module__.split(".")[0] == library_of(kind), type(result)
    return np.asarray(result)


def vector(kind: str, values: np.ndarray) -> Any:
    """A vector of a kind that is made for tables; a buffer is an array of the standard library."""
    if kind == "buffer":
        return array.array("f", values.tolist())
    if kind == "array_api":
        return library("array_api_strict").asarray(values)
    made = KINDS[kind](values[:, None])
    if isinstance(made, Exported):
        return type(made)(made.values[:, 0])
    return made[:, 0]


@for_each
def test_whole_matrices(kind, member):
    backend = member_backend(member)
    queries, items = KINDS[kind](QUERIES), KINDS[kind](ITEMS)
    expected = gpurec.score(QUERIES, ITEMS, backend=backend)
    assert_same_bits(numpy_of(gpurec.score(queries, items, backend=backend), kind), expected, kind)
    for metric in ("dot", "cosine", "pearson", "euclidean"):
        expected = gpurec.similarity(QUERIES, ITEMS, metric=metric, backend=backend)
        got = gpurec.similarity(queries, items, metric=metric, backend=backend)
        assert_same_bits(numpy_of(got, kind), expected, (kind, metric))


@for_each
def test_similar_rows(kind, member):
    backend = member_backend(member)
    expected = tuple(gpurec.similarity_top_k(ITEMS, 4, rows=[3, 60], backend=backend))
    got = gpurec.similarity_top_k(KINDS[kind](ITEMS), 4, rows=[3, 60], backend=backend)
    numpy_of(got.rows, kind), numpy_of(got.scores, kind)
    assert_same_answer(got, expected, kind)


@for_each
def test_pairs(kind, member):
    backend = member_backend(member)
    for metric in ("dot", "cosine", "pearson", "euclidean"):
        expected = gpurec.score_pairs(QUERIES, ITEMS[:6], metric=metric, backend=backend)
        got = gpurec.score_pairs(KINDS[kind](QUERIES), KINDS[kind](ITEMS[:6]), metric=metric, backend=backend)
        assert_same_bits(numpy_of(got, kind), expected, (kind, metric))


@for_each
def test_top_k_of_scores(kind, member):
    backend = member_backend(member)
    scores = KINDS[kind](SCORES)
    if kind.startswith("float64"):
        with pytest.raises(TypeError, match="float32 or float16, got float64"):
            gpurec.top_k(scores, 7, backend=backend)
        return
    got = gpurec.top_k(scores, 7, backend=backend)
    numpy_of(got.rows, kind), numpy_of(got.scores, kind)
    assert_same_answer(got, tuple(gpurec.top_k(SCORES, 7, backend=backend)), kind)
    one = gpurec.top_k(vector(kind, SCORES[0]), 7, backend=backend)
    assert_same_answer(one, tuple(gpurec.top_k(SCORES[0], 7, backend=backend)), kind)


@for_each
def test_search(kind, member):
    backend = member_backend(member)
    for metric in ("dot", "cosine", "pearson", "euclidean"):
        expected = tuple(gpurec.score_top_k(QUERIES, ITEMS, 7, metric=metric, backend=backend))
        queries, items = KINDS[kind](QUERIES), KINDS[kind](ITEMS)
        got = gpurec.score_top_k(queries, items, 7, metric=metric, backend=backend)
        numpy_of(got.rows, kind), numpy_of(got.scores, kind)
        assert_same_answer(got, expected, (kind, metric))
        index = ItemIndex(items, metric=metric, backend=backend)
        got = index.search(queries, 7)
        numpy_of(got.rows, kind), numpy_of(got.scores, kind)
        assert_same_answer(got, expected, (kind, metric))
        for first, block in index.search_all(queries, 7, batch=4):
            part = slice(first, first + 4)
            found = gpurec.TopK(numpy_of(block.rows, kind), numpy_of(block.scores, kind))
            assert_same_answer(found, (expected[0][part], expected[1][part]), (kind, metric, first))
        got = index.explain_search(queries, 7).answer
        numpy_of(got.rows, kind), numpy_of(got.scores, kind)
        assert_same_answer(got, expected, (kind, metric))
    one = gpurec.score_top_k(vector(kind, QUERIES[0]), ITEMS, 3, backend=backend)
    expected = tuple(gpurec.score_top_k(QUERIES[:1], ITEMS, 3, backend=backend))
    assert_same_answer(one, expected, kind)
    if kind != "buffer":  # one of the standard library has no shape: a list of numbers is no list of queries
        ((_, one),) = ItemIndex(ITEMS, backend=backend).search_all(vector(kind, QUERIES[0]), 3)
        assert_same_answer(one, expected, kind)


@for_each
def test_a_living_index(kind, member):
    backend = member_backend(member)
    make = KINDS[kind]
    plain = ItemIndex(ITEMS, boost=BOOST, backend=backend)
    index = ItemIndex(make(ITEMS), boost=vector(kind, BOOST), backend=backend)
    for one, table, values in ((plain, np.copy, np.copy), (index, make, lambda v: vector(kind, v))):
        assert one.append(table(MORE), boost=values(BOOST[:3])).tolist() == [70, 71, 72]
        one.update(np.array([5, 70]), table(MORE[:2]), boost=values(BOOST[3:5]))
        one.set_boost(np.array([1, 2]), values(BOOST[5:7]))
    assert_same_answer(index.search(make(QUERIES), 80), tuple(plain.search(QUERIES, 80)), kind)
    got, expected = index.search_above(make(QUERIES), 20.0), plain.search_above(QUERIES, 20.0)
    assert expected.indptr[-1] > 0
    assert numpy_of(got.indptr, kind).tolist() == expected.indptr.tolist()
    assert numpy_of(got.rows, kind).tolist() == expected.rows.tolist()
    assert_same_bits(numpy_of(got.scores, kind), expected.scores, kind)
    items = index.get(np.arange(73))
    assert type(items) is np.ndarray
    assert_same_bits(items, plain.get(np.arange(73)), kind)


def rows_as(kind: str, rows: Any) -> Any:
    """Row numbers, masks and offsets in the library of a kind."""
    rows = np.asarray(rows)
    if kind == "dlpack":
        return Exported(rows)
    return library("torch").from_numpy(rows.copy())


@pytest.mark.parametrize("kind", ["dlpack", "torch"])
@pytest.mark.parametrize("member", MEMBERS)
def test_filters_and_hints(member, kind):
    backend = member_backend(member)
    index = ItemIndex(ITEMS, backend=backend)
    mask = np.arange(len(ITEMS)) % 3 > 0
    lists = [np.sort(_RNG.choice(len(ITEMS), 4 + i, replace=False)) for i in range(len(QUERIES))]
    indptr, indices = np.cumsum([0, *map(len, lists)]), np.concatenate(lists)
    which = np.array([0, 1, 1, 0, 1, 0])

    def each(arrays):
        return [rows_as(kind, rows) for rows in arrays]

    forms = [
        ({"exclude": lists}, {"exclude": each(lists)}),
        ({"exclude": lists}, {"exclude": (rows_as(kind, indptr), rows_as(kind, indices))}),
        ({"allow": mask}, {"allow": rows_as(kind, mask)}),
        ({"deny": mask}, {"deny": rows_as(kind, mask)}),
        ({"allow": lists[5]}, {"allow": rows_as(kind, lists[5].astype(np.int32))}),
        ({"deny": (lists[:2], which)}, {"deny": (each(lists[:2]), rows_as(kind, which))}),
        ({"hint": lists[0]}, {"hint": rows_as(kind, lists[0])}),
        ({"hint": lists}, {"hint": each(lists)}),
    ]
    for plain, foreign in forms:
        expected = tuple(index.search(QUERIES, 9, **plain))
        assert_same_answer(index.search(QUERIES, 9, **foreign), expected, plain)
        assert_same_answer(gpurec.score_top_k(QUERIES, ITEMS, 9, **foreign, backend=backend), expected, plain)


@pytest.mark.parametrize("layout", ["to_sparse", "to_sparse_csr", "to_sparse_csc"])
def test_sparse_tensors_exclude(layout):
    torch = library("torch")
    seen = torch.zeros(len(QUERIES), len(ITEMS))
    seen[torch.arange(6), torch.arange(6) * 7] = 1
    seen[2, 60] = 1
    index = ItemIndex(ITEMS)
    expected = index.search(QUERIES, 70, exclude=[np.flatnonzero(row) for row in seen.numpy()])
    assert_same_answer(index.search(QUERIES, 70, exclude=getattr(seen, layout)()), tuple(expected), layout)
    with pytest.raises(ValueError, match=r"shape \(6, 70\), got \(70, 6\)"):
        index.search(QUERIES, 70, exclude=getattr(seen.T.contiguous(), layout)())


def test_ids_and_rows_as_tensors():
    torch = library("torch")
    plain = ItemIndex(ITEMS, ids=np.arange(70) * 10)
    index = ItemIndex(torch.from_numpy(ITEMS), ids=torch.arange(70) * 10)
    assert index.ids == plain.ids
    got, expected = index.search_ids(torch.tensor([10, 30]), 5), plain.search_ids([10, 30], 5)
    numpy_of(got.rows, "torch"), numpy_of(got.scores, "torch")
    assert_same_answer(got, tuple(expected), "search_ids")
    assert got.ids.tolist() == expected.ids.tolist()
    assert_same_bits(index.get(torch.tensor([3, 1])), ITEMS[[3, 1]], "get")
    index.remove(torch.tensor([3, 1]))
    assert index.n_active == 68
    index.append(torch.from_numpy(MORE), ids=torch.tensor([1, 2, 3]))
    assert index.ids.rows([3]).tolist() == [72]


def test_the_library_is_found_by_its_array():
    with tensor_library() as tensors:
        tensor = tensors.Tensor(QUERIES)
        found = gpurec.score_top_k(tensor, ITEMS, 3)
        assert type(found.rows) is type(found.scores) is tensors.Tensor
        expected = gpurec.score_top_k(QUERIES, ITEMS, 3)
        assert found.rows.values.tolist() == expected.rows.tolist()
        assert_same_bits(found.scores.values, expected.scores, "double")
        mine = type("MyTensor", (tensors.Tensor,), {"__module__": "elsewhere"})
        assert type(gpurec.score(mine(QUERIES), ITEMS)) is tensors.Tensor
        assert type(gpurec.score(QUERIES, tensors.Tensor(ITEMS))) is np.ndarray
        assert type(gpurec.score(Exported(QUERIES), ITEMS)) is np.ndarray


def test_results_lie_where_numpy_put_them():
    """A tensor that is returned shares the memory of the result, and a given one is written into."""
    torch = library("torch")
    out = torch.full((6, 70), torch.nan)
    assert gpurec.score(torch.from_numpy(QUERIES), ITEMS, out=out) is out
    assert_same_bits(out.numpy(), gpurec.score(QUERIES, ITEMS), "out")
    assert gpurec.similarity(QUERIES, ITEMS, metric="dot", out=out) is out
    assert_same_bits(out.numpy(), gpurec.similarity(QUERIES, ITEMS, metric="dot"), "out")
    scores = gpurec.score_top_k(torch.from_numpy(QUERIES), ITEMS, 3).scores
    assert scores.is_contiguous() and not scores.requires_grad
    scores[:] = 0  # nobody else's: it may be written


@pytest.mark.parametrize("change", ["requires_grad", "negated", "transposed", "float64"])
def test_out_that_cannot_be_written_through(change):
    torch = library("torch")
    out, error = {
        "requires_grad": lambda: (torch.zeros(6, 70, requires_grad=True), TypeError),
        "negated": lambda: (torch.zeros(6, 70, dtype=torch.complex64).conj().imag, TypeError),
        "transposed": lambda: (torch.zeros(70, 6).T, ValueError),
        "float64": lambda: (torch.zeros(6, 70).double(), TypeError),
    }[change]()
    with pytest.raises(error, match=r"^\[score\] expected "):
        gpurec.score(QUERIES, ITEMS, out=out)


def test_every_bfloat16_widens_exactly():
    """All finite patterns, one a row, below the normal range too, whatever the thread does with those."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    finite = bits[(bits & 0x7F80) != 0x7F80]
    expected = (finite.astype(np.uint32) << 16).view(np.float32)[:, None]
    assert_same_bits(ItemIndex(ExportedBfloat16(finite[:, None])).get(np.arange(len(finite))), expected, "")
    torch = library("torch")
    tensor = torch.from_numpy(finite.view(np.int16)[:, None]).view(torch.bfloat16)
    try:
        torch.set_flush_denormal(True)
        got = ItemIndex(tensor).get(np.arange(len(finite)))
    finally:
        torch.set_flush_denormal(False)
    assert_same_bits(got, expected, "torch")


def test_bits_that_are_no_bfloat16_stay_integers():
    assert gpurec.score(Exported(np.array([[3, 70]], np.uint16)), [[1, 1]]).tolist() == [[73.0]]


def test_a_bad_row_is_named_whatever_the_array():
    bits = bfloat16_bits(QUERIES)
    bits[4, 2] = 0x7FC0
    with pytest.raises(ValueError, match="NaN or infinity in row 4 of queries"):
        gpurec.score_top_k(ExportedBfloat16(bits), ITEMS, 1)


def test_the_example_of_the_page_runs(tmp_path):
    library("torch")
    page = Path(__file__).parents[2] / "docs" / "arrays.md"
    (block,) = re.findall(r"^```py\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nothing_imports_a_library_that_was_not_passed(tmp_path):
    library("torch")
    program = """
import sys, array, numpy as np, gpurec
index = gpurec.ItemIndex(np.eye(3))
found = index.search(array.array("d", [1, 2, 3]), 2, exclude=[[2]])
print(found.rows.tolist(), "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "[[1, 0]] False\n", done.stderr

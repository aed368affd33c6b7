"""`arrays`: what is refused, above all memory that the processor does not read; and tables of answers."""

from __future__ import annotations

import numpy as np
import pytest

import gpurec
from gpurec import ItemIndex, Matches, TopK
from gpurec.arrays import as_numpy, for_caller

ITEMS = np.float32([[3, 4], [0, 1], [5, 3]])


class OnDevice:
    """An array on a device; reading it would be a copy."""

    def __init__(self, device: tuple[int, int]) -> None:
        self.device = device

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **wanted):
        raise AssertionError("memory of a device was asked for")

    __array__ = __dlpack__


class OnSomeCudaDevice:
    __cuda_array_interface__ = property(lambda self: {"shape": (1, 2), "data": (0, False)})
    __array__ = OnDevice.__dlpack__


@pytest.mark.parametrize(
    ("array", "device"),
    [
        (OnDevice((2, 0)), "cuda:0"),
        (OnDevice((2, 3)), "cuda:3"),
        (OnDevice((10, 1)), "rocm:1"),
        (OnDevice((99, 0)), "device type 99:0"),
        (OnSomeCudaDevice(), "a CUDA device"),
    ],
)
def test_device_memory_is_never_copied(array, device):
    index = ItemIndex(ITEMS)
    kind = type(array).__name__
    for op, call in {
        "score": lambda: gpurec.score(array, ITEMS),
        "score_pairs": lambda: gpurec.score_pairs(ITEMS, array),
        "similarity": lambda: gpurec.similarity(array),
        "similarity_top_k": lambda: gpurec.similarity_top_k(array, 1),
        "gram_top_k": lambda: gpurec.gram_top_k(array, 1),
        "top_k": lambda: gpurec.top_k(array, 1),
        "score_top_k": lambda: gpurec.score_top_k(ITEMS, array, 1),
        "ItemIndex": lambda: ItemIndex(array),
        "search": lambda: index.search(array, 1),
        "search_above": lambda: index.search_above(array, 1.0),
        "append": lambda: index.append(array),
        "update": lambda: index.update([0], array),
        "set_boost": lambda: index.set_boost([0], array),
        "get": lambda: index.get(array),
        "ids": lambda: gpurec.IdMap(array),
    }.items():
        with pytest.raises(TypeError) as caught:
            call()
        text = str(caught.value)
        assert text.startswith(f"[{op}] expected ") and f"in host memory, got {kind} on {device}, " in text
    for name in ("exclude", "allow", "deny", "hint"):
        with pytest.raises(TypeError, match=rf"^\[search\] expected {name} in host memory"):
            index.search(ITEMS[:1], 1, **{name: [array] if name in ("exclude", "hint") else array})
    with pytest.raises(TypeError, match=r"^\[score\] expected out in host memory"):
        gpurec.score(ITEMS, ITEMS, out=array)
    assert index.version == 0


@pytest.mark.parametrize("device", [(1, 0), (3, 0), (11, 0)])
def test_pinned_memory_is_host_memory(device):
    class Pinned(OnDevice):
        def __array__(self, dtype=None, copy=None):
            return ITEMS

    assert as_numpy(Pinned(device), "items", "score") is ITEMS


def test_what_numpy_cannot_read_says_why():
    class Ragged(OnDevice):
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("no strides")

    with pytest.raises(TypeError, match=r"^\[score\] expected items as an array .* got Ragged: no strides$"):
        gpurec.score(ITEMS, Ragged((1, 0)))


def test_numpy_is_neither_wrapped_nor_copied():
    assert as_numpy(ITEMS, "items", "score") is ITEMS
    assert for_caller(ITEMS, ITEMS)[0] is for_caller([1], ITEMS)[0] is ITEMS
    assert type(as_numpy(np.ma.masked_array(ITEMS), "items", "score")) is np.ndarray


def test_table_of_an_answer_leaves_missing_places_out():
    found = ItemIndex(ITEMS).search([[1, 2], [1, 0]], 3, exclude=[[1, 2], []])
    expected = [
        {"query": 0, "row": 0, "score": 11.0, "rank": 1},
        {"query": 1, "row": 2, "score": 5.0, "rank": 1},
        {"query": 1, "row": 0, "score": 3.0, "rank": 2},
        {"query": 1, "row": 1, "score": 0.0, "rank": 3},
    ]
    assert found.to_dicts() == expected
    polars, pandas = pytest.importorskip("polars"), pytest.importorskip("pandas")
    frame = found.to_polars()
    assert frame.to_dicts() == expected
    assert frame.schema == {
        "query": polars.Int64,
        "row": polars.Int64,
        "score": polars.Float32,
        "rank": polars.Int64,
    }
    assert isinstance(found.to_pandas(), pandas.DataFrame)
    assert found.to_pandas().to_dict("records") == expected
    rows, scores = found  # it is still a pair
    assert rows is found.rows and scores is found.scores


@pytest.mark.parametrize("ids", [[30, 10, 20], ["c", "a", "b"], [1, "1", 2]])
def test_table_of_an_answer_with_ids(ids):
    index = ItemIndex(ITEMS, ids=ids)
    found = index.search_ids([ids[0], ids[1]], 9)
    expected = [
        {"query": 0, "item_id": ids[2], "score": 27.0, "rank": 1},
        {"query": 0, "item_id": ids[1], "score": 4.0, "rank": 2},
        {"query": 1, "item_id": ids[0], "score": 4.0, "rank": 1},
        {"query": 1, "item_id": ids[2], "score": 3.0, "rank": 2},
    ]
    assert found.to_dicts() == expected
    in_polars, in_pandas = found.to_polars()["item_id"], found.to_pandas()["item_id"]
    assert in_polars.to_list() == in_pandas.tolist() == [row["item_id"] for row in expected]
    assert (in_pandas.dtype == np.int64) is all(type(key) is int for key in ids)


def test_table_of_matches():
    found = ItemIndex(ITEMS, ids=["a", "b", "c"]).search_above([[1, 0], [0, -1], [0, 1]], 2.0)
    assert found.to_dicts() == [
        {"query": 0, "item_id": "c", "score": 5.0, "rank": 1},
        {"query": 0, "item_id": "a", "score": 3.0, "rank": 2},
        {"query": 2, "item_id": "a", "score": 4.0, "rank": 1},
        {"query": 2, "item_id": "c", "score": 3.0, "rank": 2},
    ]


def test_empty_tables():
    nothing = TopK(np.empty((0, 3), np.int64), np.empty((0, 3), np.float32))
    assert nothing.to_dicts() == [] and list(nothing.to_pandas()) == ["query", "row", "score", "rank"]
    ids = np.full((1, 1), None, object)
    padding = TopK(np.array([[-1]]), np.float32([[-np.inf]]), 0, ids)
    assert padding.to_dicts() == [] and padding.to_polars().columns == ["query", "item_id", "score", "rank"]
    assert Matches(np.zeros(3, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)).to_dicts() == []

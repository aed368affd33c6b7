"""External ids in an artefact: every kind comes back with its type, and what does not fit is refused."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpurec import artifacts
from gpurec.artifacts import ids_from_tensors, ids_to_tensors
from gpurec.errors import ArtifactError
from gpurec.types import IdMap

TEXT = st.text(st.characters(codec=None))  # lone surrogates too
SCALARS = (
    st.integers(-(2**70), 2**70) | TEXT | st.floats(allow_nan=False) | st.booleans() | st.none() | st.binary()
)
IDS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=5)


def typed(value: object) -> object:
    """The value with its types, since Python takes 1, 1.0 and True for equal."""
    if isinstance(value, tuple):
        return [typed(part) for part in value]
    return (type(value), value.hex() if isinstance(value, float) else value)


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), unique=True)
    | st.lists(TEXT, unique=True)
    | st.lists(IDS, unique_by=lambda value: repr(value + 0.0 if type(value) is float else value))
)
def test_ids_come_back_with_their_types(values: list) -> None:
    try:
        ids = IdMap(values)
    except ValueError:  # tuples that Python takes for equal
        return
    tensors, meta = ids_to_tensors("item_ids", ids)
    back = ids_from_tensors("item_ids", tensors, meta)
    assert [typed(i) for i in back] == [typed(i) for i in ids]


@pytest.mark.parametrize(
    ("values", "encoding", "names"),
    [
        ([], "int64", ["item_ids.int64"]),
        ([3, -(2**63), 2**63 - 1], "int64", ["item_ids.int64"]),
        (["", "ü", "\x00", "\ud83d\ude00"], "str", ["item_ids.text", "item_ids.offsets"]),
        ([2**63], "typed", ["item_ids.text", "item_ids.offsets"]),
        ([1, "1", 1.5, True, None, b"\xff", ("a", (2, None)), -0.0, float("inf"), 10**5000], "typed", None),
    ],
)
def test_the_smallest_encoding_is_chosen(tmp_path: Path, values: list, encoding: str, names: list) -> None:
    tensors, meta = ids_to_tensors("item_ids", IdMap(values))
    assert meta == {"item_ids": {"encoding": encoding}}
    assert names is None or list(tensors) == names
    artifacts.write_artifact(tmp_path, "ids", tensors, meta)
    for mmap in (False, True):
        artifact = artifacts.read_artifact(tmp_path, "ids", mmap=mmap)
        back = list(ids_from_tensors("item_ids", artifact.tensors, artifact.meta))
        assert [typed(i) for i in back] == [typed(i) for i in values]


def test_two_maps_lie_in_one_artifact(tmp_path: Path) -> None:
    users, items = IdMap(["a", "b"]), IdMap(np.array([5, 3]))
    user_tensors, user_meta = ids_to_tensors("user_ids", users)
    item_tensors, item_meta = ids_to_tensors("item_ids", items)
    artifacts.write_artifact(tmp_path, "mf", {**user_tensors, **item_tensors}, {**user_meta, **item_meta})
    artifact = artifacts.read_artifact(tmp_path, "mf")
    assert list(ids_from_tensors("user_ids", artifact.tensors, artifact.meta)) == ["a", "b"]
    assert list(ids_from_tensors("item_ids", artifact.tensors, artifact.meta)) == [5, 3]


def nested(depth: int) -> tuple:
    return (nested(depth - 1),) if depth else (1,)


@pytest.mark.parametrize(
    ("value", "kind"),
    [(datetime.date(2020, 1, 2), "date"), (("a", frozenset([1])), "frozenset"), (nested(20), "tuple")],
)
def test_other_types_are_refused_by_name(value: object, kind: str) -> None:
    with pytest.raises(ArtifactError, match=f"part of type {kind}"):
        ids_to_tensors("item_ids", IdMap(["a", value]))


def text(*parts: bytes) -> dict[str, np.ndarray]:
    offsets = np.cumsum([0] + [len(part) for part in parts])
    return {"i.text": np.frombuffer(b"".join(parts), np.uint8), "i.offsets": offsets.astype(np.int64)}


@pytest.mark.parametrize(
    ("tensors", "encoding", "words"),
    [
        ({}, "int64", "i.int64"),
        ({"i.int64": np.zeros(2, np.int32)}, "int64", "int64"),
        ({"i.int64": np.zeros((2, 1), np.int64)}, "int64", "int64"),
        ({"i.int64": np.zeros(2, np.int64)}, "int64", "once"),
        ({"i.int64": np.zeros(2, np.int64)}, "int32", "encoding"),
        ({"i.int64": np.zeros(2, np.int64)}, ["int64"], "encoding"),
        (text(b"a", b"\xff"), "str", "decode"),
        (text(b"a", b"a"), "str", "once"),
        ({**text(b"ab"), "i.offsets": np.array([], np.int64)}, "str", "ascend"),
        ({**text(b"ab"), "i.offsets": np.array([0, 1], np.int64)}, "str", "ascend"),
        ({**text(b"ab"), "i.offsets": np.array([0, 2, 1, 2], np.int64)}, "str", "ascend"),
        ({**text(b"ab"), "i.offsets": np.array([-1, 2], np.int64)}, "str", "ascend"),
        (text(b"["), "typed", "Expecting"),
        (text(b"[" * 100_000), "typed", "recursion"),
        (text(b'["tuple",' * 20 + b"[]" + b"]" * 20), "typed", "type"),
        (text(b'["tuple",[' * 20 + b"]]" * 20), "typed", "without a type"),
        (text(b'["int","zz"]'), "typed", "zz"),
        (text(b'["int",1]'), "typed", "unknown type"),
        (text(b'["bool",1]'), "typed", "unknown type"),
        (text(b'["none",1]'), "typed", "unknown type"),
        (text(b'["set",[]]'), "typed", "unknown type"),
        (text(b"{}"), "typed", "without a type"),
        (text(b'["int","0x1"]', b'["int","0x01"]'), "typed", "once"),
    ],
)
def test_hostile_ids_are_refused(tensors: dict, encoding: object, words: str) -> None:
    with pytest.raises(ArtifactError, match=words):
        ids_from_tensors("i", tensors, {"i": {"encoding": encoding}})


def test_missing_settings_are_refused() -> None:
    for meta in ({}, {"i": None}, {"i": []}):
        with pytest.raises(ArtifactError, match="encoding"):
            ids_from_tensors("i", {}, meta)

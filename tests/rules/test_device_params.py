"""Host and kernels agree on what kernels are told: params.py mirrors params.hpp field by field."""

from __future__ import annotations

import ctypes
import re

import pytest

from gpurec.backends.cuda import params

from .tree import ROOT

HEADER = re.sub(r"//[^\n]*", "", (ROOT / "csrc" / "cuda" / "device" / "params.hpp").read_text())
STRUCTS = dict(re.findall(r"^struct (\w+) \{\n(.*?)^\};", HEADER, re.MULTILINE | re.DOTALL))


def constant(name: str) -> int:
    return int(re.search(rf"\b{name} = (0x[0-9a-f]+|\d+)", HEADER)[1], 0)


def fields_of_header(name: str) -> list[tuple[str, str]]:
    """(kind, name) of each field; an array of structs has its length in its kind."""
    found = []
    for declaration in STRUCTS[name].split(";"):
        text = " ".join(declaration.split())
        if text:
            kind, field, length = re.fullmatch(r"(.*?[\s*])(\w+)(?:\[(\w+)\])?", text).groups()
            kind = "pointer" if "*" in kind else kind.strip().removeprefix("std::")
            found.append((f"{kind} x {constant(length)}" if length else kind, field))
    return found


def kind_of(field: type) -> str:
    if issubclass(field, ctypes.Array):
        return f"{field._type_.__name__} x {field._length_}"
    names = {ctypes.c_uint64: "pointer", ctypes.c_int64: "int64_t", ctypes.c_double: "double"}
    return names.get(field, field.__name__)


@pytest.mark.parametrize("name", STRUCTS)
def test_structs(name: str) -> None:
    mirror = getattr(params, name)
    assert [(kind_of(kind), field) for field, kind in mirror._fields_] == fields_of_header(name)
    sizes = [ctypes.sizeof(kind) for _, kind in mirror._fields_]
    assert ctypes.sizeof(mirror) == sum(sizes) and all(size % 8 == 0 for size in sizes)


def test_constants() -> None:
    assert constant("kNoRow") == params.NO_ROW
    assert 1 << constant("kTileBits") == params.TILE_ITEMS
    assert constant("kMostDenied") == params.MOST_DENIED
    assert constant("kQueryNotFinite") == params.QUERY_NOT_FINITE
    assert constant("kRowOutOfRange") == params.ROW_OUT_OF_RANGE


def test_shared_memory() -> None:
    sizes = set(re.findall(r"\bk\w*Bytes\w*", HEADER))
    assert len(sizes) == 8
    for name in sizes:
        assert constant(name) == getattr(params, re.sub(r"(?<!^)([A-Z])", r"_\1", name[1:]).upper()), name


def test_counters() -> None:
    listed = re.search(r"enum Counter \{(.*?)\}", HEADER, re.DOTALL)[1]
    names = re.findall(r"\bk(\w+) = (\d+)", listed)
    expected = [re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower() for name, _ in names]
    assert expected == [*params.COUNTERS, "counters"]
    assert [int(number) for _, number in names] == [*range(len(params.COUNTERS)), params.N_COUNTERS]


def test_metrics() -> None:
    views = (ROOT / "csrc" / "include" / "gpurec" / "views.hpp").read_text()
    names = re.search(r"enum class Metric \{(.*?)\}", views)[1].replace(" ", "").split(",")
    assert {name: number for number, name in enumerate(names)} == params.METRIC_NUMBERS

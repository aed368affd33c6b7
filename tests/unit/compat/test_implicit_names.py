"""The table of implicit's names, the code, and implicit itself, where it is installed, say the same."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

PAGE = Path(__file__).parents[3] / "docs" / "models" / "implicit.md"
ROW = re.compile(r"^\| `([\w.]+)` \| (?:`(.*?)`)? ?\| (yes|no) \| (.*?) ?\|$", re.MULTILINE)
TABLE = [
    (name, arguments, here == "yes", why) for name, arguments, here, why in ROW.findall(PAGE.read_text())
]
# Whose argument has another name in the base class than in the models.
BASE_SAVE = "recommender_base.RecommenderBase.save"


def arguments_of(thing: Any) -> str:
    """The arguments of a function or class as text, without annotations, `self` and `cls`."""
    parts, has_star = [], False
    for parameter in inspect.signature(thing).parameters.values():
        text = parameter.name
        if parameter.kind is parameter.VAR_POSITIONAL:
            text, has_star = "*" + text, True
        elif parameter.kind is parameter.VAR_KEYWORD:
            text = "**" + text
        elif parameter.kind is parameter.KEYWORD_ONLY and not has_star:
            parts.append("*")
            has_star = True
        default = parameter.default
        if default is not parameter.empty:
            text += "=" + (f"numpy.{default.__name__}" if inspect.isclass(default) else repr(default))
        if text not in ("self", "cls"):
            parts.append(text)
    return f"({', '.join(parts)})"


def resolve(package: str, name: str) -> Any:
    """What a dotted name stands for, or None."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join([package, *parts[:length]]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if inspect.isclass(found):
                found = inspect.getattr_static(found, part, None) and getattr(found, part)
            else:
                found = getattr(found, part, None)
            if found is None:
                return None
        return found
    return None


def test_there_is_a_table() -> None:
    names = [name for name, *_ in TABLE]
    assert len(names) > 90 and len(set(names)) == len(names)
    assert len(names) == PAGE.read_text().split("## Every name")[1].count("\n| `"), "every row is understood"


@pytest.mark.parametrize("name, arguments, here, why", TABLE, ids=[row[0] for row in TABLE])
def test_a_name(name: str, arguments: str, here: bool, why: str) -> None:
    found = resolve("gpurec.compat.implicit", name)
    if not here:
        assert found is None and why, "a name that is missing says why"
        return
    assert found is not None
    if not isinstance(found, property):
        assert inspect.getdoc(found)
    if arguments and name != "ann.nmslib.NMSLibModel":  # which swallows any further keyword in implicit
        assert arguments_of(found) == arguments


def own_names(module: ModuleType) -> list[str]:
    """Public functions and classes of a module and what the classes define themselves."""
    names = []
    for name, thing in vars(module).items():
        if name.startswith("_") or not callable(thing) or getattr(thing, "__module__", "") != module.__name__:
            continue
        names.append(name)
        if inspect.isclass(thing) and not issubclass(thing, BaseException):
            members = vars(thing).items()
            names += [
                f"{name}.{member}"
                for member, value in members
                if not member.startswith("_")
                and (callable(getattr(thing, member)) or isinstance(value, property))
            ]
    return names


MODULES = [
    "als",
    "approximate_als",
    "bpr",
    "lmf",
    "nearest_neighbours",
    "evaluation",
    "utils",
    "recommender_base",
]
MODULES += ["cpu.als", "cpu.bpr", "cpu.lmf", "cpu.matrix_factorization_base", "cpu.topk"]


@pytest.mark.parametrize("module", MODULES)
def test_implicit_itself(module: str) -> None:
    implicit = pytest.importorskip(
        "implicit", reason="implicit is not in the test extra; see .ci/full rectools"
    )
    assert implicit.__version__.startswith("0.7.")
    listed = {name: arguments for name, arguments, *_ in TABLE}
    for name in own_names(importlib.import_module(f"implicit.{module}")):
        full = f"{module}.{name}"
        assert full in listed
        if listed[full] and full != BASE_SAVE:
            assert arguments_of(resolve("implicit", full)) == listed[full]


def test_default_dtypes_are_numpys() -> None:
    assert arguments_of(lambda x, dtype=np.float32, *, y=None: x) == "(x, dtype=numpy.float32, *, y=None)"

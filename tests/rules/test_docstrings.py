"""Public names are documented, and every example in a docstring or the README runs."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import gpurec
from gpurec import MissingExtraError

from .tree import files, name

MODULES = ["gpurec", *(found.name for found in pkgutil.walk_packages(gpurec.__path__, "gpurec."))]
MODULES = [module for module in MODULES if not module.startswith("gpurec._native.")]
# Classes of another library are their bases.
BEHIND_AN_EXTRA = {"gpurec.compat.rectools.model"}


def loaded_module(module: str) -> ModuleType:
    """A module; a test of one that stands on a library outside the test extra skips, and says so."""
    try:
        return importlib.import_module(module)
    except MissingExtraError as error:
        assert module in BEHIND_AN_EXTRA, error
        pytest.skip(str(error))


def exported(module: ModuleType) -> dict[str, object]:
    return {public: getattr(module, public) for public in getattr(module, "__all__", ())}


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_documented(module: str) -> None:
    loaded = loaded_module(module)
    assert loaded.__doc__, f"{module} has no docstring"
    for public, thing in exported(loaded).items():
        if not inspect.isclass(thing) and not inspect.isfunction(thing):
            continue
        assert inspect.getdoc(thing), f"{module}.{public} has no docstring"


@pytest.mark.parametrize("public", getattr(gpurec, "__all__", ()))
def test_names_of_the_package_have_sections_and_an_example(public: str) -> None:
    thing = getattr(gpurec, public)
    if isinstance(thing, ModuleType) or not (inspect.isclass(thing) or inspect.isfunction(thing)):
        return
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return
    text = inspect.getdoc(thing) or ""
    summary, _, rest = text.partition("\n")
    assert summary.endswith("."), "the first line is one sentence"
    assert not rest or rest.startswith("\n"), "a blank line follows the first"
    sections = set(re.findall(r"^(\w[\w ]*)\n-+$", text, re.MULTILINE))
    parameters = list(inspect.signature(thing).parameters)
    if parameters:
        assert sections & {"Parameters", "Attributes"}
    assert "Examples" in sections
    for member, method in vars(thing).items():
        if inspect.isfunction(method) and not member.startswith("_"):
            assert inspect.getdoc(method), f"{public}.{member} has no docstring"


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings_run(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = loaded_module(module)
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(loaded, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert result.failed == 0


TEXTS = [path for path in files() if path.suffix == ".md"]


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_python_blocks_in_documents_run(path: Path, tmp_path: Path) -> None:
    """The blocks of a document are one program; in blocks with prompts the output must be the shown one."""
    blocks = re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
    shown = [block for block in blocks if block.lstrip().startswith(">>>")]
    plain = [block for block in blocks if block not in shown]
    (tmp_path / "shown.txt").write_text("\n".join(shown))
    (tmp_path / "plain.py").write_text("\n".join(plain))
    for program in (["-m", "doctest", "shown.txt"], ["plain.py"]):
        done = subprocess.run([sys.executable, *program], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{name(path)}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_links_in_documents_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", path.read_text())
    assert [target for target in targets if not (path.parent / target).exists()] == []

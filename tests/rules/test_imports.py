"""Who may import whom: the layers, and which module may touch which package from outside."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .tree import PACKAGE, ROOT, code, name

BASE = {"numpy", "scipy", "safetensors", "gpurec"}
# Where a package may appear at all, even by `import_extra`.
OWNERS = {
    "cupy": r"backends/cupy/.*",
    "torch": r"models/neural.*",
    "ray": r"distributed/.*",
    "typer": r"cli/.*",
}
# Modules that are only imported after their package's __init__ has asked for the extra.
BEHIND_AN_EXTRA = r"cli/(?!__init__).*"


def test_layers() -> None:
    linter = shutil.which(
        "lint-imports", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    assert linter, "lint-imports is missing; do: pip install '.[test]'"
    # The source tree, whichever copy of the package is installed.
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    done = subprocess.run(
        [linter, "--config", ROOT / "pyproject.toml", "--no-cache"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken", done.stdout), done.stdout


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(top-level package, how) of every import from outside; how is "static", "extra" or "typing"."""
    typing_only: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            typing_only.update(inner for statement in node.body for inner in ast.walk(statement))
    for node in ast.walk(tree):
        how = "typing" if node in typing_only else "static"
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], how) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0], how
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func).rpartition(".")[2]
            if called in ("import_extra", "import_module") and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value).partition(".")[0], "extra"


@pytest.mark.parametrize("path", code(PACKAGE), ids=name)
def test_packages_from_outside(path: Path) -> None:
    inside = path.relative_to(PACKAGE).as_posix()
    for package, how in imported(ast.parse(path.read_text())):
        owner = OWNERS.get(package)
        assert owner is None or re.fullmatch(owner, inside), f"{package} belongs in {owner}"
        if how == "static" and package not in sys.stdlib_module_names | BASE:
            assert re.fullmatch(BEHIND_AN_EXTRA, inside), f"import {package} with errors.import_extra"


def test_every_extra_exists() -> None:
    tomllib = pytest.importorskip("tomllib", reason="the standard library reads TOML from Python 3.11 on")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {
        ast.literal_eval(node.args[1])
        for path in code(PACKAGE)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("import_extra")
        and len(node.args) == 2
        and isinstance(node.args[1], ast.Constant)
    }
    assert asked and asked <= set(project["optional-dependencies"])


@pytest.mark.parametrize("path", [path for path in code() if path.suffix == ".py"], ids=name)
def test_nothing_runs_what_it_reads(path: Path) -> None:
    """No pickle and the like anywhere, and no `eval` or `exec` in the package."""
    tree = ast.parse(path.read_text())
    unpicklers = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
    assert not unpicklers & {package for package, _ in imported(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert ast.unparse(node.value) == "False"
        if isinstance(node, ast.Call) and path.is_relative_to(PACKAGE):
            assert ast.unparse(node.func) not in ("eval", "exec", "np.load", "numpy.load", "torch.load")

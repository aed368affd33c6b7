"""The files that the rules are about: everything in the project but what tools make."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "gpurec"
CODE = {".py", ".pyi", ".cpp", ".hpp", ".cu", ".cuh"}

_MADE_BY_TOOLS = {"build", "dist", "node_modules", "__pycache__"}


def _walk(folder: Path) -> Iterator[Path]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        hidden = entry.name.startswith(".") and entry.name not in (".ci", ".gitignore")
        if hidden or entry.name in _MADE_BY_TOOLS or entry.name.endswith((".egg-info", ".so", ".pyc")):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))
        else:
            yield Path(entry.path)


@cache
def files() -> tuple[Path, ...]:
    """All files of the project."""
    return tuple(_walk(ROOT))


def code(under: Path = ROOT) -> list[Path]:
    """Python, C++ and CUDA sources in a folder of the project."""
    return [path for path in files() if path.suffix in CODE and path.is_relative_to(under)]


def name(path: Path) -> str:
    """A path as it is called in the project."""
    return path.relative_to(ROOT).as_posix()

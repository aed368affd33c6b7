"""Words and flags that must not appear, and names that files must not have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .tree import CODE, ROOT, files, name

BINARY = {".png", ".npy", ".safetensors", ".parquet", ".gz"}
TEXTS = [path for path in files() if path.suffix not in BINARY and path != Path(__file__)]
BUILT = [
    p for p in TEXTS if p.suffix in CODE | {".toml", ".cmake"} or p.name in ("CMakeLists.txt", "justfile")
]
BUILT += [path for path in TEXTS if path.parent.name == ".ci"]

FLAGS = [
    "-ffast-math",
    "-Ofast",
    "-funsafe-math",
    "-march=native",
    "-mtune=native",
    "--use_fast_math",
    "-ftz=true",
]
# The project speaks of itself alone: not of a machine, a tracker, or a tool around it.
WORDS = {
    "a path of one machine": r"(?<![\w.])/(work|home|root)/",
    "a package registry": r"\b(pypi\.org|pythonhosted\.org|registry\.npmjs|crates\.io)\b",
    "a number in a tracker": r"(?:^|[\s(\[])#\d{1,5}\b",
    "an e-mail address": r"\b[\w.+-]+@[\w-]+\.[a-z]{2,}\b",
    "a word of the workplace": r"\bsessions?\b(?!\")|\bfarm-|\bCEO\b",
}
# From the glossary: the names on the right of its table, and names that say nothing.
NOT_NAMES = {"util", "utils", "helper", "helpers", "common", "manager", "misc", "idx", "labels", "customer"}
NOT_NAMES |= {
    "customers",
    "product",
    "products",
    "events",
    "attributes",
    "catalog",
    "store",
    "engine",
    "topn",
}
NOT_NAMES |= {"infer", "distances"}
# Whose modules have the names of those that they stand for.
OTHERS_NAMES = "python/gpurec/compat/"


@pytest.mark.parametrize("path", BUILT, ids=name)
def test_no_flag_that_changes_results(path: Path) -> None:
    text = path.read_text()
    assert [flag for flag in FLAGS if flag in text] == []


@pytest.mark.parametrize("what", WORDS)
def test_no_forbidden_word(what: str) -> None:
    found = [
        f"{name(path)}:{number}: {line.strip()[:100]}"
        for path in TEXTS
        if path.name != "LICENSE"
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if re.search(WORDS[what], line)
    ]
    assert found == []


def test_file_names() -> None:
    folders = {parent for path in files() for parent in path.relative_to(ROOT).parents}
    names = [path for path in files() if not name(path).startswith(OTHERS_NAMES)]
    names += [ROOT / folder for folder in folders]
    assert [name(path) for path in names if NOT_NAMES & set(re.split(r"[_.-]", path.name.lower()))] == []

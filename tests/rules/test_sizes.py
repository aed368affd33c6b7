"""Files of at most 400 lines, folders of at most 12 entries; each exception has its reason."""

from __future__ import annotations

from collections import defaultdict

from .tree import CODE, ROOT, files, name

MAX_LINES = 400
MAX_ENTRIES = 12

LONG_FILES = {
    "csrc/include/gpurec/bounds.hpp": "every error bound stands in this one file, so that none is elsewhere"
}
FULL_FOLDERS = {
    ".": "what tools look for in the root of a project",
    "bench": "one script for each op or promise that is measured",
    "bench/results": "what each benchmark measured, as JSON and as Markdown",
    "csrc/bindings": "one file for the entries of each op, and what they share",
    "csrc/cpu": "a header and a source for each op; the kernels have folders",
    "docs/ops": "one page for each op",
    "csrc/cuda/device": "one file for each family of kernels, and what they share",
    "docs/design": "one page for each decision, and what programs write of planted defects and of kernels",
    "csrc/include/gpurec": "one header for each op and kernel, none of which fits anywhere else",
    "python/gpurec": "one package for each layer",
    "python/gpurec/backends": "what backends share lies beside them",
    "python/gpurec/backends/cuda": "one module for each thing that a device is asked for",
    "python/gpurec/ops": "one module for each op, and the forms that their arguments may have",
    "tests/conformance": "one file for each promise that every member keeps",
    "tests/gpu": "one file for each promise of kernels, their emulator and the host beside them",
    "tests/system": "one file for each command, and what programs of the project do as a whole",
    "tests/unit": "one file for each module under test",
}


def test_files_are_short() -> None:
    scripts = [path for path in files() if path.suffix in CODE or path.parent.name == ".ci"]
    lengths = {name(path): len(path.read_text().splitlines()) for path in scripts}
    long = {path for path, length in lengths.items() if length > MAX_LINES}
    assert {path: lengths[path] for path in long - LONG_FILES.keys()} == {}
    assert LONG_FILES.keys() - long == set(), "exceptions that are no longer needed"


def test_folders_are_small() -> None:
    entries: defaultdict[str, set[str]] = defaultdict(set)
    for path in files():
        for inner in [path, *path.parents]:
            if inner == ROOT:
                break
            entries[name(inner.parent)].add(inner.name)
    full = {folder: len(names) for folder, names in entries.items() if len(names) > MAX_ENTRIES}
    assert {folder: count for folder, count in full.items() if folder not in FULL_FOLDERS} == {}

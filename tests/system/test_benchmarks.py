"""The benchmarks run, in small, and put what they measured on one page."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"
GRIDS = ("score_top_k", "large_k", "gowalla", "gowalla_bpr", "item_kinds")
OURS = {"gpurec", "gpurec-fp32", "gpurec-int8", "gpurec-one-shot"}


@pytest.fixture(scope="module")
def results(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of what one command measured."""
    if platform.machine() != "x86_64" or shutil.which("g++") is None:
        pytest.skip("the limits of the machine are measured by g++ on x86-64")
    folder = tmp_path_factory.mktemp("results")
    done = subprocess.run(
        [sys.executable, BENCH / "page.py", "--measure", "--quick", "--out", folder],
        env={**os.environ, "GPUREC_DATA": str(data_folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def read(results: Path, name: str) -> dict[str, Any]:
    return json.loads((results / f"{name}.json").read_text())


def cells(results: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    tables = [table for grid in GRIDS for table in read(results, grid)["tables"]]
    return [(table, cell) for table in tables for cell in table["cells"]]


def test_every_answer_is_checked(results: Path) -> None:
    jobs = [cell["contenders"] for _, cell in cells(results)]
    jobs += [job["contenders"] for job in read(results, "filters")["jobs"].values()]
    jobs.append(read(results, "recommend")["contenders"])
    assert len(jobs) == 17
    for contenders in jobs:
        ours = OURS & contenders.keys()
        assert {"gpurec", "gpurec-fp32"} <= ours
        assert [contenders[name]["recall"] for name in ours] == [1.0] * len(ours)
        assert [contenders[name]["agreement"] for name in ours] == [1.0] * len(ours)
        assert all(contenders[name]["agreement"] >= 0.998 for name in contenders.keys() - ours)


def test_each_cell_has_times_ratios_and_a_fraction(results: Path) -> None:
    for _, cell in cells(results):
        assert cell["contenders"].keys() == OURS | {"numpy-here"}
        assert all(found["ms"]["low"] > 0 for found in cell["contenders"].values())
        assert cell["contenders"]["numpy-here"]["gpurec_to_it"]["median"] > 0
        assert cell["limits"]["gpurec"]["fraction"]["median"] > 0
        assert cell["int8_to_float32"]["median"] > 0


def test_memory_is_told_in_both_precisions(results: Path) -> None:
    for table, _ in cells(results):
        n_components = table["n_items"] * table["d"]
        assert table["n_bytes"]["gpurec-fp32"] >= 4 * n_components
        assert table["n_bytes"]["gpurec-int8"] >= 5 * n_components
    held = read(results, "overhead")["held"]
    assert [line["precision"] for line in held] == ["fp32", "int8"]


def test_the_page_has_a_row_for_every_cell(results: Path) -> None:
    page = (results / "README.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and "| numpy-here |" in line]
    assert len(rows) == len(cells(results)) + 3  # two jobs with filters, and everyone's best items
    assert [line.split(" | ")[0] for line in rows if "tied" in line] == ["| tied 4,000 x 32"] * 2
    assert "Smallest recall of all: 1.000." in page


def test_a_page_needs_all_results(results: Path, tmp_path: Path) -> None:
    for file in results.glob("*.json"):
        shutil.copy(file, tmp_path)
    (tmp_path / "gowalla.json").unlink()
    command = [sys.executable, BENCH / "page.py", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("[page] expected all results in their present form, got no")
    assert not (tmp_path / "README.md").exists()


def test_each_shortcut_is_measured_and_changes_no_answer() -> None:
    command = [sys.executable, BENCH / "bench_pruning.py", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr  # it compares the answers itself
    rows = [
        line for line in done.stdout.splitlines() if line.startswith(("| steep 70,000", "| normal 4,000"))
    ]
    assert len(rows) == 4 + 2 * 5
    by_directions = next(line for line in rows if "head, norms, directions" in line).split(" | ")[2]
    assert float(by_directions.removesuffix(" %")) > 0

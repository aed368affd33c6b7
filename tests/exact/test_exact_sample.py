"""A sample of the comparison whose whole runs in `.ci/full exact`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

DRIVER = Path(__file__).with_name("search_exactly.py")


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, DRIVER, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_no_search_differs() -> None:
    said = run("--searches", "6000", "--seed", "1")
    searches, differences = re.search(r"^(\d+) searches .*: (\d+) differences$", said, re.MULTILINE).groups()
    assert int(searches) >= 6000 and differences == "0"
    for dimension, kinds in {
        "metric": ("dot", "cosine", "pearson", "euclidean"),
        "precision": ("auto", "bf16", "fp32", "int4", "int8"),
        "pruning": (
            "auto",
            "directions",
            "head",
            "head_norms_directions",
            "none",
            "norms",
            "norms_directions",
        ),
        "way": ("score_top_k", "search", "search_above"),
        "after": ("append", "build", "compact", "load", "map", "remove", "update"),
        "filter": ("allow", "deny", "exclude", "none"),
        "threads": ("1", "2", "3", "7"),
    }.items():
        counted = dict(re.findall(r"(\w+) (\d+)", re.search(rf"^{dimension}: (.*)$", said, re.MULTILINE)[1]))
        assert set(counted) == set(kinds) and min(map(int, counted.values())) > 0


def test_parts_share_no_round() -> None:
    """Both halves of a run are searched, and a part of none is refused."""
    first, second = (run("--searches", "200", "--part", part, "--jobs", "1") for part in ("1/2", "2/2"))
    tables = [set(re.search(r"^table: (.*)$", said, re.MULTILINE)[1].split(", ")) for said in (first, second)]
    assert tables[0] and tables[1] and not tables[0] & tables[1]
    refused = subprocess.run(
        [sys.executable, DRIVER, "--part", "3/2"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2 and "expected --part i/n" in refused.stderr

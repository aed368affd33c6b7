"""A sample of every fuzz driver; the whole of each runs in `.ci/full fuzz`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

N = 200


def test_mutated_artifacts() -> None:
    driver = Path(__file__).with_name("fuzz_artifacts.py")
    done = subprocess.run(
        [sys.executable, driver, "--n", str(N), "--seed", "1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{N} mutants (seed 1), each read 3 ways" in done.stdout


def test_mutated_indexes() -> None:
    driver = Path(__file__).with_name("fuzz_indexes.py")
    done = subprocess.run(
        [sys.executable, driver, "--n", str(N), "--seed", "1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{N} mutants (seed 1)" in done.stdout

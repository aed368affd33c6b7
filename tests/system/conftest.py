"""Models that several tests of the command line ask, fitted once."""

from __future__ import annotations

from pathlib import Path

import pytest

from .command import run_process, write_ratings


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds ratings.csv and `model`, a small mf that `gpurec fit` has saved."""
    folder = tmp_path_factory.mktemp("command_line")
    write_ratings(folder / "ratings.csv")
    settings = ["--set", "n_factors=4", "--set", "max_epochs=5"]
    done = run_process("fit", "ratings.csv", "--model", "mf", "--out", "model", *settings, folder=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    first = "fitted mf on 72 interactions of 12 users and 9 items in "
    assert done.stdout.startswith(first) and done.stdout.endswith(" s; saved as model\n")
    return folder

"""Runs `gpurec` as a user does: a process of its own, or in this one where a start-up would cost too much."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpurec.cli import main

# A narrow window and a wish for colour, which must mean nothing where no terminal is.
ENVIRONMENT = {
    **os.environ,
    "COLUMNS": "40",
    "TERM": "xterm-256color",
    "FORCE_COLOR": "1",
    "PYTHONIOENCODING": "utf-8",
}


def run_process(
    *arguments: str | Path, folder: Path, program: str | None = None, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command, or with `program` a Python text that gets the arguments, from a folder."""
    start = ["-m", "gpurec.cli"] if program is None else ["-c", program]
    return subprocess.run(
        [sys.executable, *start, *map(str, arguments)],
        cwd=folder,
        env=ENVIRONMENT,
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=300,
    )


def run_here(*arguments: str | Path) -> int:
    """Run the command in this process and give its exit code; the output is for `capsys`."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def write_ratings(path: Path, n_users: int = 12, n_items: int = 9) -> Path:
    """A csv file in which user u has rated every item i but those with (u + i) % 3 == 0."""
    lines = [
        f"{user},{item},{(2 * user + item // 10) % 5 + 1}"
        for user in range(1, n_users + 1)
        for item in range(10, 10 * n_items + 1, 10)
        if (user + item) % 3
    ]
    path.write_text("\n".join(["user_id,item_id,rating", *lines]) + "\n")
    return path

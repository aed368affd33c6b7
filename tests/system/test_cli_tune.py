"""`gpurec tune`: what it prints and writes, what it never reads, and what a kill leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gpurec
from gpurec.models import load_model
from gpurec.tuning import JOURNAL, Validation, Whole, space_of, tune

from .command import ENVIRONMENT, run_here, run_process

MF = ["--model", "mf", "--set", "max_epochs=8", "--set", "n_factors=3"]
WALKS = ["--model", "rp3beta", "--metric", "ndcg@4", "--search", "n_neighbours=3:40:log"]


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> gpurec.data.Split:
    """train.csv and test.csv of one taste, in the folder that the command runs in."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 30)) + rng.normal(size=(50, 30))
    users, items = np.nonzero(scores > 0.7)
    stars = np.clip(np.round(scores[users, items] + 1), 1, 5)
    split = gpurec.data.random_split(gpurec.Interactions.from_arrays(users, items, stars), 0.2)
    for name, part in zip(("train.csv", "test.csv"), split):
        columns = zip(part.user_ids().tolist(), part.item_ids().tolist(), part.weights.tolist())
        lines = [f"{user},{item},{stars}" for user, item, stars in columns]
        (tmp_path / name).write_text("\n".join(["user_id,item_id,rating", *lines]) + "\n")
    monkeypatch.chdir(tmp_path)
    return split


def test_json_is_the_only_output(parts: gpurec.data.Split, tmp_path: Path) -> None:
    options = ["--trials", "12", "--seed", "3", "--folds", "2", "--fraction", "0.3", "--validation", "random"]
    tested = ["--test", "test.csv", "--out", "tuned", "--json"]
    done = run_process("tune", "train.csv", *WALKS, *options, *tested, folder=tmp_path)
    assert done.returncode == 0, done.stderr  # where matplotlib may say that it looks for fonts
    found = json.loads(done.stdout)
    train = gpurec.Interactions.from_file("train.csv")
    space = space_of("rp3beta").with_ranges({"n_neighbours": Whole(3, 40, log=True)})
    validation = Validation("random", 0.3, 2, 3)
    same = tune(train, "rp3beta", trials=12, metric="ndcg@4", validation=validation, space=space, seed=3)
    assert found["best"]["settings"] == same.best.settings
    assert (found["best"]["value"], found["settings"]) == (same.best.value, same.settings)
    assert found["n_trials"] == {"complete": 12, "pruned": 0, "failed": 0}
    model = load_model("tuned/model")
    assert model.settings == same.settings and model.user_items.nnz == len(train)
    judged = gpurec.evaluate(model, gpurec.Interactions.from_file("test.csv"), k=4)
    assert found["test"] == {name: judged.mean(name) for name in found["test"]}
    assert {"ndcg@4", "recall@4"} <= set(found["test"])
    names = {path.name for path in Path("tuned").iterdir()}
    pictures = {"history.png", "slices.png", "parallel.png", "importance.png"}
    assert names == {JOURNAL, "model", "report.json", "report.md", *pictures}


def test_the_table_and_going_on(parts: gpurec.data.Split, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("tune", "train.csv", *MF, "--trials", "2", "--out", "tuned") == 0
    first = capsys.readouterr()
    lines = first.out.splitlines()
    assert lines[0] == "mf" and lines[1].startswith("what\ttrial ")
    assert lines[1].endswith(" of 2") and lines[-1] == "wrote the report and the model to tuned"
    assert first.err == "" and any(line.startswith("max_epochs\t") for line in lines)
    known = Path("tuned", JOURNAL).read_text()
    assert run_here("tune", "train.csv", *MF, "--trials", "3", "--out", "tuned") == 0
    assert Path("tuned", JOURNAL).read_text().startswith(known)
    assert capsys.readouterr().out.splitlines()[1].endswith(" of 3")
    assert run_here("tune", "train.csv", *MF, "--trials", "9", "--timeout", "1e-9", "--out", "tuned") == 0
    assert "stopped by --timeout after 3 of 9 trials" in capsys.readouterr().out
    assert run_here("tune", "test.csv", *MF, "--out", "tuned") == 2
    assert "expected to go on with the records of" in capsys.readouterr().err


def test_the_test_part_is_read_after_the_search(
    parts: gpurec.data.Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows reach no fit, and no trial is judged by them: the file is opened when all trials are over."""
    happened: list[tuple[str, set[tuple[int, int]]]] = []

    def pairs(of: gpurec.Interactions) -> set[tuple[int, int]]:
        return set(zip(of.user_ids().tolist(), of.item_ids().tolist()))

    def watched_fit(model: gpurec.RP3beta, interactions: gpurec.Interactions, **more: object) -> object:
        happened.append(("fit", pairs(interactions)))
        return fit(model, interactions, **more)

    def watched_read(cls: type, path: Path, **options: object) -> gpurec.Interactions:
        found = read.__func__(cls, path, **options)
        happened.append((str(path), pairs(found)))
        return found

    fit, read = gpurec.RP3beta.fit, gpurec.Interactions.from_file
    monkeypatch.setattr(gpurec.RP3beta, "fit", watched_fit)
    monkeypatch.setattr(gpurec.Interactions, "from_file", classmethod(watched_read))
    options = ["--trials", "4", "--folds", "2", "--test", "test.csv", "--json"]
    assert run_here("tune", "train.csv", *WALKS, *options) == 0
    names = [name for name, _ in happened]
    assert names == ["train.csv", *["fit"] * 4 * 2, "fit", "test.csv"]
    train, tested = happened[0][1], happened[-1][1]
    assert tested and not any(found & tested for _, found in happened[:-1])
    assert happened[-2][1] == train and all(found < train for _, found in happened[1:-2])


# Runs the command in forks of a process that has imported all and started no thread, and kills each after
# the seconds that its line says, or lets it end where that is -1.
RUNNER = """
import os, signal, sys, time
import matplotlib.figure, optuna, polars, typer, rich
import gpurec.cli.app, gpurec.tuning, gpurec.evaluation, gpurec.models, scipy.sparse
from gpurec.cli import main

for line in sys.stdin:
    seconds, *arguments = line.split()
    began = time.perf_counter()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(120)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            main(arguments)
        except SystemExit as ended:
            code = ended.code
        finally:
            os._exit(code)
    if float(seconds) >= 0:
        time.sleep(float(seconds))
        os.kill(child, 9)
    status = os.waitpid(child, 0)[1]
    print(os.waitstatus_to_exitcode(status), time.perf_counter() - began, flush=True)
"""


def test_killed_at_twenty_random_points_it_loses_no_trial(parts: gpurec.data.Split, tmp_path: Path) -> None:
    """The journal only grows, no line of it changes, and it ends as that of a run that nobody killed."""
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert runner.stdin is not None and runner.stdout is not None

    def run(folder: str, seconds: float) -> tuple[int, float]:
        command = ["tune", "train.csv", *MF, "--trials", "30", "--seed", "2", "--out", folder]
        print(seconds, *command, file=runner.stdin, flush=True)
        code, took = runner.stdout.readline().split()
        return int(code), float(took)

    code, whole_seconds = run("whole", -1)
    assert code == 0
    kills, known = 0, b""
    for seconds in np.random.default_rng(4).uniform(0, 0.4 * whole_seconds, 20):
        code, _ = run("killed", seconds)
        assert code in (-9, 0)
        kills += code == -9
        path = tmp_path / "killed" / JOURNAL
        found = path.read_bytes() if path.exists() else b""
        finished = found[: found.rfind(b"\n") + 1]
        assert finished.startswith(known), "a trial that was finished was lost or done again"
        known = finished
    assert kills == 20
    assert run("killed", -1)[0] == 0
    runner.stdin.close()
    assert runner.wait(30) == 0
    journals = [(tmp_path / folder / JOURNAL).read_bytes() for folder in ("whole", "killed")]
    assert journals[1].startswith(known)
    whole, killed = ([json.loads(line) for line in journal.splitlines()] for journal in journals)
    assert [trial["number"] for trial in killed[1:]] == list(range(30))
    for one in (*whole[1:], *killed[1:]):
        del one["seconds"]
    assert killed == whole
    assert load_model("killed/model").settings == load_model("whole/model").settings

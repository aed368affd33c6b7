"""The journal of a tuning: the same trials whatever stopped it, and what is no journal of this task."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tuning_data import LEARNER_SPACE, Learner, plays, what

from gpurec.errors import ArtifactError
from gpurec.models import MODELS
from gpurec.tuning import JOURNAL, Choice, Real, Space, Trial, Validation, tune


@pytest.fixture
def learner(monkeypatch: pytest.MonkeyPatch) -> Space:
    monkeypatch.setitem(MODELS, "learner", Learner)
    monkeypatch.setattr(Learner, "fits", [])
    return LEARNER_SPACE


# The same trials.


def test_the_same_seed_gives_the_same_trials() -> None:
    one, same, other = (tune(plays(), "rp3beta", trials=14, metric="ndcg@5", seed=seed) for seed in (3, 3, 4))
    assert what(one) == what(same)
    assert what(one)[1] != what(other)[1]
    assert sum(one.importances.values()) == pytest.approx(1)
    assert one.importances == same.importances


@pytest.mark.parametrize("model", ["rp3beta", "mf"])
def test_a_search_that_was_stopped_ends_as_one_that_was_not(model: str, tmp_path: Path) -> None:
    how: dict[str, Any] = {"metric": "ndcg@5" if model == "rp3beta" else "rmse", "seed": 5}
    if model == "mf":
        how["settings"] = {"max_epochs": 20, "n_factors": 2}
    whole = tune(plays(), model, trials=18, folder=tmp_path / "whole", **how)
    for trials in (1, 2, 9, 13, 18, 18):
        parts = tune(plays(), model, trials=trials, folder=tmp_path / "parts", **how)
        assert len(parts.trials) == trials
    assert what(parts) == what(whole) == what(tune(plays(), model, trials=18, **how))
    assert parts.importances == whole.importances


def test_a_line_that_was_being_written_is_run_again(tmp_path: Path) -> None:
    whole = tune(plays(), "ease", trials=4, metric="ndcg@5", folder=tmp_path)
    text = (tmp_path / JOURNAL).read_bytes()
    ends = [place for place, byte in enumerate(text) if byte == ord("\n")]
    for end in (ends[-1], ends[-2] + 1, ends[1] + 20, ends[0], 10, 0):
        (tmp_path / JOURNAL).write_bytes(text[:end])
        again = tune(plays(), "ease", trials=4, metric="ndcg@5", folder=tmp_path)
        assert what(again) == what(whole)
        lines = (tmp_path / JOURNAL).read_text().splitlines()
        assert [json.loads(line)["number"] for line in lines[1:]] == [0, 1, 2, 3]


def test_time_ends_a_search_but_not_its_first_trial(learner: Space, tmp_path: Path) -> None:
    how: dict[str, Any] = {"trials": 50, "metric": "ndcg@5", "folder": tmp_path}
    how["space"] = learner.with_ranges({"n_factors": Choice(1, 4)})
    done = tune(plays(), "learner", timeout=1e-9, **how)
    assert [trial.state for trial in done.trials] == ["complete"]
    n_fits = len(Learner.fits)
    # The deadline is far when the trial begins and passed at its first report, which abandons it.
    now = iter([0.0, 0.0, 1e9])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["gpurec.tuning.tune"], "monotonic", lambda: next(now))
        again = tune(plays(), "learner", timeout=1, **how)
    assert len(again.trials) == 1 and len(Learner.fits) == n_fits


# What is refused.


def test_other_data_or_settings_are_refused(tmp_path: Path) -> None:
    how: dict[str, Any] = {"trials": 1, "metric": "ndcg@5", "folder": tmp_path, "validation": Validation()}
    tune(plays(), "ease", **how)
    others: list[tuple[str, dict[str, Any]]] = [
        ("data", {"interactions": plays(1)}),
        ("metric", {"metric": "ndcg@6"}),
        ("model", {"model": "p3alpha"}),
        ("seed", {"seed": 1}),
        ("validation", {"validation": Validation(folds=2)}),
        ("space", {"space": Space({"l2": Real(1, 10)})}),
        ("prune", {"prune": False}),
    ]
    for name, other in others:
        with pytest.raises(
            ArtifactError, match=rf"\[tune\] expected to go on with the {name}|with the records"
        ):
            tune(**{"interactions": plays(), "model": "ease", **how, **other})
    assert len((tmp_path / JOURNAL).read_text().splitlines()) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"value": None},
        {"value": "1"},
        {"value": True},
        {"number": 1},
        {"state": "running"},
        {"state": "pruned", "value": None, "reports": []},
        {"settings": {"l2": 0.5}},
        {"settings": {"l2": "80"}},
        {"settings": {}},
        {"folds": 3},
        {"folds": [None]},
        {"reports": [[1]]},
        {"reports": [["1", 2.0]]},
        {"epochs": 0},
        {"reason": 5},
        {"seconds": None},
        {"more": 1},
    ],
    ids=str,
)
def test_a_damaged_journal_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    tune(plays(), "ease", trials=1, metric="ndcg@5", folder=tmp_path)
    path = tmp_path / JOURNAL
    header, line = path.read_text().splitlines()
    path.write_text(f"{header}\n{json.dumps({**json.loads(line), **change})}\n")
    with pytest.raises(ArtifactError, match="in line 2 of"):
        tune(plays(), "ease", trials=2, metric="ndcg@5", folder=tmp_path)


@pytest.mark.parametrize(
    "text", ["hello", "{}\n", "[" * 100_000 + "\n", '{"kind": "gpurec tuning 1"}\n', "\xff\n"]
)
def test_a_file_that_is_no_journal_is_left_alone(text: str, tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ArtifactError, match=r"\[tune\] expected"):
        tune(plays(), "ease", trials=1, metric="ndcg@5", folder=tmp_path)
    assert path.read_text(encoding="latin-1") == text


def test_a_line_with_a_number_that_json_lacks_is_refused(tmp_path: Path) -> None:
    tune(plays(), "ease", trials=1, metric="ndcg@5", folder=tmp_path)
    path = tmp_path / JOURNAL
    header, line = path.read_text().splitlines()
    path.write_text(f"{header}\n{json.dumps({**json.loads(line), 'value': float('nan')})}\n")
    with pytest.raises(ArtifactError, match="expected JSON in line 2"):
        tune(plays(), "ease", trials=2, metric="ndcg@5", folder=tmp_path)


def test_a_folder_with_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="other content"):
        tune(plays(), "ease", trials=1, folder=tmp_path)


def test_two_processes_do_not_write_one_journal(tmp_path: Path) -> None:
    def again(trial: Trial) -> None:
        with pytest.raises(ArtifactError, match="no other process"):
            tune(plays(), "ease", trials=1, metric="ndcg@5", folder=tmp_path)

    tune(plays(), "ease", trials=1, metric="ndcg@5", folder=tmp_path, callback=again)

"""Tuning: what trials see, which there are, what a stop in the middle leaves, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tuning_data import LEARNER_SPACE, Learner, plays

import gpurec
from gpurec import MF, Interactions, RP3beta, evaluate
from gpurec.errors import MissingExtraError
from gpurec.evaluation import evaluate_ratings
from gpurec.models import MODELS
from gpurec.tuning import (
    SPACES,
    SPACES_OF_RATINGS,
    Choice,
    Metric,
    Real,
    Space,
    Validation,
    Whole,
    declared_space,
    range_of,
    space_of,
    tune,
)


@pytest.fixture
def learner(monkeypatch: pytest.MonkeyPatch) -> Space:
    monkeypatch.setitem(MODELS, "learner", Learner)
    monkeypatch.setattr(Learner, "fits", [])
    return LEARNER_SPACE


# What is searched.


OF_TIMES = {name: space_of(name, of_ratings=True, with_times=True) for name in SPACES_OF_RATINGS}


@pytest.mark.parametrize(
    "spaces", [SPACES, SPACES_OF_RATINGS, OF_TIMES], ids=["lists", "ratings", "ratings with times"]
)
def test_declared_spaces_fit_their_models(spaces: dict[str, Space]) -> None:
    for name in spaces.keys() & MODELS.keys():
        space = spaces[name]
        usual = MODELS[name](**{**space.fixed, **space.start})
        assert space.ranges
        for setting, of in space.ranges.items():
            assert of.holds(usual.settings[setting]), f"the default of {setting} of {name} is not searched"
            ends = of.options if isinstance(of, Choice) else (of.low, of.high)
            for end in ends:
                MODELS[name](**{**space.fixed, **space.start, setting: end})
        if space.epochs is not None:
            assert space.epochs.setting in usual.settings
        if spaces is not SPACES:
            assert usual.predicts_ratings


def test_bins_of_time_are_searched_where_ratings_have_times() -> None:
    days = {"user_days", "item_days"}
    without = Interactions.from_arrays([1, 1, 2], [1, 2, 2], [3, 4, 5])
    for model in ("mf", "bayesian-mf"):
        assert days <= set(declared_space(plays(), model, True, {}).ranges)
        for data, of_ratings, settings in (
            (without, True, {}),
            (plays(), False, {}),
            (plays(), True, {"method": "sgd"}),
        ):
            assert not days & set(declared_space(data, model, of_ratings, settings).ranges)
    small = {"n_factors": 2, "n_sweeps": 6, "burn_in": 2, "rank": 3, "n_samples": 1}
    tuning = tune(plays(), "bayesian-mf", trials=4, settings=small)
    assert [trial.state for trial in tuning.trials] == ["complete"] * 4
    found = [trial.settings["user_days"] for trial in tuning.trials]
    assert found[0] == 0 and max(found) > 0


def test_models_that_have_something_to_tune_have_a_space() -> None:
    of_the_data = {"content", "hybrid", "social"}  # of features, parts and friends
    assert set(MODELS) - set(SPACES) == of_the_data


@pytest.mark.parametrize("name", ["item-knn", "ease", "p3alpha", "bspm", "popularity"])
def test_trials_of_a_model(name: str) -> None:
    small = {"bspm": {"n_vectors": Whole(2, 20)}}.get(name, {})
    tuning = tune(plays(), name, trials=4, metric="ndcg@5", space=space_of(name).with_ranges(small))
    assert [trial.state for trial in tuning.trials] == ["complete"] * 4
    assert set(tuning.best.settings) == set(SPACES[name].ranges)
    usual, first = MODELS[name](**SPACES[name].fixed).settings, tuning.trials[0].settings
    assert all(first[key] == usual[key] for key in first if key not in small)


def test_the_value_is_that_of_the_metric() -> None:
    data = plays()
    tuning = tune(data, "rp3beta", trials=2, metric="recall@5", validation=Validation("random", 0.3, 2, 7))
    for trial in tuning.trials:
        assert len(trial.folds) == 2
        assert trial.value == sum(trial.folds) / 2
        for split, value in zip(Validation("random", 0.3, 2, 7).splits(data), trial.folds):
            model = RP3beta(**trial.settings).fit(split.train)
            assert value == evaluate(model, split.test, k=5).mean("recall@5")


def test_the_number_of_epochs_is_tuned_along() -> None:
    data = plays()
    fixed = {"n_factors": 3, "max_epochs": 12, "learning_rate": 0.1}
    tuning = tune(data, "mf", trials=2, settings=fixed, prune=False)
    best = tuning.best
    (split,) = Validation().splits(data)
    model = MF(**{**best.settings, **fixed, "validation_fraction": 0, "max_epochs": best.epochs}).fit(
        split.train
    )
    assert evaluate_ratings(model, split.test).rmse == best.value
    assert tuning.settings["max_epochs"] == best.epochs <= 12
    assert (tuning.settings["validation_fraction"], tuning.settings["n_factors"]) == (0.0, 3)
    assert tuning.metric.name == "rmse" and best.value == min(best.reports.values())


def test_epochs_end_with_patience_and_the_best_is_kept(learner: Space) -> None:
    tuning = tune(plays(), "learner", trials=1, space=learner, metric="ndcg@5")
    trial = tuning.trials[0]
    assert trial.epochs == 3 and Learner.fits[0][1] == 6  # the third, and three more that were no better
    assert list(trial.reports) == [1, 2, 3, 4, 5, 6]
    assert tuning.settings == {"n_factors": 4, "n_epochs": 3}


def test_settings_that_a_model_refuses_are_no_error(learner: Space) -> None:
    tuning = tune(plays(), "learner", trials=12, space=learner, metric="ndcg@5", prune=False)
    refused = [trial for trial in tuning.trials if trial.settings["n_factors"] == 7]
    assert refused and all(trial.state == "failed" and trial.value is None for trial in refused)
    assert {trial.reason for trial in refused} == {"ValueError: no seven"}
    assert all(trial.state == "complete" for trial in tuning.trials if trial not in refused)


def test_a_trial_worse_than_the_median_is_pruned() -> None:
    tuning = tune(plays(), "mf", trials=25, settings={"max_epochs": 30, "n_factors": 2})
    pruned = [trial for trial in tuning.trials if trial.state == "pruned"]
    assert pruned and all(trial.value is None and trial.reports for trial in pruned)
    assert all(trial.number >= 10 for trial in pruned)
    never = tune(plays(), "mf", trials=25, settings={"max_epochs": 30, "n_factors": 2}, prune=False)
    assert {trial.state for trial in never.trials} == {"complete"}


def test_a_failure_of_the_first_trial_is_an_error(learner: Space) -> None:
    with pytest.raises(ValueError, match="no seven"):
        tune(plays(), "learner", trials=3, space=learner.with_fixed({"n_factors": 7}).with_ranges(
            {"n_epochs": Whole(1, 2)}), metric="ndcg@5")  # fmt: skip


# What a trial sees.


def test_no_record_of_validation_is_ever_learnt_from(learner: Space) -> None:
    data, space = plays(), learner.with_ranges({"n_factors": Choice(1, 4)})
    for validation in (Validation("user", 0.3, 2), Validation("random", 0.2), Validation("time", 0.3, 2)):
        Learner.fits.clear()
        tune(data, "learner", trials=2, space=space, metric="ndcg@5", validation=validation)
        splits = validation.splits(data)
        seen = [part for part, _ in Learner.fits]
        assert len(seen) == 2 * len(splits)
        for part, split in zip(seen, splits * 2):
            pairs = set(zip(part.user_rows.tolist(), part.item_rows.tolist()))
            held = set(zip(split.test.user_rows.tolist(), split.test.item_rows.tolist()))
            assert held and not pairs & held


def test_a_pair_that_stands_twice_is_in_one_part_only(learner: Space) -> None:
    once = plays()
    twice = Interactions.from_arrays(*(np.tile(ids, 2) for ids in (once.user_ids(), once.item_ids())))
    tune(twice, "learner", trials=1, space=learner, metric="ndcg@5")
    ((part, _),) = Learner.fits
    assert part.user_items.data.max() == 1 and len(part) == len(Validation().splits(once)[0].train)


def test_windows_of_time_come_after_what_is_learnt_from() -> None:
    data = plays()
    splits = Validation("time", 0.4, 3).splits(data)
    assert sum(len(split.test) for split in splits) == -(-len(data) * 4 // 10)
    for split, later in zip(splits, [*splits[1:], None]):
        assert split.train.timestamps.max() < split.test.timestamps.min()
        assert later is None or len(later.train) == len(split.train) + len(split.test)


# What is refused.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "nope"}, "expected a model of"),
        ({"metric": "accuracy@5"}, "expected a metric of"),
        ({"metric": "recall"}, "expected a metric of"),
        ({"metric": "recall@0"}, "expected a metric of"),
        ({"metric": "rmse"}, "expected settings of ease to tune for rmse"),
        ({"metric": "rmse", "space": Space({"l2": Real(1, 2)})}, "expected a model that predicts ratings"),
        ({"trials": 0}, "expected 1 trial or more"),
        ({"timeout": 0}, "expected a timeout above 0"),
        ({"settings": {"l2": 5.0}}, "expected settings of ease to tune"),
        ({"settings": {"l3": 5.0}}, "expected settings of ease"),
        ({"space": Space({"l3": Real(1, 2)})}, "expected settings of ease"),
        ({"validation": Validation("time")}, "expected timestamps"),
        ({"model": "mf", "settings": {"max_epochs": 0}}, "expected max_epochs of 1 or more"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], message: str) -> None:
    data = plays()
    without_times = Interactions.from_arrays(data.user_ids(), data.item_ids())
    with pytest.raises(ValueError, match=message):
        tune(**{"interactions": without_times, "model": "ease", "trials": 1, **arguments})


@pytest.mark.parametrize("text", ["1", "1:2:3", "a:b", "2:1", "0:1:log", "1:nan", "1:2:log:log"])
def test_ranges_are_checked(text: str) -> None:
    with pytest.raises(ValueError, match=r"\[space\] expected"):
        range_of(text)


def test_ranges_know_what_they_hold() -> None:
    assert range_of("null|5|true|x") == Choice(None, 5, True, "x")
    assert Choice(1, 2).holds(1) and not Choice(1, 2).holds(True) and not Choice(1, 2).holds(1.0)
    assert not Whole(1, 5).holds(True) and not Whole(1, 5).holds(6) and not Real(0, 1).holds(float("nan"))
    with pytest.raises(ValueError, match="give each once"):
        Choice("a", "a")
    with pytest.raises(TypeError, match="expected texts"):
        Choice([1])
    with pytest.raises(TypeError, match="use Real"):
        Whole(1.0, 2)  # type: ignore[arg-type]


def test_metrics_of_ratings_take_no_threshold() -> None:
    with pytest.raises(ValueError, match="expected no relevant_from"):
        Metric("rmse", 4.0)


def test_without_optuna_the_pip_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'gpurec\[tune\]'"):
        tune(plays(), "ease")


# What comes out.


def test_the_report(tmp_path: Path) -> None:
    tuning = tune(plays(), "item-knn", trials=12, metric="ndcg@5")
    written = tuning.write(tmp_path, {"ndcg@5": 0.25})
    assert sorted(path.name for path in written) == sorted(path.name for path in tmp_path.iterdir())
    names = {path.name for path in written}
    assert names == {
        "report.json",
        "report.md",
        "history.png",
        "slices.png",
        "parallel.png",
        "importance.png",
    }
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in written if path.suffix == ".png")
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["settings"] == tuning.settings and found["test"] == {"ndcg@5": 0.25}
    assert [trial["number"] for trial in found["trials"]] == list(range(12))
    page = (tmp_path / "report.md").read_text()
    assert "gpurec fit TRAIN --model item-knn" in page and "| ndcg@5 | 0.25 |" in page
    assert all(f"({name})" in page for name in names if name.endswith(".png"))
    same = gpurec.ItemKNN(**tuning.settings)
    assert same.settings == tuning.settings


def test_without_matplotlib_the_pictures_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuning = tune(plays(), "ease", trials=2, metric="ndcg@5")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.warns(UserWarning, match=r"pictures are left out: .*pip install 'gpurec\[plot\]'"):
        written = tuning.write(tmp_path)
    assert [path.name for path in written] == ["report.json", "report.md"]
    assert ".png" not in (tmp_path / "report.md").read_text()


def test_the_model_is_fitted_on_everything() -> None:
    data = plays()
    tuning = tune(data, "ease", trials=3, metric="ndcg@5")
    fitted = tuning.fit(data)
    assert fitted.settings["l2"] == tuning.best.settings["l2"]
    assert fitted.user_items.nnz == len(data)
    assert tuning.best.value == max(trial.value for trial in tuning.trials if trial.value is not None)

"""`gpurec evaluate`: the figures of the library, as one JSON object or a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import gpurec
from gpurec.data import random_split

from .command import run_here, run_process

RATING_KEYS = ["rmse", "mse", "mae"]
COST_KEYS = ["fit_seconds", "recommend_seconds", "peak_memory_bytes", "settings"]


def ranking_keys(k: int) -> list[str]:
    return [
        f"{name}@{k}" for name in ("precision", "recall", "f1", "hit_rate", "map", "mrr", "ndcg", "coverage")
    ]


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    assert run_here("evaluate", *arguments, "--json") == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return json.loads(printed.out)


def test_json_is_the_only_output(folder: Path) -> None:
    done = run_process("evaluate", "ratings.csv", "--model", "popularity", "-k", "3", "--json", folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert set(ranking_keys(3) + COST_KEYS) <= set(found)
    assert not set(RATING_KEYS) & set(found), "popularity does not predict ratings"
    assert 10_000_000 < found["peak_memory_bytes"] < 4_000_000_000


def test_without_a_test_part_a_fifth_is_held_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "ratings.csv"
    options = ["--model", "mf", "-k", "2", "--seed", "4", "--set", "max_epochs=3", "--relevant-from", "3"]
    found = evaluated(capsys, file, *options)
    train, test = random_split(gpurec.Interactions.from_file(file), 0.2, random_state=4)
    model = gpurec.MF(max_epochs=3, random_state=4).fit(train)
    expected = gpurec.evaluate(model, test, k=2, relevant_from=3)
    names = RATING_KEYS + ranking_keys(2)
    assert {name: found[name] for name in names} == {name: expected.mean(name) for name in names}
    settings = found["settings"]
    assert settings["split"] == {"kind": "random", "test_fraction": 0.2, "duplicates_dropped": 0}
    assert settings["model_settings"] == model.settings
    assert (settings["model"], settings["k"], settings["seed"]) == ("mf", 2, 4)
    assert (settings["relevant_from"], settings["test"]) == (3.0, None)
    assert settings["backend"] in gpurec.backends.available()


def test_a_pair_that_stands_twice_is_not_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{user},{item},{stars}" for user in range(8) for item in range(4) for stars in (2, 3)]
    (tmp_path / "twice.csv").write_text("\n".join(["user,item,rating", *lines]))
    found = evaluated(capsys, tmp_path / "twice.csv", "--model", "popularity")
    assert found["settings"]["split"]["duplicates_dropped"] == 32


def test_the_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", folder / "ratings.csv", "--model", "mf", "--set", "max_epochs=2", "-k", "4"]
    assert run_here(*arguments) == 0
    first, *lines = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert first == ["metric", "mf"]
    names = [name for name, _ in lines]
    assert names[: len(RATING_KEYS) + len(ranking_keys(4))] == RATING_KEYS + ranking_keys(4)
    assert all(float(value) >= 0 for _, value in lines)


@pytest.mark.data
def test_movielens_folds(data_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command's defaults reach a mean RMSE of 0.908 over the published folds, and drop no test row."""
    rmses = []
    for fold in range(1, 6):
        base, test = (data_folder / "ml-100k" / f"u{fold}.{part}" for part in ("base", "test"))
        found = evaluated(capsys, base, "--test", test, "--model", "mf")
        rmses.append(found["rmse"])
        assert found["mse"] == pytest.approx(found["rmse"] ** 2)
        assert found["settings"]["split"] is None
    assert sum(rmses) / 5 <= 0.908


@pytest.mark.data
def test_gowalla_popularity(data_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, test = (data_folder / "gowalla" / name for name in ("train.txt", "test.txt"))
    found = evaluated(capsys, train, "--test", test, "--model", "popularity", "-k", "20")
    assert (round(found["recall@20"], 4), round(found["ndcg@20"], 4)) == (0.0416, 0.0317)
    assert found["n_users"] == 29_858

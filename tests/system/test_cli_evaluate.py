"""`gpurec evaluate`: the figures of the library, as one JSON object or a table."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import gpurec
from gpurec.data import random_split
from gpurec.features import FeatureTable
from gpurec.models import load_model

from .command import run_here, run_process, write_ratings

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


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("sklearn", reason="needs the extra 'features'")
    monkeypatch.chdir(tmp_path)
    write_ratings(tmp_path / "ratings.csv")
    genres = [
        f"{item},{'sf|war' if item % 20 else 'love'},a film of {item} words" for item in range(10, 121, 10)
    ]
    (tmp_path / "items.csv").write_text("\n".join(["item,genre,plot", *genres]) + "\n")
    jobs = [f"{user},{'cook' if user % 2 else 'guard'},{20 + user}" for user in range(1, 16)]
    (tmp_path / "users.csv").write_text("\n".join(["user,job,age", *jobs]) + "\n")
    return tmp_path


FEATURES = ["--model", "content", "--item-features", "items.csv", "--user-features", "users.csv"]


def test_a_fitted_model_knows_new_items_and_users(films: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("fit", "ratings.csv", *FEATURES, "--out", "model", "--set", "feedback=centred") == 0
    assert capsys.readouterr().out.startswith("fitted content on 72 interactions of 12 users and 9 items in ")
    model = load_model("model")
    assert model.settings["feedback"] == "centred" and model.training.n_items == 12
    assert run_here("recommend", "model", "--user", "15", "-k", "12") == 0
    first, *lines = capsys.readouterr().out.splitlines()
    found = {int(line.split("\t")[1]) for line in lines}
    assert first.split("\t")[:2] == ["user_id", "item_id"] and {100, 110, 120} <= found


def test_evaluate_with_features_is_the_librarys(films: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("evaluate", "ratings.csv", *FEATURES, "-k", "3", "--seed", "2", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    train, test = random_split(gpurec.Interactions.from_file("ratings.csv"), 0.2, random_state=2)
    model = gpurec.ContentBased(random_state=2).fit(
        train,
        item_features=FeatureTable.from_file("items.csv"),
        user_features=FeatureTable.from_file("users.csv"),
    )
    assert found["recall@3"] == gpurec.evaluate(model, test, k=3).mean("recall@3")
    assert (found["settings"]["item_features"], found["settings"]["user_features"]) == (
        "items.csv",
        "users.csv",
    )


def test_a_hybrid_and_its_parts_are_named_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "ratings.csv"
    parts = 'parts=["popularity", ["rp3beta", {"beta": 0.3}], "gf-cf"]'
    options = ["--model", "hybrid", "-k", "2", "--seed", "4", "--set", parts, "--set", "method=rrf"]
    found = evaluated(capsys, file, *options)
    train, test = random_split(gpurec.Interactions.from_file(file), 0.2, random_state=4)
    given = ["popularity", ("rp3beta", {"beta": 0.3}), "gf-cf"]
    model = gpurec.Hybrid(given, method="rrf", random_state=4).fit(train)
    expected = gpurec.evaluate(model, test, k=2)
    assert {name: found[name] for name in ranking_keys(2)} == {n: expected.mean(n) for n in ranking_keys(2)}
    assert found["settings"]["model_settings"] == model.settings
    assert found["settings"]["model_settings"]["parts"][2][1]["random_state"] == 4


def test_friends_come_from_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ratings = gpurec.Interactions.from_file(folder / "ratings.csv")
    users = list(ratings.user_map)
    lines = "\n".join(f"{user},{friend}" for user, friend in pairwise(users))
    (folder / "friends.csv").write_text(f"user,friend\n{lines}\n")
    links = f"links={folder / 'friends.csv'}"
    found = evaluated(capsys, folder / "ratings.csv", "--model", "social", "-k", "2", "--set", links)
    assert found["settings"]["model_settings"]["base"][0] == "gf-cf"
    assert (
        run_here("evaluate", folder / "ratings.csv", "--model", "social", "--set", "links=nowhere.csv") == 2
    )
    assert "nowhere.csv" in capsys.readouterr().err

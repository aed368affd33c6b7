"""`--item-features` and `--user-features`: files beside the interactions, for models that take them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpurec import ContentBased, Interactions, evaluate
from gpurec.data import random_split
from gpurec.features import FeatureTable
from gpurec.models import load_model

from .command import run_here, write_ratings

pytest.importorskip("sklearn", reason="needs the extra 'features'")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
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


def test_a_fitted_model_knows_new_items_and_users(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("fit", "ratings.csv", *FEATURES, "--out", "model", "--set", "feedback=centred") == 0
    assert capsys.readouterr().out.startswith("fitted content on 72 interactions of 12 users and 9 items in ")
    model = load_model("model")
    assert model.settings["feedback"] == "centred" and model.training.n_items == 12
    assert run_here("recommend", "model", "--user", "15", "-k", "12") == 0
    first, *lines = capsys.readouterr().out.splitlines()
    found = {int(line.split("\t")[1]) for line in lines}
    assert first.split("\t")[:2] == ["user_id", "item_id"] and {100, 110, 120} <= found


def test_evaluate_is_the_librarys(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("evaluate", "ratings.csv", *FEATURES, "-k", "3", "--seed", "2", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    train, test = random_split(Interactions.from_file("ratings.csv"), 0.2, random_state=2)
    model = ContentBased(random_state=2).fit(
        train,
        item_features=FeatureTable.from_file("items.csv"),
        user_features=FeatureTable.from_file("users.csv"),
    )
    assert found["recall@3"] == evaluate(model, test, k=3).mean("recall@3")
    assert (found["settings"]["item_features"], found["settings"]["user_features"]) == (
        "items.csv",
        "users.csv",
    )

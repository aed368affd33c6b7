"""`gpurec explain`: the reasons of a saved model, as a table, JSON and a picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import gpurec

from .command import run_process


def test_reasons_add_up_to_what_is_recommended(folder: Path) -> None:
    done = run_process("explain", "model", "--user", "1", "--json", folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    model = gpurec.load_model(folder / "model")
    ((_, [(item, score)]),) = model.recommend([1], k=1)
    assert (found["user_id"], found["item_id"], found["score"]) == (1, item, score)
    total = sum(reason["contribution"] for reason in found["reasons"])
    assert abs(total - score) <= found["tolerance"]


def test_a_table_shows_the_largest_and_the_rest_as_one(folder: Path, tmp_path: Path) -> None:
    picture = tmp_path / "why.png"
    asked = ("explain", "model", "--user", "1", "--item", "20", "-n", "2", "--picture", str(picture))
    done = run_process(*asked, folder=folder)
    assert done.returncode == 0, done.stderr
    title, head, *lines, last = done.stdout.splitlines()
    why = gpurec.load_model(folder / "model").explain(1, 20)
    assert title == f"20 for 1: {why.score:.4g}"
    assert head == "reason\tcontribution"
    assert lines == [f"{label}\t{value:.4g}" for label, value in why.largest(2)]
    assert last == f"drew them in {picture}"
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("option", "who"), [("--user", "a user"), ("--item", "an item")])
def test_who_is_unknown_is_said(folder: Path, option: str, who: str) -> None:
    asked = {"--user": "1", "--item": "20"} | {option: "nobody"}
    words = [word for pair in asked.items() for word in pair]
    done = run_process("explain", "model", *words, folder=folder)
    assert done.returncode != 0
    assert done.stdout == ""
    assert f"expected {who}" in done.stderr and "nobody" in done.stderr and "Traceback" not in done.stderr

"""`gpurec fit`, `recommend` and `similar`: from a file of ratings to files of recommendations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars
import pytest

import gpurec
from gpurec.cli.tables import write_tables

from .command import ENVIRONMENT, run_here, run_process

HEADER = "user_id\titem_id\tscore\trank\tsource"


def rows_of(text: str) -> list[list[str]]:
    first, *lines = text.splitlines()
    assert first == HEADER
    return [line.split("\t") for line in lines]


def test_a_line_a_recommendation_without_a_terminal(folder: Path) -> None:
    done = run_process("recommend", "model", "--user", "1", "--user", "5", "-k", "2", folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    model = gpurec.load_model(folder / "model")
    expected = [
        [str(user), str(item), str(np.float32(score)), str(rank), "model"]
        for user, items in model.recommend([1, 5], k=2)
        for rank, (item, score) in enumerate(items, start=1)
    ]
    assert rows_of(done.stdout) == expected
    assert len(expected) == 4


def test_long_texts_are_neither_cut_nor_wrapped_nor_believed(tmp_path: Path) -> None:
    title = "The " + "Very " * 60 + "Long Film"
    hostile = "red \x1b[31m film"
    (tmp_path / "seen.tsv").write_text(
        f"user\titem\nann\t{title}\nann\t{hostile}\nbob\tamélie\nbob\t{title}\n"
    )
    fit = ["fit", "seen.tsv", "--model", "popularity", "--out", "model"]
    assert run_process(*fit, folder=tmp_path).returncode == 0
    done = run_process("recommend", "model", "--user", "bob", "--user", "ann", folder=tmp_path)
    assert [row[1] for row in rows_of(done.stdout)] == ["red \\x1b[31m film", "amélie"]
    done = run_process("recommend", "model", "--user", "eve", "--unknown", "popularity", folder=tmp_path)
    assert rows_of(done.stdout)[0] == ["eve", title, "2.0", "1", "popularity"]


def test_users_from_stdin(folder: Path) -> None:
    done = run_process(
        "recommend",
        "model",
        "--users",
        "-",
        "-k",
        "1",
        "--format",
        "jsonl",
        folder=folder,
        stdin="3\r\n\n1\n",
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["user_id"] for line in lines] == [3, 1]
    assert [list(line) for line in lines] == [HEADER.split("\t")] * 2


def test_files_hold_the_same_in_every_format(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    users = tmp_path / "users.txt"
    users.write_text("\n".join(map(str, range(1, 13))))
    expected = gpurec.load_model(folder / "model").recommend(list(range(1, 13)), k=3)
    for suffix in ("csv", "jsonl", "parquet"):
        out = tmp_path / f"films.{suffix}"
        assert run_here("recommend", folder / "model", "--users", users, "-k", 3, "--out", out) == 0
        assert capsys.readouterr().out == f"wrote recommendations for 12 users to {out}; 0 unknown (raise)\n"
        readers = {"csv": polars.read_csv, "jsonl": polars.read_ndjson, "parquet": polars.read_parquet}
        frame = readers[suffix](out)
        assert frame.columns == HEADER.split("\t")
        assert frame["item_id"].to_list() == expected.item_ids.tolist()
        assert np.array_equal(frame["score"].to_numpy().astype(np.float32), expected.scores)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "films.csv",
        "films.jsonl",
        "films.parquet",
        "users.txt",
    ]


@pytest.mark.parametrize("format", [None, "csv", "jsonl"])
def test_blocks_are_written_as_they_come(
    folder: Path, capsys: pytest.CaptureFixture[str], format: str | None
) -> None:
    model = gpurec.load_model(folder / "model")
    lines: list[int] = []

    def blocks() -> Iterator[gpurec.models.Recommendations]:
        for block in model.recommend_all(list(range(1, 13)), k=3, batch=4):
            yield block
            lines.append(len(capsys.readouterr().out.splitlines()))

    write_tables(blocks(), "-", format)
    n_of_block = [len(block.scores) for block in model.recommend_all(list(range(1, 13)), k=3, batch=4)]
    n_of_block[0] += format != "jsonl"  # the line that names the columns
    assert lines == n_of_block


def test_a_file_is_replaced_as_a_whole_or_not_at_all(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "films.csv"
    out.write_text("old")
    assert run_here("recommend", folder / "model", "--user", 1, "--user", 99, "--out", out) == 2
    assert out.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["films.csv"]
    assert run_here("recommend", folder / "model", "--user", 1, "--out", out) == 0
    assert out.read_text().startswith(HEADER.replace("\t", ","))
    capsys.readouterr()


def test_unknown_users(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask = ["recommend", folder / "model", "--user", "ann", "--user", "2", "-k", 1, "--unknown"]
    assert run_here(*ask, "raise") == 2
    assert "'ann'" in capsys.readouterr().err
    assert run_here(*ask, "skip") == 0
    assert [row[0] for row in rows_of(capsys.readouterr().out)] == ["2"]
    assert run_here(*ask, "popularity") == 0
    asked = [(row[0], row[4]) for row in rows_of(capsys.readouterr().out)]
    assert asked == [("ann", "popularity"), ("2", "model")]
    # A column of parquet has one type, and ids keep theirs.
    assert run_here(*ask, "popularity", "--out", tmp_path / "films.parquet") == 2
    assert "ids of one type in user_id" in capsys.readouterr().err
    nobody = ["recommend", folder / "model", "--user", "ann", "--unknown", "skip", "--out"]
    assert run_here(*nobody, tmp_path / "films.parquet") == 0
    assert polars.read_parquet(tmp_path / "films.parquet").shape == (0, 5)


@pytest.mark.parametrize(
    ("ids", "asked", "found"),
    [
        ([1, 2, -3], ["1", "-3"], [1, -3]),
        (["1", "2", "ann"], ["1", "ann"], ["1", "ann"]),
        (["007", "7", "2"], ["007", "7"], ["007", "7"]),
        (["1", 1, 2], ["1", "2"], ["1", 2]),
    ],
)
def test_ids_are_found_with_the_type_that_the_model_has(
    ids: list[int | str],
    asked: list[str],
    found: list[int | str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plays = gpurec.Interactions.from_arrays([*ids, *ids], ["a"] * len(ids) + ["b", "c", "d"])
    gpurec.Popularity().fit(plays).save(tmp_path / "model")
    users = [word for user in asked for word in ("--user", user)]
    assert run_here("recommend", tmp_path / "model", *users, "-k", 1, "--format", "jsonl") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["user_id"] for line in lines] == found


def test_other_spellings_of_an_integer_are_no_integers(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("01", "+1", "1.0", "1_0", "１"):
        assert run_here("recommend", folder / "model", "--user", text) == 2
        assert f"got {text!r};" in capsys.readouterr().err


def test_similar_items(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("similar", folder / "model", "--item", 10, "--item", 20, "-k", 3) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "item_id\tsimilar_item_id\tscore\trank"
    expected = gpurec.load_model(folder / "model").similar_items([10, 20], k=3)
    assert [int(line.split("\t")[1]) for line in lines] == expected.item_ids.tolist()


def test_a_terminal_gets_a_table(folder: Path) -> None:
    pty = pytest.importorskip("pty", reason="there are no pseudo-terminals on this system")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "gpurec.cli", "recommend", "model", "--user", "1", "-k", "1"]
    wide = {**ENVIRONMENT, "COLUMNS": "100"}
    done = subprocess.Popen(command, cwd=folder, env=wide, stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # Linux reports the end of the other side as an error
        pass
    finally:
        os.close(ours)
    assert done.communicate()[1] == b""
    assert done.returncode == 0
    assert "┃" in shown.decode() and "item_id" in shown.decode()

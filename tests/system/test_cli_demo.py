"""`gpurec demo`: real ratings, two models, top-10 films by title beside what people liked."""

from __future__ import annotations

import re
from pathlib import Path

from .command import run_process


def test_demo(tmp_path: Path) -> None:
    done = run_process("demo", "--seed", "1", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    head, metrics, *people = done.stdout.split("\n\n")
    assert head.startswith("MovieLens: 100,004 ratings of 9,066 films by 671 users\nCleaned:\n")
    assert "\nduplicates: 100,004 -> 100,004 records" in head
    assert head.endswith("seed 1: 80,003 ratings to learn from, 20,001 to judge by")

    first, *lines = (line.split("\t") for line in metrics.splitlines()[1:])
    assert first == ["metric", "popularity", "mf"]
    found = {name: values for name, *values in lines}
    assert list(found) == ["precision@10", "recall@10", "f1@10", "ndcg@10", "rmse"]
    assert found["rmse"][0] == "-" and 0.8 < float(found["rmse"][1]) < 0.95
    assert 0.05 < float(found["ndcg@10"][0]) < 0.3

    assert len(people) == 3
    for person in people:
        title, first_line, *films = person.splitlines()
        assert re.fullmatch(r"User \d+, who rated \d+ of the films to learn from: top 10 by mf", title)
        assert first_line == "rank\trecommended\tscore\tliked\tstars"
        rows = [film.split("\t") for film in films]
        assert [row[0] for row in rows] == [str(rank) for rank in range(1, 11)]
        assert not {row[1] for row in rows} & {row[3] for row in rows}, "what is liked is already seen"
        assert all(4 <= float(row[4]) <= 5 for row in rows)
    assert re.search(r"\t[^\t\n]{40,} \(\d{4}\)\t", done.stdout), "long titles are whole"

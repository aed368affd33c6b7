"""`gpurec demo`: real ratings, models side by side, top-10 films by title beside what people liked."""

from __future__ import annotations

import re
from pathlib import Path

from .command import run_process


def test_demo(tmp_path: Path) -> None:
    done = run_process("demo", "--seed", "1", "--picture", "compared.png", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    head, metrics, *people = done.stdout.split("\n\n")
    assert head.startswith("MovieLens: 100,004 ratings of 9,066 films by 671 users\nCleaned:\n")
    assert "\nduplicates: 100,004 -> 100,004 records" in head
    assert head.endswith("seed 1: 80,003 ratings to learn from, 20,001 to judge by")

    *table, note, neighbours, drawn = metrics.splitlines()[1:]
    first, *lines = (line.split("\t") for line in table)
    assert first == ["metric", "popularity", "user-knn", "item-knn", "mf", "gf-cf"]
    found = {name: values for name, *values in lines}
    of_lists, of_ratings = ["precision@10", "recall@10", "f1@10", "ndcg@10"], ["rmse", "mae"]
    assert list(found) == [*of_lists, *of_ratings, "recommend_seconds"]
    estimates = {
        name: [float(value.split()[0]) if value != "-" else None for value in values]
        for name, values in found.items()
    }
    for name in of_lists:
        popularity, of_users, of_items, _, graph_filter = estimates[name]
        assert popularity < min(of_users, of_items)
        assert 0.03 < popularity < graph_filter < 0.4 and found[name][-1].endswith("]*")
        assert all(re.fullmatch(r"0\.\d+ \[0\.\d+, 0\.\d+\]\*?", value) for value in found[name])
    assert [value is None for value in estimates["rmse"]] == [True, False, False, False, True]
    assert all(0.8 < value < 0.95 for value in estimates["rmse"][1:4])
    assert all(0.6 < value < 0.75 for value in estimates["mae"][1:4])
    assert note.startswith("In brackets the 95 % interval over users; * differs from popularity")
    assert neighbours.startswith("Neighbours make lists by sums of similarities")
    assert drawn == "Drawn in compared.png"
    assert (tmp_path / "compared.png").read_bytes().startswith(b"\x89PNG")

    assert len(people) == 3
    for person in people:
        title, first_line, *films = person.splitlines()
        assert re.fullmatch(r"User \d+, who rated \d+ of the films to learn from: top 10 by user-knn", title)
        assert first_line == "rank\trecommended\tscore\tliked\tstars"
        rows = [film.split("\t") for film in films]
        assert [row[0] for row in rows] == [str(rank) for rank in range(1, 11)]
        assert not {row[1] for row in rows} & {row[3] for row in rows}, "what is liked is already seen"
        assert all(4 <= float(row[4]) <= 5 for row in rows)
    assert re.search(r"\t[^\t\n]{40,} \(\d{4}\)\t", done.stdout), "long titles are whole"

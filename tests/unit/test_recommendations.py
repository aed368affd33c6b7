"""`Recommendations`: the table and the iteration, with users who have fewer items and none."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from gpurec.models import Recommendations
from gpurec.models.recommender.queries import as_pair, each_query, every_or_each_query, join_pairs
from gpurec.types import IdMap, TopK

ITEMS = IdMap(["alien", "brazil", "casablanca", "dune"])


def three_users() -> Recommendations:
    """ann has three items, bob one, cid none."""
    found = TopK(
        np.array([[2, 0, 3], [1, -1, -1], [-1, -1, -1]]),
        np.float32([[3, 2, 1], [0.5, -np.inf, -np.inf], [-np.inf] * 3]),
    )
    sources = np.array(["model", "popularity", "model"], dtype=object)
    return Recommendations.from_top_k(np.array(["ann", "bob", "cid"], object), found, ITEMS, sources=sources)


ROWS = [
    {"user_id": "ann", "item_id": "casablanca", "score": 3.0, "rank": 1, "source": "model"},
    {"user_id": "ann", "item_id": "alien", "score": 2.0, "rank": 2, "source": "model"},
    {"user_id": "ann", "item_id": "dune", "score": 1.0, "rank": 3, "source": "model"},
    {"user_id": "bob", "item_id": "brazil", "score": 0.5, "rank": 1, "source": "popularity"},
]


def test_table_has_no_padding():
    assert three_users().to_dicts() == ROWS


def test_polars_and_pandas_hold_the_same_table():
    polars, pandas = pytest.importorskip("polars"), pytest.importorskip("pandas")
    frame = three_users().to_polars()
    assert frame.to_dicts() == ROWS
    assert frame.schema["score"] == polars.Float32 and frame.schema["rank"] == polars.Int64
    table = three_users().to_pandas()
    assert table.to_dict("records") == ROWS
    assert table["score"].dtype == np.float32
    assert isinstance(table, pandas.DataFrame)


def test_iteration_gives_every_user_asked_about():
    recommendations = three_users()
    assert list(recommendations) == [
        ("ann", [("casablanca", 3.0), ("alien", 2.0), ("dune", 1.0)]),
        ("bob", [("brazil", 0.5)]),
        ("cid", []),
    ]
    assert len(recommendations) == len(list(recommendations)) == 3
    assert repr(recommendations) == "Recommendations(4 rows for 3 users)"


def test_columns_of_similar_items_and_no_source():
    found = TopK(np.array([[1]]), np.float32([[0.25]]))
    similar = Recommendations.from_top_k(
        np.array(["alien"], object), found, ITEMS, columns=("item_id", "similar_item_id")
    )
    assert similar.to_dicts() == [{"item_id": "alien", "similar_item_id": "brazil", "score": 0.25, "rank": 1}]
    assert repr(similar) == "Recommendations(1 rows for 1 items)"


def test_nobody_asked():
    nobody = Recommendations.from_top_k(
        np.empty(0, np.int64), TopK(np.empty((0, 3), np.int64), np.empty((0, 3), np.float32)), ITEMS
    )
    assert list(nobody) == [] and nobody.to_dicts() == [] and len(nobody) == 0


def test_ids_keep_their_type_in_polars():
    polars = pytest.importorskip("polars")
    mixed = IdMap([1, "1", (2, "b")])
    found = TopK(np.array([[0, 1, 2]]), np.float32([[3, 2, 1]]))
    frame = Recommendations.from_top_k(np.array([7]), found, mixed).to_polars()
    assert frame["item_id"].to_list() == [1, "1", (2, "b")]
    assert frame.schema["user_id"] == polars.Int64


def test_filters_by_id_become_rows():
    assert each_query("exclude", None, ITEMS, 2) is None
    rows = each_query("exclude", [["dune", "unheard of"], {"alien"}], ITEMS, 2)
    assert [part.tolist() for part in rows] == [[3], [0]]
    assert every_or_each_query("deny", ["dune", "alien", "unheard of"], ITEMS, 2).tolist() == [3, 0]
    assert [part.tolist() for part in every_or_each_query("deny", [["dune"], []], ITEMS, 2)] == [[3], []]
    assert every_or_each_query("allow", [], ITEMS, 2).tolist() == []
    by_number = IdMap([10, 20])
    assert every_or_each_query("allow", np.array([20, 30]), by_number, 2).tolist() == [1]
    assert [part.tolist() for part in each_query("exclude", np.array([[10], [20]]), by_number, 2)] == [
        [0],
        [1],
    ]


@pytest.mark.parametrize(
    ("ids", "error", "text"),
    [
        (["alien"], TypeError, "one list of item ids a user"),
        ([["alien"]], ValueError, "got 1 for 2 users"),
        ([["alien"], ["dune"], []], ValueError, "got 3 for 2 users"),
    ],
)
def test_exclude_must_be_one_list_a_user(ids, error, text):
    with pytest.raises(error, match=text):
        each_query("exclude", ids, ITEMS, 2)


def test_a_text_is_no_list_of_ids():
    with pytest.raises(TypeError, match="'alien'"):
        every_or_each_query("deny", "alien", ITEMS, 2)


def test_all_forms_of_row_sets_become_one_pair():
    sparse = pytest.importorskip("scipy.sparse")
    matrix = sparse.csr_array((np.zeros(3), [2, 0, 1], [0, 2, 2, 3]), shape=(3, 4))  # stored zeros count
    forms = [
        matrix,
        matrix.tocoo(),
        (np.array([0, 2, 2, 3]), np.array([2, 0, 1])),
        [[2, 0], [], np.array([1])],
    ]
    for form in forms:
        indptr, rows = as_pair(form, 3)
        assert indptr.tolist() == [0, 2, 2, 3] and sorted(rows[:2].tolist()) == [0, 2] and rows[2] == 1
    for form in forms:
        with pytest.raises(ValueError, match="each of 2 users"):
            as_pair(form, 2)
    with pytest.raises(ValueError, match="indptr rising"):
        as_pair((np.array([0, 2, 1, 3]), np.array([2, 0, 1])), 3)
    with pytest.raises(ValueError, match="indptr rising"):
        as_pair((np.array([0, 2, 2, 4]), np.array([2, 0, 1])), 3)


def test_joined_sets_hold_both():
    generator = np.random.default_rng(0)
    for n in (0, 1, 2, 9):
        a, b = ([generator.integers(0, 50, generator.integers(0, 4)) for _ in range(n)] for _ in range(2))
        indptr, rows = join_pairs(as_pair(a, n), as_pair(b, n))
        joined = [rows[start:stop].tolist() for start, stop in pairwise(indptr)]
        assert joined == [[*x.tolist(), *y.tolist()] for x, y in zip(a, b)]

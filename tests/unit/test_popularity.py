"""`Popularity`: counts known by hand, every way to filter, and the policy for unknown users."""

from __future__ import annotations

import numpy as np
import pytest

from gpurec import Interactions, UnknownIdError
from gpurec.errors import ArtifactError, NotFittedError
from gpurec.models import MODELS, Popularity, load_model
from gpurec.types import IdMap

# Item "a" has 4 users, "b" 3, "c" 2, "d" 1; "e" stands in the map alone. So does the user "idle".
USERS = ["u1", "u2", "u3", "u4", "u1", "u2", "u3", "u1", "u2", "u1"]
ITEMS = ["a", "a", "a", "a", "b", "b", "b", "c", "c", "d"]
WEIGHTS = [1, 1, 1, 1, 9, 9, 9, 2, 2, 50]


@pytest.fixture
def plays() -> Interactions:
    maps = {"user_map": IdMap(["u1", "u2", "u3", "u4", "idle"]), "item_map": IdMap(["e", "d", "c", "b", "a"])}
    return Interactions.from_arrays(USERS, ITEMS, WEIGHTS, **maps)


@pytest.fixture
def model(plays) -> Popularity:
    return Popularity().fit(plays)


def listed(recommendations) -> dict:
    return {user: [item for item, _ in items] for user, items in recommendations}


def test_scores_are_counts_of_users(model):
    everything = model.recommend(["u4"], 10, exclude_seen=False)
    assert list(everything) == [("u4", [("a", 4.0), ("b", 3.0), ("c", 2.0), ("d", 1.0), ("e", 0.0)])]


def test_a_user_with_two_records_of_an_item_counts_once():
    twice = Interactions.from_arrays(["ann", "ann", "ann", "bob"], ["x", "x", "x", "y"], [1, 1, 1, 1])
    assert Popularity().fit(twice).predict(["ann", "bob"], ["x", "y"]).tolist() == [1, 1]


def test_by_weights_sums_them(plays):
    model = Popularity(by="weights").fit(plays)
    expected = [("d", 50.0), ("b", 27.0), ("a", 4.0), ("c", 4.0), ("e", 0.0)]
    # "c" has the smaller row of the two with 4
    expected[2:4] = expected[3:1:-1]
    assert list(model.recommend(["u1"], 5, exclude_seen=False)) == [("u1", expected)]
    assert model.item_map.ids(model.popular_rows(2)).tolist() == ["d", "b"]


def test_seen_items_are_left_out_and_nothing_is_padded(model):
    assert listed(model.recommend(["u1", "u2", "u3", "u4"], 10)) == {
        "u1": ["e"],
        "u2": ["d", "e"],
        "u3": ["c", "d", "e"],
        "u4": ["b", "c", "d", "e"],
    }


def test_order_and_repetition_of_users_are_kept(model):
    asked = ["u4", "u1", "u4"]
    assert [user for user, _ in model.recommend(asked, 1)] == asked


def test_filters_by_id(model):
    recommend = model.recommend
    assert listed(recommend(["u3", "u4"], 2, exclude=[["c"], []])) == {"u3": ["d", "e"], "u4": ["b", "c"]}
    assert listed(recommend(["u3", "u4"], 2, deny=["c", "nothing known"])) == {
        "u3": ["d", "e"],
        "u4": ["b", "d"],
    }
    assert listed(recommend(["u3", "u4"], 9, allow=["a", "c"])) == {"u3": ["c"], "u4": ["c"]}
    assert listed(recommend(["u3", "u4"], 9, allow=[["d"], ["b", "a"]])) == {"u3": ["d"], "u4": ["b"]}
    assert listed(recommend(["u3", "u4"], 9, deny=[["c", "d"], {"b"}])) == {
        "u3": ["e"],
        "u4": ["c", "d", "e"],
    }
    assert listed(recommend(["u3"], 9, allow=[])) == {"u3": []}
    assert listed(recommend(["u3"], 9, allow=["nothing known"])) == {"u3": []}
    assert listed(recommend(["u4"], 9, exclude=[["b"]], allow=["b", "c", "d"], deny=["d"])) == {"u4": ["c"]}


def test_unknown_users_raise_and_the_text_names_the_first(model):
    for user in ("nobody", "idle"):
        with pytest.raises(UnknownIdError, match=f"'{user}'.*unknown='popularity'"):
            model.recommend(["u1", user])


def test_unknown_users_get_the_popular_items(model):
    found = model.recommend(
        ["u2", "nobody", "idle", "u3"],
        2,
        exclude=[[], ["b"], [], []],
        allow=[list("abcde"), list("abc"), list("bcd"), list("abcde")],
        deny=["e"],
        unknown="popularity",
    )
    assert list(found) == [
        ("u2", [("d", 1.0)]),
        ("nobody", [("a", 4.0), ("c", 2.0)]),
        ("idle", [("b", 3.0), ("c", 2.0)]),
        ("u3", [("c", 2.0), ("d", 1.0)]),
    ]
    assert found.sources.tolist() == ["model", "popularity", "popularity", "model"]


def test_unknown_users_are_skipped_with_their_filters(model):
    found = model.recommend(["nobody", "u3", "idle"], 1, exclude=[["e"], ["c"], ["a"]], unknown="skip")
    assert list(found) == [("u3", [("d", 1.0)])]


@pytest.mark.parametrize("unknown", ["popularity", "skip"])
def test_nobody_known(model, unknown):
    found = model.recommend(["nobody"], 1, unknown=unknown)
    assert list(found) == ([("nobody", [("a", 4.0)])] if unknown == "popularity" else [])


def test_rows_come_padded_and_filters_join_the_seen_items(model):
    rows = model.user_map.rows(["u4", "u3"])
    found = model.recommend_rows(rows, 4, exclude=[np.array([3]), np.array([0, 0])], deny=np.array([1]))
    assert found.rows.tolist() == [[2, 0, -1, -1], [2, -1, -1, -1]]
    assert found.scores.tolist() == [[2, 0, -np.inf, -np.inf], [2, -np.inf, -np.inf, -np.inf]]
    everything = model.recommend_rows(rows, 2, exclude_seen=False, allow=np.array([4, 0]))
    assert everything.rows.tolist() == [[4, 0], [4, 0]]


def test_popular_rows(model):
    assert model.item_map.ids(model.popular_rows(3)).tolist() == ["a", "b", "c"]
    assert len(model.popular_rows(99)) == 5


def test_a_huge_k_costs_nothing(model):
    assert listed(model.recommend(["u3"], 2**40)) == {"u3": ["c", "d", "e"]}


def test_prediction_is_the_score(model):
    assert model.predict(["u4", "u1"], ["b", "a"]).tolist() == [3, 4]
    assert model.predict(["nobody", "u1"], ["b", "nothing"], unknown="baseline").tolist() == [3, 0]
    assert model.predicts_ratings is False and model.weight_range == (1, 50)


BAD_CALLS = [
    (lambda m: m.recommend(["u1"], 0), ValueError, "k of 1 or more"),
    (lambda m: m.recommend(["u1"], 2.0), TypeError, "k as an integer"),
    (lambda m: m.recommend(["u1"], True), TypeError, "k as an integer"),
    (lambda m: m.recommend("u1"), TypeError, "'u1'"),
    (lambda m: m.recommend(["u1"], unknown="ignore"), ValueError, "raise, popularity or skip"),
    (lambda m: m.recommend(["u1"], exclude=["a"]), TypeError, "one list of item ids a user"),
    (lambda m: m.recommend(["u1"], deny=[["a"], ["b"]]), ValueError, "2 for 1 users"),
    (lambda m: m.recommend_rows([5]), ValueError, "0..4"),
    (lambda m: m.recommend_rows([-1]), ValueError, "0..4"),
    (lambda m: m.recommend_rows([0.0]), TypeError, "integer user rows"),
    (lambda m: m.recommend_rows(0), ValueError, "one dimension"),
    (lambda m: m.recommend_rows([0], exclude=[[9]]), ValueError, "9"),
    (lambda m: m.predict(["u1"], ["a", "b"]), ValueError, "1 users and 2 items"),
    (lambda m: m.predict(["u1"], ["e"]), UnknownIdError, "items with training interactions, got 'e'"),
    (lambda m: m.predict(["u9"], ["a"]), UnknownIdError, "users with training interactions, got 'u9'"),
    (lambda m: m.predict(["u1"], ["a"], unknown="skip"), ValueError, "'baseline'"),
    (lambda m: m.similar_items(["a"]), ValueError, "compares"),
    (lambda m: m.similar_users(["u1"]), ValueError, "compares"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD_CALLS)
def test_bad_calls(model, call, error, text):
    with pytest.raises(error, match=text):
        call(model)


def test_before_fit():
    for call in (
        lambda m: m.recommend(["u1"]),
        lambda m: m.recommend_rows([0]),
        lambda m: m.predict(["u1"], ["a"]),
        lambda m: m.popular_rows(),
        lambda m: m.user_map,
        lambda m: m.save("nowhere"),
    ):
        with pytest.raises(NotFittedError, match="before fit"):
            call(Popularity())


def test_bad_settings_and_bad_data():
    with pytest.raises(ValueError, match="'users' or 'weights'"):
        Popularity(by="plays")
    with pytest.raises(ValueError, match="at least one interaction"):
        Popularity().fit(Interactions.from_arrays([], []))


def test_growing_the_callers_maps_does_not_reach_the_model(plays, model):
    plays.user_map.extend(["later"])
    with pytest.raises(UnknownIdError):
        model.recommend(["later"])


@pytest.mark.parametrize("by", ["users", "weights"])
def test_save_and_load(plays, tmp_path, by):
    model = Popularity(by=by).fit(plays)
    model.save(tmp_path / "model")
    for loaded in (Popularity.load(tmp_path / "model"), load_model(tmp_path / "model", mmap=True)):
        assert type(loaded) is Popularity and loaded.settings == model.settings
        asked = ["u1", "u3", "nobody"]
        assert list(loaded.recommend(asked, unknown="popularity")) == list(
            model.recommend(asked, unknown="popularity")
        )
        assert loaded.weight_range == model.weight_range
        assert (loaded.user_items != model.user_items).nnz == 0


def test_a_file_of_no_known_model_is_refused(plays, tmp_path):
    model = Popularity().fit(plays)
    model.name = "os_system"
    model.save(tmp_path / "model")
    with pytest.raises(ArtifactError, match=r"one of the models popularity, mf, .* got 'os_system'"):
        load_model(tmp_path / "model")
    with pytest.raises(ArtifactError, match="a model 'popularity', got 'os_system'"):
        Popularity.load(tmp_path / "model")


def test_every_model_stands_under_its_name():
    assert all(model.name == name for name, model in MODELS.items())

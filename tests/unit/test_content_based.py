"""ContentBased: learns from the training part alone, and serves new items and users."""

from __future__ import annotations

import numpy as np
import pytest
from content_data import N_ITEMS, N_USERS, films, fitted, people, plays

from gpurec import ContentBased, Interactions
from gpurec.errors import UnknownIdError
from gpurec.features import FeatureEncoder, FeatureTable

pytest.importorskip("sklearn", reason="needs the extra 'features'")


def genre_of(items) -> set[int]:
    return {item % 4 for item in items}


def test_everyone_gets_their_genre_and_new_items_too():
    model = fitted()
    everyone = model.recommend_all(k=5)
    found = {user: [item for item, _ in items] for block in everyone for user, items in block}
    assert set(found) == set(range(N_USERS + 4)), "those of whom only features are known too"
    assert all(genre_of(items) == {user % 4} for user, items in found.items())
    assert any(item >= N_ITEMS for items in found.values() for item in items)
    assert set(model.similar_items([0], 3).to_dicts()[0]) == {"item_id", "similar_item_id", "score", "rank"}
    assert genre_of(row["similar_item_id"] for row in model.similar_items([0, 4], 3).to_dicts()) == {0}


def test_an_appended_item_is_recommended_at_once():
    model, late = fitted(), films([N_ITEMS + 4, N_ITEMS + 5])
    fewer = ContentBased(n_components=12).fit(plays(), item_features=films(range(N_ITEMS)))
    want = ContentBased(n_components=12).fit(plays(), item_features=films([*range(N_ITEMS), *late.id_map]))
    assert want.encoder.names == fewer.encoder.names, "nothing is learnt from items without interactions"
    before = fewer.recommend([0], k=3)
    assert fewer.append_items(late).tolist() == [len(fewer.item_map) - 2, len(fewer.item_map) - 1]
    assert fewer.recommend([0], k=30).to_dicts() == want.recommend([0], k=30).to_dicts()
    assert N_ITEMS + 4 in {item for item, _ in dict(fewer.recommend([0], k=30))[0]}
    assert len(before.item_ids) == 3
    assert fewer.predict([0], [N_ITEMS + 4])[0] == want.predict([0], [N_ITEMS + 4])[0]
    with pytest.raises(ValueError, match=f"expected new items, got {N_ITEMS + 4}"):
        fewer.append_items(late)
    with pytest.raises(ValueError, match="fit anew"):
        ContentBased().fit(plays()).append_items(late)
    assert fewer.recommend([0], k=30).to_dicts() == want.recommend([0], k=30).to_dicts()
    assert model.training.known_rows("item", [N_ITEMS + 4])[0] >= 0


def test_an_item_without_features_is_unknown():
    model = fitted()
    model.append_items(FeatureTable(["blank"], {"genre": [None]}))
    with pytest.raises(UnknownIdError, match="blank"):
        model.predict([0], ["blank"])


def test_appended_users_are_answered_by_their_features():
    model = fitted()
    with pytest.raises(UnknownIdError):
        model.recommend([100])
    model.append_users(people([100, 101]))
    for user in (100, 101):
        assert genre_of(item for item, _ in dict(model.recommend([user], 5))[user]) == {user % 4}
    with pytest.raises(ValueError, match="expected new users"):
        model.append_users(people([100]))


def test_users_who_are_not_kept_are_answered_too():
    model = fitted()
    histories = {"eve": [1, 5, "never seen"], 7: {2: 1.0, 3: -1.0}}
    found = model.recommend_new(histories, k=4, features=people([7, 50]))
    lists = {user: [item for item, _ in items] for user, items in found}
    assert list(lists) == ["eve", 7, 50] and found.sources.tolist() == ["content"] * 3
    assert genre_of(lists["eve"]) == {1} and not {1, 5} & set(lists["eve"])
    assert genre_of(lists[50]) == {2}
    only = dict(model.recommend_new({"eve": [1]}, k=50, allow=[1, 2, 5], deny=[2], exclude_seen=False))
    assert [item for item, _ in only["eve"]][:1] == [1] and len(only["eve"]) == 2
    with pytest.raises(UnknownIdError, match="'lost'"):
        model.recommend_new({"lost": ["never seen"]})
    # Who has the history of a known user gets the answer of that user, without the user's features.
    plain = ContentBased(n_components=12).fit(plays(), item_features=films())
    mine = plain.item_map.ids(plain.user_items[[3]].indices).tolist()
    same = plain.recommend_new({"copy": mine}, k=9)
    want = plain.recommend([3], k=9)
    assert same.item_ids.tolist() == want.item_ids.tolist() and same.scores.tobytes() == want.scores.tobytes()


# Leakage.


def test_the_test_part_changes_no_statistic():
    """Features of items and users without training interactions are not learnt from; all data would show."""
    train = plays()
    model = ContentBased(n_components=12).fit(train, item_features=films(), user_features=people())
    seen = train.item_map.ids(np.unique(train.item_rows)).tolist()
    part = films(sorted(seen))
    for encoder, table in (
        (model.encoder, part),
        (model._registration.encoder, people(sorted(train.user_map))),
    ):
        alone = FeatureEncoder(table.schema).fit(table)
        assert encoder.names == alone.names
        for name, column in encoder.columns.items():
            assert column.state().numbers.tolist() == alone.columns[name].state().numbers.tolist()
    everything = FeatureEncoder(films().schema).fit(films())
    assert everything.names != model.encoder.names
    assert f"genre=only{N_ITEMS}" in everything.names and f"genre=only{N_ITEMS}" not in model.encoder.names


def test_a_planted_leak_is_found(monkeypatch):
    honest = ContentBased._training_rows
    monkeypatch.setattr(
        ContentBased,
        "_training_rows",
        lambda self, table, side: table if side == "item" else honest(self, table, side),
    )
    monkeypatch.setattr(ContentBased, "_learn_encoder", leaking(ContentBased._learn_encoder))
    with pytest.raises(AssertionError):
        test_the_test_part_changes_no_statistic()


def leaking(learn):
    def learn_from_all(self, table):
        self._add_items(table.id_map.ids())
        return learn(self, table)

    return learn_from_all


# Profiles.


def liked(weights, feedback, **more) -> list[float]:
    n = len(weights)
    records = Interactions.from_arrays(["u"] * n, range(n), weights, more.pop("timestamps", None))
    table = FeatureTable(range(n), {"one": np.eye(n)})
    model = ContentBased(feedback=feedback, **more).fit(records, item_features=table)
    return model._user_vectors(np.array([0]))[0].tolist()


def test_what_interactions_say():
    assert liked([1, 5, 3], "ones") == pytest.approx([1 / 3] * 3)
    assert liked([1, 5, 2], "weights") == pytest.approx([1 / 8, 5 / 8, 2 / 8])
    assert liked([1, 5, 3], "centred") == pytest.approx([-0.5, 0.5, 0])
    assert liked([4, 4], "centred") == pytest.approx([0.5, 0.5]), "nothing is above or below the mean"
    assert liked([1, 5, 3], 3) == pytest.approx([-1 / 3, 1 / 3, 1 / 3])
    assert liked([1, 5], 3, dislike_weight=0.5) == pytest.approx([-1 / 3, 2 / 3])
    assert liked([1, 5], 3, dislike_weight=0) == pytest.approx([0, 1])


def test_old_interactions_count_less():
    days = 86400
    found = liked([1, 1, 1], "ones", half_life=10, timestamps=[0, 10 * days, 20 * days])
    assert found == pytest.approx([1 / 7, 2 / 7, 4 / 7])
    with pytest.raises(ValueError, match="timestamps for half_life"):
        liked([1], "ones", half_life=10)


def test_dislikes_push_away():
    records = Interactions.from_arrays(["u"] * 4, ["war1", "war2", "sf1", "sf2"], [5, 4, 1, 2])
    table = FeatureTable(
        ["war1", "war2", "sf1", "sf2", "war3", "sf3"],
        {"genre": [["war"], ["war"], ["sf"], ["sf"], ["war"], ["sf"]]},
    )
    model = ContentBased(feedback="centred").fit(records, item_features=table)
    scores = dict(dict(model.recommend(["u"], k=2))["u"])
    assert scores["war3"] == pytest.approx(0.5) and scores["sf3"] == pytest.approx(-0.5)


# Blocks.


def test_an_item_without_a_block_is_not_punished():
    one = FeatureTable(
        ["past", "both", "no image"],
        {"genre": [["a"], ["a"], ["a"]], "image": np.array([[1.0, 0], [1.0, 0], [np.nan, 0]])},
    )
    model = ContentBased(block_weights={"genre": 3, "image": 1}).fit(
        Interactions.from_arrays(["u"], ["past"]), item_features=one
    )
    assert model.blocks.weights.tolist() == [0.75, 0.25]
    lengths = np.linalg.norm(model._vectors, axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)
    both, without = model.predict(["u", "u"], ["both", "no image"])
    # With all blocks the weighted mean of cosines; without one, the cosine of the vectors that are left.
    assert both == pytest.approx(1.0) and without == pytest.approx(np.sqrt(0.75))
    opposite = FeatureTable(["far"], {"genre": [["a"]], "image": np.array([[-1.0, 0]])})
    model.append_items(opposite)
    assert model.predict(["u"], ["far"])[0] == pytest.approx(0.5)


def test_weights_follow_the_validation_part():
    rng = np.random.default_rng(0)
    n = 200
    taste = rng.integers(0, 8, n)
    noise = rng.integers(0, 8, n)
    table = FeatureTable(range(n), {"good": [[f"g{t}"] for t in taste], "noise": [[f"n{t}"] for t in noise]})
    users = np.repeat(np.arange(80), 6)
    items = np.concatenate(
        [rng.choice(np.flatnonzero(taste == user % 8), 6, replace=False) for user in range(80)]
    )
    part = np.tile([True, True, True, True, False, False], 80)
    train = Interactions.from_arrays(users[part], items[part])
    held_out = Interactions.from_arrays(users[~part], items[~part])
    first, second = (
        ContentBased().fit(train, item_features=table, validation=held_out).blocks.weights for _ in range(2)
    )
    assert first.tolist() == second.tolist()
    assert first[0] > 0.9 and first.sum() == pytest.approx(1)
    with pytest.raises(ValueError, match="validation pairs"):
        ContentBased().fit(train, item_features=table, validation=Interactions.from_arrays(["x"], ["y"]))


def test_blocks_are_chosen_by_name():
    model = ContentBased(blocks={"words": ["genre", "plot"], "image": ["image"]}).fit(
        plays(), item_features=films()
    )
    assert [block.name for block in model.blocks.blocks] == ["words", "image"]
    default = fitted().blocks.blocks
    assert {block.name: block.columns for block in default} == {
        "genre": ["genre"],
        "plot": ["plot"],
        "image": ["image"],
        "fields": ["year", "country"],
    }
    assert [block.projection is not None for block in default] == [True, True, False, False]
    for settings in (
        {"blocks": {"words": ["title"]}},
        {"blocks": {"words": []}},
        {"block_weights": {"sound": 2}},
        {"block_weights": dict.fromkeys(["genre", "plot", "image", "fields"], 0)},
    ):
        with pytest.raises(ValueError, match=r"\[content\] expected block"):
            ContentBased(**settings).fit(plays(), item_features=films())


def test_selection_is_learnt_with_the_model():
    model = ContentBased(selection="variance", n_selected=9).fit(plays(), item_features=films())
    sparse = [name for name in model.encoder.names if not name.startswith("image")]
    assert len(sparse) == 9


def test_tables_must_meet_the_interactions():
    table = FeatureTable([str(i) for i in range(N_ITEMS)], {"year": range(N_ITEMS)})
    with pytest.raises(ValueError, match="features of items with training interactions, got none"):
        ContentBased().fit(plays(), item_features=table)
    with pytest.raises(ValueError, match="features of users with training interactions, got none"):
        ContentBased().fit(plays(), user_features=table)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"n_components": 0}, ValueError),
        ({"feedback": "stars"}, ValueError),
        ({"feedback": np.inf}, ValueError),
        ({"dislike_weight": -1}, ValueError),
        ({"half_life": 0}, ValueError),
        ({"user_weight": "1"}, TypeError),
        ({"selection": "best"}, ValueError),
        ({"block_weights": {"a": -1}}, ValueError),
        ({"random_state": None}, TypeError),
    ],
)
def test_settings_out_of_range_are_refused(settings, error):
    with pytest.raises(error, match="expected"):
        ContentBased(**settings)

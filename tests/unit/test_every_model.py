"""What holds for every model: filters, order, blocks, one user or many, saving, threads, backends."""

from __future__ import annotations

import numpy as np
import pytest

import gpurec
from gpurec import Interactions
from gpurec.backends.cpu import CpuBackend
from gpurec.errors import ArtifactError, UnknownIdError
from gpurec.models import MODELS, Links, Recommender, load_model

SMALL = {
    "mf": {"n_factors": 4, "max_epochs": 3, "validation_fraction": 0, "random_state": 1},
    "bpr": {"n_factors": 5, "n_epochs": 4, "random_state": 1},
    "bayesian-mf": {"n_factors": 3, "n_sweeps": 9, "burn_in": 2, "rank": 5, "n_samples": 3},
    "gf-cf": {"n_vectors": 6},
    "bspm": {"n_vectors": 6},
    "item-knn": {"n_neighbours": 7},
    "user-knn": {"n_neighbours": 7},
    "p3alpha": {"n_neighbours": 7},
    "rp3beta": {"n_neighbours": 7},
    "hybrid": {"parts": [["gf-cf", {"n_vectors": 6}], ["p3alpha", {"n_neighbours": 7}]]},
    "social": {
        "links": Links.from_arrays(["u1", "u1", "u2", "u40"], ["u3", "u40", "u1", "u0"], [1, 2, 1, 1]),
        "base": ["gf-cf", {"n_vectors": 6}],
    },
    "slim": {"n_candidates": 9},
    "als": {"n_factors": 7, "n_sweeps": 4},
}
# Users and items also have a part of their own in each bin of time.
WITH_TIMES = " with times"
SMALL |= {
    name + WITH_TIMES: {**SMALL[name], "user_days": 1, "item_days": 30} for name in ("mf", "bayesian-mf")
}
CASES = [*MODELS, *(name for name in SMALL if name.endswith(WITH_TIMES))]
OF_PAIRS = [name for name in MODELS if name not in ("mf", "bayesian-mf", "popularity")]
N_USERS, N_ITEMS = 45, 30


def new(name: str) -> Recommender:
    return MODELS[name.removesuffix(WITH_TIMES)](**SMALL.get(name, {}))


def plays() -> Interactions:
    """Some users with one item, some with most; one item that nobody has and one user without any."""
    rng = np.random.default_rng(3)
    likes = rng.random((N_USERS, N_ITEMS)) < rng.choice([0.05, 0.2, 0.6], (N_USERS, 1))
    likes[:, 7] = False
    likes[:, 2] |= ~likes.any(axis=1)
    likes[11] = False
    users, items = np.nonzero(likes)
    user_map = gpurec.IdMap([f"u{row}" for row in range(N_USERS)])
    item_map = gpurec.IdMap([f"i{row}" for row in range(N_ITEMS)])
    weights, times = rng.integers(1, 6, len(users)), rng.integers(0, 90 * 86_400, len(users))
    return Interactions.from_arrays(
        user_map.ids(users), item_map.ids(items), weights, times, user_map=user_map, item_map=item_map
    )


@pytest.fixture(scope="module")
def fitted() -> dict[str, Recommender]:
    return {name: new(name).fit(plays()) for name in CASES}


@pytest.fixture(params=CASES)
def model(request, fitted) -> Recommender:
    return fitted[request.param]


def known(model: Recommender) -> np.ndarray:
    return np.flatnonzero(model.training.user_counts > 0)


def same(a: gpurec.TopK, b: gpurec.TopK) -> bool:
    return a.rows.tobytes() == b.rows.tobytes() and a.scores.tobytes() == b.scores.tobytes()


def test_seen_items_do_not_come_and_scores_fall(model):
    users = known(model)
    rows, scores = model.recommend_rows(users, N_ITEMS + 5)
    seen = model.user_items.toarray() > 0
    for user, row, score in zip(users, rows, scores):
        there = row >= 0
        assert not seen[user, row[there]].any() and len(set(row[there])) == there.sum()
        assert (np.diff(score[there]) <= 0).all() and np.isneginf(score[~there]).all()
        ties = np.flatnonzero(np.diff(score[there]) == 0)
        assert (row[ties] < row[ties + 1]).all()
        assert not there[there.sum() :].any()


def test_filters_take_out_what_they_say(model):
    users = known(model)
    free = model.recommend_rows(users, N_ITEMS, exclude_seen=False)
    allow, deny = np.array([0, 3, 4, 5, 20, 21, 22, 29]), np.array([4, 21])
    exclude = [np.array([user % N_ITEMS, 3]) for user in users]
    got = model.recommend_rows(users, 5, exclude_seen=False, exclude=exclude, allow=allow, deny=deny)
    for i in range(len(users)):
        permitted = set(allow) - set(deny) - set(exclude[i])
        want = [row for row in free.rows[i] if row in permitted][:5]
        assert got.rows[i, : len(want)].tolist() == want and (got.rows[i, len(want) :] == -1).all()
    own = [np.array([], int) if i % 2 else allow for i in range(len(users))]
    each = model.recommend_rows(users, 5, exclude_seen=False, allow=own)
    assert (each.rows[1::2] == -1).all()
    assert same_rows(each, model.recommend_rows(users, 5, exclude_seen=False, allow=allow), slice(0, None, 2))


def same_rows(a: gpurec.TopK, b: gpurec.TopK, which: slice) -> bool:
    return a.rows[which].tolist() == b.rows[which].tolist()


def test_nobody_else_who_is_asked_about_shows(model):
    users = known(model)
    together = model.recommend_rows(users, 8)
    for i in (0, 5, len(users) - 1):
        alone = model.recommend_rows(users[i : i + 1], 8)
        assert same(alone, gpurec.TopK(together.rows[i : i + 1], together.scores[i : i + 1]))
    table = model.recommend(model.user_map.ids(users), 8).to_dicts()
    blocks = [row for block in model.recommend_all(k=8, batch=7) for row in block.to_dicts()]
    assert blocks == table


def test_small_blocks_of_scores_are_one_answer(model, monkeypatch):
    users = known(model)
    together = model.recommend_rows(users, 8, deny=[np.array([user % 5]) for user in users])
    monkeypatch.setattr("gpurec.models.recommender.score_rows._BLOCK_BYTES", 4 * N_ITEMS * 3)
    assert same(together, model.recommend_rows(users, 8, deny=[np.array([user % 5]) for user in users]))


def test_predictions_are_the_scores_of_recommendations(model):
    table = model.recommend(model.user_map.ids(known(model)), N_ITEMS, exclude_seen=False).to_dicts()
    users, items = ([row[name] for row in table] for name in ("user_id", "item_id"))
    some = [i for i, item in enumerate(items) if item != "i7"]  # of which nothing is known
    got = model.predict([users[i] for i in some], [items[i] for i in some])
    assert got.tobytes() == np.float32([table[i]["score"] for i in some]).tobytes()


def test_reasons_add_up_to_the_score(model):
    table = model.recommend(model.user_map.ids(known(model)), 6, exclude_seen=False, with_explanations=True)
    for row, why in zip(table.to_dicts(), table.explanations):
        assert (why.user_id, why.item_id, why.score) == (row["user_id"], row["item_id"], row["score"])
        assert abs(why.contributions.sum() - why.score) <= why.tolerance
        had = {item for kind, item in zip(why.kinds, why.names) if kind == "item"}
        assert had <= set(model.item_map.ids(model.user_items[[*model.user_map.rows([why.user_id])]].indices))
        assert row["explanation"] == why.text()
    one = table.explanations[3]
    again = model.explain(one.user_id, one.item_id)
    assert again.names == one.names
    np.testing.assert_allclose(again.contributions, one.contributions, rtol=1e-9)


def test_nothing_is_explained_of_who_is_unknown(model):
    for user, item in (("u11", "i1"), ("eve", "i1"), ("u1", "i7"), ("u1", "new")):
        with pytest.raises(UnknownIdError, match=r"\[explain\] expected an? (user|item)"):
            model.explain(user, item)
    found = model.recommend(["eve"], 2, unknown="popularity", with_explanations=True)
    assert [why.names for why in found.explanations] == [["popularity"]] * 2


def test_who_is_unknown_is_said(model):
    with pytest.raises(UnknownIdError, match="u11"):
        model.recommend(["u1", "u11"])
    with pytest.raises(UnknownIdError, match="eve"):
        model.predict(["eve"], ["i1"])
    answer = model.recommend(["eve", "u1"], 3, unknown="popularity")
    assert answer.sources.tolist() == ["popularity", "model"]
    assert [len(items) for _, items in answer] == [3, min(3, len(model.recommend(["u1"], 3).item_ids))]
    assert np.isfinite(model.predict(["eve", "u1"], ["i1", "new"], unknown="baseline")).all()


def test_a_saved_model_gives_the_same_bits(model, tmp_path):
    model.save(tmp_path / "model")
    users = known(model)
    for loaded in (type(model).load(tmp_path / "model"), load_model(tmp_path / "model", mmap=True)):
        assert type(loaded) is type(model) and loaded.settings == model.settings
        assert same(loaded.recommend_rows(users, 9), model.recommend_rows(users, 9))


@pytest.mark.parametrize("name", CASES)
def test_fitting_again_and_other_threads_give_the_same_bits(name, fitted):
    users = known(fitted[name])
    want = fitted[name].recommend_rows(users, 9)
    for n_threads in (1, 2, 7):
        with gpurec.use_backend(CpuBackend(n_threads=n_threads)):
            assert same(new(name).fit(plays()).recommend_rows(users, 9), want)


@pytest.mark.parametrize("name", CASES)
def test_the_reference_gives_the_same_bits(name, fitted, tmp_path):
    fitted[name].save(tmp_path / "model")
    users = known(fitted[name])
    with gpurec.use_backend("reference"):
        assert same(
            load_model(tmp_path / "model").recommend_rows(users, 9), fitted[name].recommend_rows(users, 9)
        )


@pytest.mark.parametrize("name", OF_PAIRS)
def test_a_checkerboard_has_a_known_answer(name):
    """Users of even rows have the even items, others the odd ones; each lacks the one of their own row."""
    n = 24
    users, items = (grid.ravel() for grid in np.meshgrid(np.arange(n), np.arange(n), indexing="ij"))
    has = ((users + items) % 2 == 0) & (users != items)
    model = MODELS[name]().fit(Interactions.from_arrays(users[has], items[has]))
    best = {user: [item for item, _ in found] for user, found in model.recommend(range(n), k=1)}
    assert best == {user: [user] for user in range(n)}


@pytest.mark.parametrize("name", OF_PAIRS)
def test_weights_do_not_matter_where_every_interaction_counts_as_one(name, fitted):
    records = plays()
    ones = Interactions.from_arrays(
        records.user_ids(), records.item_ids(), user_map=records.user_map, item_map=records.item_map
    )
    users = known(fitted[name])
    assert same(new(name).fit(ones).recommend_rows(users, 9), fitted[name].recommend_rows(users, 9))


@pytest.mark.parametrize(
    ("name", "settings", "error"),
    [
        ("gf-cf", {"n_vectors": 0}, ValueError),
        ("gf-cf", {"random_state": 1.5}, TypeError),
        ("bspm", {"low_pass_weight": np.nan}, ValueError),
        ("bspm", {"sharpening": "2"}, TypeError),
        ("p3alpha", {"n_neighbours": 0}, ValueError),
        ("rp3beta", {"beta": -1}, ValueError),
        ("gf-cf", {"item_power": 3}, ValueError),
        ("slim", {"l1": -1}, ValueError),
        ("slim", {"n_candidates": 0}, ValueError),
        ("slim", {"max_sweeps": 0.5}, TypeError),
        ("slim", {"tolerance": 2}, ValueError),
        ("ease", {"l2": 0}, ValueError),
        ("ease", {"l2": None}, TypeError),
    ],
)
def test_settings_out_of_range_are_refused(name, settings, error):
    with pytest.raises(error, match=rf"\[{name}\] expected {next(iter(settings))}"):
        MODELS[name](**settings)


@pytest.mark.parametrize("name", [*OF_PAIRS, "bayesian-mf"])
def test_damaged_tensors_are_refused(name, fitted, tmp_path):
    from gpurec.artifacts import read_artifact, write_artifact

    fitted[name].save(tmp_path / "model")
    sound = read_artifact(tmp_path / "model", "gpurec.model")
    own = fitted[name]._state()[0]
    for tensor in own:
        damages = {
            "left out": None,
            "cut": own[tensor][:-1],
            "of another kind": own[tensor].astype(np.float16),
        }
        if own[tensor].dtype.kind == "f":
            damages["not a number"] = (
                np.where(np.arange(own[tensor].size) == 0, np.nan, own[tensor].flat)
                .astype(own[tensor].dtype)
                .reshape(own[tensor].shape)
            )
        else:
            damages["out of range"] = own[tensor] + own[tensor].dtype.type(N_ITEMS)
        for damage, value in damages.items():
            tensors = {key: of for key, of in sound.tensors.items() if key != tensor}
            if value is not None:
                tensors[tensor] = np.ascontiguousarray(value)
            write_artifact(tmp_path / "damaged", "gpurec.model", tensors, sound.meta)
            with pytest.raises(ArtifactError):
                pytest.fail(f"{tensor} {damage}: {load_model(tmp_path / 'damaged')}")

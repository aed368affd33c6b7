"""Friends, answers and segments for users without history, and who is said to have answered."""

from __future__ import annotations

import numpy as np
import pytest
from test_every_model import N_ITEMS, N_USERS, known, plays, same

import gpurec
from gpurec import GFCF, MF, IdMap, Interactions, P3alpha, Popularity
from gpurec.artifacts import read_artifact, write_artifact
from gpurec.errors import ArtifactError, UnknownIdError
from gpurec.models import (
    AnotherModel,
    Answers,
    ColdStart,
    FriendsVotes,
    Hybrid,
    Links,
    Popular,
    Registration,
    Segments,
    Social,
    load_model,
)
from gpurec.models.recommender import HistoryModel
from gpurec.reranking import Expiry, Reranked, by_item

LINKS = Links.from_arrays(
    ["u1", "u1", "u2", "u40", "u3", "u3", "eve", "eve", "ida"],
    ["u3", "u40", "u1", "u0", "u3", "u11", "u1", "u5", "u11"],
    [1, 2, 1, 1, 1, 1, 3, 1, 1],
)
BASES = {
    "vectors": ("mf", {"n_factors": 3, "max_epochs": 4, "validation_fraction": 0}),
    "rows": ("gf-cf", {"n_vectors": 6}),
    "silent rows": ("p3alpha", {"n_neighbours": 3}),
}


@pytest.fixture(scope="module")
def fitted():
    return {kind: Social(LINKS, base=base, strength=4).fit(plays()) for kind, base in BASES.items()}


@pytest.fixture(params=list(BASES))
def model(request, fitted) -> Social:
    return fitted[request.param]


def all_scores(model, users) -> np.ndarray:
    found = model.recommend_rows(users, N_ITEMS, exclude_seen=False)
    scores = np.full((len(users), N_ITEMS), -np.inf)
    who, place = np.nonzero(found.rows >= 0)
    scores[who, found.rows[who, place]] = found.scores[who, place]
    return scores


def test_scores_are_drawn_to_those_of_friends(model):
    users = known(model)
    own = dict(zip(users.tolist(), all_scores(model.base, users)))
    got = dict(zip(users.tolist(), all_scores(model, users)))
    friends = {1: {3: 1 / 3, 40: 2 / 3}, 2: {1: 1.0}, 40: {0: 1.0}}  # u11 has nothing, and u3 only itself
    for user in users.tolist():
        if user not in friends:
            assert got[user].tolist() == own[user].tolist()
            continue
        worth = 4 * len(friends[user])
        share = worth / (worth + model.training.user_counts[user])
        counts = model.training.user_counts if isinstance(model.base, HistoryModel) else np.ones(N_USERS)
        votes = [(share * w * counts[user] / counts[f], own[f]) for f, w in friends[user].items()]
        parts = [(1 - share, own[user]), *votes]
        want = sum(w * np.where(np.isneginf(s), 0, s) for w, s in parts)
        silent = np.all([np.isneginf(s) for _, s in parts], axis=0)
        assert (np.isneginf(got[user]) == silent).all()
        np.testing.assert_allclose(got[user][~silent], want[~silent], rtol=2e-5, atol=1e-6)


def test_friends_add_up_to_the_score(model):
    for user in ("u1", "u2", "u5"):
        table = model.recommend([user], 6, exclude_seen=False, with_explanations=True)
        for why in table.explanations:
            assert abs(why.contributions.sum() - why.score) <= why.tolerance
            friends = {name for kind, name in zip(why.kinds, why.names) if kind == "friend"}
            assert friends <= {"u1": {"u3", "u40"}, "u2": {"u1"}, "u5": set()}[user]


def test_a_saved_model_gives_the_same_bits(model, tmp_path):
    model.save(tmp_path / "model")
    users, want = known(model), model.recommend_rows(known(model), 9)
    assert same(load_model(tmp_path / "model").recommend_rows(users, 9), want)
    with gpurec.use_backend("reference"):
        assert same(load_model(tmp_path / "model").recommend_rows(users, 9), want)
        assert same(
            Social(LINKS, base=model.settings["base"], strength=4).fit(plays()).recommend_rows(users, 9), want
        )
    alone = model.recommend_rows([1], 9)
    assert alone.rows.tolist() == want.rows[users == 1].tolist()


def test_blocks_of_few_rows_are_one_answer(model, monkeypatch):
    users, policy = known(model), ColdStart([FriendsVotes(LINKS, shrink=0)])
    want = model.recommend_rows(users, 9), model.recommend(["eve", "u1"], 9, unknown=policy).to_dicts()
    monkeypatch.setattr("gpurec.models.recommender.score_rows._BLOCK_BYTES", 4 * N_ITEMS * 2)
    assert same(model.recommend_rows(users, 9), want[0])
    assert model.recommend(["eve", "u1"], 9, unknown=policy).to_dicts() == want[1]


def test_ratings_stay_ratings(fitted):
    assert fitted["vectors"].predicts_ratings and not fitted["rows"].predicts_ratings
    got = fitted["vectors"].predict(["eve", "u1"], ["i1", "new"], unknown="baseline")
    want = fitted["vectors"].base.predict(["eve"], ["i1"], unknown="baseline")
    assert got[0] == want[0] and np.isfinite(got).all()
    assert (
        fitted["vectors"].similar_items(["i1"], 3).to_dicts()
        == fitted["vectors"].base.similar_items(["i1"], 3).to_dicts()
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t | {"friends.shares": np.full_like(t["friends.shares"], 2)},
        lambda t: t | {"friends.shares": -t["friends.shares"]},
        lambda t: t | {"friends.rows": np.zeros_like(t["friends.rows"])},
        lambda t: t | {"friends.indptr": t["friends.indptr"][::-1].copy()},
        lambda t: {name: of for name, of in t.items() if not name.startswith("base.")},
    ],
)
def test_damaged_friends_are_refused(fitted, tmp_path, change):
    fitted["rows"].save(tmp_path / "model")
    sound = read_artifact(tmp_path / "model", "gpurec.model")
    write_artifact(tmp_path / "damaged", "gpurec.model", change(dict(sound.tensors)), sound.meta)
    with pytest.raises(ArtifactError):
        pytest.fail(f"{load_model(tmp_path / 'damaged')}")


def test_links_are_read_from_files(tmp_path):
    trust, friends = tmp_path / "trust.txt", tmp_path / "friends.dat"
    trust.write_text("u1 u2 1\nu1 u3 0.5\nu2 u1 1\n")
    friends.write_text("userID\tfriendID\r\n2\t275\r\n2\t428\r\n")
    assert Links.from_file(trust).weights.toarray().sum() == 2.5
    assert len(Links.from_file(friends)) == 2 and 275 in Links.from_file(friends).friend_map
    model = Social(trust, base="popularity").fit(plays())
    assert model.settings["links"] == str(trust) and model.friends.nnz == 3
    model.save(tmp_path / "model")
    trust.unlink()
    loaded = load_model(tmp_path / "model")
    assert loaded.settings == model.settings and loaded.friends.nnz == 3
    with pytest.raises(FileNotFoundError):
        loaded.fit(plays())


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Links.from_arrays(["a"], ["b"], [0]), ValueError, r"\[links\] expected weights above 0"),
        (lambda: Links.from_arrays(["a"], ["b"], [np.nan]), ValueError, "finite|missing|weight"),
        (lambda: Links.from_arrays(["a"], ["b", "c"]), ValueError, "expected columns of one length"),
        (lambda: Social(3), TypeError, r"\[social\] expected links"),
        (lambda: Social(base="social"), ValueError, r"\[social\] expected parts other than"),
        (lambda: Social(base=Hybrid()), ValueError, r"\[social\] expected parts other than"),
        (lambda: Social(strength=-1), ValueError, r"\[social\] expected strength"),
        (lambda: ColdStart(["popularity"]), TypeError, r"\[cold_start\] expected sources"),
        (lambda: ColdStart([], otherwise="guess"), ValueError, r"\[cold_start\] expected otherwise"),
        (lambda: FriendsVotes(LINKS, shrink=-1), ValueError, r"\[cold_start\] expected shrink"),
        (lambda: FriendsVotes({}), TypeError, r"\[cold_start\] expected Links"),
        (lambda: Registration({}), TypeError, r"\[cold_start\] expected Answers"),
        (lambda: Segments(ANSWERS, least=0), ValueError, r"\[segments\] expected least"),
        (lambda: Registration(ANSWERS, l2=0), ValueError, r"\[registration\] expected l2"),
        (lambda: Answers(["a"], {"x": []}), ValueError, r"\[answers\] expected an answer to 'x'"),
        (lambda: Answers(["a", "a"], {}), ValueError, "each id once"),
        (
            lambda: Registration(Answers(range(5000), {"zip": range(5000)})),
            ValueError,
            r"\[registration\] expected at most",
        ),
        (
            lambda: Popularity().fit(plays()).recommend(["eve"], unknown=3),
            ValueError,
            r"\[recommend\] expected unknown",
        ),
    ],
)
def test_what_is_wrong_is_said(make, error, text):
    with pytest.raises(error, match=text):
        make()


# Users of even rows say "even" and so on; a new one says so too.
ANSWERS = Answers(
    [*(f"u{row}" for row in range(N_USERS)), "new", "odd", "strange", "mute"],
    {
        "kind": [*("odd" if row % 2 else "even" for row in range(N_USERS)), "even", "odd", "other", None],
        "likes": [
            *([["x"], ["x", "y"], None][row % 3] for row in range(N_USERS)),
            "x",
            {"x", "y"},
            None,
            None,
        ],
    },
)


def test_friends_vote_for_who_is_new(fitted):
    policy = ColdStart([FriendsVotes(LINKS, shrink=0)])
    for model in [*fitted.values(), Popularity().fit(plays()), Hybrid(["mf", "p3alpha"]).fit(plays())]:
        answer = model.recommend(["u1", "eve", "ida", "joe"], N_ITEMS, exclude_seen=True, unknown=policy)
        assert answer.sources.tolist() == ["model", "social", "popularity", "popularity"]
        mean = np.zeros(N_ITEMS)
        for share, friend in ((0.75, 1), (0.25, 5)):
            scores = all_scores(model, np.array([friend]))[0]
            mean += share * np.where(np.isneginf(scores), 0, scores)
        of_eve = [row for row in answer.to_dicts() if row["user_id"] == "eve"]
        assert of_eve and [row["rank"] for row in of_eve] == list(range(1, len(of_eve) + 1))
        rows = model.item_map.rows([row["item_id"] for row in of_eve])
        np.testing.assert_allclose([row["score"] for row in of_eve], mean[rows], rtol=2e-5, atol=1e-6)
        assert (np.diff([row["score"] for row in of_eve]) <= 0).all()


@pytest.mark.parametrize("shrink", [0.5, 30])
def test_few_friends_are_drawn_to_everyone(fitted, shrink):
    policy = ColdStart([FriendsVotes(LINKS, shrink=shrink)])
    for model in [*fitted.values(), Popularity().fit(plays())]:
        users = known(model)
        every = all_scores(model, users)
        own = dict(zip(users.tolist(), np.where(np.isneginf(every), 0, every)))
        friends = 0.75 * own[1] + 0.25 * own[5]
        want = (2 * friends + shrink * np.mean(list(own.values()), axis=0)) / (2 + shrink)
        (_, found), *_ = model.recommend(["eve"], N_ITEMS, unknown=policy)
        rows = model.item_map.rows([item for item, _ in found])
        np.testing.assert_allclose([score for _, score in found], want[rows], rtol=2e-5, atol=1e-6)
        assert set(rows.tolist()) == set(np.flatnonzero(np.isfinite(every).any(axis=0)).tolist())


def test_filters_hold_for_who_is_new(fitted):
    sources = [FriendsVotes(LINKS, shrink=0), Registration(ANSWERS), Segments(ANSWERS)]
    users = ["eve", "new", "odd", "u2", "mute"]
    for model in fitted.values():
        for source in sources:
            policy = ColdStart([source])
            free = model.recommend(users, N_ITEMS, unknown=policy)
            deny, allow = ["i1", "i2"], [f"i{row}" for row in range(20)]
            exclude = [[f"i{i}", "i5"] for i in range(len(users))]
            got = model.recommend(users, 7, unknown=policy, deny=deny, allow=allow, exclude=exclude)
            for i, ((_, before), (_, after)) in enumerate(zip(free, got)):
                left = set(allow) - set(deny) - set(exclude[i])
                assert after == [pair for pair in before if pair[0] in left][:7]
            blocks = [
                row
                for part in model.recommend_all(users, 7, unknown=policy, batch=2)
                for row in part.to_dicts()
            ]
            assert blocks == model.recommend(users, 7, unknown=policy).to_dicts()


def test_the_first_source_that_can_answers(fitted):
    sources = [FriendsVotes(LINKS, shrink=0), Registration(ANSWERS)]
    users = ["joe", "eve", "u1", "new", "strange", "u11"]
    answer = fitted["rows"].recommend(users, 3, unknown=ColdStart(sources), with_explanations=True)
    assert answer.sources.tolist() == [
        "popularity",
        "social",
        "model",
        "registration",
        "popularity",
        "registration",
    ]
    assert answer.user_ids.tolist() == users
    assert answer.explanations[0].names == ["popularity"]
    skipped = fitted["rows"].recommend(users, 3, unknown=ColdStart(sources, otherwise="skip"))
    assert skipped.user_ids.tolist() == ["eve", "u1", "new", "u11"]
    with pytest.raises(UnknownIdError, match="joe"):
        fitted["rows"].recommend(users, 3, unknown=ColdStart(sources, otherwise="raise"))
    assert ColdStart([Popular()]).search(fitted["rows"], ["joe"], 2, {}).rows.shape == (1, 2)


def test_registration_is_the_ridge_regression_of_likes_on_answers():
    model = Popularity().fit(plays())
    X = ANSWERS.of(model.user_map.ids()).toarray()
    has = (model.user_items.toarray() > 0).astype(float)
    use = X.any(axis=1) & has.any(axis=1)
    X, has = X[use], has[use]
    one = np.column_stack([X, np.ones(len(X))])
    penalty = 10 * np.eye(one.shape[1])
    penalty[-1, -1] = 0
    weights = np.linalg.solve(one.T @ one + penalty, one.T @ has)
    answer = model.recommend(["new", "odd"], N_ITEMS, unknown=ColdStart([Registration(ANSWERS)]))
    for user, found in answer:
        given = ANSWERS.of([user]).toarray()[0]
        given = given * X.any(axis=0)
        want = np.append(given, 1) @ weights
        rows = model.item_map.rows([item for item, _ in found])
        np.testing.assert_allclose([score for _, score in found], want[rows], atol=1e-6)


def test_segments_count_their_users():
    model = Popularity().fit(plays())
    asked = Answers(
        ANSWERS.user_map.ids(),
        {"kind": [*("odd" if r % 2 else "even" for r in range(N_USERS)), "even", "odd", "x", None]},
    )
    policy = ColdStart([Segments(asked, shrink=3, least=2)])
    has = model.user_items.toarray() > 0
    answered = has.any(axis=1)
    answer = model.recommend(["new", "odd", "strange", "mute"], N_ITEMS, unknown=policy)
    assert answer.sources.tolist() == ["segment", "segment", "popularity", "popularity"]
    for (_, found), parity in zip(answer, (0, 1)):
        own = answered & (np.arange(N_USERS) % 2 == parity)
        want = (has[own].sum(axis=0) + 3 * has.sum(axis=0) / answered.sum()) / (own.sum() + 3)
        rows = model.item_map.rows([item for item, _ in found])
        np.testing.assert_allclose([score for _, score in found], want[rows], rtol=1e-6)
    few = model.recommend(["new"], 3, unknown=ColdStart([Segments(asked, least=N_USERS)]))
    assert few.sources.tolist() == ["popularity"]


def test_another_model_answers_for_those_it_knows():
    first = P3alpha().fit(plays())
    more = Interactions.from_arrays(
        ["eve", "eve"], ["i1", "i2"], item_map=first.item_map, user_map=IdMap(["eve"])
    )
    other = Popularity().fit(more)
    policy = ColdStart([AnotherModel(other, "content")])
    answer = first.recommend(["eve", "joe"], 3, unknown=policy)
    assert answer.sources.tolist() == ["content", "popularity"]
    assert [item for item, _ in dict(answer)["eve"]] == other.recommend(["eve"], 3).item_ids.tolist()
    with pytest.raises(ValueError, match=r"\[cold_start\] expected another model over the same items"):
        wrong = Popularity().fit(Interactions.from_arrays(["eve"], ["z"]))
        first.recommend(["eve"], 3, unknown=ColdStart([AnotherModel(wrong)]))


def test_a_source_learns_anew_for_another_model():
    policy = ColdStart([Registration(ANSWERS)])
    half = plays().take(np.arange(0, len(plays()), 2))
    for data in (plays(), half, plays()):
        fresh = Popularity().fit(data).recommend(["new"], 5, unknown=ColdStart([Registration(ANSWERS)]))
        assert Popularity().fit(data).recommend(["new"], 5, unknown=policy).to_dicts() == fresh.to_dicts()


def test_rules_hold_for_who_is_new_too(fitted):
    policy = ColdStart([FriendsVotes(LINKS, shrink=0), Registration(ANSWERS)])
    for model in fitted.values():
        ends = by_item(model.item_map, {f"i{row}": 5 for row in range(0, N_ITEMS, 2)}, default=np.inf)
        asked = Reranked(model, [Expiry(ends)], now=10)
        answer = asked.recommend(["eve", "new", "u1", "joe"], 6, unknown=policy)
        assert answer.sources.tolist() == ["social", "registration", "model", "popularity"]
        assert all(int(item[1:]) % 2 for item in answer.item_ids)
        free = model.recommend(["eve", "new"], N_ITEMS, unknown=policy)
        for user, found in free:
            assert dict(answer)[user] == [pair for pair in found if int(pair[0][1:]) % 2][:6]


def test_models_that_stand_for_others_work_with_all_sources():
    policy = ColdStart([FriendsVotes(LINKS, shrink=0), Segments(ANSWERS, least=1)])
    for model in (MF(n_factors=2, max_epochs=2), GFCF(n_vectors=3), Social(LINKS), Hybrid(method="rrf")):
        found = model.fit(plays()).recommend(["eve", "new"], 4, unknown=policy)
        assert found.sources.tolist() == ["social", "segment"] and len(found.item_ids) == 8

"""Hybrids: each method against its definition, the one index of sums, learnt weights, saving, refusals."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
from test_every_model import N_ITEMS, known, plays, same

import gpurec
from gpurec import GFCF, MF, Interactions, P3alpha, Popularity, RP3beta, evaluate
from gpurec.artifacts import read_artifact, write_artifact
from gpurec.data import random_split
from gpurec.errors import ArtifactError
from gpurec.models import Hybrid, load_model
from gpurec.models.hybrid.ranks import ranks_among_unseen
from gpurec.models.hybrid.stacking import choice_weights, ridge_weights
from gpurec.models.recommender import ScoreRowModel, VectorModel

SMALL_MF = ("mf", {"n_factors": 3, "max_epochs": 4, "validation_fraction": 0})
OTHER_MF = ("mf", {"n_factors": 2, "max_epochs": 9, "validation_fraction": 0, "random_state": 5})
WALKS, FILTER = ("p3alpha", {"n_neighbours": 7}), ("gf-cf", {"n_vectors": 6})
KINDS = {
    "sum of rows": {"parts": [WALKS, FILTER], "weights": [0.3, 2]},
    "sum of rows and vectors": {"parts": [WALKS, SMALL_MF, "popularity"], "weights": [1, -0.5, 0.1]},
    "sum of vectors": {"parts": [SMALL_MF, "popularity"], "scale": "spread"},
    "mean of ratings": {"parts": [SMALL_MF, OTHER_MF]},
    "rrf": {"parts": [WALKS, FILTER, "popularity"], "method": "rrf", "weights": [1, 2, 0.5]},
    "rrf of few": {"parts": [WALKS, FILTER], "method": "rrf", "depth": 5, "offset": 1},
    "borda": {"parts": [WALKS, SMALL_MF], "method": "borda", "depth": 9},
    "switching": {"parts": ["popularity", WALKS, FILTER], "method": "switching", "switch_at": [2, 7]},
    "cascade": {"parts": [WALKS, "popularity", FILTER], "method": "cascade", "depth": 12},
    "stacking": {"parts": [WALKS, FILTER, "popularity"], "method": "stacking"},
    "stacked ratings": {"parts": [SMALL_MF, OTHER_MF], "method": "stacking"},
}


@pytest.fixture(scope="module")
def fitted() -> dict[str, Hybrid]:
    return {kind: Hybrid(**settings).fit(plays()) for kind, settings in KINDS.items()}


@pytest.fixture(params=list(KINDS))
def model(request, fitted) -> Hybrid:
    return fitted[request.param]


def scores_of(part) -> np.ndarray:
    """All scores of a part for all users, float64, -inf where nothing is said."""
    rows = np.arange(part.training.n_users)
    if isinstance(part, VectorModel):
        return part._user_vectors(rows).astype(float) @ part._item_vectors(np.arange(N_ITEMS)).T.astype(float)
    return part._score_rows(rows).astype(float)


def all_scores(model: Hybrid) -> np.ndarray:
    """What the hybrid gives for known users and all items; -inf where it does not recommend."""
    users = known(model)
    found = model.recommend_rows(users, N_ITEMS, exclude_seen=False)
    scores = np.full((model.training.n_users, N_ITEMS), -np.inf)
    who, place = np.nonzero(found.rows >= 0)
    scores[users[who], found.rows[who, place]] = found.scores[who, place]
    return scores


def silent_as_zero(scores: np.ndarray) -> np.ndarray:
    return np.where(np.isneginf(scores), 0, scores)


def ranks_of(part, depth: int) -> np.ndarray:
    """Ranks by counting, among unseen items, equal scores by row; 0 beyond depth."""
    scores, seen = scores_of(part).astype(np.float32), part.user_items.toarray() != 0
    ranks = np.zeros(scores.shape, int)
    for user in range(len(scores)):
        for item in range(N_ITEMS):
            if np.isfinite(scores[user, item]):
                before = [
                    j
                    for j in range(N_ITEMS)
                    if not seen[user, j] and (scores[user, j], -j) > (scores[user, item], -item)
                ]
                ranks[user, item] = len(before) + 1 if len(before) < depth else 0
    return ranks


@pytest.mark.parametrize("kind", ["sum of rows", "sum of rows and vectors", "sum of vectors", "stacking"])
def test_a_sum_is_the_sum_of_its_parts(fitted, kind):
    model = fitted[kind]
    each = [scores_of(part) for part in model.parts]
    want = sum(c * silent_as_zero(scores) for c, scores in zip(model.coefficients, each))
    want[np.all([np.isneginf(scores) for scores in each], axis=0)] = -np.inf
    got = all_scores(model)[known(model)]
    np.testing.assert_array_equal(np.isneginf(got), np.isneginf(want[known(model)]))
    np.testing.assert_allclose(silent_as_zero(got), silent_as_zero(want[known(model)]), rtol=1e-5, atol=1e-6)


def test_coefficients_are_weights_over_scales(fitted):
    model = fitted["sum of rows"]
    for weight, coefficient, part in zip([0.3, 2], model.coefficients, model.parts):
        rows = silent_as_zero(scores_of(part))[known(model)]
        assert coefficient == pytest.approx(weight / np.sqrt(rows.var(axis=1).mean()))
    assert fitted["mean of ratings"].coefficients.tolist() == [0.5, 0.5]


def test_a_sum_of_vectors_is_one_index(fitted):
    model = fitted["sum of vectors"]
    assert model._way is VectorModel and fitted["sum of rows and vectors"]._way is ScoreRowModel
    assert model._item_index().d == 3 + 2 + 1
    user = known(model)[:1]
    vector = np.concatenate(
        [
            (part._user_vectors(user) * c).astype(np.float32)
            for part, c in zip(model.parts, model.coefficients)
        ],
        1,
    )
    want = gpurec.score_top_k(vector, model._item_vectors(np.arange(N_ITEMS)), 5)
    assert same(model.recommend_rows(user, 5, exclude_seen=False), want)


def test_reciprocal_ranks_and_borda_counts(fitted):
    users = known(fitted["rrf"])
    for kind, depth in (("rrf", N_ITEMS), ("rrf of few", 5), ("borda", 9)):
        model = fitted[kind]
        weights = KINDS[kind].get("weights", [0.5, 0.5])
        ranks = [ranks_of(part, depth) for part in model.parts]
        if kind == "borda":
            each = [w * (10 - r) / 9 * (r > 0) for w, r in zip(weights, ranks)]
        else:
            offset = KINDS[kind].get("offset", 60)
            each = [w / (offset + np.maximum(r, 1)) * (r > 0) for w, r in zip(weights, ranks)]
        want = np.where(np.any([r > 0 for r in ranks], axis=0), sum(each), -np.inf).astype(np.float32)
        np.testing.assert_array_equal(all_scores(model)[users], want[users])


def test_ranks_do_not_depend_on_what_is_seen_but_shown(fitted):
    model = fitted["rrf"]
    users = known(model)
    shown, hidden = (model.recommend_rows(users, N_ITEMS, exclude_seen=seen) for seen in (False, True))
    for all_rows, all_values, rows, values in zip(*shown, *hidden):
        of = dict(zip(all_rows.tolist(), all_values.tolist()))
        assert [of[row] for row in rows[rows >= 0].tolist()] == values[rows >= 0].tolist()


def test_ties_in_ranks_go_by_row():
    scores = np.float32([[1, 0.0, -0.0, 1, -np.inf, 2]])
    seen = np.array([0, 2]), np.array([3, 2])
    assert ranks_among_unseen(scores, seen, 6).tolist() == [[2, 3, 4, 3, 0, 1]]


def test_a_switch_gives_the_part_of_the_users_history(fitted):
    model = fitted["switching"]
    counts = model.training.user_counts
    for number, users in enumerate((counts < 2, (counts >= 2) & (counts < 7), counts >= 7)):
        rows = np.flatnonzero(users & (counts > 0))
        assert rows.size
        own = model.parts[number].recommend_rows(rows, 6)
        assert model.recommend_rows(rows, 6).rows.tolist() == own.rows.tolist()


def test_a_cascade_leaves_each_part_the_best_of_the_one_before(fitted):
    model = fitted["cascade"]
    walks, popular, last = model.parts
    first = ranks_of(walks, 12) > 0
    scores, seen = scores_of(popular), model.user_items.toarray() != 0
    for user in known(model)[:12]:
        best = [
            i for i in np.lexsort((np.arange(N_ITEMS), -scores[user])) if first[user, i] and not seen[user, i]
        ]
        want = [i for i in last.recommend_rows([user], N_ITEMS).rows[0] if i in best[:12]]
        got = model.recommend_rows([user], N_ITEMS).rows[0]
        assert got[got >= 0].tolist() == want


def test_learnt_weights_are_the_best_ones():
    rng = np.random.default_rng(2)
    scores, indptr = rng.normal(size=(60, 3)), np.arange(0, 61, 6)
    chosen = rng.random(60) < 0.3
    chosen[indptr[:-1]] = True

    def loss(w):
        values = scores @ w
        total = 0.5 * 0.7 * w @ w
        for first, end in pairwise(indptr):
            part = values[first:end]
            total -= (part[chosen[first:end]] - np.log(np.exp(part).sum())).sum()
        return total

    want = scipy.optimize.minimize(loss, np.zeros(3), tol=1e-12).x
    np.testing.assert_allclose(choice_weights(scores, chosen, indptr, 0.7), want, atol=1e-5)
    ratings = scores @ [1, 0.5, 0] + 2 + rng.normal(size=60)
    weights, constant = ridge_weights(scores, ratings, 3.0)

    def squares(x):
        return np.square(ratings - scores @ x[:3] - x[3]).sum() + 3 * np.square(x[:3] - 1 / 3).sum()

    np.testing.assert_allclose(
        [*weights, constant], scipy.optimize.minimize(squares, np.zeros(4)).x, atol=1e-5
    )


def test_far_apart_scores_do_not_upset_the_learner():
    scores = np.array([[1e4, 0.0], [0, 1e-4], [-1e4, 0], [5, 5]])
    found = choice_weights(scores, np.array([True, False, False, True]), np.array([0, 2, 4]), 1e-3)
    assert np.isfinite(found).all() and found[0] > 0


def test_stacking_finds_the_part_that_is_good():
    """Half of the users like even items, half odd ones; one part is popularity of noise, the other knows."""
    n = 40
    rng = np.random.default_rng(0)
    has = (np.add.outer(np.arange(n), np.arange(n)) % 2 == 0) & (rng.random((n, n)) < 0.6)
    data = Interactions.from_arrays(*np.nonzero(has))
    model = Hybrid(["popularity", "rp3beta"], method="stacking").fit(data)
    assert model.coefficients[1] > 0 and model.coefficients[1] > 3 * abs(model.coefficients[0])
    train, test = random_split(data, 0.3, random_state=1)
    stacked = evaluate(Hybrid(["popularity", "rp3beta"], method="stacking").fit(train), test, k=5)
    equal = evaluate(Hybrid(["popularity", "rp3beta"], weights=[1, 1]).fit(train), test, k=5)
    assert stacked.mean("recall@5") >= equal.mean("recall@5")


def test_stacking_learns_from_the_validation_part_that_is_given():
    train, held = random_split(plays(), 0.2, random_state=3)
    parts = [Popularity(), RP3beta(n_neighbours=7)]
    model = Hybrid(parts, method="stacking").fit(train, validation=held)
    assert model.parts[0] is parts[0] and parts[1].training is model.training
    assert len(model.user_items.data) == len(train.user_items.data)
    with pytest.raises(ValueError, match=r"\[hybrid\] expected validation interactions of known"):
        other = Interactions.from_arrays(["nobody"], ["nothing"])
        Hybrid(parts, method="stacking").fit(train, validation=other)


def test_ratings_are_predicted_where_all_parts_do(fitted):
    train, test = random_split(plays(), 0.2, random_state=1)
    for kind, want in (
        ("mean of ratings", True),
        ("stacked ratings", True),
        ("sum of rows", False),
        ("rrf", False),
    ):
        model = Hybrid(**KINDS[kind])
        assert model.predicts_ratings is want
        if want:
            assert np.isfinite(evaluate(model.fit(train), test, k=3).mean("rmse"))
    model = fitted["stacked ratings"]
    assert model.intercept != 0 and model._way is VectorModel
    mean = fitted["mean of ratings"].predict(["eve"], ["new"], unknown="baseline")
    assert mean[0] == pytest.approx(plays().weights.mean(), rel=1e-5)


def test_what_is_unknown_gets_what_the_parts_know(fitted):
    model = fitted["sum of rows and vectors"]
    got = model.predict(["eve", "u1"], ["i1", "new"], unknown="baseline")
    each = [part.predict(["eve", "u1"], ["i1", "new"], unknown="baseline") for part in model.parts]
    np.testing.assert_allclose(got, sum(c * x for c, x in zip(model.coefficients, each)), rtol=1e-6)


def test_predictions_are_the_scores_of_recommendations(model):
    table = model.recommend(model.user_map.ids(known(model)), 8, deny=["i7"]).to_dicts()
    got = model.predict([row["user_id"] for row in table], [row["item_id"] for row in table])
    assert got.tobytes() == np.float32([row["score"] for row in table]).tobytes()


def test_nobody_else_who_is_asked_about_shows(model, monkeypatch):
    users = known(model)
    together = model.recommend_rows(users, 8)
    for i in (0, 7, len(users) - 1):
        alone = model.recommend_rows(users[i : i + 1], 8)
        assert same(alone, gpurec.TopK(together.rows[i : i + 1], together.scores[i : i + 1]))
    monkeypatch.setattr("gpurec.models.recommender.score_rows._BLOCK_BYTES", 4 * N_ITEMS * 3)
    assert same(together, model.recommend_rows(users, 8))


def test_parts_add_up_to_the_score(model):
    table = model.recommend(model.user_map.ids(known(model)), 5, exclude_seen=False, with_explanations=True)
    for why in table.explanations:
        assert set(why.kinds) <= {"part"}
        assert abs(why.contributions.sum() - why.score) <= why.tolerance


def test_saved_and_on_the_reference_it_gives_the_same_bits(model, tmp_path):
    model.save(tmp_path / "model")
    users, want = known(model), model.recommend_rows(known(model), 9)
    loaded = load_model(tmp_path / "model", mmap=True)
    assert loaded.settings == model.settings and loaded.predicts_ratings == model.predicts_ratings
    assert same(loaded.recommend_rows(users, 9), want)
    assert same(Hybrid(**model.settings).fit(plays()).recommend_rows(users, 9), want)
    with gpurec.use_backend("reference"):
        assert same(load_model(tmp_path / "model").recommend_rows(users, 9), want)


def test_fitting_again_forgets_what_was_there():
    model = Hybrid(["popularity", WALKS, SMALL_MF], method="rrf").fit(plays())
    model.recommend_rows([0], 3)
    half = plays().take(np.arange(0, len(plays()), 2))
    want = Hybrid(["popularity", WALKS, SMALL_MF], method="rrf").fit(half)
    users = known(want)
    assert same(model.fit(half).recommend_rows(users, 5), want.recommend_rows(users, 5))


@pytest.mark.parametrize(
    "change",
    [
        {"coefficients": [1.0]},
        {"coefficients": [1, 2]},
        {"intercept": None},
        {"parts": [{}]},
        {"parts": ["a", "b"]},
        {"settings": {"parts": [["hybrid", {}], "mf"]}},
        {"settings": {"parts": [["eval", {}], "mf"]}},
        {"settings": {"parts": [["p3alpha", {"n_neighbours": -1}], "mf"]}},
        {"settings": {"parts": 5}},
        {"settings": {"parts": [[["p3alpha"], {}]]}},
    ],
)
def test_a_damaged_file_is_refused(fitted, tmp_path, change):
    fitted["sum of rows"].save(tmp_path / "model")
    sound = read_artifact(tmp_path / "model", "gpurec.model")
    write_artifact(tmp_path / "damaged", "gpurec.model", sound.tensors, sound.meta | change)
    with pytest.raises(ArtifactError):
        pytest.fail(f"{load_model(tmp_path / 'damaged')}")


@pytest.mark.parametrize(
    ("parts", "settings", "error", "text"),
    [
        ([], {}, ValueError, "expected 1 to 16 parts"),
        ("mf", {}, TypeError, "expected parts as a list"),
        (["svd"], {}, ValueError, "expected one of .*, got 'svd'"),
        ([("mf", 3)], {}, TypeError, "expected a model, a name"),
        ([Hybrid(["mf"])], {}, ValueError, "expected parts other than hybrid"),
        (["mf"], {"method": "best"}, ValueError, "expected method"),
        (["mf"], {"scale": "log"}, ValueError, "expected scale"),
        (["mf", "ease"], {"weights": [1]}, ValueError, "expected weights of 2 parts"),
        (["mf", "ease"], {"weights": [1, np.nan]}, ValueError, "expected weights"),
        (["mf", "ease"], {"weights": [1, -1], "method": "rrf"}, ValueError, "expected weights"),
        (["mf", "ease"], {"method": "switching"}, ValueError, "expected switch_at of 1"),
        (
            ["mf", "ease", "bspm"],
            {"method": "switching", "switch_at": [5, 5]},
            ValueError,
            "switch_at to rise",
        ),
        (["mf"], {"depth": 0}, ValueError, "expected depth"),
        (["mf"], {"l2": 0}, ValueError, "expected l2"),
    ],
)
def test_what_is_wrong_is_said(parts, settings, error, text):
    with pytest.raises(error, match=rf"\[hybrid\] {text}|\[hybrid\] .*{text}"):
        Hybrid(parts, **settings)


def test_parts_may_be_models_and_seeds_go_to_those_by_name():
    model = Hybrid([GFCF(n_vectors=3, random_state=9), "mf", MF(random_state=2), P3alpha()], random_state=4)
    assert [part[1].get("random_state") for part in model.settings["parts"]] == [9, 4, 2, None]
    assert "Hybrid(parts=[['gf-cf'" in repr(model)


def test_similar_items_are_those_of_parts_with_factors(fitted):
    model = fitted["sum of vectors"]
    own = model.parts[0].similar_items(["i1"], 5)
    assert model.similar_items(["i1"], 5).item_ids.tolist() == own.item_ids.tolist()
    with pytest.raises(ValueError, match=r"\[similar_items\]"):
        fitted["sum of rows"].similar_items(["i1"])

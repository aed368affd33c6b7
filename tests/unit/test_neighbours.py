"""Models of neighbours against plain loops, their ratings, their reasons, and learning more."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import gpurec
from gpurec import Interactions
from gpurec.artifacts import read_artifact, write_artifact
from gpurec.errors import ArtifactError
from gpurec.evaluation import rmse
from gpurec.models import ItemKNN, UserKNN, load_model
from gpurec.models.neighbours import neighbour_lists

KINDS = (UserKNN, ItemKNN)
FORMS = ("weighted", "centred", "baseline")
N_USERS, N_ITEMS = 40, 32


def ratings(seed: int = 0, n: int = 500, users=(0, N_USERS), items=(0, N_ITEMS)) -> Interactions:
    """Each pair once; ids are rows where all are there."""
    rng = np.random.default_rng(seed)
    width = items[1] - items[0]
    pairs = rng.permutation((users[1] - users[0]) * width)[:n]
    stars = rng.integers(1, 11, n) / 2
    return Interactions.from_arrays(
        [f"u{users[0] + pair // width}" for pair in pairs],
        [f"i{items[0] + pair % width}" for pair in pairs],
        stars,
    )


def together(*parts: Interactions) -> Interactions:
    columns = ([getattr(part, name)() for part in parts] for name in ("user_ids", "item_ids"))
    return Interactions.from_arrays(
        *(np.concatenate(column) for column in columns), np.concatenate([part.weights for part in parts])
    )


def bits(model) -> list[bytes]:
    users = np.arange(model.training.n_users)
    found = model.recommend_rows(users, 12, exclude_seen=False)
    return [found.rows.tobytes(), found.scores.tobytes(), *(t.tobytes() for t in model._state()[0].values())]


def loop_biases(table: dict, user_penalty: float, item_penalty: float) -> tuple[float, dict, dict]:
    mean = sum(table.values()) / len(table)
    of_users = dict.fromkeys((u for u, _ in table), 0.0)
    of_items = dict.fromkeys((i for _, i in table), 0.0)
    for _ in range(10):
        for i in of_items:
            own = [r - mean - of_users[u] for (u, j), r in table.items() if j == i]
            of_items[i] = sum(own) / (len(own) + item_penalty)
        for u in of_users:
            own = [r - mean - of_items[i] for (v, i), r in table.items() if v == u]
            of_users[u] = sum(own) / (len(own) + user_penalty)
    return mean, of_users, of_items


@pytest.mark.parametrize(("kind", "form"), list(itertools.product(KINDS, FORMS)))
def test_ratings_are_those_of_a_plain_loop(kind, form):
    records = ratings()
    n, damping = 5, 0.3
    model = kind(rating=form, n_neighbours=n, metric="pearson", shrinkage=3.0, damping=damping).fit(records)
    table = dict(
        zip(zip(records.user_rows.tolist(), records.item_rows.tolist()), map(float, records.weights))
    )
    mean, of_users, of_items = loop_biases(table, 15.0, 10.0)
    matrix = records.user_items if kind is UserKNN else records.user_items.T
    found = gpurec.gram_top_k(matrix, matrix.shape[0], metric="pearson", shrinkage=3.0)
    alike = {
        (a, b): float(s)
        for a, (rows, scores) in enumerate(zip(found.rows.tolist(), found.scores.tolist()))
        for b, s in zip(rows, scores)
        if s > 0
    }
    side = 0 if kind is UserKNN else 1
    means = {
        row: np.mean([r for pair, r in table.items() if pair[side] == row])
        for row in {pair[side] for pair in table}
    }

    def baseline(u, i):
        return mean + of_users[u] + of_items[i]

    def expected(u, i):
        return {"weighted": 0.0, "centred": means[(u, i)[side]], "baseline": baseline(u, i)}[form]

    got = model.predict(
        [f for u in range(len(of_users)) for f in model.user_map.ids([u] * len(of_items))],
        model.item_map.ids(np.tile(np.arange(len(of_items)), len(of_users))),
    ).reshape(len(of_users), -1)
    some_without = False
    for u, i in itertools.product(of_users, of_items):
        votes = []
        for (v, j), rating in table.items():
            voter, asked = (v, u) if kind is UserKNN else (j, i)
            here = j == i if kind is UserKNN else v == u
            if here and (asked, voter) in alike:
                votes.append((-alike[asked, voter], voter, rating - expected(v, j)))
        votes = sorted(votes)[:n]
        weight = sum(-s for s, _, _ in votes)
        some_without |= not votes
        wanted = baseline(u, i)
        if votes:
            said = weight * expected(u, i) + sum(-s * d for s, _, d in votes)
            wanted = (said + damping * wanted) / (weight + damping)
        assert got[u, i] == pytest.approx(wanted, rel=1e-6)
    assert some_without or kind is UserKNN


@pytest.mark.parametrize("kind", KINDS)
def test_lists_are_sums_of_similarities(kind):
    records = ratings()
    model = kind(n_neighbours=6, metric="cosine", weighting="none").fit(records)
    likes = (records.user_items.toarray() > 0).astype(np.float32)
    rows, similarities = gpurec.gram_top_k(likes if kind is UserKNN else likes.T, 6)
    weights = np.zeros((len(rows), len(rows)))
    weights[np.arange(len(rows))[:, np.newaxis], rows] = similarities
    wanted = weights @ likes if kind is UserKNN else likes @ weights
    users, items = np.nonzero(wanted)
    got = model.predict(model.user_map.ids(users), model.item_map.ids(items))
    np.testing.assert_allclose(got, wanted[users, items], rtol=1e-6)
    assert model.recommend_rows([0], N_ITEMS, exclude_seen=False).scores[0].min() == -np.inf


@pytest.mark.parametrize(("kind", "form"), list(itertools.product(KINDS, (None, *FORMS))))
def test_recommendations_are_predictions_with_reasons(kind, form, tmp_path):
    model = kind(rating=form, n_neighbours=4, n_candidates=9).fit(ratings())
    assert model.predicts_ratings is (form is not None)
    table = model.recommend(model.user_map.ids(), 7, with_explanations=True)
    predicted = model.predict([row["user_id"] for row in table.to_dicts()], table.item_ids)
    assert predicted.tobytes() == table.scores.tobytes()
    for why in table.explanations:
        assert abs(why.contributions.sum() - why.score) <= why.tolerance
        assert set(why.kinds) <= {"baseline", model._side}
    if form is not None:
        assert max(sum(kind != "baseline" for kind in why.kinds) for why in table.explanations) == 4
    model.save(tmp_path / "model")
    assert bits(load_model(tmp_path / "model")) == bits(model)
    with gpurec.use_backend("reference"):
        assert bits(kind(**model.settings).fit(ratings())) == bits(model)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_what_is_known_remains_where_something_is_not(kind, form):
    model = kind(rating=form).fit(ratings())
    mean, biases = model._fallback.mean, model._fallback
    got = model.predict(["u3", "new", "new"], ["new", "i3", "new"], unknown="baseline")
    user, item = model.user_map.rows(["u3"])[0], model.item_map.rows(["i3"])[0]
    wanted = [mean + biases.of_users[user], mean + biases.of_items[item], mean]
    assert got.tolist() == np.float32(wanted).tolist()


# Of which touched rows are compared anew, and at the end two of which all are.
HOW = [
    {"metric": "cosine"},
    {"metric": "cosine", "shrinkage": 5.0, "min_overlap": 3},
    {"metric": "dot"},
    {"metric": "pearson"},
    {"metric": "pearson_centred"},
    {"metric": "jaccard"},
    {"metric": "asymmetric_cosine", "alpha": 0.3},
    {"metric": "tversky", "alpha": 0.3, "beta": 2.0},
    {"metric": "cosine", "weighting": "tf-idf"},
    {"metric": "adjusted_cosine"},
]


@pytest.mark.parametrize("how", HOW, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_learning_more_equals_learning_all(kind, how, monkeypatch):
    """New users, new items, new pairs of old ones, pairs that were there; lists cut short, and whole ones."""
    first = ratings(n=450)
    parts = [
        ratings(1, 3, users=(0, 4), items=(0, 3)),
        ratings(2, 4, users=(38, 44), items=(2, 4)),
        ratings(3, 5, users=(1, 3), items=(28, 36)),
        ratings(4, 200, users=(0, 60), items=(0, 50)),
    ]
    monkeypatch.setattr(neighbour_lists, "_BLOCK_BYTES", 1 << 12)
    for form, n_kept in ((None, 3), ("baseline", 6), ("centred", 500)):
        settings = {"rating": form, "n_neighbours": min(n_kept, 4), "n_candidates": n_kept}
        settings |= {"weighting": "none"} | how
        model = kind(**settings).fit(first)
        for i in range(len(parts)):
            assert model.fit_partial(parts[i], progress=False) is model
            whole = kind(**settings).fit(together(first, *parts[: i + 1]))
            assert list(model.user_map) == list(whole.user_map)
            assert list(model.item_map) == list(whole.item_map)
            assert bits(model) == bits(whole)
            assert model.weight_range == whole.weight_range


@pytest.mark.parametrize("how", HOW, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_learning_more_of_far_neighbours_equals_learning_all(kind, how):
    """Each user shares items with the next ones only, so that most rows are touched by no new interaction."""
    users = np.repeat(np.arange(60), 4)
    items = users + np.tile([0, 1, 3, 5], 60)
    stars = np.random.default_rng(5).integers(1, 6, len(users))
    first = Interactions.from_arrays(users, items, stars)
    more = Interactions.from_arrays([7, 30, 70], [9, 90, 34], [5, 1, 2])
    for form in (None, "baseline"):
        settings = {"rating": form, "n_neighbours": 4, "weighting": "none"} | how
        model = kind(**settings).fit(first).fit_partial(more)
        assert bits(model) == bits(kind(**settings).fit(together(first, more)))


def test_learning_more_touches_few_rows(monkeypatch):
    """Item 3 gets a user; item 7 shares one with it, the others do not."""
    users, items = np.array([(0, 0), (0, 1), (1, 1), (1, 2), (2, 3), (2, 7), (3, 4), (3, 5), (4, 6)]).T
    model = ItemKNN(metric="cosine", weighting="none").fit(Interactions.from_arrays(users, items))
    asked = []
    true_gram = neighbour_lists.gram_top_k
    monkeypatch.setattr(
        neighbour_lists,
        "gram_top_k",
        lambda x, k, rows, **how: asked.extend(rows) or true_gram(x, k, rows=rows, **how),
    )
    model.fit_partial(Interactions.from_arrays([9], [3]))
    assert asked == model.item_map.rows([3, 7]).tolist()


def test_learning_more_begins_with_nothing_and_fails_without_a_trace(monkeypatch):
    model = UserKNN(metric="cosine", weighting="none").fit_partial(ratings())
    before = bits(model)
    assert before == bits(UserKNN(metric="cosine", weighting="none").fit(ratings()))

    def interrupted(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(neighbour_lists, "gram_top_k", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit_partial(ratings(1, 2))
    assert bits(model) == before and len(model.user_map) == N_USERS


@pytest.mark.parametrize("kind", KINDS)
def test_similar_ones_are_the_neighbours(kind):
    model = kind(metric="jaccard", weighting="none", n_neighbours=3).fit(ratings())
    side = model._side
    found = getattr(model, f"similar_{side}s")([f"{side[0]}5", f"{side[0]}1"], 2)
    assert found.columns == (f"{side}_id", f"similar_{side}_id")
    id_map = model.user_map if kind is UserKNN else model.item_map
    matrix = model.user_items if kind is UserKNN else model.user_items.T
    rows, scores = gpurec.gram_top_k(
        matrix, 2, metric="jaccard", rows=id_map.rows([f"{side[0]}5", f"{side[0]}1"])
    )
    got = [(row[f"similar_{side}_id"], row["score"]) for row in found.to_dicts()]
    assert got == list(zip(id_map.ids(rows.ravel()).tolist(), scores.ravel().tolist()))
    assert [len(some) for _, some in getattr(model, f"similar_{side}s")([f"{side[0]}5"], 9)] == [3]
    other = "item" if kind is UserKNN else "user"
    with pytest.raises(ValueError, match=f"expected a model that compares {other}s"):
        getattr(model, f"similar_{other}s")([f"{other[0]}5"])


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"rating": "mean"}, ValueError, "rating of weighted, centred, baseline"),
        ({"metric": "euclidean"}, ValueError, "metric of cosine"),
        ({"weighting": "idf"}, ValueError, "weighting of none, bm25, tf-idf"),
        ({"n_neighbours": 0}, ValueError, "n_neighbours of 1 or more"),
        ({"n_candidates": 2.5}, TypeError, "n_candidates as an integer"),
        ({"damping": -1}, ValueError, "damping from 0"),
        ({"shrinkage": math.nan}, ValueError, "shrinkage from 0"),
        ({"user_penalty": "1"}, TypeError, "user_penalty as a number"),
        ({"min_overlap": 0}, ValueError, "min_overlap of 1 or more"),
    ],
)
def test_settings_out_of_range_are_refused(settings, error, text):
    for kind in KINDS:
        with pytest.raises(error, match=rf"\[{kind.name}\] expected {text}"):
            kind(**settings)


def test_settings_that_are_left_out_suit_the_scores():
    assert ItemKNN().settings != ItemKNN(rating="centred").settings
    for kind, form in itertools.product(KINDS, (None, *FORMS)):
        model = kind(rating=form)
        assert kind(**model.settings).settings == model.settings
    assert ItemKNN(metric="cosine").settings["alpha"] is None


def test_edited_lists_are_refused(tmp_path):
    model = ItemKNN(rating="baseline").fit(ratings())
    model.save(tmp_path / "model")
    sound = read_artifact(tmp_path / "model", "gpurec.model")
    for name, edit in (
        ("neighbours.similarities", lambda a: a[::-1].copy()),
        (
            "neighbours.similarities",
            lambda a: np.where(np.arange(len(a)) == len(a) - 1, -1, a).astype(np.float32),
        ),
        ("neighbours.rows", lambda a: np.full_like(a, -1)),
        ("neighbours.indptr", lambda a: a[::-1].copy()),
    ):
        write_artifact(
            tmp_path / "edited",
            "gpurec.model",
            sound.tensors | {name: edit(sound.tensors[name])},
            sound.meta,
        )
        with pytest.raises(ArtifactError, match=r"\[load\] expected"):
            load_model(tmp_path / "edited")


@pytest.mark.data
@pytest.mark.parametrize("kind", KINDS)
def test_a_fold_of_movielens(kind, data_folder):
    """The fold u1 is the hardest of the five; of all of them, see bench/search_neighbours.py."""
    train, test = (
        Interactions.from_file(data_folder / "ml-100k" / f"u1.{part}") for part in ("base", "test")
    )
    for form, most in (("centred", 0.951), ("baseline", 0.945)):
        model = kind(rating=form).fit(train, progress=False)
        predicted = model.predict(test.user_ids(), test.item_ids(), unknown="baseline")
        assert rmse(test.weights, np.clip(predicted, *model.weight_range)) <= most
        for user, item, score in list(zip(test.user_ids(), test.item_ids(), predicted))[::400]:
            if model.training.known_rows("item", [item])[0] >= 0:
                why = model.explain(user, item)
                assert why.score == score and abs(why.contributions.sum() - score) <= why.tolerance

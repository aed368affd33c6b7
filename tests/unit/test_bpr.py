"""`BPR`: what it learns, going on where it stopped, more interactions, new users and items."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

import gpurec
from gpurec import BPR, IdMap, Interactions
from gpurec.backends.cpu import CpuBackend
from gpurec.errors import NotFittedError, UnknownIdError
from gpurec.models import load_model

N_USERS, N_ITEMS, N_TASTES = 80, 60, 4
TABLES = ("user_factors", "item_factors", "item_biases")


def pairs(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Users of four tastes, who have half of the items of their own."""
    rng = np.random.default_rng(seed)
    likes = np.arange(N_USERS)[:, None] % N_TASTES == np.arange(N_ITEMS) % N_TASTES
    return np.nonzero(likes & (rng.random((N_USERS, N_ITEMS)) < 0.5))


def plays(seed: int = 0) -> Interactions:
    users, items = (rows.tolist() for rows in pairs(seed))
    maps = {"user_map": IdMap(range(N_USERS)), "item_map": IdMap(range(N_ITEMS))}
    return Interactions.from_arrays(users, items, **maps)


def ones(sets: list, n_columns: int) -> csr_array:
    """Row sets as a matrix."""
    indptr = np.cumsum([0] + [len(rows) for rows in sets])
    return csr_array((np.ones(indptr[-1]), np.concatenate(sets), indptr), shape=(len(sets), n_columns))


def bits(model: BPR) -> list[bytes]:
    return [getattr(model, name).tobytes() for name in TABLES]


def own_taste(model: BPR, k: int = 5) -> float:
    """How many of the unseen items that users get are of their taste."""
    hits = [
        user % N_TASTES == item % N_TASTES
        for user, found in model.recommend(range(N_USERS), k)
        for item, _ in found
    ]
    return float(np.mean(hits))


# As in the source: negatives that are drawn all alike, steps that stay.
PAIRS = {"negatives": "uniform", "learning_rate": 0.05, "learning_rate_decay": 1.0, "init_scale": 0.1}
COSINES = {"metric": "cosine", "temperature": 0.15, "learning_rate": 0.2, "learning_rate_decay": 0.94}
WAYS = [
    {},
    COSINES | {"loss": "softmax", "negatives": "uniform", "n_negatives": 4},  # many are to be had yet
    COSINES | {"n_candidates": 3, "n_negatives": 2},
    PAIRS,
    PAIRS | {"negatives": "popularity"},
    PAIRS | {"negatives": "hard", "n_candidates": 3},
    PAIRS | {"loss": "softmax", "n_negatives": 8},
    PAIRS | {"n_negatives": 3, "bias_learning_rate": 0.0},
    PAIRS | {"loss": "softmax", "n_negatives": 4, "negatives": "popularity", "learning_rate_decay": 0.99},
]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_way_finds_the_tastes(way):
    losses = []
    model = BPR(n_factors=4, random_state=3, n_epochs=40, regularisation=0.05, **way)
    model.fit(plays(), callback=lambda epoch, _, metrics: losses.append(metrics["loss"]))
    assert own_taste(model) > 0.95
    assert losses[-1] < 0.8 * losses[0] and model.n_epochs == len(losses) == 40
    dots = model.settings["metric"] == "dot"
    assert (model.item_biases != 0).any() == (dots and way.get("bias_learning_rate") != 0.0)
    if not dots:
        np.testing.assert_allclose(np.linalg.norm(model.user_factors, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(("n_items", "n_draws"), [(N_ITEMS, 1), (3 * 2048 + 7, 3), (40 * 2048, 16)])
def test_hard_negatives_are_of_more_draws_among_more_items(n_items, n_draws):
    maps = {"user_map": IdMap(range(2)), "item_map": IdMap(range(n_items))}
    data = Interactions.from_arrays([0] * 40 + [1] * 40, [*range(40), *range(20, 60)], **maps)
    how = {"n_factors": 3, "n_epochs": 3}
    models = [BPR(n_candidates=n, **how).fit(data) for n in (None, n_draws, n_draws + 1)]
    assert bits(models[0]) == bits(models[1]) != bits(models[2])


@pytest.mark.parametrize(
    "way", [{}, PAIRS | {"loss": "softmax", "n_negatives": 5, "learning_rate_decay": 0.9}], ids=str
)
def test_stopped_saved_and_gone_on_is_the_same(way, tmp_path):
    whole = BPR(n_factors=7, n_epochs=9, **way).fit(plays())
    for n_threads in (1, 2, 7):
        with gpurec.use_backend(CpuBackend(n_threads=n_threads)):
            part = BPR(n_factors=7, n_epochs=9, **way).fit(plays(), callback=lambda epoch, *_: epoch == 4)
            assert part.n_epochs == 4 and bits(part) != bits(whole)
            part.save(tmp_path / "part")
            again = load_model(tmp_path / "part")
            seen = [4]
            again.resume(5, callback=lambda epoch, *_, seen=seen: seen.append(epoch))
            assert bits(again) == bits(whole) and again.n_epochs == 9 and seen == [4, 5, 6, 7, 8, 9]


def test_an_error_on_the_way_leaves_the_model_as_it_was():
    model = BPR(n_factors=4, n_epochs=3).fit(plays())
    before = bits(model)

    def stop(epoch, model, metrics):
        raise RuntimeError("enough")

    more = Interactions.from_arrays(["new"], [3])
    for go_on in (lambda: model.resume(2, callback=stop), lambda: model.fit_partial(more, callback=stop)):
        with pytest.raises(RuntimeError, match="enough"):
            go_on()
        assert bits(model) == before and model.n_epochs == 3 and model.training.n_users == N_USERS
    with pytest.raises(ValueError, match="converges"):
        BPR(n_factors=4, n_epochs=3, **PAIRS | {"learning_rate": 1e5}).fit(plays())
    with pytest.raises(NotFittedError):
        BPR().resume(1)


def test_validation_keeps_the_best_epoch():
    users, items = pairs()
    held_out = np.random.default_rng(1).random(len(users)) < 0.2
    train = Interactions.from_arrays(users[~held_out].tolist(), items[~held_out].tolist())
    test = Interactions.from_arrays(users[held_out].tolist(), items[held_out].tolist())
    kept = {}

    def watch(epoch, model, metrics):
        kept[epoch] = (metrics["validation_right"], bits(model))

    how = PAIRS | {"learning_rate": 0.1}
    model = BPR(n_factors=8, n_epochs=200, patience=5, **how).fit(train, validation=test, callback=watch)
    rights = [right for right, _ in kept.values()]
    best = int(np.argmax(rights)) + 1
    assert model.n_epochs == best and bits(model) == kept[best][1]
    assert len(kept) == min(best + 5, 200) and max(rights) > 0.9
    with pytest.raises(ValueError, match="not in the training part"):
        BPR(n_epochs=2).fit(train, validation=train)
    with pytest.raises(ValueError, match="at least one validation interaction"):
        BPR(n_epochs=2).fit(train, validation=test.take(np.zeros(len(test.weights), bool)))


def test_more_interactions_bring_new_users_and_items():
    model = BPR(n_factors=8, n_epochs=60, **PAIRS).fit(plays())
    old_user = model.user_factors[5].copy()
    more_users = ["new"] * 5 + list(range(0, N_USERS, N_TASTES))
    more_items = [0, 4, 8, 12, 16] + ["film"] * (N_USERS // N_TASTES)
    model.fit_partial(Interactions.from_arrays(more_users, more_items), n_epochs=30)
    assert model.n_epochs == 90 and model.training.n_users == N_USERS + 1
    assert np.array_equal(model.user_factors[5], old_user)  # of another taste: not visited
    best = [item for item, _ in next(iter(model.recommend(["new"], k=4)))[1]]
    assert all(item == "film" or item % N_TASTES == 0 for item in best)
    assert model.predict(["new"], ["film"])[0] > model.predict([1], ["film"])[0]
    assert BPR(n_factors=2, n_epochs=2).fit_partial(plays()).n_epochs == 2


def test_users_are_folded_in_alone_or_together():
    model = BPR(n_factors=8, n_epochs=60, **PAIRS).fit(plays())
    before = bits(model)
    sets = [np.arange(taste, N_ITEMS, N_TASTES)[:6] for taste in range(N_TASTES)] + [np.array([], int)]
    vectors = model.fold_in_rows(ones(sets, N_ITEMS))
    assert vectors.shape == (5, 9) and vectors.dtype == np.float32 and (vectors[:, -1] == 1).all()
    for i, items in enumerate(sets):
        alone = Interactions.from_arrays(["x"] * len(items), items[::-1].tolist(), user_map=IdMap(["x"]))
        assert model.fold_in(alone).tobytes() == vectors[i : i + 1].tobytes()
    found = model._item_index().search(vectors[:4], 8, exclude=sets[:4])
    assert (found.rows % N_TASTES == np.arange(4)[:, None]).mean() > 0.95
    assert (vectors[4, :-1] == 0).all() and bits(model) == before


def test_folded_in_users_agree_with_learnt_ones():
    model = BPR(n_factors=8, n_epochs=100, **PAIRS).fit(plays())
    users = np.arange(N_USERS)
    vectors = model.fold_in_rows(model.user_items, n_epochs=100)
    learnt = model._user_vectors(users)
    scores, theirs = (
        v.astype(np.float64) @ model._item_vectors(np.arange(N_ITEMS)).T for v in (vectors, learnt)
    )
    agreement = [np.corrcoef(a, b)[0, 1] for a, b in zip(scores, theirs)]
    assert np.mean(agreement) > 0.97 and min(agreement) > 0.85


def test_items_are_folded_in_alone_or_together():
    model = BPR(n_factors=8, n_epochs=60, **PAIRS).fit(plays())
    sets = [np.arange(taste, N_USERS, N_TASTES)[:9] for taste in range(N_TASTES)]
    vectors = model.fold_in_rows(ones(sets, N_USERS), side="item")
    assert vectors.shape == (4, 9)
    for i, users in enumerate(sets):
        alone = Interactions.from_arrays([*users.tolist(), "unknown"], ["x"] * (len(users) + 1))
        assert model.fold_in(alone, "item").tobytes() == vectors[i : i + 1].tobytes()
    scores = model._user_vectors(np.arange(N_USERS)) @ vectors.T
    assert (scores.argmax(axis=1) == np.arange(N_USERS) % N_TASTES).mean() > 0.95
    with pytest.raises(ValueError, match=r"\[fold_in\] expected interactions with 80 columns, got 60"):
        model.fold_in_rows(ones([[0]], N_ITEMS), side="item")
    for ask in (model.fold_in, model.fold_in_rows):
        with pytest.raises(ValueError, match="side of 'user' or 'item'"):
            ask(plays() if ask == model.fold_in else ones([[0]], N_ITEMS), side="both")


def test_lists_of_users_that_the_fit_did_not_know():
    model = BPR(n_factors=8, n_epochs=60, **PAIRS).fit(plays())
    histories = {"eve": [0, 4, 8, 12], "bob": {1: 1.0, 5: 2.0, "unknown": 1.0}}
    found = dict(model.recommend_new(histories, 6))
    for taste, (user, had) in enumerate(histories.items()):
        items = [item for item, _ in found[user]]
        assert all(item % N_TASTES == taste for item in items) and not set(items) & set(had)
    with pytest.raises(UnknownIdError, match="known items of a user, got none of 'x'"):
        model.recommend_new({"x": ["no such item"]})


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"n_factors": 0}, ValueError),
        ({"learning_rate": -1}, ValueError),
        ({"learning_rate_decay": 1.5}, ValueError),
        ({"regularisation": "0"}, TypeError),
        ({"n_epochs": 0}, ValueError),
        ({"loss": "hinge"}, ValueError),
        ({"negatives": "all"}, ValueError),
        ({"n_negatives": 10**6}, ValueError),
        ({"n_candidates": 0}, ValueError),
        ({"popularity_power": 9}, ValueError),
        ({"bias_learning_rate": -0.1}, ValueError),
        ({"metric": "euclidean"}, ValueError),
        ({"temperature": 0}, ValueError),
        ({"init_scale": np.nan}, ValueError),
        ({"patience": 0}, ValueError),
        ({"random_state": -1}, ValueError),
        ({"random_state": 2**63}, ValueError),
    ],
)
def test_settings_out_of_range_are_refused(settings, error):
    with pytest.raises(error, match=rf"\[bpr\] expected {next(iter(settings))}"):
        BPR(**settings)
    assert BPR(random_state=None).settings["random_state"] >= 0

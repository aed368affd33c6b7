"""`MF`: structure it must find, scores that are canonical, bits that repeat, and when it stops."""

from __future__ import annotations

import math
import os
import signal
import threading
from functools import partial

import numpy as np
import pytest

import gpurec
from gpurec import Interactions, UnknownIdError
from gpurec.backends.reference import canonical_scores
from gpurec.errors import NotFittedError
from gpurec.models import MF, Popularity
from gpurec.models.factorisation.ratings.epochs import descent
from gpurec.types import IdMap

SIZE = 24
SGD = partial(MF, n_factors=50, method="sgd")
TABLES = ("user_factors", "item_factors", "user_biases", "item_biases")


def checkerboard(size: int = SIZE) -> Interactions:
    """User u likes (5) the items of u's parity and dislikes (1) the others, and has not rated u and u + 1."""
    user, item = (part.ravel() for part in np.indices((size, size)))
    rated = (item != user) & (item != (user + 1) % size)
    likes = (user + item) % 2 == 0
    return Interactions.from_arrays(
        [f"u{u}" for u in user[rated]], [f"i{i}" for i in item[rated]], np.where(likes, 5, 1)[rated]
    )


def quick(**settings) -> MF:
    """Settings with which the checkerboard is learnt in a moment."""
    defaults = {
        "n_factors": 4,
        "learning_rate": 0.1,
        "bias_learning_rate": 0.02,
        "penalty": 0.1,
        "init_scale": 0.1,
        "max_epochs": 60,
        "validation_fraction": 0,
    }
    return SGD(**defaults | settings)


def random_ratings(seed: int, n: int = 600, n_users: int = 40, n_items: int = 30) -> Interactions:
    generator = np.random.default_rng(seed)
    return Interactions.from_arrays(
        generator.integers(0, n_users, n), generator.integers(0, n_items, n), generator.integers(1, 6, n)
    )


def bits(model: MF) -> list[bytes]:
    return [getattr(model, name).tobytes() for name in TABLES]


@pytest.fixture(scope="module")
def fitted() -> MF:
    return quick().fit(checkerboard())


# What it learns.


def test_the_liked_item_comes_first_and_the_disliked_last(fitted):
    users = [f"u{u}" for u in range(SIZE)]
    for u, (user, items) in enumerate(fitted.recommend(users, 10)):
        assert user == f"u{u}" and [item for item, _ in items] == [f"i{u}", f"i{(u + 1) % SIZE}"]
        assert items[0][1] == pytest.approx(5, abs=0.5) and items[1][1] == pytest.approx(1, abs=0.5)


def test_similar_ones_are_of_the_same_parity(fitted):
    for similar, letter in ((fitted.similar_items, "i"), (fitted.similar_users, "u")):
        for own, others in similar([f"{letter}{n}" for n in range(SIZE)], SIZE // 2 - 1):
            assert len(others) == SIZE // 2 - 1 and own not in dict(others)
            assert all(int(other[1:]) % 2 == int(own[1:]) % 2 and score > 0.9 for other, score in others)
        assert len(similar([f"{letter}0"], 99).scores) == SIZE - 1  # all but itself
    assert fitted.similar_items(["i3"], 1).to_dicts()[0].keys() == {
        "item_id",
        "similar_item_id",
        "score",
        "rank",
    }


def test_equal_ratings_are_predicted_as_they_are():
    same = Interactions.from_arrays(["a", "b", "b"], ["x", "x", "y"], [3, 3, 3])
    assert quick(init_scale=0).fit(same).predict(["a"], ["y"]).tolist() == [3]


def test_the_scale_of_the_ratings_does_not_matter():
    """Sixteen times the ratings, a power of two, is sixteen times the predictions to the last bit."""
    small = random_ratings(1)
    large = Interactions.from_arrays(small.user_ids(), small.item_ids(), small.weights * 16)
    users, items = small.user_ids(), small.item_ids()
    predicted = [SGD(max_epochs=9).fit(part).predict(users, items) for part in (small, large)]
    np.testing.assert_array_equal(predicted[0] * 16, predicted[1])


# Scores.


def test_prediction_and_recommendation_are_the_same_canonical_score(fitted):
    user_rows, item_rows = (part.ravel() for part in np.indices((SIZE, SIZE)))
    queries = np.column_stack(
        [
            fitted.user_factors,
            np.ones(SIZE),
            (fitted.mean + fitted.user_biases.astype(np.float64)).astype(np.float32),
        ]
    )
    items = np.column_stack([fitted.item_factors, fitted.item_biases, np.ones(SIZE)])
    expected = canonical_scores(queries[user_rows], items[item_rows], "dot").reshape(SIZE, SIZE)
    predicted = fitted.predict(fitted.user_map.ids(user_rows), fitted.item_map.ids(item_rows))
    np.testing.assert_array_equal(predicted.reshape(SIZE, SIZE), expected)

    found = fitted.recommend_rows(np.arange(SIZE), SIZE, exclude_seen=False)
    np.testing.assert_array_equal(np.take_along_axis(expected, found.rows, axis=1), found.scores)


def test_scores_are_not_clipped():
    """Ratings u + i of users and items 0..9, those above 12 kept away: 18 must be found for the last pair."""
    user, item = (part.ravel() for part in np.indices((10, 10)))
    rated = user + item <= 12
    ratings = Interactions.from_arrays(user[rated], item[rated], (user + item)[rated])
    model = quick(init_scale=0, bias_learning_rate=0.1, bias_penalty=0).fit(ratings)
    assert model.weight_range == (0, 12)
    assert model.predict([9], [9])[0] == pytest.approx(18, abs=0.1)
    assert model.recommend([9], 1).item_ids.tolist() == [9]


def test_unknown_ids_are_predicted_from_what_is_left(fitted):
    user, item = fitted.user_map.rows(["u2"])[0], fitted.item_map.rows(["i5"])[0]
    mean, user_bias, item_bias = fitted.mean, fitted.user_biases[user], fitted.item_biases[item]
    predicted = fitted.predict(["u2", "?", "?"], ["?", "i5", "?"], unknown="baseline")
    # mu + b_u is one coordinate, rounded to float32, of the canonical score
    expected = [
        np.float32(mean + np.float64(user_bias)),
        np.float32(np.float64(np.float32(mean)) + np.float64(item_bias)),
        np.float32(mean),
    ]
    assert predicted.tolist() == [float(value) for value in expected]
    with pytest.raises(UnknownIdError, match="got '\\?'"):
        fitted.predict(["u2"], ["?"])


def test_ids_of_the_maps_without_a_rating_are_unknown():
    full = checkerboard()
    train = full.take((full.user_ids() != "u3") & (full.item_ids() != "i8"))
    model = quick().fit(train)
    assert "u3" in model.user_map and "i8" in model.item_map
    assert model.predict(["u3"], ["i8"], unknown="baseline").tolist() == [np.float32(model.mean)]
    for call in (
        lambda: model.recommend(["u3"]),
        lambda: model.similar_users(["u3"]),
        lambda: model.similar_items(["i8"]),
        lambda: model.predict(["u0"], ["i8"]),
    ):
        with pytest.raises(UnknownIdError):
            call()
    assert "i8" not in model.similar_items(["i0"], SIZE).item_ids
    popular = model.recommend(["u3"], 2, unknown="popularity")
    expected = Popularity().fit(train).recommend(["u0"], 2, exclude_seen=False)
    assert popular.item_ids.tolist() == expected.item_ids.tolist()


# Same input, same bits.


def test_same_seed_same_bits_and_another_seed_others():
    ratings = random_ratings(2)
    first, again, other = (SGD(max_epochs=7, random_state=seed).fit(ratings) for seed in (5, 5, 6))
    assert bits(first) == bits(again) and first.n_epochs == again.n_epochs
    assert bits(first) != bits(other)


def test_any_number_of_threads_gives_the_same_bits(monkeypatch):
    ratings = random_ratings(3)
    results = []
    for n_threads in (1, 2, 7):
        monkeypatch.setenv("GPUREC_NUM_THREADS", str(n_threads))
        model = SGD(max_epochs=12).fit(ratings)
        found = model.recommend_rows(np.arange(20), 10)
        results.append((bits(model), model.n_epochs, found.rows.tobytes(), found.scores.tobytes()))
    assert results[0] == results[1] == results[2]


def test_backends_give_the_same_bits():
    if gpurec.backends.available()["cpu"] is not None:
        pytest.skip("needs the native module")
    ratings = random_ratings(4, n=200)
    results = []
    for backend in ("reference", "cpu"):
        with gpurec.use_backend(backend):
            model = SGD(n_factors=9, max_epochs=6).fit(ratings)
            found = model.recommend_rows(np.arange(10), 5)
        results.append((bits(model), model.n_epochs, found.rows.tobytes(), found.scores.tobytes()))
    assert results[0] == results[1]


def test_a_caller_that_flushes_small_numbers_gets_the_same_bits():
    if gpurec.backends.available()["cpu"] is not None:
        pytest.skip("needs the native module")
    from gpurec._native import cpu as native

    ratings = random_ratings(13)
    tiny = Interactions.from_arrays(
        ratings.user_ids(), ratings.item_ids(), ratings.weights * np.float32(2**-141)
    )
    results = []
    for flush in (False, True):
        native.set_flush_denormal(flush)
        try:
            model = SGD(max_epochs=5).fit(tiny)
            results.append((bits(model), model.recommend_rows(np.arange(9), 5).scores.tobytes()))
        finally:
            native.set_flush_denormal(False)
    assert np.any(model.item_biases != 0), "the case is meant to live below float32's normal range"
    assert results[0] == results[1]


def test_an_epoch_in_pieces_gives_the_same_bits(monkeypatch):
    ratings = random_ratings(5)
    whole = SGD(max_epochs=4).fit(ratings)
    monkeypatch.setattr(descent, "_FACTORS_PER_CALL", 66 * 7)  # seven ratings a call
    assert bits(SGD(max_epochs=4).fit(ratings)) == bits(whole)


def test_no_random_state_draws_one_and_keeps_it():
    ratings = random_ratings(6)
    model = SGD(max_epochs=3, random_state=None).fit(ratings)
    assert isinstance(model.settings["random_state"], int)
    assert model.settings["random_state"] != SGD(random_state=None).settings["random_state"]
    assert bits(MF(**model.settings).fit(ratings)) == bits(model)


def test_fitting_again_forgets(fitted):
    model = quick().fit(random_ratings(7))
    model.recommend_rows([0])
    model.fit(checkerboard())
    assert bits(model) == bits(fitted)
    assert list(model.recommend(["u1"], 2)) == list(fitted.recommend(["u1"], 2))


# Epochs.


def watched(model: MF, ratings: Interactions, **more) -> list[dict]:
    seen = []
    model.fit(ratings, callback=lambda epoch, _, metrics: seen.append({"epoch": epoch, **metrics}), **more)
    return seen


def test_search_for_the_epochs_then_a_fit_on_everything():
    ratings = random_ratings(8)
    model = SGD(max_epochs=200, patience=4, learning_rate=0.1)
    seen = watched(model, ratings)
    search = [metrics for metrics in seen if metrics["stage"] == "search"]
    fit = [metrics for metrics in seen if metrics["stage"] == "fit"]
    best = min(search, key=lambda metrics: metrics["validation_rmse"])["epoch"]

    assert len(search) == best + 4 < 200, "random ratings cannot be learnt for long"
    assert [metrics["epoch"] for metrics in fit] == list(range(1, best + 1))
    assert model.n_epochs == best
    assert all("validation_rmse" not in metrics for metrics in fit)
    # The second descent is that of a model which knows the number of epochs and holds nothing out.
    alone = SGD(max_epochs=best, validation_fraction=0, learning_rate=0.1).fit(ratings)
    assert bits(alone) == bits(model)


def test_a_validation_part_keeps_its_best_epoch():
    ratings, validation = random_ratings(9), random_ratings(10, n=150, n_users=50)
    model = SGD(max_epochs=200, patience=3, learning_rate=0.1)
    seen = watched(model, ratings, validation=validation)
    best = min(seen, key=lambda metrics: metrics["validation_rmse"])

    assert {metrics["stage"] for metrics in seen} == {"fit"}
    assert model.n_epochs == best["epoch"] < len(seen) == best["epoch"] + 3
    predicted = model.predict(validation.user_ids(), validation.item_ids(), unknown="baseline")
    errors = np.clip(predicted.astype(np.float64), 1, 5) - validation.weights
    assert math.sqrt(np.mean(errors**2)) == pytest.approx(best["validation_rmse"], rel=1e-12)
    with pytest.raises(ValueError, match="at least one validation interaction"):
        model.fit(ratings, validation=Interactions.from_arrays([], []))


def test_metrics_of_an_epoch():
    seen = watched(quick(max_epochs=30, learning_rate_decay=0.5), checkerboard())
    assert seen[0]["train_rmse"] == pytest.approx(2, rel=0.05)  # as far as the mean is from 1 and 5
    assert [metrics["learning_rate"] for metrics in seen[:3]] == pytest.approx([0.1, 0.05, 0.025])
    assert seen[-1]["train_rmse"] < seen[0]["train_rmse"]


def test_the_callback_sees_a_usable_model_and_stops_it():
    answers = []

    def stop_at_three(epoch, model, metrics):
        answers.append(model.recommend(["u0"], 1).scores[0])
        return epoch == 3

    model = quick().fit(checkerboard(), callback=stop_at_three)
    assert len(answers) == model.n_epochs == 3
    assert len(set(answers)) == 3, "each epoch has its own answers"
    assert model.recommend(["u0"], 1).scores[0] == answers[-1]


def test_progress_is_reported():
    reports = []
    quick(max_epochs=4).fit(checkerboard(), progress=lambda done, total: reports.append((done, total)))
    assert reports == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_an_interrupted_fit_leaves_no_half_model():
    def interrupt(epoch, model, metrics):
        raise KeyboardInterrupt

    model = quick().fit(checkerboard())
    with pytest.raises(KeyboardInterrupt):
        model.fit(checkerboard(), callback=interrupt)
    with pytest.raises(NotFittedError):
        model.recommend(["u0"])


@pytest.mark.skipif(os.name != "posix", reason="sends itself SIGINT")
def test_ctrl_c_ends_a_fit():
    # A background job of a shell starts with the signal ignored, and Python then leaves it so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            quick(max_epochs=10**9, learning_rate=1e-4).fit(checkerboard())
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)


def test_a_descent_that_diverges_says_so():
    with pytest.raises(ValueError, match="lower learning_rate"):
        SGD(learning_rate=50.0).fit(random_ratings(11))


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"n_factors": 0}, ValueError),
        ({"n_factors": 2.0}, TypeError),
        ({"n_factors": True}, TypeError),
        ({"learning_rate": -0.1}, ValueError),
        ({"learning_rate": math.nan}, ValueError),
        ({"learning_rate": math.inf}, ValueError),
        ({"learning_rate": "0.1"}, TypeError),
        ({"learning_rate_decay": 1.5}, ValueError),
        ({"penalty": -1}, ValueError),
        ({"max_epochs": 0}, ValueError),
        ({"validation_fraction": 1.0}, ValueError),
        ({"patience": 0}, ValueError),
        ({"random_state": -1}, ValueError),
    ],
)
def test_bad_settings(settings, error):
    (name,) = settings
    with pytest.raises(error, match=f"expected {name} "):
        SGD(**settings)


def test_maps_that_begin_alike_are_no_requirement_for_validation():
    ratings = random_ratings(12)
    mirrored = ratings.reindex(IdMap(ratings.user_map.ids()[::-1]), IdMap(ratings.item_map.ids()[::-1]))
    seen = [watched(SGD(max_epochs=3), ratings, validation=part) for part in (ratings, mirrored)]
    assert seen[0] == seen[1]


# Real ratings.


@pytest.mark.data
def test_user_average_of_fold_u1_is_the_published_one(data_folder):
    """A check of the loader, not of the model: MyMediaLite publishes 1.063 and .85019 for it."""
    train, test = (
        Interactions.from_file(data_folder / "ml-100k" / f"u1.{part}") for part in ("base", "test")
    )
    counts = np.bincount(train.user_rows, minlength=train.n_users)
    means = np.bincount(train.user_rows, weights=train.weights, minlength=train.n_users) / counts
    errors = means[train.user_map.rows(test.user_ids())] - test.weights
    assert round(math.sqrt(np.mean(errors**2)), 3) == 1.063
    assert round(np.mean(np.abs(errors)), 5) == 0.85019

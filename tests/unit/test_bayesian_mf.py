"""`BayesianMF`: what it finds, how sure it is, and that a stopped chain goes on to the same bits."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gpurec
from gpurec import BayesianMF, Interactions
from gpurec.backends.cpu import CpuBackend
from gpurec.errors import ArtifactError, UnknownIdError
from gpurec.evaluation import evaluate_ratings
from gpurec.features import FeatureTable
from gpurec.models import load_model
from gpurec.models.factorisation.ratings.sampling.posterior_mean import mean_of_products

SMALL = {"n_factors": 3, "n_sweeps": 12, "burn_in": 3, "rank": 7, "n_samples": 4}
TABLES = ("user_factors", "item_factors", "user_biases", "item_biases", "user_samples", "item_samples")


def planted(noise: float = 0.3, seed: int = 0, n_users: int = 60, n_items: int = 50):
    """Ratings of two factors and biases with noise, a fifth of them apart."""
    rng = np.random.default_rng(seed)
    p, q = rng.standard_normal((n_users, 2)), rng.standard_normal((n_items, 2))
    b, c = 0.5 * rng.standard_normal(n_users), 0.5 * rng.standard_normal(n_items)
    users, items = np.nonzero(rng.random((n_users, n_items)) < 0.5)
    values = 3 + b[users] + c[items] + (p[users] * q[items]).sum(axis=1)
    apart = rng.random(len(users)) < 0.2
    ratings = np.float32(values + noise * rng.standard_normal(len(users)))
    train = Interactions.from_arrays(users[~apart], items[~apart], ratings[~apart])
    return train, users[apart], items[apart], values[apart]


def at_times(ratings: Interactions, days: int = 4) -> Interactions:
    """The same at noon of one of some days each."""
    day = np.random.default_rng(9).integers(0, days, len(ratings.weights))
    return Interactions.from_arrays(
        ratings.user_ids(), ratings.item_ids(), ratings.weights, 86_400 * day + 43_200
    )


def bits(model: BayesianMF) -> list[bytes]:
    numbers = np.array([model.mean, model.noise, model.n_sweeps_done])
    return [getattr(model, name).tobytes() for name in TABLES] + [numbers.tobytes()]


def stop_at(sweep: int):
    return lambda done, model, metrics: done == sweep


@pytest.fixture(scope="module")
def fitted():
    train, users, items, values = planted()
    return BayesianMF(n_factors=4, n_sweeps=150, burn_in=50).fit(train), users, items, values


def test_it_finds_what_was_planted_and_how_far_ratings_scatter(fitted):
    model, users, items, values = fitted
    errors = model.predict(users, items) - values
    assert math.sqrt(np.mean(errors**2)) < 0.25  # ratings themselves are 0.3 away
    assert model.noise == pytest.approx(0.3, rel=0.25)


def test_the_spread_says_how_far_predictions_are_off(fitted):
    model, users, items, values = fitted
    spread = model.spread(users, items)
    errors = np.abs(model.predict(users, items) - values)
    assert spread.dtype == np.float32 and (spread > 0).all()
    assert 0.5 < (errors < spread).mean() < 0.9  # of a normal distribution 0.68
    half = spread < np.median(spread)
    assert errors[half].mean() < errors[~half].mean()
    with pytest.raises(UnknownIdError, match=r"\[spread\].*'eve'"):
        model.spread(["eve"], [items[0]])
    with pytest.raises(ValueError, match=r"\[spread\] expected one item a user"):
        model.spread(users[:2], items[:1])


def test_few_columns_hold_the_mean_of_all_products():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((30, 40)), rng.standard_normal((25, 40))
    a[:, 8:], b[:, 8:] = 0, 0
    p, q = mean_of_products(a.astype(np.float32), b.astype(np.float32), 5, 12, 0)
    assert p.shape == (30, 12) and (p[:, 8:] ** 2).max() < 1e-9
    np.testing.assert_allclose(p @ q.T, a @ b.T / 5, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(p, axis=0), np.linalg.norm(q, axis=0), rtol=1e-3, atol=1e-4)
    best = np.linalg.svd(a @ b.T / 5, compute_uv=False)
    p, q = mean_of_products(a.astype(np.float32), b.astype(np.float32), 5, 3, 0)
    assert np.linalg.norm(p @ q.T - a @ b.T / 5) <= 1.01 * np.linalg.norm(best[3:])


@pytest.mark.parametrize("implicit", ["both", "users", "items", "none"])
def test_threads_and_backends_do_not_show(implicit):
    train = planted(n_users=25, n_items=18)[0]
    settings = SMALL | {"implicit": implicit}
    want = bits(BayesianMF(**settings).fit(train))
    for n_threads in (1, 2, 7):
        with gpurec.use_backend(CpuBackend(n_threads=n_threads)):
            assert bits(BayesianMF(**settings).fit(train)) == want
    with gpurec.use_backend("reference"):
        assert bits(BayesianMF(**settings).fit(train)) == want
    assert bits(BayesianMF(**settings, random_state=1).fit(train)) != want


@pytest.mark.parametrize("sweep", [1, 3, 7, 11])
def test_a_stopped_chain_goes_on_to_the_same_bits(sweep, tmp_path):
    train = planted(n_users=25, n_items=18)[0]
    want = bits(BayesianMF(**SMALL).fit(train))
    stopped = BayesianMF(**SMALL).fit(train, callback=stop_at(sweep))
    assert stopped.n_sweeps_done == sweep and bits(stopped) != want
    stopped.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert bits(loaded) == bits(stopped)
    assert bits(stopped.resume()) == want and bits(loaded.resume()) == want
    with pytest.raises(ValueError, match=r"\[resume\] expected a fit that a callback stopped"):
        loaded.resume()


def test_a_damaged_chain_is_refused(tmp_path):
    from gpurec.artifacts import read_artifact, write_artifact

    train = at_times(planted(n_users=12, n_items=9)[0])
    settings = SMALL | {"user_days": 1.0, "item_days": 2.0}
    BayesianMF(**settings).fit(train, callback=stop_at(6)).save(tmp_path / "model")
    sound = read_artifact(tmp_path / "model", "gpurec.model")
    own = [name for name in sound.tensors if name.startswith(("chain.", "draws.", "user_m", "item_m"))]
    assert len(own) > 10
    bad = {"f": np.nan, "i": -1}
    cases = [
        ({name: np.full_like(t, bad[t.dtype.kind])}, {}) for name, t in sound.tensors.items() if name in own
    ]
    cases += [({name: sound.tensors[name][::-1]}, {}) for name in own if "moments.of" in name]
    cases += [({name: sound.tensors[name][:-1]}, {}) for name in own]
    cases += [({name: -1 - np.abs(sound.tensors[name])}, {}) for name in own if "precisions" in name]
    cases += [({}, {"n_sweeps_done": 0}), ({}, {"chain.noise_precision": 0.0}), ({}, {"noise": "0"})]
    cases += [({}, {"scale": 0.0}), ({}, {"scale": None})]
    for tensors, meta in cases:
        write_artifact(
            tmp_path / "damaged", "gpurec.model", {**sound.tensors, **tensors}, {**sound.meta, **meta}
        )
        with pytest.raises(ArtifactError):
            pytest.fail(f"{list(tensors)} {meta}: {load_model(tmp_path / 'damaged')}")


def test_the_callback_sees_a_model_that_answers():
    train, users, items, _ = planted(n_users=25, n_items=18)
    seen = []

    def watch(sweep, model, metrics):
        seen.append((sweep, metrics["stage"], metrics["train_rmse"]))
        assert np.isfinite(model.predict(users[:3], items[:3], unknown="baseline")).all()

    model = BayesianMF(**SMALL).fit(train, callback=watch)
    assert [sweep for sweep, *_ in seen] == list(range(1, 13)) and {stage for _, stage, _ in seen} == {"fit"}
    assert seen[-1][2] < seen[0][2]
    assert bits(model) == bits(BayesianMF(**SMALL).fit(train))


def test_equal_ratings_are_predicted_as_they_are():
    same = Interactions.from_arrays(["a", "b", "b"], ["x", "x", "y"], [3, 3, 3])
    assert BayesianMF().fit(same).predict(["a"], ["y"])[0] == pytest.approx(3, abs=1e-3)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"n_factors": 0}, ValueError),
        ({"implicit": "all"}, ValueError),
        ({"burn_in": 220}, ValueError),
        ({"user_noise": 0}, ValueError),
        ({"rank": 1.5}, TypeError),
        ({"n_samples": 0}, ValueError),
    ],
)
def test_settings_out_of_range_are_refused(settings, error):
    with pytest.raises(error, match=rf"\[bayesian-mf\] expected {next(iter(settings))}"):
        BayesianMF(**settings)


# Times and attributes.


@pytest.mark.parametrize(
    "settings", [{"user_days": 1.0}, {"item_days": 2.0}, {"user_days": 1, "item_days": 1}]
)
def test_a_model_of_times_repeats_stops_and_comes_back(settings, tmp_path):
    train = at_times(planted(n_users=14, n_items=11)[0])
    settings = SMALL | settings
    pairs = train.user_ids()[:9], train.item_ids()[:9]

    def said(model):
        at = model.predict(*pairs, timestamps=train.timestamps[:9])
        assert (at != model.predict(*pairs)).all()
        return [*bits(model), at.tobytes()]

    want = said(BayesianMF(**settings).fit(train))
    for backend in (CpuBackend(n_threads=1), CpuBackend(n_threads=7), "reference"):
        with gpurec.use_backend(backend):
            assert said(BayesianMF(**settings).fit(train)) == want
    stopped = BayesianMF(**settings).fit(train, callback=stop_at(5))
    stopped.save(tmp_path / "model")
    assert said(load_model(tmp_path / "model").resume()) == want == said(stopped.resume())


def test_moods_of_a_day_are_found():
    """Each user is a star up or down on each of three days; the others' ratings say nothing of that."""
    train, users, items, values = planted(noise=0.1)
    train = at_times(train, days=3)
    rng = np.random.default_rng(3)
    moods = rng.choice([-1.0, 1.0], (60, 3))
    day = train.timestamps // 86_400
    moody = train.weights + moods[train.user_ids().astype(int), day].astype(np.float32)
    train = Interactions.from_arrays(train.user_ids(), train.item_ids(), moody, train.timestamps)
    model = BayesianMF(n_factors=3, n_sweeps=60, burn_in=20, user_days=1.0).fit(train)
    day = rng.integers(0, 3, len(users))
    wanted = values + moods[users, day]

    def rmse(predicted):
        return math.sqrt(np.mean((predicted - wanted) ** 2))

    assert model.predicts_at_times and not BayesianMF().predicts_at_times
    assert (
        rmse(model.predict(users, items, timestamps=86_400 * day))
        < 0.45
        < 0.9
        < rmse(model.predict(users, items))
    )
    late = model.predict(users, items, timestamps=np.full(len(users), 86_400 * 50))
    np.testing.assert_array_equal(late, model.predict(users, items))
    assert np.isfinite(model.predict(["?"], [items[0]], timestamps=[0], unknown="baseline")).all()


def test_evaluation_asks_at_the_time_of_each_rating():
    train = at_times(planted(n_users=14, n_items=11)[0])
    model = BayesianMF(**SMALL, user_days=1.0).fit(train)
    predicted = model.predict(train.user_ids(), train.item_ids(), timestamps=train.timestamps)
    errors = np.clip(predicted.astype(np.float64), *model.weight_range) - train.weights
    assert evaluate_ratings(model, train).rmse == pytest.approx(math.sqrt(np.mean(errors**2)), rel=1e-12)


def test_times_that_are_missing_or_not_wanted_are_refused():
    train = planted(n_users=14, n_items=11)[0]
    with pytest.raises(ValueError, match=r"\[fit\] expected interactions with timestamps"):
        BayesianMF(**SMALL, user_days=1.0).fit(train)
    with pytest.raises(ValueError, match=r"\[predict\] expected a model of times"):
        BayesianMF(**SMALL).fit(train).predict([0], [0], timestamps=[0])
    model = BayesianMF(**SMALL, item_days=1.0).fit(at_times(train))
    with pytest.raises(ValueError, match=r"\[predict\] expected a timestamp for each of 2 pairs, got 1"):
        model.predict([0, 1], [0, 0], timestamps=[0])


def test_what_items_and_users_are_like_helps_and_repeats(tmp_path):
    """Items of a genre, and users of a group, are alike; of most items there is one rating."""
    rng = np.random.default_rng(4)
    genre, group = rng.integers(0, 3, 90), rng.integers(0, 2, 40)
    likes = rng.choice([-1.0, 1.0], (2, 3))
    users, items = rng.permutation(180) % 40, np.repeat(np.arange(90), 2)
    values = np.float32(3 + likes[group[users], genre[items]] + 0.2 * rng.standard_normal(len(users)))
    train = Interactions.from_arrays(users[::2], items[::2], values[::2])
    films = FeatureTable([*range(90), 99], {"genre": [f"g{g}" for g in [*genre, 0]]})
    people = FeatureTable(list(range(40)), {"group": [f"p{g}" for g in group]})
    settings = {"n_factors": 3, "n_sweeps": 60, "burn_in": 20}
    known = np.isin(users[1::2], users[::2])

    def rmse(model):
        predicted = model.predict(users[1::2][known], items[1::2][known])
        return math.sqrt(np.mean((predicted - values[1::2][known]) ** 2))

    features = {"item_features": films, "user_features": people}
    model = BayesianMF(**settings).fit(train, **features)
    assert rmse(model) < 0.6 * rmse(BayesianMF(**settings).fit(train))
    stopped = BayesianMF(**settings).fit(train, **features, callback=stop_at(30))
    stopped.save(tmp_path / "model")
    assert bits(load_model(tmp_path / "model").resume()) == bits(model)
    strange = FeatureTable(["a"], {"genre": ["g1"]})
    with pytest.raises(ValueError, match="expected features of items with training interactions"):
        BayesianMF(**settings).fit(train, item_features=strange)


@pytest.mark.data
def test_rmse_of_fold_u3(data_folder):
    train, test = (
        Interactions.from_file(data_folder / "ml-100k" / f"u3.{part}") for part in ("base", "test")
    )
    model = BayesianMF().fit(train)
    predicted = model.predict(test.user_ids(), test.item_ids(), unknown="baseline")
    errors = np.clip(predicted.astype(np.float64), *model.weight_range) - test.weights
    assert math.sqrt(np.mean(errors**2)) <= 0.875

"""`BayesianMF`: what it finds, how sure it is, and that a stopped chain goes on to the same bits."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gpurec
from gpurec import BayesianMF, Interactions
from gpurec.backends.cpu import CpuBackend
from gpurec.errors import ArtifactError, UnknownIdError
from gpurec.models import load_model
from gpurec.models.factorisation.ratings.posterior_mean import mean_of_products

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

    train = planted(n_users=25, n_items=18)[0]
    BayesianMF(**SMALL).fit(train, callback=stop_at(6)).save(tmp_path / "model")
    sound = read_artifact(tmp_path / "model", "gpurec.model")
    own = [name for name in sound.tensors if name.startswith(("chain.", "draws."))]
    assert len(own) > 10
    cases = [({name: np.full_like(sound.tensors[name], np.nan)}, {}) for name in own]
    cases += [({name: sound.tensors[name][:-1]}, {}) for name in own]
    cases += [({name: -1 - np.abs(sound.tensors[name])}, {}) for name in own if "precisions" in name]
    cases += [({}, {"n_sweeps_done": 0}), ({}, {"chain.noise_precision": 0.0}), ({}, {"noise": "0"})]
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


@pytest.mark.data
def test_rmse_of_fold_u3(data_folder):
    train, test = (
        Interactions.from_file(data_folder / "ml-100k" / f"u3.{part}") for part in ("base", "test")
    )
    model = BayesianMF().fit(train)
    predicted = model.predict(test.user_ids(), test.item_ids(), unknown="baseline")
    errors = np.clip(predicted.astype(np.float64), *model.weight_range) - test.weights
    assert math.sqrt(np.mean(errors**2)) <= 0.875

"""`MF` by alternating least squares: a loss that falls, one solve like a dense one, bits that repeat."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gpurec
from gpurec import MF, Interactions
from gpurec.backends.cpu import CpuBackend
from gpurec.models import load_model

TABLES = ("user_factors", "item_factors", "user_biases", "item_biases")
FEW = {"n_factors": 3, "max_epochs": 6, "validation_fraction": 0}


def random_ratings(seed: int, n_users: int = 40, n_items: int = 30) -> Interactions:
    rng = np.random.default_rng(seed)
    users, items = np.nonzero(rng.random((n_users, n_items)) < 0.3)
    return Interactions.from_arrays(users, items, rng.integers(1, 6, len(users)))


def bits(model: MF) -> list[bytes]:
    return [getattr(model, name).tobytes() for name in TABLES]


@pytest.mark.parametrize("implicit", ["both", "users", "items", "none"])
def test_the_loss_falls_with_every_sweep(implicit):
    losses = []

    def watch(epoch, model, metrics):
        losses.append(metrics["loss"])

    MF(n_factors=4, max_epochs=40, validation_fraction=0, implicit=implicit).fit(
        random_ratings(1), callback=watch
    )
    assert len(losses) == 40 and (np.diff(losses) <= 1e-9 * losses[0]).all() and losses[-1] < losses[0]


def test_users_are_where_dense_least_squares_puts_them():
    """Without implicit features a user's vector after a sweep solves a ridge regression on the items'."""
    ratings = random_ratings(2)
    model = MF(**FEW, implicit="none", als_penalty=3.0, als_bias_penalty=0.5).fit(ratings)
    scale = float(ratings.weights.std(dtype=np.float64))
    matrix = model.user_items
    for user in range(matrix.shape[0]):
        row = matrix[[user]].tocoo()
        designs = np.column_stack([np.ones(len(row.col)), model.item_factors[row.col] / math.sqrt(scale)])
        left = (row.data - model.mean - model.item_biases[row.col]) / scale
        wanted = np.linalg.solve(designs.T @ designs + np.diag([0.5, 3.0, 3.0, 3.0]), designs.T @ left)
        got = [model.user_biases[user] / scale, *(model.user_factors[user] / math.sqrt(scale))]
        np.testing.assert_allclose(got, wanted, atol=2e-5)


def test_threads_backends_and_saving_do_not_show(tmp_path):
    ratings = random_ratings(3)
    model = MF(**FEW).fit(ratings)
    want = bits(model)
    for n_threads in (1, 2, 7):
        with gpurec.use_backend(CpuBackend(n_threads=n_threads)):
            assert bits(MF(**FEW).fit(ratings)) == want
    with gpurec.use_backend("reference"):
        assert bits(MF(**FEW).fit(ratings)) == want
    model.save(tmp_path / "model")
    assert bits(load_model(tmp_path / "model")) == want
    assert bits(MF(**FEW, random_state=1).fit(ratings)) != want


def test_the_best_number_of_sweeps_is_found_and_made():
    ratings = random_ratings(4)
    searched = []

    def watch(epoch, model, metrics):
        if metrics["stage"] == "search":
            searched.append(metrics["validation_rmse"])

    model = MF(n_factors=3, patience=3).fit(ratings, callback=watch)
    assert model.n_epochs == int(np.argmin(searched)) + 1 and len(searched) == model.n_epochs + 3
    alone = MF(n_factors=3, max_epochs=model.n_epochs, validation_fraction=0).fit(ratings)
    assert bits(alone) == bits(model)


def test_a_pair_that_stands_twice_counts_with_its_mean():
    once = Interactions.from_arrays(["a", "a", "b"], ["x", "y", "x"], [4, 1, 2])
    twice = Interactions.from_arrays(["a", "a", "b", "a"], ["x", "y", "x", "x"], [5, 1, 2, 3])
    models = [MF(**FEW, init_scale=0).fit(part) for part in (once, twice)]
    assert models[1].predict(["a"], ["x"])[0] < 5
    assert models[0].predict(["a"], ["x"])[0] == pytest.approx(models[1].predict(["a"], ["x"])[0], abs=0.4)


@pytest.mark.parametrize("method", ["als", "sgd"])
def test_ratings_that_do_not_vary_and_ratings_below_0(method):
    """A constant is predicted as it is, and where 0 lies does not matter: ratings may go from -10 to 10."""
    same = Interactions.from_arrays(["a", "b", "b"], ["x", "x", "y"], [-3, -3, -3])
    model = MF(method=method, max_epochs=5, validation_fraction=0, init_scale=0).fit(same)
    assert model.predict(["a"], ["y"])[0] == pytest.approx(-3, abs=0.02)
    ratings = random_ratings(5)
    below = Interactions.from_arrays(ratings.user_ids(), ratings.item_ids(), ratings.weights - 4)
    models = [MF(**FEW, method=method).fit(part) for part in (ratings, below)]
    pairs = ratings.user_ids(), ratings.item_ids()
    np.testing.assert_allclose(models[0].predict(*pairs) - 4, models[1].predict(*pairs), atol=1e-4)
    with pytest.raises(ValueError, match="record 1"):
        Interactions.from_arrays(["a", "b"], ["x", "x"], [1, math.nan])


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"method": "svd"}, ValueError),
        ({"implicit": None}, ValueError),
        ({"als_penalty": 0}, ValueError),
        ({"implicit_penalty": "1"}, TypeError),
    ],
)
def test_settings_out_of_range_are_refused(settings, error):
    with pytest.raises(error, match=rf"\[mf\] expected {next(iter(settings))}"):
        MF(**settings)


@pytest.mark.data
@pytest.mark.parametrize(("settings", "most"), [({}, 0.91), ({"n_factors": 50, "method": "sgd"}, 0.92)])
def test_rmse_of_fold_u1(settings, most, data_folder):
    train, test = (
        Interactions.from_file(data_folder / "ml-100k" / f"u1.{part}") for part in ("base", "test")
    )
    model = MF(**settings).fit(train)
    predicted = model.predict(test.user_ids(), test.item_ids(), unknown="baseline")
    errors = np.clip(predicted.astype(np.float64), *model.weight_range) - test.weights
    assert math.sqrt(np.mean(errors**2)) <= most

"""`MF` with bins of time: what it finds in them, and that threads, backends and saving do not show."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gpurec
from gpurec import MF, Interactions
from gpurec.backends.cpu import CpuBackend
from gpurec.errors import ArtifactError
from gpurec.evaluation import evaluate_ratings
from gpurec.models import load_model

FEW = {"n_factors": 3, "max_epochs": 4, "validation_fraction": 0}
DAY = 86_400


def moody_ratings(n_users: int = 40, n_items: int = 30, days: int = 3, seed: int = 0):
    """Each user is a star up or down on each day: a part to learn from, and pairs, days and ratings apart."""
    rng = np.random.default_rng(seed)
    users, items = np.nonzero(rng.random((n_users, n_items)) < 0.7)
    day, moods = rng.integers(0, days, len(users)), rng.choice([-1.0, 1.0], (n_users, days))
    quality = rng.standard_normal(n_items)
    values = 3 + quality[items] + moods[users, day] + 0.1 * rng.standard_normal(len(users))
    apart = rng.random(len(users)) < 0.2
    records = [part[~apart] for part in (users, items, np.float32(values), DAY * day + DAY // 2)]
    return Interactions.from_arrays(*records), [part[apart] for part in (users, items, DAY * day, values)]


@pytest.mark.parametrize(
    "settings", [{"user_days": 1.0}, {"item_days": 2.0}, {"user_days": 1, "item_days": 1, "implicit": "none"}]
)
def test_threads_backends_and_saving_do_not_show(settings, tmp_path):
    train, apart = moody_ratings(14, 11)

    def said(model):
        plain, timed = model.predict(*apart[:2]), model.predict(*apart[:2], timestamps=apart[2])
        assert (plain != timed).any()
        assert (
            model.recommend([0], 2).scores.tolist()
            == model.predict([0, 0], model.recommend([0], 2).item_ids).tolist()
        )
        return plain.tobytes() + timed.tobytes()

    model = MF(**FEW, **settings).fit(train)
    want = said(model)
    for backend in (CpuBackend(n_threads=1), CpuBackend(n_threads=2), CpuBackend(n_threads=7), "reference"):
        with gpurec.use_backend(backend):
            assert said(MF(**FEW, **settings).fit(train)) == want
    model.save(tmp_path / "model")
    assert said(load_model(tmp_path / "model")) == want


def test_moods_of_a_day_are_found_and_evaluation_asks_for_them():
    train, (users, items, times, values) = moody_ratings()
    model = MF(n_factors=2, max_epochs=20, user_days=1, time_bias_penalty=0.5).fit(train)
    timed, plain = model.predict(users, items, timestamps=times), model.predict(users, items)
    # Signs of three days scatter by sqrt(2/3) = 0.82 about their mean, all that is known without a day.
    assert math.sqrt(np.mean((timed - values) ** 2)) < 0.45
    assert math.sqrt(np.mean((plain - values) ** 2)) > 0.75
    late = model.predict(users, items, timestamps=np.full(len(users), 50 * DAY))
    np.testing.assert_array_equal(late, plain)
    assert np.isfinite(model.predict(["?"], [items[0]], timestamps=[0], unknown="baseline")).all()
    test = Interactions.from_arrays(users, items, values, times)
    errors = np.clip(timed.astype(np.float64), *model.weight_range) - test.weights
    assert evaluate_ratings(model, test).rmse == pytest.approx(math.sqrt(np.mean(errors**2)), rel=1e-9)


def test_the_loss_falls_with_every_sweep():
    losses = []
    MF(n_factors=4, max_epochs=25, validation_fraction=0, user_days=1, item_days=2).fit(
        moody_ratings()[0], callback=lambda epoch, model, metrics: losses.append(metrics["loss"])
    )
    assert len(losses) == 25 and (np.diff(losses) <= 1e-9 * losses[0]).all() and losses[-1] < losses[0]


def test_what_stands_twice_counts_with_its_mean_in_its_bin():
    once = Interactions.from_arrays(["a", "a", "b"], ["x", "x", "x"], [4, 1, 2], [0, DAY, 0])
    twice = Interactions.from_arrays(["a", "a", "b", "a"], ["x", "x", "x", "x"], [5, 1, 2, 3], [0, DAY, 0, 9])
    models = [MF(**FEW, user_days=1, als_init_scale=0, time_bias_penalty=0.1).fit(p) for p in (once, twice)]
    for model in models:
        early, late = model.predict(["a", "a"], ["x", "x"], timestamps=[0, DAY])
        assert early - late > 1
        assert model.user_items.shape == (2, 1) and len(model.user_factors) == 2


def test_times_that_are_missing_damaged_or_not_wanted_are_refused(tmp_path):
    from gpurec.artifacts import read_artifact, write_artifact

    train = moody_ratings(14, 11)[0]
    undated = Interactions.from_arrays(train.user_ids(), train.item_ids(), train.weights)
    for fit in (lambda m: m.fit(undated), lambda m: m.fit(train, validation=undated)):
        with pytest.raises(ValueError, match=r"\[fit\] expected interactions with timestamps"):
            fit(MF(**FEW, user_days=1))
    with pytest.raises(ValueError, match=r"\[mf\] expected method 'als'"):
        MF(method="sgd", item_days=1)
    with pytest.raises(ValueError, match=r"\[predict\] expected a model of times"):
        MF(**FEW).fit(train).predict([0], [0], timestamps=[0])
    model = MF(**FEW, user_days=1).fit(train)
    with pytest.raises(ValueError, match=r"\[predict\] expected a timestamp for each of 2 pairs, got 1"):
        model.predict([0, 1], [0, 0], timestamps=[0])
    model.save(tmp_path / "model")
    sound = read_artifact(tmp_path / "model", "gpurec.model")
    for name in ("user_moments.of", "user_moments.bins"):
        rows = sound.tensors[name]
        for damaged in (rows[:-1], rows[::-1], np.full_like(rows, -1)):
            tensors = {**sound.tensors, name: damaged.copy()}
            write_artifact(tmp_path / "damaged", "gpurec.model", tensors, sound.meta)
            with pytest.raises(ArtifactError):
                pytest.fail(f"{name}: {load_model(tmp_path / 'damaged')}")

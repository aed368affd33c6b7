"""`MF` stopped in the middle: it goes on to the bits of a fit that was not, saved or in place."""

from __future__ import annotations

import numpy as np
import pytest

import gpurec
from gpurec import MF, Interactions
from gpurec.artifacts import read_artifact, write_artifact
from gpurec.backends.cpu import CpuBackend
from gpurec.errors import ArtifactError, NotFittedError
from gpurec.models import load_model

METHODS = {
    "als": {"n_factors": 3, "als_penalty": 10.0, "max_epochs": 30, "patience": 3},
    "times": {
        "n_factors": 3,
        "als_penalty": 10.0,
        "user_days": 1.0,
        "item_days": 2.0,
        "time_penalty": 1000.0,
        "time_bias_penalty": 200.0,
        "max_epochs": 30,
        "patience": 3,
    },
    "sgd": {"n_factors": 9, "method": "sgd", "learning_rate": 0.1, "max_epochs": 30, "patience": 3},
}
TABLES = ("user_factors", "item_factors", "user_biases", "item_biases")


def ratings(seed: int = 0, n: int = 400, n_users: int = 25) -> Interactions:
    """Of one factor and noise, on four days; some pairs stand twice."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, n_users, n), rng.integers(0, 20, n)
    tastes = 3 + 2 * np.sin(users) * np.cos(items) + 0.3 * rng.standard_normal(n)
    return Interactions.from_arrays(users, items, np.float32(tastes), 86_400 * (np.arange(n) % 4))


def bits(model: MF) -> list[bytes]:
    numbers = np.array([model.mean, model.n_epochs])
    tables = [getattr(model, name) for name in TABLES]
    if model.predicts_at_times:
        part = ratings()
        tables.append(model.predict(part.user_ids(), part.item_ids(), timestamps=part.timestamps))
    return [table.tobytes() for table in tables] + [numbers.tobytes()]


def saving(path, stage: str, at: int, stop: bool):
    """A callback that saves the model at an epoch of a stage."""

    def call(epoch, model, metrics):
        if metrics["stage"] == stage and epoch == at:
            model.save(path)
            return stop
        return False

    return call


@pytest.mark.parametrize("n_threads", [1, 2, 7])
@pytest.mark.parametrize("method", METHODS)
def test_a_stopped_fit_goes_on_to_the_same_bits(method, n_threads, tmp_path):
    settings = METHODS[method]
    want = bits(MF(**settings).fit(ratings()))
    with gpurec.use_backend(CpuBackend(n_threads=n_threads)):
        stopped = MF(**settings).fit(ratings(), callback=saving(tmp_path / "model", "fit", 2, True))
        loaded = load_model(tmp_path / "model")
        assert stopped.n_epochs == 2 and bits(loaded) == bits(stopped) != want
        seen = []
        loaded.resume(callback=lambda epoch, model, metrics: seen.append(epoch))
        assert bits(loaded) == want and seen == list(range(3, loaded.n_epochs + 1))
        assert bits(stopped.resume()) == want
    with pytest.raises(ValueError, match=r"\[resume\] expected a fit that a callback stopped"):
        loaded.resume()


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_the_search_saved_goes_on_with_the_search(method, tmp_path):
    settings = METHODS[method]
    want = MF(**settings).fit(ratings())
    for at in (1, want.n_epochs + 1, want.n_epochs + settings["patience"]):
        path = tmp_path / str(at)
        assert bits(MF(**settings).fit(ratings(), callback=saving(path, "search", at, False))) == bits(want)
        assert bits(load_model(path).resume()) == bits(want)


@pytest.mark.parametrize("method", METHODS)
def test_a_fit_with_a_validation_part_goes_on_and_keeps_the_best_epoch(method, tmp_path):
    settings, validation = METHODS[method], ratings(1, 80, 40)
    want = MF(**settings).fit(ratings(), validation=validation)
    for at in (1, want.n_epochs + 2):
        path = tmp_path / str(at)
        stopped = MF(**settings).fit(ratings(), validation=validation, callback=saving(path, "fit", at, True))
        assert stopped.n_epochs == min(at, want.n_epochs)
        assert bits(stopped.resume()) == bits(want) == bits(load_model(path).resume())


@pytest.mark.parametrize("method", METHODS)
def test_a_resumption_that_fails_changes_nothing(method, tmp_path):
    settings = METHODS[method]
    want = bits(MF(**settings).fit(ratings()))
    model = MF(**settings).fit(ratings(), callback=saving(tmp_path / "model", "fit", 2, True))
    before = bits(model)

    def interrupt(epoch, model, metrics):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.resume(callback=interrupt)
    assert bits(model) == before
    assert bits(model.resume()) == want
    with pytest.raises(NotFittedError):
        MF().resume()


@pytest.mark.parametrize("method", METHODS)
def test_a_damaged_fit_is_refused(method, tmp_path):
    settings = METHODS[method]
    MF(**settings).fit(
        ratings(), validation=ratings(1, 80, 40), callback=saving(tmp_path / "model", "fit", 3, True)
    )
    sound = read_artifact(tmp_path / "model", "gpurec.model")
    own = {name: tensor for name, tensor in sound.tensors.items() if name.startswith("fitting.")}
    assert len(own) >= 14
    cases = [({name: tensor[:-1]}, {}) for name, tensor in own.items()]
    cases += [({name: np.full_like(t, np.nan)}, {}) for name, t in own.items() if t.dtype.kind == "f"]
    cases += [({name: np.full_like(t, 9999)}, {}) for name, t in own.items() if t.dtype.kind == "i"]
    state = sound.meta["fitting"]
    for changed in (
        {"stage": "begin"},
        {"stage": ["fit"]},
        {"epoch": 0},
        {"epoch": 31},
        {"epoch": True},
        {"most": 31},
        {"best_epoch": 0},
        {"best_epoch": 4},
        {"best_rmse": None},
        {"best_rmse": -1.0},
    ):
        cases.append(({}, {"fitting": {**state, **changed}}))
    cases += [({}, {"fitting": []}), ({}, {"fitting": {"stage": "fit"}})]
    for tensors, meta in cases:
        write_artifact(
            tmp_path / "damaged", "gpurec.model", {**sound.tensors, **tensors}, {**sound.meta, **meta}
        )
        with pytest.raises(ArtifactError):
            pytest.fail(f"{list(tensors)} {meta}: {load_model(tmp_path / 'damaged')}")

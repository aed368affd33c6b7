"""Saved models: the same bits after loading, and every edited artefact refused."""

from __future__ import annotations

import numpy as np
import pytest

from gpurec import Interactions
from gpurec.artifacts import read_artifact, write_artifact
from gpurec.errors import ArtifactError
from gpurec.models import MF, Popularity, load_model

N_ITEMS = 30


def quick() -> MF:
    return MF(n_factors=4, max_epochs=5, validation_fraction=0)


@pytest.fixture(scope="module")
def fitted() -> MF:
    generator = np.random.default_rng(0)
    users, items = generator.integers(0, 40, 600), generator.integers(0, N_ITEMS, 600)
    names = Interactions.from_arrays(
        [f"u{user}" for user in users], [f"i{item}" for item in items], generator.integers(1, 6, 600)
    )
    return quick().fit(names)


def bits(model: MF) -> list[bytes]:
    tables = ("user_factors", "item_factors", "user_biases", "item_biases")
    return [getattr(model, name).tobytes() for name in tables]


def test_a_loaded_model_gives_the_same_bits(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    users = fitted.user_map.ids()
    for loaded in (MF.load(tmp_path / "model"), load_model(tmp_path / "model", mmap=True)):
        assert type(loaded) is MF and loaded.settings == fitted.settings
        assert bits(loaded) == bits(fitted)
        assert (loaded.mean, loaded.n_epochs) == (fitted.mean, fitted.n_epochs)
        for ask in (
            lambda model: model.recommend(users, 5),
            lambda model: model.recommend(["new"], 5, unknown="popularity"),
            lambda model: model.similar_items(["i1", "i2"], 5),
            lambda model: model.similar_users(["u1"], 5),
        ):
            mine, theirs = ask(fitted), ask(loaded)
            assert mine.scores.tobytes() == theirs.scores.tobytes()
            assert mine.to_dicts() == theirs.to_dicts()
    with pytest.raises(ArtifactError, match="load_model"):
        Popularity.load(tmp_path / "model")


def test_ids_of_mixed_types_come_back(tmp_path):
    model = quick().fit(Interactions.from_arrays([1, "1", 1], ["x", 7, (7, "y")], [1, 2, 3]))
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert list(loaded.user_map) == [1, "1"] and list(loaded.item_map) == ["x", 7, (7, "y")]


def edited(tensors, meta, *, drop=None, **changes):
    """The content of a saved model with one thing changed."""
    for name, change in changes.items():
        side = tensors if name.replace("__", ".") in tensors else meta
        side[name.replace("__", ".")] = change(side.get(name.replace("__", ".")))
    if drop:
        tensors.pop(drop)
    return tensors, meta


def first_set(value):
    def change(array):
        array = array.copy()
        array.flat[0] = value
        return array

    return change


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"drop": "item_factors"}, "item_factors"),
        ({"user_factors": lambda a: a[:-1]}, "user_factors"),
        ({"user_factors": lambda a: a[:, :-1]}, "user_factors"),
        ({"user_biases": lambda a: a.astype(np.float64)}, "user_biases"),
        ({"item_factors": first_set(np.nan)}, "finite"),
        ({"item_biases": first_set(np.inf)}, "finite"),
        ({"user_items__indices": first_set(N_ITEMS)}, "CSR"),
        ({"user_items__indices": first_set(-1)}, "CSR"),
        ({"user_items__indptr": first_set(1)}, "CSR"),
        ({"user_items__weights": lambda a: a[:-1]}, "weights"),
        ({"weight_range": lambda a: [5, 1]}, "weight_range"),
        ({"weight_range": lambda a: "wide"}, "weight_range"),
        ({"mean": lambda a: "3"}, "mean"),
        ({"n_epochs": lambda a: 1.5}, "n_epochs"),
        ({"settings": lambda a: {"depth": 3}}, "settings"),
        ({"settings": lambda a: {"n_factors": -1}}, "settings"),
        ({"settings": lambda a: [1]}, "settings"),
        ({"settings": lambda a: a | {"n_factors": 5}}, "user_factors"),
        ({"model": lambda a: ["mf"]}, "one of the models"),
    ],
)
def test_edited_artefacts_are_refused(fitted, tmp_path, change, text):
    fitted.save(tmp_path / "model")
    artifact = read_artifact(tmp_path / "model", "gpurec.model")
    tensors, meta = edited(dict(artifact.tensors), dict(artifact.meta), **change)
    write_artifact(tmp_path / "edited", "gpurec.model", tensors, meta)
    with pytest.raises(ArtifactError, match=text):
        load_model(tmp_path / "edited")

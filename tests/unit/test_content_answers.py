"""ContentBased: why it answers what it answers, and the same answers after saving and everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from content_data import N_ITEMS, N_NEW, N_USERS, films, fitted, people, plays

import gpurec
from gpurec import ContentBased
from gpurec.artifacts import read_artifact, write_artifact
from gpurec.errors import ArtifactError
from gpurec.features import FeatureTable
from gpurec.models import load_model

pytest.importorskip("sklearn", reason="needs the extra 'features'")


# Why.


@pytest.mark.parametrize("by", ["items", "features"])
def test_reasons_add_up(by):
    model = fitted(feedback="ones", user_weight=2.0)
    late = films([N_ITEMS + 4])  # kept by the fit already
    assert model.training.known_rows("item", late.id_map.ids())[0] >= 0
    rng = np.random.default_rng(1)
    for user, item in zip(
        rng.integers(0, N_USERS + 4, 60).tolist(), rng.integers(0, N_ITEMS + N_NEW, 60).tolist()
    ):
        why = model.explain(user, item, by=by)
        assert why.score == model.predict([user], [item])[0]
        assert abs(why.contributions.sum() - why.score) <= why.tolerance
        if by == "items":
            had = set(model.item_map.ids(model.user_items[model.user_map.rows([user])].indices).tolist())
            assert {name for kind, name in zip(why.kinds, why.names) if kind == "item"} <= had
        else:
            assert set(why.kinds) <= {"feature"}


def test_reasons_name_what_was_planted():
    model = fitted()
    by_features = model.explain(0, N_ITEMS + 4, by="features")
    assert by_features.names[0] in ("genre=sf", "plot=sf", "image")
    assert "image" in model.explain(0, 4, by="features").names
    newcomer = model.explain(N_USERS, 4)
    assert set(newcomer.kinds) == {"feature", "baseline"}
    assert dict(zip(newcomer.names, newcomer.contributions))["hobby=sf"] > 0
    plain = ContentBased(n_components=5).fit(plays())
    item = int(plain.recommend([0], 1).item_ids[0])
    assert set(plain.explain(0, item, by="features").kinds) == {"user"}
    with pytest.raises(ValueError, match="by of 'items' or 'features'"):
        model.explain(0, 4, by="magic")


# Saving.


def test_a_saved_model_answers_and_grows_alike(tmp_path):
    model = fitted(half_life=None, feedback="weights")
    model.save(tmp_path / "model")
    for loaded in (ContentBased.load(tmp_path / "model"), load_model(tmp_path / "model", mmap=True)):
        for ask in (
            lambda model: model.recommend(range(N_USERS + 4), 9),
            lambda model: model.recommend_new({"eve": [1, 5]}, 9, features=people([70])),
            lambda model: model.similar_items([1], 5),
        ):
            assert ask(loaded).to_dicts() == ask(model).to_dicts()
            assert ask(loaded).scores.tobytes() == ask(model).scores.tobytes()
        assert loaded.explain(3, 7, by="features").to_dicts() == model.explain(3, 7, by="features").to_dicts()
        late = FeatureTable(["late"], {"genre": [["sf"]], "plot": ["a sf story"]})
        loaded.append_items(late)
        loaded.append_users(people([200]))
        assert np.isfinite(loaded.predict([200], ["late"])).all()
        loaded.save(tmp_path / "grown")
        assert load_model(tmp_path / "grown").predict([200], ["late"]) == loaded.predict([200], ["late"])


def test_users_without_interactions_may_come_to_a_model_without_features_of_items(tmp_path):
    model = ContentBased(n_components=7).fit(plays(), user_features=people())
    model.append_users(people([90]))
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert genre_of_best(loaded, 90) == genre_of_best(model, 90) == 90 % 4
    assert loaded.explain(1, 5, by="features").to_dicts() == model.explain(1, 5, by="features").to_dicts()


def genre_of_best(model, user) -> int:
    return int(model.recommend([user], 1).item_ids[0]) % 4


def test_damaged_files_are_refused(tmp_path):
    model = fitted()
    model.save(tmp_path / "model")
    sound = read_artifact(tmp_path / "model", "gpurec.model")
    for name, own in model._state()[0].items():
        if name.endswith("terms.text"):
            damages = [None, own[:-1], np.full_like(own, 255)]
        elif own.dtype.kind == "f":
            damages = [None, own[:-1], own.astype(np.float16), np.full_like(own, np.nan)]
        else:
            damages = [None, own[:-1], own.astype(np.int16), own + 10**6]
        for damage in damages:
            if damage is not None and damage.tobytes() == own.tobytes():
                continue  # there is nothing to damage
            tensors = {key: of for key, of in sound.tensors.items() if key != name}
            if damage is not None:
                tensors[name] = np.ascontiguousarray(damage)
            write_artifact(tmp_path / "damaged", "gpurec.model", tensors, sound.meta)
            with pytest.raises(ArtifactError):
                pytest.fail(f"{name}: {load_model(tmp_path / 'damaged')}")


@pytest.mark.parametrize(
    "change",
    [
        lambda meta: meta.pop("blocks"),
        lambda meta: meta.update(blocks=[]),
        lambda meta: meta["blocks"].pop(),
        lambda meta: meta["blocks"][0].__setitem__(1, ["year"]),
        lambda meta: meta["blocks"][0].__setitem__(2, 3),
        lambda meta: meta["blocks"][0].__setitem__(3, False),
        lambda meta: meta.pop("item_encoder"),
        lambda meta: meta["item_encoder"].pop("schema"),
        lambda meta: meta["user_encoder"].update(schema=[["hobby", "text", {}]]),
    ],
)
def test_edited_settings_are_refused(tmp_path, change):
    fitted().save(tmp_path / "model")
    artifact = read_artifact(tmp_path / "model", "gpurec.model")
    meta = dict(artifact.meta)
    change(meta)
    write_artifact(tmp_path / "edited", "gpurec.model", dict(artifact.tensors), meta)
    with pytest.raises(ArtifactError):
        load_model(tmp_path / "edited")


def test_threads_and_backends_give_the_same_bits():
    from gpurec.backends.cpu import CpuBackend

    want = fitted().recommend(range(N_USERS + 4), 9)
    for backend in (CpuBackend(n_threads=1), CpuBackend(n_threads=3), "reference"):
        with gpurec.use_backend(backend):
            got = fitted().recommend(range(N_USERS + 4), 9)
        assert got.to_dicts() == want.to_dicts() and got.scores.tobytes() == want.scores.tobytes()

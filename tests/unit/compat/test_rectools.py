"""gpurec inside RecTools, in an environment that has it: `.ci/full rectools`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip(
    "rectools", reason="RecTools brings a module named implicit and numpy < 2; its tests: .ci/full rectools"
)

import pandas as pd
from implicit.als import AlternatingLeastSquares
from rectools import Columns
from rectools.dataset import Dataset
from rectools.metrics import Recall
from rectools.model_selection import RandomSplitter, cross_validate
from rectools.models import EASEModel, ImplicitALSWrapperModel, ImplicitItemKNNWrapperModel, PureSVDModel
from rectools.models.rank import Distance, ImplicitRanker
from rectools.models.vector import ImplicitRanker as RankerOfVectors

from gpurec import EASE, MF, ArtifactError, ItemKNN, Popularity
from gpurec.compat import implicit
from gpurec.compat.rectools import GpurecModel, Ranker, ranking

PAGE = Path(__file__).parents[3] / "docs" / "models" / "migration.md"


def frame() -> pd.DataFrame:
    random = np.random.default_rng(1)
    users, items = np.nonzero(random.random((30, 20)) < 0.3)
    return pd.DataFrame(
        {
            Columns.User: np.array([f"u{user}" for user in users]),
            Columns.Item: items * 10,
            Columns.Weight: random.integers(1, 6, len(users)).astype(float),
            Columns.Datetime: pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(len(users)), unit="h"),
        }
    )


FRAME = frame()
DATASET = Dataset.construct(FRAME)
USERS = FRAME[Columns.User].unique()[:7]
SEEN = FRAME.groupby(Columns.User)[Columns.Item].apply(set).to_dict()


@pytest.mark.parametrize("distance", Distance)
@pytest.mark.parametrize("filtered", [False, True])
def test_the_ranker_agrees_with_rectools_own(distance: Distance, filtered: bool) -> None:
    random = np.random.default_rng(5)
    subjects, objects = random.standard_normal((30, 8)), random.standard_normal((20, 8))
    matrix, ids = DATASET.get_user_item_matrix(), np.arange(0, 30, 2)
    for arguments in ({"k": 5}, {"k": None}, {"k": 4, "sorted_object_whitelist": np.arange(3, 15)}):
        if filtered:
            arguments["filter_pairs_csr"] = matrix[ids]
        ours = Ranker(distance, subjects, objects).rank(ids, **arguments)
        theirs = ImplicitRanker(distance, subjects, objects).rank(ids, **arguments)
        assert ours[0].tolist() == list(theirs[0]) and ours[1].tolist() == theirs[1].tolist()
        np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        PureSVDModel(factors=4),
        EASEModel(regularization=5),
        ImplicitALSWrapperModel(AlternatingLeastSquares(4)),
    ],
)
def test_rectools_own_models_rank_with_it(model: Any) -> None:
    model.fit(DATASET)
    for arguments in (
        {"filter_viewed": True},
        {"filter_viewed": False, "items_to_recommend": [30, 50, 70, 110]},
    ):
        theirs = model.recommend(USERS, DATASET, k=5, **arguments)
        with ranking():
            ours = model.recommend(USERS, DATASET, k=5, **arguments)
        assert RankerOfVectors is ImplicitRanker
        assert ours[[*Columns.UserItem, Columns.Rank]].equals(theirs[[*Columns.UserItem, Columns.Rank]])
        np.testing.assert_allclose(ours[Columns.Score], theirs[Columns.Score], rtol=1e-4, atol=1e-5)


def test_the_ranker_is_put_back_after_an_error() -> None:
    import rectools.models.ease
    import rectools.models.vector

    with pytest.raises(RuntimeError), ranking():
        assert rectools.models.vector.ImplicitRanker is rectools.models.ease.ImplicitRanker is Ranker
        raise RuntimeError
    assert rectools.models.vector.ImplicitRanker is rectools.models.ease.ImplicitRanker is ImplicitRanker


MODELS = [
    Popularity(),
    EASE(l2=5.0),
    ItemKNN(n_neighbours=5),
    MF(n_factors=3, max_epochs=5, validation_fraction=0),
]


@pytest.mark.parametrize("inner", MODELS, ids=lambda model: model.name)
def test_recommendations(inner: Any) -> None:
    model = GpurecModel(inner).fit(DATASET)
    found = model.recommend(USERS, DATASET, k=4, filter_viewed=True)
    assert list(found.columns) == Columns.Recommendations
    assert found[Columns.User].unique().tolist() == USERS.tolist()
    for user, rows in found.groupby(Columns.User):
        assert rows[Columns.Rank].tolist() == list(range(1, len(rows) + 1)) and len(rows) == 4
        assert (np.diff(rows[Columns.Score]) <= 0).all()
        assert not SEEN[user] & set(rows[Columns.Item])
    row_of = dict(zip(DATASET.user_id_map.external_ids, range(30)))
    items = dict(zip(DATASET.item_id_map.external_ids, range(20)))
    pairs = [row_of[user] for user in found[Columns.User]], [items[item] for item in found[Columns.Item]]
    assert model.model.predict(*pairs).tolist() == found[Columns.Score].tolist()
    some = model.recommend(
        USERS, DATASET, k=4, filter_viewed=False, items_to_recommend=[30, 50], add_rank_col=False
    )
    assert list(some.columns) == Columns.Recommendations[:3] and set(some[Columns.Item]) == {30, 50}


@pytest.mark.parametrize("inner", MODELS[2:], ids=lambda model: model.name)
def test_similar_items(inner: Any) -> None:
    model = GpurecModel(inner).fit(DATASET)
    found = model.recommend_to_items([30, 70], DATASET, k=3)
    assert list(found.columns) == Columns.RecommendationsI2I
    assert found[Columns.TargetItem].tolist() == [30] * 3 + [70] * 3
    assert (found[Columns.TargetItem] != found[Columns.Item]).all()
    everything = model.recommend_to_items([30, 70], DATASET, k=19)
    some = model.recommend_to_items([30, 70], DATASET, k=2, items_to_recommend=[0, 50, 110, 120])
    for target in (30, 70):
        kept = everything[
            (everything[Columns.TargetItem] == target) & everything[Columns.Item].isin([0, 50, 110, 120])
        ]
        assert (
            some[some[Columns.TargetItem] == target][Columns.Item].tolist() == kept[Columns.Item].tolist()[:2]
        )


def test_users_that_are_not_there() -> None:
    model = GpurecModel(Popularity()).fit(DATASET)
    with pytest.raises(ValueError, match="cold"):
        model.recommend(["nobody"], DATASET, k=3, filter_viewed=True)
    found = model.recommend(
        ["nobody", "u1"], DATASET, k=3, filter_viewed=True, on_unsupported_targets="ignore"
    )
    assert found[Columns.User].unique().tolist() == ["u1"]


def test_cross_validation() -> None:
    found = cross_validate(
        DATASET,
        RandomSplitter(0.3, n_splits=2, random_state=1, filter_cold_users=True, filter_cold_items=True),
        {"recall@5": Recall(5)},
        {"ease": GpurecModel(EASE(l2=5.0)), "theirs": EASEModel(regularization=5)},
        k=5,
        filter_viewed=True,
    )
    values = pd.DataFrame(found["metrics"]).pivot(index="i_split", columns="model", values="recall@5")
    assert len(values) == 2 and (values > 0).all(axis=None)


def test_each_fit_learns_anew() -> None:
    model = GpurecModel(Popularity()).fit(DATASET)
    smaller = Dataset.construct(FRAME[FRAME[Columns.User].isin(USERS)])
    model.fit(smaller)
    assert model.model.training.n_users == 7
    assert model.model.training.user_items.sum() == smaller.get_user_item_matrix().sum()


def test_configs() -> None:
    model = GpurecModel(EASE(l2=7.0), verbose=0)
    assert model.get_params(simple_types=True)["model.l2"] == 7.0
    twin = GpurecModel.from_config(model.get_config(simple_types=True))
    assert twin._model.settings == model._model.settings and type(twin._model) is EASE
    with pytest.raises(ValueError, match="name of"):
        GpurecModel.from_config({"model": {"name": "os.system"}})


def test_saving_runs_nothing(tmp_path: Path) -> None:
    model = GpurecModel(EASE(l2=7.0)).fit(DATASET)
    expected = model.recommend(USERS, DATASET, k=4, filter_viewed=True)
    assert model.save(tmp_path / "model") == (tmp_path / "model").stat().st_size
    loaded = GpurecModel.load(tmp_path / "model")
    assert loaded.recommend(USERS, DATASET, k=4, filter_viewed=True).equals(expected)
    assert loaded.get_params() == model.get_params()
    whole = model.dumps()
    for data in (b"", b"\x80\x04}.", whole[:100], whole[:-30], whole.replace(b"manifest", b"../../up")):
        with pytest.raises(ArtifactError):
            GpurecModel.loads(data)


def test_neighbours_in_rectools_wrapper() -> None:
    model = ImplicitItemKNNWrapperModel(implicit.nearest_neighbours.CosineRecommender(K=8)).fit(DATASET)
    found = model.recommend(USERS, DATASET, k=3, filter_viewed=True)
    assert all(row[Columns.Item] not in SEEN[row[Columns.User]] for _, row in found.iterrows())
    assert len(model.recommend_to_items([30], DATASET, k=3)) == 3


def test_the_page_on_migration(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python rectools\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    done = subprocess.run([sys.executable, "-c", blocks[0]], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

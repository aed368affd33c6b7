"""What implicit's documentation says of every model: shapes, order, filters, similar ones, saving."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array, csr_matrix, vstack

from gpurec import NotFittedError
from gpurec.compat import implicit
from gpurec.compat.implicit.utils import ParameterWarning

N_USERS, N_ITEMS = 40, 30

MODELS: dict[str, Callable[[], Any]] = {
    "cosine": lambda: implicit.nearest_neighbours.CosineRecommender(K=30),
    "tf-idf": lambda: implicit.nearest_neighbours.TFIDFRecommender(K=30),
    "bm25": lambda: implicit.nearest_neighbours.BM25Recommender(K=30),
    "item-item": lambda: implicit.nearest_neighbours.ItemItemRecommender(K=30),
    "als": lambda: implicit.als.AlternatingLeastSquares(factors=6, regularization=0.1, random_state=1),
    "bpr": lambda: implicit.bpr.BayesianPersonalizedRanking(factors=6, iterations=60, random_state=1),
    "faiss": lambda: implicit.approximate_als.FaissAlternatingLeastSquares(
        factors=6, random_state=1, nlist=4
    ),
    "annoy": lambda: implicit.approximate_als.AnnoyAlternatingLeastSquares(factors=6, random_state=1),
    "nmslib": lambda: implicit.approximate_als.NMSLibAlternatingLeastSquares(factors=6, random_state=1),
}
NEIGHBOURS = ("cosine", "tf-idf", "bm25", "item-item")
AROUND = ("faiss", "annoy", "nmslib")


def plays() -> csr_matrix:
    """Users and items of two kinds, that meet within their kind by and large; each item has a user."""
    random = np.random.default_rng(3)
    same = np.add.outer(np.arange(N_USERS), np.arange(N_ITEMS)) % 2 == 0
    weights = np.where(
        random.random(same.shape) < np.where(same, 0.55, 0.03), random.integers(1, 6, same.shape), 0
    )
    return csr_matrix(weights, dtype=np.float32)


PLAYS = plays()
FITTED: dict[str, Any] = {}


def fitted(name: str) -> Any:
    if name not in FITTED:
        FITTED[name] = MODELS[name]()
        assert FITTED[name].fit(PLAYS, show_progress=False) is None
    return FITTED[name]


each_model = pytest.mark.parametrize("name", MODELS)


@each_model
def test_one_user(name: str) -> None:
    ids, scores = fitted(name).recommend(4, PLAYS[4], N=5)
    assert ids.shape == scores.shape == (5,) and ids.dtype == np.int32 and scores.dtype.kind == "f"
    assert (np.diff(scores) <= 0).all() and len(set(ids.tolist())) == 5
    assert not set(ids.tolist()) & set(PLAYS[4].indices.tolist())


@each_model
def test_several_users_get_what_each_gets(name: str) -> None:
    model, users = fitted(name), np.array([7, 0, 7, 39])
    ids, scores = model.recommend(users, PLAYS[users], N=6)
    assert ids.shape == scores.shape == (4, 6)
    for place, user in enumerate(users.tolist()):
        alone = model.recommend(user, PLAYS[user], N=6)
        assert ids[place].tolist() == alone[0].tolist() and scores[place].tolist() == alone[1].tolist()


@each_model
def test_of_too_many_places_only_those_there_are(name: str) -> None:
    model, user = fitted(name), 2
    ids, scores = model.recommend(user, PLAYS[user], N=1000)
    assert 0 < len(ids) <= N_ITEMS - PLAYS[user].nnz and np.isfinite(scores).all()
    many_ids, many_scores = model.recommend([user], PLAYS[[user]], N=1000)
    assert many_ids.shape == (1, 1000)
    assert many_ids[0, : len(ids)].tolist() == ids.tolist()
    assert (many_ids[0, len(ids) :] == -1).all() and np.isneginf(many_scores[0, len(ids) :]).all()


@each_model
def test_filters(name: str) -> None:
    model, users = fitted(name), np.arange(N_USERS)
    everything = model.recommend(users, PLAYS, N=N_ITEMS, filter_already_liked_items=False)[0]
    new = model.recommend(users, PLAYS, N=N_ITEMS)[0]
    without = model.recommend(users, PLAYS, N=N_ITEMS, filter_items=[3, 8])[0]
    for user in users.tolist():
        had = PLAYS[user].indices.tolist()
        kept = [item for item in everything[user].tolist() if item not in had]
        assert [item for item in new[user].tolist() if item >= 0] == [item for item in kept if item >= 0]
        assert [item for item in without[user].tolist() if item >= 0] == [
            item for item in kept if item not in (3, 8, -1)
        ]


@each_model
def test_only_some_items(name: str) -> None:
    model, chosen = fitted(name), [9, 1, 5, 12, 9]
    ids, scores = model.recommend(6, PLAYS[6], N=20, items=chosen, filter_already_liked_items=False)
    assert sorted(ids.tolist()) == [1, 5, 9, 12] and (np.diff(scores) <= 0).all()
    # What the user had is left out of these too.
    left = set(chosen) - set(PLAYS[6].indices.tolist())
    assert set(model.recommend(6, PLAYS[6], N=20, items=chosen)[0].tolist()) == left
    ids, _ = model.recommend([6, 7], PLAYS[[6, 7]], items=np.array([1, 5]), filter_already_liked_items=False)
    assert ids.shape == (2, 2) and (np.sort(ids) == [1, 5]).all()
    assert model.recommend(6, PLAYS[6], items=[])[0].tolist() == []
    with pytest.raises(ValueError, match="items or filter_items"):
        model.recommend(6, PLAYS[6], items=[1], filter_items=[2])


@each_model
def test_rank_items_is_recommend_with_items(name: str) -> None:
    with pytest.warns(DeprecationWarning, match="items"):
        ids, scores = fitted(name).rank_items(6, PLAYS[6], [9, 1, 5])
    same = fitted(name).recommend(6, PLAYS[6], N=3, items=[9, 1, 5], filter_already_liked_items=False)
    assert ids.tolist() == same[0].tolist() and scores.tolist() == same[1].tolist()


@each_model
@pytest.mark.parametrize("wrong", [-1, N_ITEMS])
def test_items_that_are_not_there(name: str, wrong: int) -> None:
    for arguments in ({"items": [1, wrong]}, {"filter_items": [1, wrong]}):
        with pytest.raises(IndexError, match=f"got {wrong}"):
            fitted(name).recommend(0, PLAYS[0], **arguments)
    with pytest.raises(IndexError, match=f"got {wrong}"):
        fitted(name).similar_items(wrong)


@each_model
def test_a_row_for_each_user(name: str) -> None:
    model = fitted(name)
    with pytest.raises(ValueError, match="one row"):
        model.recommend(0, PLAYS)
    with pytest.raises(ValueError, match="one row"):
        model.recommend([0, 1], PLAYS[0])
    with pytest.raises(ValueError, match="sparse"):
        model.recommend(0, PLAYS[0].toarray())
    with pytest.raises(TypeError, match="userid"):
        model.recommend("ann", PLAYS[0])
    with pytest.raises(ValueError, match="N of 1"):
        model.recommend(0, PLAYS[0], N=0)


@each_model
def test_every_sparse_matrix_will_do(name: str) -> None:
    expected = fitted(name).recommend(3, PLAYS[3])[0].tolist()
    for given in (csr_array(PLAYS)[[3]], PLAYS[3].tocoo(), PLAYS[3].tocsc()):
        assert fitted(name).recommend(3, given)[0].tolist() == expected


@each_model
def test_nobody(name: str) -> None:
    ids, scores = fitted(name).recommend([], PLAYS[:0], N=4)
    assert ids.shape == scores.shape == (0, 4)


@each_model
def test_similar_items(name: str) -> None:
    model = fitted(name)
    ids, scores = model.similar_items(5, N=6)
    assert ids.shape == scores.shape == (6,) and ids.dtype == np.int32 and (np.diff(scores) <= 0).all()
    if name not in ("bm25", "item-item"):  # whose similarity knows no length
        assert ids[0] == 5 and scores[0] == pytest.approx(1)
    several = model.similar_items([8, 5], N=6)
    assert several[0].shape == (2, 6) and several[0][1].tolist() == ids.tolist()
    assert several[1][1].tolist() == scores.tolist()
    without = model.similar_items(5, N=N_ITEMS, filter_items=[5, int(ids[1])])[0]
    assert not {5, int(ids[1])} & set(without.tolist())
    assert set(model.similar_items(5, N=9, items=ids[:3])[0].tolist()) == set(ids[:3].tolist())
    with pytest.raises(ValueError, match="items or filter_items"):
        model.similar_items(5, items=[1], filter_items=[2])


@each_model
def test_similar_users(name: str) -> None:
    model = fitted(name)
    if name in NEIGHBOURS:
        with pytest.raises(NotImplementedError):
            model.similar_users(5)
        return
    ids, scores = model.similar_users(5, N=6)
    assert ids.shape == (6,) and ids[0] == 5 and scores[0] == pytest.approx(1)
    several = model.similar_users(np.array([8, 5]), N=6)
    assert several[0].shape == (2, 6) and several[0][1].tolist() == ids.tolist()
    assert 5 not in model.similar_users(5, N=N_USERS, filter_users=[5])[0]
    assert sorted(model.similar_users(5, N=6, users=[1, 2])[0].tolist()) == [1, 2]
    with pytest.raises(IndexError):
        model.similar_users(N_USERS)


@each_model
def test_recalculated_users(name: str) -> None:
    model = fitted(name)
    if name in (*NEIGHBOURS, "bpr"):
        if name == "bpr":
            with pytest.raises(NotImplementedError):
                model.recommend(0, PLAYS[0], recalculate_user=True)
        return
    users = np.arange(8)
    ids, scores = model.recommend(users, PLAYS[users], N=5, recalculate_user=True)
    for user in users.tolist():
        # Who it is says the row of `user_items` alone, so a number beyond the model will do.
        alone = model.recommend(N_USERS + 7, PLAYS[user], N=5, recalculate_user=True)
        assert alone[0].tolist() == ids[user].tolist()
        assert alone[1].tolist() == scores[user].tolist()


@each_model
def test_unknown_users(name: str) -> None:
    if name in NEIGHBOURS:  # a user is what stands in the matrix
        assert len(fitted(name).recommend(N_USERS, PLAYS[0])[0]) == 10
        return
    for wrong in (-1, N_USERS):
        with pytest.raises(IndexError, match=f"got {wrong}"):
            fitted(name).recommend(wrong, PLAYS[0])


@each_model
def test_saving(name: str, tmp_path: Path) -> None:
    model = fitted(name)
    if name in AROUND:
        with pytest.raises(NotImplementedError, match=r"model\.model\.save"):
            model.save(str(tmp_path / "model"))
        with pytest.raises(NotImplementedError):
            type(model).load(str(tmp_path / "model"))
        return
    model.save(str(tmp_path / "model"))  # numpy.savez adds .npz
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]
    stream = io.BytesIO()
    model.save(stream)
    stream.seek(0)
    users = np.arange(N_USERS)
    expected = model.recommend(users, PLAYS, N=7)
    for source in (str(tmp_path / "model"), tmp_path / "model.npz", stream):
        loaded = type(model).load(source)
        found = loaded.recommend(users, PLAYS, N=7)
        assert found[0].tolist() == expected[0].tolist() and found[1].tolist() == expected[1].tolist()
    with pytest.raises(FileNotFoundError):
        type(model).load(str(tmp_path / "nothing"))


@each_model
def test_copies(name: str) -> None:
    model = fitted(name)
    model.recommend(0, PLAYS[0])  # whose index is not copied
    twin = copy.deepcopy(model)
    assert twin.recommend(0, PLAYS[0])[0].tolist() == model.recommend(0, PLAYS[0])[0].tolist()


@each_model
@pytest.mark.parametrize("kind", ["coo", "lil"])
def test_other_matrices_are_fitted_with_a_warning(name: str, kind: str) -> None:
    model = MODELS[name]()
    with pytest.warns(ParameterWarning, match=kind):
        model.fit(PLAYS.asformat(kind), show_progress=False)
    assert model.recommend(1, PLAYS[1])[0].tolist() == fitted(name).recommend(1, PLAYS[1])[0].tolist()


@each_model
@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_weights_of_every_dtype(name: str, dtype: type) -> None:
    model = MODELS[name]()
    model.fit(PLAYS.astype(dtype), show_progress=False)
    assert model.recommend(1, PLAYS[1])[0].tolist() == fitted(name).recommend(1, PLAYS[1])[0].tolist()


@each_model
def test_before_a_fit(name: str) -> None:
    for ask in (lambda model: model.recommend(0, PLAYS[0]), lambda model: model.similar_items(0)):
        with pytest.raises(NotFittedError, match="fit"):
            ask(MODELS[name]())


@each_model
def test_users_and_items_without_entries(name: str) -> None:
    matrix = PLAYS.tolil()
    matrix[:, 4] = 0
    matrix = vstack([matrix.tocsr(), csr_matrix((1, N_ITEMS), dtype=np.float32)]).tocsr()
    model = MODELS[name]()
    model.fit(matrix, show_progress=False)
    assert 4 not in model.similar_items(5, N=8)[0]
    ids, scores = model.recommend(N_USERS, matrix[N_USERS])
    assert np.isfinite(scores).all() and (ids >= 0).all()
    if name in NEIGHBOURS:
        assert len(ids) == 0

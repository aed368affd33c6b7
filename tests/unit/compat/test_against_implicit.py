"""The same data in implicit and here: the same answers but for what docs/models/implicit.md lists."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

pytest.importorskip("implicit", reason="implicit is not in the test extra; see .ci/full rectools")

import implicit.evaluation
import implicit.nearest_neighbours
import implicit.utils
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.cpu.lmf import LogisticMatrixFactorization

from gpurec.compat import implicit as ours

RANDOM = np.random.default_rng(8)
SAME = np.add.outer(np.arange(80), np.arange(50)) % 3 == 0
PLAYS = csr_matrix(
    np.where(RANDOM.random(SAME.shape) < np.where(SAME, 0.6, 0.05), RANDOM.gamma(2, 1, SAME.shape), 0),
    dtype=np.float64,
)
USERS = np.arange(80)


def check(found: Any, theirs: Any, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    """The same ids where scores differ by more than rounding, and the same scores; theirs without padding."""
    for ids, scores, their_ids, their_scores in zip(*found, *theirs):
        n = int((ids >= 0).sum())
        np.testing.assert_allclose(scores[:n], their_scores[:n], rtol=rtol, atol=atol)
        gaps = -np.diff(np.append(their_scores[: n + 1].astype(np.float64), -1e38))[:n]
        alone = (gaps > 1e-3) & (np.append(np.inf, gaps[:-1]) > 1e-3)
        assert ids[:n][alone].tolist() == their_ids[:n][alone].tolist()


@pytest.mark.parametrize(
    "name", ["ItemItemRecommender", "CosineRecommender", "TFIDFRecommender", "BM25Recommender"]
)
def test_neighbours(name: str) -> None:
    theirs, mine = (
        getattr(implicit.nearest_neighbours, name)(K=12),
        getattr(ours.nearest_neighbours, name)(K=12),
    )
    theirs.fit(PLAYS, show_progress=False)
    mine.fit(PLAYS, show_progress=False)
    np.testing.assert_allclose(mine.similarity.toarray(), theirs.similarity.toarray(), rtol=1e-5, atol=1e-6)
    check(mine.similar_items(np.arange(50), N=12), theirs.similar_items(np.arange(50), N=12))
    everything = {"N": 30, "filter_already_liked_items": False}
    check(mine.recommend(USERS, PLAYS, **everything), theirs.recommend(USERS, PLAYS, **everything))
    stream = io.BytesIO()
    theirs.save(stream)
    stream.seek(0)
    loaded = type(mine).load(stream)
    check(loaded.recommend(USERS, PLAYS, N=9), mine.recommend(USERS, PLAYS, N=9))


@pytest.mark.parametrize("name", ["tfidf_weight", "bm25_weight", "normalize"])
def test_weights(name: str) -> None:
    found, theirs = (getattr(library.nearest_neighbours, name)(PLAYS) for library in (ours, implicit))
    np.testing.assert_allclose(found.toarray(), theirs.toarray(), rtol=1e-12)


def test_splits_and_metrics() -> None:
    for part, their_part in zip(
        ours.evaluation.train_test_split(PLAYS, random_state=3),
        implicit.evaluation.train_test_split(PLAYS, random_state=3),
    ):
        assert (part != their_part).nnz == 0
    train, test = ours.evaluation.leave_k_out_split(PLAYS, K=3, random_state=1)
    model = implicit.nearest_neighbours.CosineRecommender(K=20)
    model.fit(train, show_progress=False)
    for K in (1, 5):  # so few that no list is padded
        found, theirs = (
            library.evaluation.ranking_metrics_at_k(model, train, test, K=K, show_progress=False)
            for library in (ours, implicit)
        )
        assert found == pytest.approx(theirs, abs=1e-12)


def objective(model: Any, plays: csr_matrix) -> float:
    """What is minimised, over the sum of all confidences: every pair by itself."""
    X, Y, rows = (np.float64(part) for part in (model.user_factors, model.item_factors, plays.toarray()))
    c = np.where(rows != 0, model.alpha * np.abs(rows), 1.0)
    norms = np.square(X).sum() + np.square(Y).sum()
    return float(((c * np.square((rows > 0) - X @ Y.T)).sum() + model.regularization * norms) / c.sum())


@pytest.mark.parametrize("use_cg", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_least_squares(use_cg: bool, signed: bool) -> None:
    plays = PLAYS.copy()
    if signed:
        plays.data[::5] *= -1
    settings = {
        "factors": 8,
        "regularization": 0.3,
        "alpha": 2.0,
        "iterations": 30,
        "use_cg": use_cg,
        "random_state": 4,
    }
    theirs, mine = AlternatingLeastSquares(**settings), ours.cpu.als.AlternatingLeastSquares(**settings)
    losses: dict[str, float] = {}
    for name, model in (("theirs", theirs), ("mine", mine)):
        model.calculate_training_loss = True
        model.fit(
            plays, show_progress=False, callback=lambda _, __, loss, name=name: losses.__setitem__(name, loss)
        )
    tolerance = 2e-2 if use_cg else 1e-4
    if not signed:  # implicit adds a constant for dislikes
        assert losses["mine"] == pytest.approx(losses["theirs"], rel=tolerance)
    assert losses["mine"] == pytest.approx(objective(mine, plays), rel=1e-5)
    assert losses["mine"] == pytest.approx(objective(theirs, plays), rel=tolerance)
    if not use_cg:  # exact solutions from the same start
        np.testing.assert_allclose(
            mine.user_factors @ mine.item_factors.T, theirs.user_factors @ theirs.item_factors.T, atol=5e-3
        )
    # From the same factors everything else follows.
    mine.user_factors, mine.item_factors = theirs.user_factors.copy(), theirs.item_factors.copy()
    everything = {"N": 20, "filter_already_liked_items": False}
    check(mine.recommend(USERS, plays, **everything), theirs.recommend(USERS, plays, **everything))
    seen_out = mine.recommend(USERS, plays, N=10)
    check(seen_out, theirs.recommend(USERS, plays, N=10))
    assert not any(
        set(ids.tolist()) & set(plays[user].indices.tolist()) for user, ids in enumerate(seen_out[0])
    )
    check(mine.similar_items(np.arange(50), N=10), theirs.similar_items(np.arange(50), N=10))
    check(mine.similar_users(USERS, N=10), theirs.similar_users(USERS, N=10))
    np.testing.assert_allclose(
        mine.recalculate_user(USERS, plays), theirs.recalculate_user(USERS, plays), rtol=1e-3, atol=1e-4
    )
    items = np.arange(50)
    np.testing.assert_allclose(
        mine.recalculate_item(items, plays.T.tocsr()),
        theirs.recalculate_item(items, plays.T.tocsr()),
        rtol=1e-3,
        atol=1e-4,
    )
    for user, item in ((3, 7), (50, 12)):
        total, contributions, _ = mine.explain(user, plays, item, N=6)
        their_total, their_contributions, _ = theirs.explain(user, plays, item, N=6)
        assert total == pytest.approx(their_total, rel=1e-3)
        assert [item for item, _ in contributions] == [item for item, _ in their_contributions]
    for model in (mine, theirs):
        model.partial_fit_users(np.array([2, 80]), plays[[5, 6]])
        model.partial_fit_items(np.array([1, 50]), plays.T.tocsr()[[3, 4]])
    np.testing.assert_allclose(mine.user_factors, theirs.user_factors, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(mine.item_factors, theirs.item_factors, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "model, mine",
    [
        (AlternatingLeastSquares(factors=4, random_state=1), ours.cpu.als.AlternatingLeastSquares),
        (BayesianPersonalizedRanking(factors=4, random_state=1), ours.cpu.bpr.BayesianPersonalizedRanking),
        (LogisticMatrixFactorization(factors=4, random_state=1), ours.cpu.lmf.LogisticMatrixFactorization),
    ],
    ids=["als", "bpr", "lmf"],
)
def test_saved_models_go_both_ways(model: Any, mine: Any) -> None:
    model.fit(PLAYS.astype(np.float32), show_progress=False)
    stream = io.BytesIO()
    model.save(stream)
    stream.seek(0)
    loaded = mine.load(stream)
    check(loaded.recommend(USERS, PLAYS, N=10), model.recommend(USERS, PLAYS, N=10))
    for name in mine._kinds:
        assert getattr(loaded, name) == getattr(model, name)
    stream = io.BytesIO()
    loaded.save(stream)
    stream.seek(0)
    back = type(model).load(stream)
    assert (back.user_factors == model.user_factors).all() and (back.item_factors == model.item_factors).all()
    assert back.iterations == model.iterations and back.dtype == model.dtype


def test_ranking_learns_as_well() -> None:
    train, test = ours.evaluation.leave_k_out_split(PLAYS, K=3, random_state=1)
    settings = {"factors": 16, "learning_rate": 0.05, "iterations": 150, "random_state": 2}
    values = []
    for kind in (BayesianPersonalizedRanking, ours.cpu.bpr.BayesianPersonalizedRanking):
        model = kind(**settings)
        model.fit(train.astype(np.float32), show_progress=False)
        values.append(ours.evaluation.AUC_at_k(model, train, test, K=10, show_progress=False))
    assert values[1] > values[0] - 0.03, "implicit's and ours"


def test_what_is_different() -> None:
    """What docs/models/implicit.md says of implicit, and what is here instead."""
    settings = {"factors": 4, "random_state": 1}
    theirs, mine = AlternatingLeastSquares(**settings), ours.cpu.als.AlternatingLeastSquares(**settings)
    for model in (theirs, mine):
        model.fit(PLAYS, show_progress=False)
    least, had = -np.finfo(np.float32).max, set(PLAYS[0].indices.tolist())
    assert len(had) < 50 < 60

    ids, scores = theirs.recommend(0, PLAYS[0], N=60)
    assert had <= set(ids.tolist()) and (scores == least).sum() == len(had), "seen items come back"
    assert len(ids) == 60 and ids[50:].tolist() == [0] * 10, "item 0 fills the rest"
    ids, scores = mine.recommend(0, PLAYS[0], N=60)
    assert len(ids) == 50 - len(had) and not had & set(ids.tolist())

    seen, new = sorted(had)[:2], sorted(set(range(50)) - had)[:2]
    assert theirs.recommend(0, PLAYS[0], items=[*seen, *new])[1].tolist().count(least) == 2
    assert sorted(mine.recommend(0, PLAYS[0], items=[*seen, *new])[0].tolist()) == new
    twice = {"items": [new[0], new[0]], "filter_already_liked_items": False}
    assert theirs.recommend(0, PLAYS[0], **twice)[0].tolist() == [new[0]] * 2
    assert mine.recommend(0, PLAYS[0], **twice)[0].tolist() == [new[0]]
    assert len(theirs.recommend(-1, PLAYS[0])[0]) == 10
    with pytest.raises(IndexError):
        mine.recommend(-1, PLAYS[0])
    with pytest.raises(ValueError):
        theirs.recommend(0, PLAYS[0].tocoo())
    with pytest.raises(TypeError):
        AlternatingLeastSquares().recommend(0, PLAYS[0])
    with pytest.raises(AttributeError):
        implicit.utils.check_random_state(np.random.RandomState(1))

    theirs, mine = (library.nearest_neighbours.CosineRecommender(K=3) for library in (implicit, ours))
    for model in (theirs, mine):
        model.fit(PLAYS, show_progress=False)
    ids, scores = theirs.recommend(0, PLAYS[0], N=50)
    assert had & set(ids.tolist()) and (scores[np.isin(ids, sorted(had))] == 0).all()
    assert not had & set(mine.recommend(0, PLAYS[0], N=50)[0].tolist())
    far = sorted(set(range(50)) - set(theirs.similarity[0].indices.tolist()))[:2]
    assert theirs.similar_items(0, items=np.array(far))[1].tolist() == [-np.finfo(np.float64).max] * 2
    assert mine.similar_items(0, items=far)[0].tolist() == []
    with pytest.raises(TypeError):
        theirs.similar_items(0, items=far)

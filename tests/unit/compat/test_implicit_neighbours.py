"""implicit's models of similar items and its weights, by their formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_matrix, csr_matrix

from gpurec.compat.implicit import nearest_neighbours, utils

PLAYS = csr_matrix(
    [
        [5, 1, 0, 9, 0, 0],
        [0, 2, 1, 1, 0, 0],
        [7, 0, 3, 0, 0, 0],
        [1, 8, 0, 0, 0, 0],
        [0, 0, 4, 4, 0, 0],
        [0, 3, 0, 0, 0, 2],
        [0, 0, 0, 0, 6, 0],
    ],
    dtype=np.float64,
)


def test_neighbours_of_all_items() -> None:
    similarities = (PLAYS.T @ PLAYS).toarray()
    found = nearest_neighbours.all_pairs_knn(PLAYS, 3, num_threads=1, show_progress=False)
    assert isinstance(found, coo_matrix) and found.shape == (6, 6)
    for item, row in enumerate(found.toarray()):
        best = sorted(range(6), key=lambda other: (-similarities[item, other], other))[:3]
        kept = {other for other in best if similarities[item, other] > 0}
        assert set(np.flatnonzero(row).tolist()) == kept
        assert all(row[other] == pytest.approx(similarities[item, other]) for other in kept)


def weighted_by_definition(X: np.ndarray, K1: float, B: float) -> tuple[np.ndarray, np.ndarray]:
    rarity = np.log(len(X)) - np.log1p((X > 0).sum(axis=0))
    length = (1 - B) + B * X.sum(axis=1) / X.sum(axis=1).mean()
    return np.sqrt(X) * rarity, X * (K1 + 1) / (K1 * length[:, np.newaxis] + X) * rarity


def test_weights() -> None:
    X = PLAYS.toarray()
    tf_idf, bm25 = weighted_by_definition(X, 100, 0.8)
    before = PLAYS.data.copy()
    for found, expected in (
        (nearest_neighbours.tfidf_weight(PLAYS), tf_idf),
        (nearest_neighbours.bm25_weight(PLAYS), bm25),
        (nearest_neighbours.bm25_weight(PLAYS, K1=2, B=0.1), weighted_by_definition(X, 2, 0.1)[1]),
        (nearest_neighbours.normalize(PLAYS), X / np.linalg.norm(X, axis=1, keepdims=True)),
    ):
        assert isinstance(found, coo_matrix) and found.dtype == np.float64
        np.testing.assert_allclose(found.toarray(), expected, rtol=1e-12)
    assert (PLAYS.data == before).all()
    with pytest.raises(ValueError, match="negative"):
        nearest_neighbours.tfidf_weight(-PLAYS)


def test_similarities_and_scores() -> None:
    X = PLAYS.toarray()
    tf_idf, _ = weighted_by_definition(X.T, 100, 0.8)
    _, bm25 = weighted_by_definition(X.T, 1.2, 0.75)
    cosine = X.T / np.linalg.norm(X.T, axis=1, keepdims=True)
    tf_idf /= np.linalg.norm(tf_idf, axis=1, keepdims=True)
    for model, weighted in (
        (nearest_neighbours.ItemItemRecommender(K=6), X.T),
        (nearest_neighbours.CosineRecommender(K=6), cosine),
        (nearest_neighbours.TFIDFRecommender(K=6), tf_idf),
        (nearest_neighbours.BM25Recommender(K=6), bm25),
    ):
        model.fit(PLAYS, show_progress=False)
        similarity = weighted @ weighted.T
        np.testing.assert_allclose(model.similarity.toarray(), similarity, rtol=1e-6, atol=1e-7)
        ids, scores = model.recommend(0, PLAYS[0], N=6)
        expected = X[0] @ similarity
        assert sorted(ids.tolist()) == [2, 5] and scores.dtype == np.float64
        np.testing.assert_allclose(scores, expected[ids], rtol=1e-5)


def test_settings() -> None:
    model = nearest_neighbours.BM25Recommender(K=3, K1=1.5, B=0.2, num_threads=2)
    assert (model.K, model.K1, model.B, model.num_threads, model.similarity) == (3, 1.5, 0.2, 2, None)
    with pytest.raises(NotImplementedError, match="callback"):
        model.fit(PLAYS, show_progress=False, callback=print)
    with pytest.raises(ValueError, match="K of 1"):
        nearest_neighbours.CosineRecommender(K=0).fit(PLAYS)
    model.fit(PLAYS, show_progress=False)
    assert np.diff(model.similarity.indptr).max() <= 3
    with pytest.raises(NotImplementedError):
        model.similar_items(0, recalculate_item=True, item_users=PLAYS.T.tocsr()[0])
    with pytest.raises(ValueError, match="columns"):
        model.recommend(0, csr_matrix((1, 7)))


def test_items_to_which_nothing_leads() -> None:
    model = nearest_neighbours.CosineRecommender(K=6)
    model.fit(PLAYS, show_progress=False)
    assert 4 not in model.recommend(0, PLAYS[0])[0]
    ids, scores = model.recommend(0, PLAYS[0], items=[2, 4])
    assert ids.tolist() == [2, 4] and scores[0] > 0 and scores[1] == 0


def test_seeds() -> None:
    same = [utils.check_random_state(4).random() for _ in range(2)]
    assert same[0] == same[1]
    generator = np.random.default_rng(1)
    assert utils.check_random_state(generator) is generator
    states = [utils.check_random_state(np.random.RandomState(4)).random() for _ in range(2)]
    assert states[0] == states[1]
    assert utils.check_random_state(None).random() != utils.check_random_state(None).random()


def test_inner_products_as_angles() -> None:
    factors = np.random.default_rng(0).standard_normal((20, 5))
    largest, rows = utils.augment_inner_product_matrix(factors)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), largest)
    query = np.append(np.ones(5), 0)
    assert np.argsort(rows @ query).tolist() == np.argsort(factors @ np.ones(5)).tolist()

"""Models of item weights beside what their sources say, in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from gpurec import EASE, SLIM, Interactions, elastic_net
from gpurec.models.item_weights import ease

N_USERS, N_ITEMS = 200, 40


@pytest.fixture(scope="module")
def likes() -> np.ndarray:
    rng = np.random.default_rng(5)
    return (rng.random((N_USERS, N_ITEMS)) < rng.choice([0.05, 0.2, 0.4], N_ITEMS)).astype(np.float64)


@pytest.fixture(scope="module")
def plays(likes) -> Interactions:
    users, items = np.nonzero(likes)
    item_map = Interactions.from_arrays([0] * N_ITEMS, range(N_ITEMS)).item_map
    return Interactions.from_arrays(users, items, item_map=item_map)


@pytest.mark.parametrize(("swept", "rows"), [(512, 2048), (7, 9), (16, 5), (40, 40)])
def test_ease_is_the_closed_form_however_many_blocks(likes, plays, monkeypatch, swept, rows):
    monkeypatch.setattr(ease, "_SWEPT", swept)
    monkeypatch.setattr(ease, "_ROWS", rows)
    inverse = np.linalg.inv(likes.T @ likes + 3.0 * np.eye(N_ITEMS))
    want = -inverse / np.diag(inverse)
    np.fill_diagonal(want, 0)
    np.testing.assert_allclose(EASE(l2=3.0).fit(plays).weights, want, atol=1e-6)


@pytest.mark.parametrize("l1", [0.0, 0.5, 3.0])
def test_slim_leaves_out_only_what_can_have_no_weight(likes, plays, l1, monkeypatch):
    monkeypatch.setattr("gpurec.models.item_weights.slim._AT_ONCE", 7)
    model = SLIM(l1=l1, l2=2.0, tolerance=1e-8, max_sweeps=500).fit(plays)
    everyone = np.ones((N_ITEMS, N_ITEMS)) - np.eye(N_ITEMS)
    want = elastic_net(likes, everyone, l1=l1, l2=2.0, tolerance=1e-8, max_sweeps=500).weights.toarray().T
    np.testing.assert_allclose(model.weights.toarray(), want, atol=1e-6)
    assert model.n_unsettled == 0 and want.any()


def test_slim_of_few_candidates_takes_the_most_similar(likes, plays):
    model = SLIM(l1=0.1, n_candidates=3).fit(plays)
    norms = np.sqrt((likes**2).sum(axis=0))
    similarity = likes.T @ likes / np.outer(norms, norms)
    np.fill_diagonal(similarity, -1)
    third = np.sort(similarity, axis=1)[:, -3]
    weights = model.weights.toarray()
    assert (np.count_nonzero(weights, axis=0) <= 3).all() and weights.any()
    assert all(similarity[item, other] >= third[item] - 1e-6 for other, item in np.argwhere(weights))


def test_slim_tells_what_has_not_settled(plays):
    assert SLIM(l1=0.1, l2=0.0, tolerance=0.0, max_sweeps=2).fit(plays).n_unsettled > N_ITEMS // 2

"""implicit's models of factors: what they learn, learn anew, explain, and tell a callback."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array, csr_matrix

from gpurec.compat.implicit.cpu import lmf
from gpurec.compat.implicit.cpu.als import AlternatingLeastSquares
from gpurec.compat.implicit.cpu.bpr import BayesianPersonalizedRanking
from gpurec.compat.implicit.cpu.lmf import LogisticMatrixFactorization, likelihood_gradient
from gpurec.compat.implicit.recommender_base import ModelFitError

RANDOM = np.random.default_rng(4)
N_USERS, N_ITEMS = 25, 18
PLAYS = csr_matrix(
    np.where(RANDOM.random((N_USERS, N_ITEMS)) < 0.3, RANDOM.gamma(2, 1, (N_USERS, N_ITEMS)), 0),
    dtype=np.float32,
)
SIGNED = PLAYS.copy()
SIGNED.data[::4] *= -1


def als(**settings: Any) -> AlternatingLeastSquares:
    settings = {"factors": 5, "regularization": 0.2, "alpha": 1.5, "random_state": 3} | settings
    return AlternatingLeastSquares(**settings)


def solved(Y: np.ndarray, row: np.ndarray, alpha: float, regularization: float) -> np.ndarray:
    """A user's factors by the equations of the paper, float64, every pair by itself."""
    Y, c = Y.astype(np.float64), np.where(row != 0, alpha * np.abs(row), 1.0)
    A = (Y.T * c) @ Y + regularization * np.eye(Y.shape[1])
    return np.linalg.solve(A, Y.T @ (c * (row > 0)))


@pytest.mark.parametrize("plays", [PLAYS, SIGNED], ids=["likes", "dislikes too"])
def test_recalculated_factors_solve_the_equations(plays: csr_matrix) -> None:
    model = als()
    model.fit(plays, show_progress=False)
    rows = plays.toarray()
    users = model.recalculate_user(np.arange(N_USERS), plays)
    items = model.recalculate_item(np.arange(N_ITEMS), plays.T.tocsr())
    for user in range(N_USERS):
        np.testing.assert_allclose(
            users[user], solved(model.item_factors, rows[user], 1.5, 0.2), rtol=1e-3, atol=1e-4
        )
        assert model.recalculate_user(user, plays[user]).tolist() == users[user].tolist()
    for item in range(N_ITEMS):
        np.testing.assert_allclose(
            items[item], solved(model.user_factors, rows[:, item], 1.5, 0.2), rtol=1e-3, atol=1e-4
        )
    assert users.shape == (N_USERS, 5) and users.dtype == np.float32


@pytest.mark.parametrize("use_cg", [False, True])
def test_the_loss_falls_and_is_what_it_says(use_cg: bool) -> None:
    told: list[tuple[int, float, float]] = []
    model = als(use_cg=use_cg, iterations=12, calculate_training_loss=True)
    model.fit(SIGNED, show_progress=False, callback=lambda *values: told.append(values))
    assert [iteration for iteration, _, _ in told] == list(range(12))
    assert all(seconds >= 0 for _, seconds, _ in told)
    losses = [loss for _, _, loss in told]
    assert all(later <= earlier * (1 + 1e-6) for earlier, later in pairwise(losses))
    X, Y, rows = (np.float64(part) for part in (model.user_factors, model.item_factors, SIGNED.toarray()))
    c = np.where(rows != 0, 1.5 * np.abs(rows), 1.0)
    whole = (c * np.square((rows > 0) - X @ Y.T)).sum() + 0.2 * (np.square(X).sum() + np.square(Y).sum())
    assert losses[-1] == pytest.approx(whole / c.sum(), rel=1e-5)
    silent: list[Any] = []
    als(iterations=1).fit(PLAYS, show_progress=False, callback=lambda *values: silent.append(values[2]))
    assert silent == [None]


def test_a_fit_goes_on_from_the_factors_that_are_there() -> None:
    whole, halves = als(iterations=8, use_cg=False), als(iterations=4, use_cg=False)
    whole.fit(PLAYS, show_progress=False)
    halves.fit(PLAYS, show_progress=False)
    halves.fit(PLAYS, show_progress=False)
    assert (whole.user_factors == halves.user_factors).all()
    given = als(iterations=0)
    given.user_factors, given.item_factors = np.ones((N_USERS, 5)), np.ones((N_ITEMS, 5))
    given.fit(PLAYS, show_progress=False)
    assert (given.user_factors == 1).all()


@pytest.mark.parametrize("kind", [AlternatingLeastSquares, BayesianPersonalizedRanking])
def test_seeds(kind: Any) -> None:
    def factors(seed: Any) -> list[Any]:
        model = kind(factors=4, iterations=3, random_state=seed)
        model.fit(PLAYS, show_progress=False)
        return model.user_factors.tolist()

    assert factors(5) == factors(5) == factors(np.random.default_rng(5))
    assert factors(5) != factors(6)


def test_partial_fits() -> None:
    model = als()
    model.fit(PLAYS, show_progress=False)
    before = model.recommend(1, PLAYS[1], N=N_ITEMS)[1]
    old = model.user_factors.copy()
    expected = model.recalculate_user([0, 1], PLAYS[[8, 9]])
    model.partial_fit_users([3, N_USERS + 1], PLAYS[[8, 9]])
    assert model.user_factors.shape == (N_USERS + 2, 5)
    assert (model.user_factors[[3, N_USERS + 1]] == expected).all()
    assert (model.user_factors[N_USERS] == 0).all(), "between the last user and the new one"
    assert (np.delete(model.user_factors, 3, axis=0)[: N_USERS - 1] == np.delete(old, 3, axis=0)).all()
    assert 3 in model.similar_users(8, N=2)[0] or 8 in model.similar_users(8, N=2)[0]
    item_users = csr_matrix(np.ones((1, N_USERS + 2)), dtype=np.float32)
    model.partial_fit_items([N_ITEMS], item_users)
    ids, scores = model.recommend(1, PLAYS[1], N=N_ITEMS + 1)
    assert N_ITEMS in ids and len(scores) == len(before) + 1
    assert model.recommend(1, PLAYS[1], items=[N_ITEMS])[0].tolist() == [N_ITEMS]
    with pytest.raises(ValueError, match="once"):
        model.partial_fit_users([3, 3], PLAYS[[8, 9]])
    with pytest.raises(ValueError, match="one row"):
        model.partial_fit_users([3], PLAYS[[8, 9]])


@pytest.mark.parametrize("plays", [PLAYS, SIGNED], ids=["likes", "dislikes too"])
def test_explanations_add_up_to_the_score(plays: csr_matrix) -> None:
    model = als()
    model.fit(plays, show_progress=False)
    for user, item in ((2, 7), (11, 0)):
        total, contributions, weights = model.explain(user, plays, item, N=100)
        score = model.recalculate_user(user, plays[user]) @ model.item_factors[item]
        assert total == pytest.approx(score, abs=1e-4)
        assert sum(part for _, part in contributions) == pytest.approx(total, abs=1e-9)
        assert {had for had, _ in contributions} == set(plays[user].indices[plays[user].data > 0].tolist())
        parts = [part for _, part in contributions]
        assert parts == sorted(parts, reverse=True)
        again = model.explain(user, plays[user], item, user_weights=weights, N=2)
        assert again[0] == pytest.approx(total) and again[1] == contributions[:2]
    with pytest.raises(IndexError):
        model.explain(2, plays, N_ITEMS)


def test_factors_are_assigned_and_not_written_into() -> None:
    model = als()
    model.fit(PLAYS, show_progress=False)
    first = model.recommend(0, PLAYS[0], N=3)[0]
    with pytest.raises(ValueError, match="read-only"):
        model.item_factors[0] = 0
    model.item_factors = model.item_factors * 0
    assert model.recommend(0, PLAYS[0], N=3)[1].tolist() == [0, 0, 0]
    assert first.shape == (3,)
    with pytest.raises(ValueError, match="item_factors"):
        model.item_factors = np.ones(5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_factors_of_a_dtype(dtype: type) -> None:
    for model in (als(dtype=dtype), BayesianPersonalizedRanking(factors=3, iterations=2, dtype=dtype)):
        model.fit(PLAYS, show_progress=False)
        assert model.user_factors.dtype == model.item_factors.dtype == dtype
        assert model.user_norms == pytest.approx(np.linalg.norm(model.user_factors, axis=1))
        assert model.recommend(0, PLAYS[0])[1].dtype == np.float32


def test_weights_that_are_no_numbers() -> None:
    wrong = PLAYS.copy()
    wrong.data[5] = np.nan
    with pytest.raises(ValueError, match="finite"):
        als().fit(wrong, show_progress=False)
    with pytest.raises(ValueError, match="l2"):
        als(regularization=0).fit(PLAYS, show_progress=False)


def test_a_descent_that_leaves_all_bounds() -> None:
    model = BayesianPersonalizedRanking(factors=4, iterations=50, learning_rate=1e20, random_state=1)
    with pytest.raises(ModelFitError, match="learning_rate"):
        model.fit(PLAYS, show_progress=False)


def test_ranking_learns() -> None:
    told: list[tuple[int, float, int, int]] = []
    model = BayesianPersonalizedRanking(factors=8, learning_rate=0.1, iterations=80, random_state=1)
    model.fit(PLAYS, show_progress=False, callback=lambda *values: told.append(values))
    assert [epoch for epoch, *_ in told] == list(range(80))
    assert told[-1][2] > told[0][2] and told[-1][2] > 0.9 * PLAYS.nnz and told[-1][3] == 0
    assert model.user_factors.shape == (N_USERS, 9) and model.item_factors.shape == (N_ITEMS, 9)
    assert (model.user_factors[:, 8] == 1).all()
    scores = model.user_factors @ model.item_factors.T
    had = PLAYS.toarray() > 0
    assert (
        np.mean([scores[user][had[user]].min() > scores[user][~had[user]].max() for user in range(N_USERS)])
        > 0.5
    )


def test_a_user_who_had_everything_is_skipped() -> None:
    told: list[int] = []
    plays = csr_matrix(np.vstack([np.ones(6), np.eye(6)]), dtype=np.float32)
    model = BayesianPersonalizedRanking(factors=2, iterations=1, random_state=1)
    model.fit(plays, show_progress=False, callback=lambda *values: told.append(values[3]))
    assert told == [6]


def test_recommend_all_is_deprecated() -> None:
    model = als()
    model.fit(PLAYS, show_progress=False)
    with pytest.warns(DeprecationWarning, match="recommend"):
        ids = model.recommend_all(PLAYS, N=4)
    assert ids.tolist() == model.recommend(np.arange(N_USERS), PLAYS, N=4)[0].tolist()
    with pytest.warns(DeprecationWarning):
        some = model.recommend_all(PLAYS[5:], N=4, users_items_offset=5)
    assert some.tolist() == ids[5:].tolist()


# Two tastes: users and items of each in turn.
TASTES = csr_matrix(
    (RANDOM.random((24, 16)) < 0.1)
    | (RANDOM.random((24, 16)) < 0.6) & (np.arange(24)[:, np.newaxis] % 2 == np.arange(16) % 2),
    dtype=np.float32,
)


def logistic(plays: csr_matrix = TASTES, **settings: Any) -> LogisticMatrixFactorization:
    model = LogisticMatrixFactorization(**{"factors": 4, "random_state": 1} | settings)
    model.fit(plays, show_progress=False)
    return model


def test_logistic_gradients_are_those_of_the_likelihood() -> None:
    rng = np.random.default_rng(2)
    own, others = (rng.standard_normal((n, 5)).astype(np.float32) for n in (7, 9))
    liked, drawn = rng.random((7, 9)) * (rng.random((7, 9)) < 0.4), rng.integers(0, 3, (7, 9))
    liked[3], drawn[3] = 0, 0

    def likelihood(x: np.ndarray) -> float:
        odds = x @ others.astype(np.float64).T
        penalty = 0.7 / 2 * (x**2).sum()
        return float(-(liked * np.log1p(np.exp(-odds)) + drawn * np.log1p(np.exp(odds))).sum() - penalty)

    found = likelihood_gradient(own, others, csr_array(np.float32(liked)), csr_array(np.float32(drawn)), 0.7)
    for at in np.ndindex(own.shape):
        ends = []
        for h in (1e-5, -1e-5):
            x = own.astype(np.float64)
            x[at] += h
            ends.append(likelihood(x))
        assert abs(found[at] - (ends[0] - ends[1]) / 2e-5) < 2e-5


def logistic_loss(model: LogisticMatrixFactorization) -> float:
    """Over all pairs, and half the penalty on what is no bias."""
    odds = (model.user_factors @ model.item_factors.T).astype(np.float64)
    liked = TASTES.toarray()
    squares = (model.user_factors[:, :-2] ** 2).sum() + (model.item_factors[:, :-2] ** 2).sum()
    return float((np.log1p(np.exp(odds)) - liked * odds).sum() + model.regularization / 2 * squares)


def test_logistic_factors_learn() -> None:
    losses = [logistic_loss(logistic(iterations=n, neg_prop=1)) for n in (1, 5, 25)]
    assert losses[0] > losses[1] > losses[2]
    told: list[int] = []
    model = LogisticMatrixFactorization(factors=4, random_state=1)
    model.fit(TASTES, show_progress=False, callback=lambda iteration, seconds: told.append(iteration))
    assert told == list(range(30))
    assert model.user_factors.shape == (24, 6) and model.item_factors.shape == (16, 6)
    assert (model.user_factors[:, -2] == 1).all() and (model.item_factors[:, -1] == 1).all()
    odds, liked = model.user_factors @ model.item_factors.T, TASTES.toarray() > 0
    right = [(row[had][:, np.newaxis] > row[~had]).mean() for row, had in zip(odds, liked)]
    assert np.mean(right) > 0.9


def test_threads_and_pieces_of_a_step_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    one = logistic(iterations=8)
    for n_threads in (1, 7):
        monkeypatch.setenv("GPUREC_NUM_THREADS", str(n_threads))
        again = logistic(num_threads=n_threads, iterations=8)
        assert again.user_factors.tobytes() == one.user_factors.tobytes()
        assert again.item_factors.tobytes() == one.item_factors.tobytes()
    monkeypatch.setattr(lmf, "_PAIRS_AT_ONCE", 100)
    pieces = logistic(iterations=8)
    assert pieces.item_factors.tobytes() == one.item_factors.tobytes()
    assert logistic(random_state=2, iterations=8).item_factors.tobytes() != one.item_factors.tobytes()


def test_rows_without_entries_and_a_second_fit() -> None:
    plays = TASTES.copy()
    plays.resize(25, 17)
    model = logistic(plays, iterations=3)
    assert model.user_factors[24].tolist() == [0] * 4 + [1, 0]
    assert model.item_factors[16].tolist() == [0] * 4 + [0, 1]
    before = model.item_factors.copy()
    model.fit(plays, show_progress=False)
    assert not np.array_equal(model.item_factors, before)
    half = logistic(dtype=np.float64, iterations=2)
    assert half.user_factors.dtype == np.float64
    empty = logistic(csr_matrix((3, 2), dtype=np.float32), iterations=2)
    assert empty.item_factors[:, :-1].tolist() == [[0] * 5] * 2


def test_logistic_steps_that_leave_all_bounds() -> None:
    with pytest.raises(ModelFitError, match="learning_rate"):
        logistic(learning_rate=1e38)

"""`ImplicitALS`: what it makes small, newcomers, going on, weights."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

import gpurec
from gpurec import ImplicitALS, Interactions, load_model
from gpurec.backends.cpu import CpuBackend
from gpurec.errors import UnknownIdError

N_USERS, N_ITEMS = 80, 50
SOLVERS = ("cholesky", "cg", "block")


def plays(seed: int = 5) -> Interactions:
    """Some users with many items and some with one; one item that nobody has."""
    rng = np.random.default_rng(seed)
    likes = rng.random((N_USERS, N_ITEMS)) < rng.choice([0.02, 0.1, 0.5], (N_USERS, 1))
    likes[:, 3] = False
    likes[:, 0] |= ~likes.any(axis=1)
    users, items = np.nonzero(likes)
    item_map = gpurec.IdMap(range(N_ITEMS))
    return Interactions.from_arrays(users, items, rng.integers(1, 4, len(users)), item_map=item_map)


def new(**settings) -> ImplicitALS:
    usual = {"n_factors": 9, "n_sweeps": 6, "regularisation": 0.05, "block_size": 4}
    usual |= {"regularisation_exponent": 1.0, "unobserved_weight": 0.1, "item_power": 0.0}
    return ImplicitALS(**(usual | settings))


def same(a: ImplicitALS, b: ImplicitALS) -> bool:
    pairs = [(a.user_factors, b.user_factors), (a.item_factors, b.item_factors)]
    return all(x.tobytes() == y.tobytes() for x, y in pairs) and a.losses == b.losses


def dense_loss(model: ImplicitALS) -> float:
    """What the docstring says is made small, pair by pair."""
    settings = model.settings
    r = model.user_items.toarray().astype(np.float64)
    had = r > 0
    popularity = np.maximum(had.sum(axis=0), 1.0) ** settings["item_power"]
    shares = had * popularity / (had * popularity)[had].mean()
    c = shares * (1.0 if settings["alpha"] is None else settings["alpha"] * r)
    w0 = settings["unobserved_weight"]
    p, q = model.user_factors.astype(np.float64), model.item_factors.astype(np.float64)
    s = p @ q.T
    if settings["weighting"] == "ials":
        # A target c / (w0 + c) with weight w0 + c is c (1 - s)^2 + w0 s^2 less what no factor changes.
        loss = (c * (1 - s) ** 2 + w0 * s**2).sum() - (
            c - np.divide(c**2, w0 + c, where=had, out=c * 0)
        ).sum()
    else:
        w = c + w0 if settings["weighting"] == "hkv" else c
        loss = (had * w * (1 - s) ** 2 + ~had * w0 * s**2).sum()
    n_items, n_users = int(had.any(axis=0).sum()), int(had.any(axis=1).sum())
    for factors, counts, others in ((p, shares.sum(axis=1), n_items), (q, shares.sum(axis=0), n_users)):
        size = (counts + w0 * others) ** settings["regularisation_exponent"]
        loss += settings["regularisation"] * (size * (factors**2).sum(axis=1)).sum()
    return float(loss)


@pytest.mark.parametrize("weighting", ["ials", "hkv", "plain"])
@pytest.mark.parametrize(("alpha", "item_power"), [(None, 0.0), (2.5, 0.0), (None, -0.5), (2.5, 0.7)])
@pytest.mark.parametrize("solver", SOLVERS)
def test_the_loss_is_the_stated_one_and_falls_every_sweep(solver, alpha, item_power, weighting):
    how = {"solver": solver, "alpha": alpha, "weighting": weighting, "item_power": item_power}
    model = new(**how, unobserved_weight=0.3)
    seen = []

    def look(sweep, at, metrics):
        assert sweep == len(at.losses) and metrics["stage"] == "fit" and metrics["loss"] == at.losses[-1]
        seen.append((metrics["loss"], dense_loss(at)))

    model.fit(plays(), callback=look)
    got, want = np.array(seen).T
    np.testing.assert_allclose(got, want, rtol=1e-5)
    assert len(got) == 6 and (np.diff(got) < 0).all()


def test_factors_are_where_no_step_helps():
    """The gradient of the users' half, by differences in float64, is zero at its solution."""
    model = new().fit(plays())
    least, user = dense_loss(model), model.user_factors.copy()
    for row, k in ((0, 0), (7, 3), (40, 8)):
        slopes = []
        for step in (-1e-3, 1e-3):
            model.user_factors = user.copy()
            model.user_factors[row, k] += np.float32(step)
            slopes.append(dense_loss(model) - least)
        assert min(slopes) > 0 and abs(slopes[0] - slopes[1]) < 0.2 * max(slopes)


@pytest.mark.parametrize("item_power", [0.0, -0.4])
def test_users_are_what_folding_them_in_gives(item_power):
    records = plays()
    model = new(item_power=item_power).fit(records)
    assert model.fold_in(records).tobytes() == model.user_factors.tobytes()
    one = model.fold_in_rows(model.user_items[[17]])
    assert one.tobytes() == model.user_factors[[17]].tobytes()
    problem = model._problem("item")
    half = gpurec.als(
        problem.weights, model.user_factors, targets=problem.targets, l2=problem.l2,
        unobserved_weight=model.settings["unobserved_weight"],
    )  # fmt: skip
    assert model.fold_in(records, "item").tobytes() == half.factors.tobytes()
    assert not model.fold_in(Interactions.from_arrays(["eve"], ["no such item"])).any()


def test_who_is_folded_in_gets_what_the_fit_would_give():
    records = plays()
    model = new().fit(records)
    histories = {f"new {user}": records.item_ids()[records.user_rows == user].tolist() for user in (2, 9)}
    found = model.recommend_new(histories, 5)
    known = model.recommend(records.user_map.ids([2, 9]), 5)
    assert found.item_ids.tolist() == known.item_ids.tolist()
    assert found.scores.tobytes() == known.scores.tobytes()
    again = model.recommend_new(records, 5).to_dicts()
    assert [(row["user_id"], row["item_id"]) for row in again] == [
        (row["user_id"], row["item_id"]) for row in model.recommend(records.user_map.ids(), 5).to_dicts()
    ]
    allowed = model.recommend_new({"x": [0]}, 3, allow=[0, 1, 2, 3], exclude_seen=False)
    assert set(allowed.item_ids.tolist()) <= {0, 1, 2, 3}
    with pytest.raises(UnknownIdError, match="known items of a user, got none of 'x'"):
        model.recommend_new({"x": ["no such item"]})


@pytest.mark.parametrize("solver", SOLVERS)
def test_going_on_gives_the_bits_of_a_fit_without_a_break(solver, tmp_path):
    whole = new(solver=solver).fit(plays())

    def stop(sweep, model, metrics):
        if sweep == 3:
            model.save(tmp_path / "middle")
        return sweep == 4

    for n_threads in (1, 2, 7):
        with gpurec.use_backend(CpuBackend(n_threads=n_threads)):
            stopped = new(solver=solver).fit(plays(), callback=stop)
            assert len(stopped.losses) == 4
            assert same(stopped.resume(), whole)
            assert same(load_model(tmp_path / "middle").resume(), whole)


def test_a_warm_start_is_ahead():
    records = plays()
    before = new(n_sweeps=20).fit(records)
    cold, warm = new(n_sweeps=1).fit(records), new(n_sweeps=1).fit(records, start=before)
    assert warm.losses[0] < before.losses[-1] < cold.losses[0]
    again = new(n_sweeps=1).fit(records)
    assert again.fit(records, start=again).losses[0] < cold.losses[0]
    with pytest.raises(ValueError, match=r"\[als\] expected a start with 4 factors, got 9"):
        new(n_factors=4).fit(records, start=before)


def test_more_interactions_are_learnt_without_a_fit():
    records = plays()
    model = new().fit(records)
    users, items = ["new", "new", "other", 5], [1, "song", "song", 20]
    before = model.user_factors.copy()
    model.fit_partial(Interactions.from_arrays(users, items))
    assert model.training.n_users == N_USERS + 2 and model.training.n_items == N_ITEMS + 1
    rows = model.user_map.rows(["new", "other", 5])
    assert model.fold_in_rows(model.user_items[rows]).tobytes() == model.user_factors[rows].tobytes()
    assert model.item_factors[model.item_map.rows(["song"])].any()
    untouched = np.setdiff1d(np.arange(N_USERS), rows)
    assert model.user_factors[untouched].tobytes() == before[untouched].tobytes()
    assert "song" not in model.recommend(["new"], 60).item_ids.tolist()
    n_losses = len(model.losses)
    model.fit_partial(Interactions.from_arrays(["late"], [2]), n_sweeps=2)
    assert len(model.losses) == n_losses + 2 and model.losses[-1] < model.losses[-2]
    assert model.settings["n_sweeps"] == 6
    fresh = new().fit_partial(records)
    assert same(fresh, new().fit(records))


def test_a_failed_partial_fit_changes_nothing():
    model = new(alpha=1.0).fit(plays())
    before, users = model.user_factors, model.training.n_users
    with pytest.raises(ValueError, match=r"\[als\] expected weights of at least 0 with alpha, got -1.0"):
        model.fit_partial(Interactions.from_arrays(["new"], [1], [-1.0]))
    assert model.user_factors is before and model.training.n_users == users
    assert len(model.recommend([0], 3).item_ids) == 3


def test_the_spread_is_the_posterior_deviation():
    model = new().fit(plays())
    y = model.item_factors.astype(np.float64)
    had = model.user_items[[4]].indices
    w0 = model.settings["unobserved_weight"]
    size = len(had) + w0 * (N_ITEMS - 1)
    a = w0 * y.T @ y + y[had].T @ y[had] + 0.05 * size * np.eye(9)
    want = [np.sqrt(y[item] @ np.linalg.solve(a, y[item])) for item in (1, 8)]
    np.testing.assert_allclose(model.spread([4, 4], [1, 8]), want, rtol=1e-5)
    counts = np.diff(model.user_items.indptr)
    few, many = int(counts.argmin()), int(counts.argmax())
    assert model.spread([few], [5])[0] > model.spread([many], [5])[0]
    with pytest.raises(UnknownIdError, match="spread"):
        model.spread(["eve"], [1])
    with pytest.raises(ValueError, match="one item a user"):
        model.spread([1, 2], [1])


@pytest.mark.parametrize("item_power", [0.0, -0.4])
def test_past_items_explain_the_score_without_a_rest(item_power):
    model = new(item_power=item_power).fit(plays())
    why = model.explain(0, 7)
    assert set(why.kinds) == {"item"}
    assert abs(why.contributions.sum() - why.score) <= why.tolerance


def test_weights_count_with_alpha():
    records = plays()
    ones = Interactions.from_arrays(records.user_ids(), records.item_ids(), item_map=records.item_map)
    assert same(new().fit(records), new().fit(ones))
    assert not same(new(alpha=1.0).fit(records), new(alpha=1.0).fit(ones))
    assert same(new(alpha=1.0).fit(ones), new().fit(ones))
    for bad, words in ((-1.0, "at least 0 with alpha"), (np.nan, "weight")):
        with pytest.raises(ValueError, match=words):
            new(alpha=1.0).fit(Interactions.from_arrays([1, 2], [1, 2], [1.0, bad]))
    model = new(alpha=1.0).fit(records)
    with pytest.raises(ValueError, match="at least 0 with alpha"):
        model.fold_in(Interactions.from_arrays(["x"], [1], [-2.0]))


@pytest.mark.skipif(os.name != "posix", reason="sends itself SIGINT")
def test_ctrl_c_ends_a_fit_within_a_second():
    # A background job of a shell starts with the signal ignored, and Python then leaves it so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    pressed: list[float] = []

    def press() -> None:
        pressed.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.3, press)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            new(n_factors=64, n_sweeps=10**9).fit(plays())
        assert time.perf_counter() - pressed[0] < 1
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)


def test_instruction_sets_agree_on_the_loss():
    from gpurec.backends.cpu import available_isas

    losses = []
    for backend in [CpuBackend(isa=isa) for isa in available_isas()] + ["reference"]:
        with gpurec.use_backend(backend):
            losses.append(new().fit(plays()).losses)
    assert np.ptp(losses, axis=0).max() <= 1e-5 * np.min(losses)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"n_factors": 0}, ValueError),
        ({"regularisation": 0}, ValueError),
        ({"regularisation_exponent": 3}, ValueError),
        ({"unobserved_weight": -1}, ValueError),
        ({"alpha": 0}, ValueError),
        ({"weighting": "wals"}, ValueError),
        ({"item_power": -3}, ValueError),
        ({"n_sweeps": 1.5}, TypeError),
        ({"solver": "lu"}, ValueError),
        ({"cg_steps": 0}, ValueError),
        ({"block_size": 0}, ValueError),
        ({"init_scale": np.nan}, ValueError),
        ({"random_state": -1}, ValueError),
    ],
)
def test_settings_out_of_range_are_refused(settings, error):
    with pytest.raises(error, match=rf"\[als\] expected {next(iter(settings))}"):
        ImplicitALS(**settings)

"""`recommend_all` and `recommend_rows` for many users: blocks that together are one answer."""

from __future__ import annotations

import numpy as np
import pytest

import gpurec.models.recommender.vectors
from gpurec import MF, Interactions, NotFittedError, Popularity, UnknownIdError

N_USERS = 23


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(2)
    pairs = np.unique(rng.integers(0, (N_USERS, 40), (300, 2)), axis=0)
    plays = Interactions.from_arrays([f"u{user}" for user in pairs[:, 0]], pairs[:, 1], np.ones(len(pairs)))
    return MF(n_factors=4, max_epochs=2, validation_fraction=0, random_state=1).fit(plays)


USERS = [f"u{user}" for user in (5, 3, 22, 0, 0, 17, 9, 11)]


@pytest.mark.parametrize("batch", [1, 3, 8, 100, "auto"])
@pytest.mark.parametrize("unknown", ["raise", "popularity", "skip"])
def test_blocks_are_one_answer(model, batch, unknown):
    users = USERS if unknown == "raise" else [*USERS[:3], "nobody", *USERS[3:], "noone"]
    lists = [[place, place + 1] for place in range(len(users))]
    for filters in (
        {},
        {"exclude": lists, "deny": [7, 8]},
        {"exclude_seen": False, "allow": [[1, *row] for row in lists], "deny": [set(row) for row in lists]},
    ):
        want = model.recommend(users, 6, unknown=unknown, **filters)
        blocks = list(model.recommend_all(users, 6, unknown=unknown, batch=batch, **filters))
        assert [pair for block in blocks for pair in block] == list(want)
        assert [row for block in blocks for row in block.to_dicts()] == want.to_dicts()
        assert len(blocks) == (1 if batch == "auto" else -(-len(users) // batch))


def test_everyone_by_default_and_progress(model):
    told: list[tuple[int, int]] = []
    blocks = model.recommend_all(k=2, batch=10, progress=lambda done, total: told.append((done, total)))
    assert told == []
    found = [user for block in blocks for user, _ in block]
    assert sorted(found) == sorted(model.user_map) and len(found) == N_USERS
    assert told == [(10, 23), (20, 23), (23, 23)]


def test_a_block_holds_no_more_users_than_its_bytes_allow(model, monkeypatch):
    monkeypatch.setattr("gpurec.index.blocks.BLOCK_BYTES", 20_000)
    sizes = [len(block) for block in model.recommend_all(k=2)]
    assert sum(sizes) == N_USERS and 1 < max(sizes) < N_USERS


@pytest.mark.parametrize("kind", ["mf", "popularity"])
def test_many_users_are_answered_as_few_are(model, kind, monkeypatch):
    """With the limit of one search lowered: vectors and seen items are made block by block."""
    if kind == "popularity":
        model = Popularity().fit(Interactions.from_arrays(["a", "a", "b", "c"] * 6, list(range(4)) * 6))
    n = model.training.n_users
    rows = np.random.default_rng(0).permutation(np.arange(n).repeat(3))
    exclude = [np.array([row % 4]) for row in rows.tolist()]
    forms = [
        {},
        {"exclude": exclude, "deny": [2]},
        {"exclude_seen": False, "exclude": exclude, "allow": [0, 1, 3]},
    ]
    want = [model.recommend_rows(rows, 5, **form) for form in forms]
    asked: list[int] = []
    vectors = model._user_vectors
    monkeypatch.setattr(gpurec.models.recommender.vectors, "_USERS_AT_ONCE", 2)
    monkeypatch.setattr("gpurec.index.blocks.BLOCK_BYTES", 10_000)
    monkeypatch.setattr(model, "_user_vectors", lambda rows: asked.append(len(rows)) or vectors(rows))
    for form, one in zip(forms, want):
        got = model.recommend_rows(rows, 5, **form)
        assert np.array_equal(got.rows, one.rows) and np.array_equal(got.scores, one.scores)
        assert got.version == one.version
    assert sum(asked) == 3 * len(rows) and max(asked) < len(rows)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda m: m.recommend_all(["u1", "eve"]), UnknownIdError, "got 'eve'"),
        (lambda m: m.recommend_all(USERS, 0), ValueError, "k of 1 or more"),
        (lambda m: m.recommend_all(USERS, batch=0), ValueError, "batch of 1 or more"),
        (lambda m: m.recommend_all(USERS, unknown="never"), ValueError, "raise, popularity or skip"),
        (lambda m: m.recommend_all(USERS, exclude=[[1]]), ValueError, "1 for 8 users"),
        (lambda m: Popularity().recommend_all(), NotFittedError, "before fit"),
    ],
)
def test_bad_calls_are_seen_before_the_first_block(model, call, error, text):
    with pytest.raises(error, match=text):
        call(model)

"""Factors of other libraries become a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpurec import MF, Interactions, UnknownIdError, load_model
from gpurec.compat.factors import import_factors

RANDOM = np.random.default_rng(6)
USERS, ITEMS = [f"u{row}" for row in range(8)], [f"i{row}" for row in range(12)]
PAIRS = [(user, item) for user in range(8) for item in range(11) if (user * 5 + item) % 3 == 0]
RATINGS = Interactions.from_arrays(
    [USERS[user] for user, _ in PAIRS],
    [ITEMS[item] for _, item in PAIRS],
    [(u + i) % 5 + 1 for u, i in PAIRS],
)
P, Q = RANDOM.standard_normal((8, 4)), RANDOM.standard_normal((12, 4))
BU, BI, MEAN = RANDOM.standard_normal(8), RANDOM.standard_normal(12), 3.25


def imported(**more: Any) -> MF:
    return import_factors(P, Q, RATINGS, user_ids=USERS, item_ids=ITEMS, **more)


def test_scores_of_surprise() -> None:
    model = imported(user_biases=BU, item_biases=BI, mean=MEAN)
    expected = MEAN + BU[:, np.newaxis] + BI + P @ Q.T
    known = list(range(11))
    expected[:, 11] = MEAN + BU  # of what nobody rated nothing is known
    for user, name in enumerate(USERS):
        found = model.predict([name] * 11, [ITEMS[item] for item in known])
        np.testing.assert_allclose(found, expected[user, known], rtol=1e-5, atol=1e-5)
        seen = {item for other, item in PAIRS if other == user}
        lists = model.recommend([name], k=20).to_dicts()
        assert {row["item_id"] for row in lists} == {ITEMS[item] for item in set(range(12)) - seen}
        scores = [row["score"] for row in lists]
        assert scores == sorted(scores, reverse=True)
        rows = [ITEMS.index(row["item_id"]) for row in lists]
        np.testing.assert_allclose(scores, expected[user, rows], rtol=1e-5, atol=1e-5)
        why = model.explain(name, "i3")
        assert why.contributions.sum() == pytest.approx(why.score, abs=1e-4)
    with pytest.raises(UnknownIdError):
        model.predict(["u0"], ["i11"])


def test_scores_of_lightfm_have_no_mean() -> None:
    model = imported(user_biases=BU, item_biases=BI)
    np.testing.assert_allclose(model.predict(["u2"], ["i5"]), BU[2] + BI[5] + P[2] @ Q[5], rtol=1e-5)
    np.testing.assert_allclose(imported().predict(["u2"], ["i5"]), P[2] @ Q[5], rtol=1e-5)


def test_similar_items_are_those_of_the_factors() -> None:
    found = imported().similar_items(["i0"], k=3).to_dicts()
    cosines = Q @ Q[0] / np.linalg.norm(Q, axis=1)
    best = [row for row in np.argsort(-cosines).tolist() if row not in (0, 11)][:3]
    assert [row["similar_item_id"] for row in found] == [ITEMS[row] for row in best]


def test_saving(tmp_path: Path) -> None:
    model = imported(user_biases=BU, item_biases=BI, mean=MEAN)
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded.recommend(USERS, k=4).to_dicts() == model.recommend(USERS, k=4).to_dicts()


def test_rows_are_the_interactions_own_without_ids() -> None:
    model = import_factors(P[: RATINGS.n_users], Q[: RATINGS.n_items], RATINGS)
    assert model.user_map.ids().tolist() == RATINGS.user_map.ids().tolist()


def test_arrays_are_copied() -> None:
    p = np.float32(P)
    model = import_factors(p, Q, RATINGS, user_ids=USERS, item_ids=ITEMS)
    before = model.predict(["u2"], ["i5"]).tolist()
    p[:] = 0
    assert model.predict(["u2"], ["i5"]).tolist() == before


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"user_factors": P[:7]}, "row for each of 8"),
        ({"item_factors": Q[:, :3]}, "one width"),
        ({"user_biases": BU[:3]}, "8 user_biases"),
        ({"item_biases": BI * np.inf}, "finite"),
        ({"user_factors": P * np.nan}, "finite"),
        ({"mean": float("nan")}, "mean"),
        ({"interactions": RATINGS.take(np.zeros(len(RATINGS), bool))}, "at least one interaction"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    given = {
        "user_factors": P,
        "item_factors": Q,
        "interactions": RATINGS,
        "user_ids": USERS,
        "item_ids": ITEMS,
    }
    with pytest.raises(ValueError, match=message):
        import_factors(**given | arguments)


def test_ids_that_are_missing() -> None:
    with pytest.raises(UnknownIdError):
        import_factors(P, Q[:3], RATINGS, user_ids=USERS, item_ids=ITEMS[:3])

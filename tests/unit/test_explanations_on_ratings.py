"""Contributions add up on real ratings: 10,000 random triples of user, item and model."""

from __future__ import annotations

import numpy as np
import pytest

from gpurec import Interactions
from gpurec.models import MODELS

N_TRIPLES, N_ITEMS = 10_000, 40
FEW = {
    "mf": {"max_epochs": 5, "validation_fraction": 0},
    "gf-cf": {"n_vectors": 64},
    "bspm": {"n_vectors": 64},
}


@pytest.mark.data
@pytest.mark.parametrize("name", list(MODELS))
def test_contributions_add_up(name, data_folder):
    ratings = Interactions.from_file(data_folder / "ml-100k" / "u1.base")
    model = MODELS[name](**FEW.get(name, {})).fit(ratings)
    rng = np.random.default_rng(sorted(MODELS).index(name))
    n_users = -(-N_TRIPLES // (len(MODELS) * N_ITEMS))
    known = {side: np.flatnonzero(getattr(model.training, f"{side}_counts")) for side in ("user", "item")}
    users = model.user_map.ids(rng.choice(known["user"], n_users, replace=False))
    items = [model.item_map.ids(rng.choice(known["item"], N_ITEMS, replace=False)).tolist() for _ in users]
    found = model.recommend(users, N_ITEMS, exclude_seen=False, allow=items, with_explanations=True)
    # Models without a weight for a pair recommend it to nobody; it is explained all the same.
    shown = {(row["user_id"], row["item_id"]) for row in found.to_dicts()}
    rest = [
        (user, item)
        for user, asked in zip(users.tolist(), items)
        for item in asked
        if (user, item) not in shown
    ]
    explained = found.explanations + [model.explain(user, item) for user, item in rest]
    assert len(found.explanations) + len(rest) == n_users * N_ITEMS
    scores = model.predict([why.user_id for why in explained], [why.item_id for why in explained])
    for why, score in zip(explained, scores.tolist(), strict=True):
        assert why.score == score
        assert abs(why.contributions.sum() - score) <= why.tolerance, why

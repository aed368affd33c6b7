"""`evaluate` with small models whose right answer is known by construction."""

from __future__ import annotations

import math

import numpy as np
import pytest
from score_models import ScoreModel, board_model, board_records, checkerboard, rating_model, records

from gpurec.evaluation import evaluate
from gpurec.types import TopK

# --- ranking ----------------------------------------------------------------------------------------------


def test_oracle_is_perfect_on_the_checkerboard():
    seen, held = checkerboard()
    got = evaluate(board_model(held, seen), board_records(held), k=[4, 100])
    n_held = held.sum(axis=1)
    judged = n_held > 0
    assert len(got.user_ids) == judged.sum()
    for metric in ("recall", "hit_rate", "mrr", "ndcg", "map"):
        assert got.mean(f"{metric}@4") == 1.0, metric
    assert got.per_user["precision@4"].tolist() == (n_held[judged] / 4).tolist()
    # Longer than the catalogue: the rest of each list is empty, which is no hit.
    assert got.mean("recall@100") == 1.0
    assert got.per_user["precision@100"].tolist() == (n_held[judged] / 100).tolist()
    # At k=100 the lists hold every item that the user has not seen, so only the relevant ones are right.
    n_candidates = (~seen).sum(axis=1)
    assert got.per_user["accuracy@100"] == pytest.approx((n_held / n_candidates)[judged], abs=1e-15)
    assert (got.n_unknown_users, got.n_unknown_items) == (0, 0)
    assert got.recommend_seconds > 0


def test_seen_items_hide_the_test_items_unless_left_out():
    """A model that knows the parity and no more: held items come after the seen ones, or alone."""
    seen, held = checkerboard()
    likes = (seen | held) + 0.5 * seen
    model = board_model(likes, seen)
    out = evaluate(model, board_records(held), k=2)
    assert out.mean("recall@2") == pytest.approx(np.minimum(2 / held.sum(axis=1), 1).mean())
    kept = evaluate(model, board_records(held), k=2, exclude_seen=False)
    assert kept.mean("recall@2") == 0.0
    # With nothing left out every item is a candidate: two wrong recommendations, all held items forgotten.
    assert kept.per_user["accuracy@2"].tolist() == ((8 - 2 - held.sum(axis=1)) / 8).tolist()


def test_inverted_oracle_finds_nothing():
    seen, held = checkerboard()
    got = evaluate(board_model(-held.astype(float), seen), board_records(held), k=2)
    for metric in ("precision", "recall", "f1", "hit_rate", "mrr", "ndcg", "map"):
        assert got.mean(f"{metric}@2") == 0.0, metric


def test_users_without_test_items_are_not_judged():
    model = board_model([[1, 0], [1, 0], [1, 0]], np.zeros((3, 2)))
    got = evaluate(model, records([("u2", "i0", 1.0)], users=["u0", "u1", "u2"]), k=1)
    assert got.user_ids.tolist() == ["u2"]
    assert model.asked == [1]
    assert got.mean("recall@1") == 1.0


def test_unknown_item_is_a_relevant_item_that_cannot_be_hit():
    model = board_model([[3, 2, 1]], np.zeros((1, 3)))
    got = evaluate(model, records([("u0", "i0", 1.0), ("u0", "new", 1.0)]), k=2)
    assert got.n_unknown_items == 1
    assert got.mean("recall@2") == 0.5
    assert got.mean("ndcg@2") == pytest.approx(1 / (1 + 1 / math.log2(3)), abs=1e-15)
    assert got.mean("accuracy@2") == 2 / 4  # i0 and i2 are right, i1 and the unknown one wrong
    assert got.overall["coverage@2"] == 2 / 3  # of the items that the model knows
    several = records([("u0", "i0", 1.0), ("u0", "new", 1.0), ("u0", "newer", 1.0), ("u0", "newest", 1.0)])
    assert evaluate(model, several, k=2).mean("recall@2") == 1 / 4


def test_unknown_user_gets_the_popular_list_or_none():
    test = records([("u0", "i0", 1.0), ("new", "i1", 1.0)])
    model = board_model([[3, 2, 1]], np.zeros((1, 3)))
    without = evaluate(model, test, k=2)
    assert without.n_unknown_users == 1
    assert without.user_ids.tolist() == ["u0", "new"]
    assert without.per_user["recall@2"].tolist() == [1.0, 0.0]
    assert np.isnan(without.per_user["novelty@2"]).tolist() == [False, True]
    assert without.mean("novelty@2") == without.per_user["novelty@2"][0]  # of the users with a list
    assert np.isnan(without.per_user["diversity@2"]).tolist() == [False, True]

    model.popular_rows = lambda k: np.array([1, 2, 0])[:k]
    popular = evaluate(model, test, k=[1, 5])
    assert popular.per_user["recall@1"].tolist() == [1.0, 1.0]
    assert popular.per_user["precision@5"].tolist() == [1 / 5, 1 / 5]
    assert model.asked == [1, 1]


def test_only_unknown_users_ask_the_model_nothing():
    model = board_model([[3, 2, 1]], np.zeros((1, 3)))
    got = evaluate(model, records([("new", "i1", 1.0)]), k=2)
    assert model.asked == []
    assert got.mean("recall@2") == 0.0
    assert got.to_dict()["novelty@2"] is None


def test_test_item_seen_in_training_counts_and_cannot_be_hit():
    model = board_model([[3, 2, 1]], [[1, 0, 0]])
    test = records([("u0", "i0", 1.0), ("u0", "i1", 1.0)])
    got = evaluate(model, test, k=1)
    assert got.mean("recall@1") == 0.5
    assert got.mean("accuracy@1") == 2 / 3  # i1 and i2 right, i0 wrong
    assert evaluate(model, test, k=2, exclude_seen=False).mean("recall@2") == 1.0


def test_relevant_from_keeps_its_own_value():
    model = board_model([[3, 2, 1]], np.zeros((1, 3)))
    test = records([("u0", "i0", 3.0), ("u0", "i1", 4.0), ("u0", "i2", 5.0)])
    assert evaluate(model, test, k=2).mean("precision@2") == 1.0
    assert evaluate(model, test, k=2, relevant_from=4.0).mean("precision@2") == 0.5
    with pytest.raises(ValueError, match="none of 3"):
        evaluate(model, test, relevant_from=5.5)


def test_weight_zero_and_repeats_are_one_relevant_item():
    model = board_model([[3, 2, 1]], np.zeros((1, 3)))
    test = records([("u0", "i0", 0.0), ("u0", "i1", 1.0), ("u0", "i1", -1.0)])
    got = evaluate(model, test, k=2)
    assert got.mean("recall@2") == 1.0
    assert got.mean("ndcg@2") == 1.0


def test_graded_gains_are_the_test_weights():
    model = board_model([[3, 2, 1]], np.zeros((1, 3)))
    test = records([("u0", "i0", 1.0), ("u0", "i2", 4.0)])
    got = evaluate(model, test, k=3, graded=True)
    assert got.mean("ndcg_graded@3") == pytest.approx((1 + 4 / 2) / (4 + 1 / math.log2(3)), abs=1e-15)


def test_ids_find_their_rows_whatever_the_order_of_the_maps():
    """The test part has maps of its own; 1 and "1" are different items."""
    model = ScoreModel([[1, 9], [9, 1]], np.zeros((2, 2)), users=[10, 20], items=[1, "1"])
    test = records([(20, 1, 1.0), (10, "1", 1.0)], users=[30, 20, 10], items=["x", "1", 1])
    got = evaluate(model, test, k=1)
    assert got.user_ids.tolist() == [20, 10]
    assert got.per_user["recall@1"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("batch_users", [1, 3, 7, 1000])
def test_batches_do_not_change_the_result(batch_users):
    rng = np.random.default_rng(0)
    seen = rng.random((20, 30)) < 0.3
    held = (rng.random((20, 30)) < 0.2) & ~seen
    model = board_model(rng.integers(0, 4, (20, 30)), seen)
    model.popular_rows = lambda k: np.arange(k)
    triples = [(f"u{user}", f"i{item}", 1.0) for user, item in zip(*np.nonzero(held))]
    test = records([("new", "i3", 1.0), *triples])
    whole = evaluate(model, test, k=[3, 8])
    model.asked.clear()
    calls: list[tuple[int, int]] = []
    got = evaluate(model, test, k=[8, 3], batch_users=batch_users, progress=lambda *done: calls.append(done))
    assert max(model.asked) <= batch_users
    assert calls[-1] == (len(got.user_ids), len(got.user_ids))
    assert got.overall == whole.overall
    for metric, values in whole.per_user.items():
        np.testing.assert_allclose(got.per_user[metric], values, rtol=0, atol=1e-14, err_msg=metric)


def test_catalogue_metrics_by_hand():
    # Owners: i0 has 2 of 4 users, i1 and i2 one (u2 both), i3 none.
    seen = np.array([[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]])
    model = board_model(np.tile([0, 3, 2, 1], (4, 1)), seen)
    got = evaluate(model, records([("u3", "i1", 1.0)]), k=3)
    assert got.mean("novelty@3") == 2.0  # i1, i2: log2(4 / 1); i3 as if one user had it
    assert got.mean("diversity@3") == pytest.approx(1 - 1 / 3, abs=1e-15)  # i1 and i2 alike, i3 like none
    assert got.overall["coverage@3"] == 3 / 4
    assert got.overall["gini@3"] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (np.array([[0]]), r"shape \(1, 2\)"),
        (np.array([[0, 3]]), r"-1\.\.2"),
        (np.array([[0, 0]]), "twice"),
    ],
)
def test_wrong_answer_of_the_model_is_named(answer, text):
    model = board_model([[3, 2, 1]], np.zeros((1, 3)))
    model.recommend_rows = lambda rows, k, exclude_seen: TopK(answer, None)
    with pytest.raises(ValueError, match=text):
        evaluate(model, records([("u0", "i0", 1.0)]), k=2)


def test_bad_arguments():
    model = board_model([[1]], [[0]])
    test = records([("u0", "i0", 1.0)])
    with pytest.raises(ValueError, match="k of 1 or more"):
        evaluate(model, test, k=0)
    with pytest.raises(ValueError, match="batch_users"):
        evaluate(model, test, batch_users=0)
    with pytest.raises(ValueError, match=r"\[evaluate\] expected a result of at most"):
        evaluate(model, test, k=2**40)


# --- ratings ----------------------------------------------------------------------------------------------


def test_rating_errors_count_every_record_and_clip():
    predictions = {"u0": 7.0, "new": -3.0}  # clipped to 5 and 1
    model = rating_model(lambda user, item: predictions[user])
    test = records([("u0", "i0", 4.0), ("u0", "i1", 2.0), ("new", "other", 2.0)])
    got = evaluate(model, test, k=1, relevant_from=4.0)
    assert got.user_ids.tolist() == ["u0"]
    assert got.ratings.user_ids.tolist() == ["u0", "new"]
    assert got.ratings.n_ratings.tolist() == [2, 1]
    assert got.ratings.squared.tolist() == [1.0 + 9.0, 1.0]
    assert got.mean("mse") == 11 / 3
    assert got.mean("rmse") == math.sqrt(11 / 3)
    assert got.mean("mae") == 5 / 3


def test_no_clipping_without_a_range():
    model = rating_model(lambda user, item: 7.0)
    model.weight_range = None
    assert evaluate(model, records([("u0", "i0", 4.0)]), k=1).mean("mae") == 3.0


def test_rating_that_is_not_finite_is_named():
    model = rating_model(lambda user, item: math.nan)
    with pytest.raises(ValueError, match="position 0"):
        evaluate(model, records([("u0", "i0", 4.0)]), k=1)

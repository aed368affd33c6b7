"""`evaluate` and `compare` with small models whose right answer is known by construction."""

from __future__ import annotations

import io
import json
import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from gpurec.errors import MissingExtraError
from gpurec.evaluation import Evaluation, compare, evaluate
from gpurec.types import IdMap, TopK


@dataclass
class Records:
    """What `evaluate` reads of a test part."""

    user_rows: np.ndarray
    item_rows: np.ndarray
    weights: np.ndarray
    user_map: IdMap
    item_map: IdMap


def records(triples: list[tuple], users: list | None = None, items: list | None = None) -> Records:
    """Records of (user id, item id, weight), ids numbered as they first come unless maps are given."""
    user_map = IdMap(list(dict.fromkeys(user for user, _, _ in triples)) if users is None else users)
    item_map = IdMap(list(dict.fromkeys(item for _, item, _ in triples)) if items is None else items)
    return Records(
        user_rows=user_map.rows([user for user, _, _ in triples]),
        item_rows=item_map.rows([item for _, item, _ in triples]),
        weights=np.array([weight for _, _, weight in triples], dtype=np.float32),
        user_map=user_map,
        item_map=item_map,
    )


class ScoreModel:
    """Recommends by a score matrix given at birth, in the order that gpurec promises."""

    def __init__(self, scores, seen, users, items, name="scores"):
        self.scores = np.asarray(scores, dtype=np.float32)
        self.user_items = scipy.sparse.csr_array(np.asarray(seen, dtype=np.float32))
        self.user_map, self.item_map = IdMap(users), IdMap(items)
        self.name = name
        self.asked: list[int] = []

    def recommend_rows(self, user_rows, k, *, exclude_seen=True, **filters: Any) -> TopK:
        self.asked.append(len(user_rows))
        scores = self.scores[user_rows].copy()
        if exclude_seen:
            scores[self.user_items.toarray()[user_rows] > 0] = -np.inf
        rows = np.full((len(user_rows), k), -1, dtype=np.int64)
        kept = np.full((len(user_rows), k), -np.inf, dtype=np.float32)
        for query, row in enumerate(scores):
            best = [item for item in np.argsort(-row, kind="stable") if row[item] > -np.inf][:k]
            rows[query, : len(best)], kept[query, : len(best)] = best, row[best]
        return TopK(rows, kept)


class RatingModel(ScoreModel):
    predicts_ratings = True
    weight_range = (1.0, 5.0)

    def __init__(self, rating, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        self.rating = rating

    def predict(self, user_ids, item_ids, *, unknown="raise"):
        assert unknown == "baseline"
        assert len(user_ids) == len(item_ids)
        return np.array([self.rating(user, item) for user, item in zip(user_ids, item_ids)], dtype=np.float32)


def checkerboard(n: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Users like items of their own parity: (training part, test part), a third of the likes held back."""
    likes = np.add.outer(np.arange(n), np.arange(n)) % 2 == 0
    held = likes & (np.add.outer(np.arange(n), 2 * np.arange(n)) % 3 == 0)
    return likes & ~held, held


def board_model(scores, seen, **keywords) -> ScoreModel:
    n_users, n_items = np.shape(seen)
    users, items = [f"u{row}" for row in range(n_users)], [f"i{row}" for row in range(n_items)]
    return ScoreModel(scores, seen, users, items, **keywords)


def board_records(held: np.ndarray) -> Records:
    return records([(f"u{user}", f"i{item}", 1.0) for user, item in zip(*np.nonzero(held))])


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


# --- ratings ----------------------------------------------------------------------------------------------


def rating_model(rating, **keywords) -> RatingModel:
    return RatingModel(rating, [[2, 1]], [[0, 0]], ["u0"], ["i0", "i1"], **keywords)


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


# --- the result -------------------------------------------------------------------------------------------


def test_to_dict_is_json_with_the_promised_keys():
    got = evaluate(rating_model(lambda user, item: 3.0), records([("u0", "i0", 4.0)]), k=[1, 10]).to_dict()
    promised = {"rmse", "mse", "mae"} | {
        f"{metric}@{k}"
        for metric in ("precision", "recall", "f1", "hit_rate", "map", "mrr", "ndcg", "coverage")
        for k in (1, 10)
    }
    assert promised <= set(got)
    assert json.loads(json.dumps(got, allow_nan=False)) == got
    ranking_only = evaluate(board_model([[1]], [[0]]), records([("u0", "i0", 4.0)]), k=1).to_dict()
    assert not {"rmse", "mse", "mae"} & set(ranking_only)


def test_intervals_of_the_result():
    rng = np.random.default_rng(0)
    seen, held = np.zeros((40, 20), dtype=bool), rng.random((40, 20)) < 0.3
    good = evaluate(board_model(held + 0.3 * rng.random((40, 20)), seen), board_records(held), k=5)
    noise = evaluate(board_model(rng.random((40, 20)), seen), board_records(held), k=5)
    got = noise.interval("recall@5")
    assert got.low < got.estimate < got.high
    assert got.estimate == pytest.approx(noise.mean("recall@5"), abs=1e-15)
    difference = good.difference(noise, "recall@5")
    assert difference.estimate == pytest.approx(good.mean("recall@5") - noise.mean("recall@5"))
    assert difference.low > 0
    with pytest.raises(ValueError, match="all lists together"):
        good.interval("coverage@5")
    with pytest.raises(ValueError, match="expected a metric of"):
        good.interval("recall@6")
    with pytest.raises(ValueError, match="expected a metric of"):
        good.mean("rmse")


def test_difference_needs_the_same_users():
    model = board_model([[1, 0], [1, 0]], np.zeros((2, 2)))
    first = evaluate(model, records([("u0", "i0", 1.0)]), k=1)
    second = evaluate(model, records([("u1", "i0", 1.0)]), k=1)
    with pytest.raises(ValueError, match="same test users"):
        first.difference(second, "recall@1")


def test_interval_of_rmse_draws_users_with_their_ratings():
    model = rating_model(lambda user, item: 3.0)
    got = evaluate(model, records([("u0", "i0", 4.0), ("u0", "i1", 4.0), ("new", "i1", 3.0)]), k=1)
    interval = got.interval("rmse")
    assert interval.estimate == math.sqrt(2 / 3)
    assert (interval.low, interval.high) == (0.0, 1.0)  # either user alone, a quarter of the resamples each


def test_intervals_of_the_rating_metrics_are_their_own():
    model = rating_model(lambda user, item: 3.0)
    got = evaluate(model, records([("u0", "i0", 5.0), ("u0", "i1", 3.0)]), k=1)
    for metric, value in {"mae": 1.0, "mse": 2.0, "rmse": math.sqrt(2.0)}.items():
        interval = got.interval(metric)
        assert (interval.estimate, interval.low, interval.high) == (value, value, value)
    worse = evaluate(
        rating_model(lambda user, item: 1.0), records([("u0", "i0", 5.0), ("u0", "i1", 3.0)]), k=1
    )
    assert worse.difference(got, "mae").estimate == 2.0


# --- comparison -------------------------------------------------------------------------------------------


@pytest.fixture
def two_models():
    rng = np.random.default_rng(0)
    seen, held = np.zeros((40, 20), dtype=bool), rng.random((40, 20)) < 0.3
    noise = board_model(rng.random((40, 20)), seen, name="noise")
    oracle = board_model(held, seen, name="oracle")
    return [noise, oracle], board_records(held)


def test_compare_prints_one_metric_a_line(two_models):
    models, test = two_models
    stream = io.StringIO()
    got = compare(models, test, k=5, file=stream)
    lines = stream.getvalue().splitlines()
    assert lines[0].split() == ["metric", "noise", "oracle"]
    recall = next(line for line in lines if line.startswith("recall@5"))
    first, second = got.intervals["recall@5"]
    assert recall.split("  ")[-1].strip() == f"{second}*"
    assert str(first) in recall
    assert got.differences["recall@5"][0] is None
    assert got.differences["recall@5"][1].excludes_zero()
    coverage = next(line for line in lines if line.startswith("coverage@5"))
    assert coverage.split() == ["coverage@5", *(f"{e.mean('coverage@5'):.4f}" for e in got.evaluations)]
    assert "rmse" not in stream.getvalue()


def test_compare_mixes_models_and_evaluations_and_kinds():
    ratings = evaluate(rating_model(lambda user, item: 3.0), records([("u0", "i0", 4.0)]), k=1)
    ranking = evaluate(board_model([[1]], [[0]], name="plain"), records([("u0", "i0", 4.0)]), k=1)
    got = compare([ratings, ranking], k=1, show=False)
    table = {line[0]: line[1:] for line in got.cells()}
    assert table["rmse"] == ["1.0000 [1.0000, 1.0000]", "-"]
    named = compare({"a": board_model([[1]], [[0]])}, records([("u0", "i0", 4.0)]), k=1, show=False)
    assert named.cells()[0] == ["metric", "a"]
    assert isinstance(named.evaluations[0], Evaluation)


def test_compare_says_what_is_wrong(two_models):
    models, test = two_models
    with pytest.raises(ValueError, match="at least one model"):
        compare([], test)
    with pytest.raises(ValueError, match="a test part"):
        compare(models)
    with pytest.raises(ValueError, match="name of its own"):
        compare([models[0], models[0]], test, show=False)
    with pytest.raises(ValueError, match="expected metrics of"):
        compare(models, test, metrics=["recall@11"], show=False)
    with pytest.raises(ValueError, match="k they were made with"):
        compare([evaluate(models[0], test, k=5)], k=6, show=False)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_compare_on_a_terminal(two_models, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    models, test = two_models
    pytest.importorskip("rich", reason="rich draws the table on a terminal (extra cli)")
    stream = Terminal()
    got = compare(models, test, k=5, file=stream)
    assert "┃" in stream.getvalue()
    assert str(got.intervals["recall@5"][0]) in stream.getvalue()


def test_compare_on_a_terminal_without_rich(two_models, monkeypatch):
    models, test = two_models
    monkeypatch.setitem(sys.modules, "rich.table", None)
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    stream = Terminal()
    got = compare(models, test, k=5, file=stream)
    assert stream.getvalue() == got.to_text() + "\n"


def test_plot_is_left_out_with_a_notice_without_matplotlib(two_models, monkeypatch, tmp_path):
    models, test = two_models
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.warns(UserWarning, match=r"picture is left out.*gpurec\[plot\]"):
        got = compare(models, test, k=5, show=False, plot=tmp_path / "table.png")
    assert not (tmp_path / "table.png").exists()
    with pytest.raises(MissingExtraError):
        got.plot(tmp_path / "table.png")


def test_plot_draws_a_picture(two_models, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib draws the picture (extra plot)")
    models, test = two_models
    compare(models, test, k=5, show=False, plot=tmp_path / "table.png")
    assert (tmp_path / "table.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_progress_bar_is_for_terminals(two_models, monkeypatch):
    pytest.importorskip("rich", reason="rich draws the bar (extra cli)")
    models, test = two_models
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    evaluate(models[0], test, k=5)
    assert "evaluate" in stream.getvalue()
    plain = io.StringIO()
    monkeypatch.setattr(sys, "stderr", plain)
    evaluate(models[0], test, k=5)
    assert plain.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", stream)
    before = stream.getvalue()
    evaluate(models[0], test, k=5, progress=False)
    assert stream.getvalue() == before

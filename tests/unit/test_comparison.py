"""The result of an evaluation: means, intervals, differences, and the table of several models."""

from __future__ import annotations

import io
import json
import math
import sys

import numpy as np
import pytest
from score_models import board_model, board_records, rating_model, records

from gpurec.errors import MissingExtraError
from gpurec.evaluation import Evaluation, compare, evaluate

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

"""Ranking metrics against values computed by hand, a naive implementation, published figures, and ranx."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from gpurec.evaluation import (
    coverage,
    gini,
    hit_matrix,
    item_counts,
    list_diversity,
    novelty,
    ranking_metrics,
)
from gpurec.evaluation.catalogue import item_profiles, self_information
from gpurec.evaluation.ranking import check_cutoffs, graded_ndcg


def csr(dense) -> scipy.sparse.csr_array:
    return scipy.sparse.csr_array(np.asarray(dense, dtype=np.float64))


# --- by hand --------------------------------------------------------------------------------------------


def test_one_list_by_hand():
    # Relevant: 1, 3, 5, 7, of ten items. The list 5, 0, 3, 2 hits at places 1 and 3.
    relevant = csr([[0, 1, 0, 1, 0, 1, 0, 1, 0, 0]])
    got = ranking_metrics(np.array([[5, 0, 3, 2]]), relevant, k=[1, 4])
    ideal = 1 + 1 / math.log2(3) + 1 / 2 + 1 / math.log2(5)
    expected = {
        "precision@1": 1.0,
        "recall@1": 1 / 4,
        "f1@1": 2 / 5,
        "hit_rate@1": 1.0,
        "map@1": 1 / 4,
        "mrr@1": 1.0,
        "ndcg@1": 1.0,
        "accuracy@1": 7 / 10,  # TP 1, FP 0, FN 3
        "precision@4": 2 / 4,
        "recall@4": 2 / 4,
        "f1@4": 1 / 2,
        "hit_rate@4": 1.0,
        "map@4": (1 / 1 + 2 / 3) / 4,
        "mrr@4": 1.0,
        "ndcg@4": (1 + 1 / 2) / ideal,
        "accuracy@4": 6 / 10,  # TP 2, FP 2, FN 2
    }
    assert set(got) == set(expected)
    for metric, value in expected.items():
        assert got[metric].dtype == np.float64
        assert got[metric].tolist() == pytest.approx([value], abs=1e-15), metric


def test_first_hit_late_and_no_hit():
    relevant = csr([[0, 0, 1, 0], [0, 0, 1, 0]])
    got = ranking_metrics(np.array([[0, 1, 2], [0, 1, 3]]), relevant)
    assert got["mrr@3"].tolist() == [1 / 3, 0.0]
    assert got["map@3"].tolist() == [1 / 3, 0.0]
    assert got["hit_rate@3"].tolist() == [1.0, 0.0]
    assert got["ndcg@3"].tolist() == [0.5, 0.0]
    assert got["f1@3"].tolist() == [0.5, 0.0]


def test_perfect_list_is_one():
    relevant = csr([[1, 1, 0, 0, 1]])
    got = ranking_metrics(np.array([[4, 0, 1]]), relevant)
    for metric in ("precision", "recall", "f1", "hit_rate", "map", "mrr", "ndcg", "accuracy"):
        assert got[f"{metric}@3"].tolist() == [1.0], metric


def test_ideal_of_ndcg_stops_at_k_but_recall_does_not():
    relevant = csr([[1, 1, 1, 1]])
    got = ranking_metrics(np.array([[0, 1]]), relevant)
    assert got["ndcg@2"].tolist() == [1.0]
    assert got["recall@2"].tolist() == [0.5]
    assert got["map@2"].tolist() == [0.5]  # divided by the 4 relevant items, not by min(2, 4)


def test_padding_and_k_beyond_the_list_are_misses():
    relevant = csr([[1, 0, 1]])
    short = ranking_metrics(np.array([[2, -1, -1]]), relevant, k=5)
    assert short["precision@5"].tolist() == [1 / 5]
    assert short["recall@5"].tolist() == [1 / 2]
    assert short["accuracy@5"].tolist() == [2 / 3]  # the one place filled is right, item 0 is forgotten
    empty = ranking_metrics(np.full((1, 3), -1), relevant)
    assert {metric: values.tolist() for metric, values in empty.items() if metric != "accuracy@3"} == {
        f"{metric}@3": [0.0] for metric in ("precision", "recall", "f1", "hit_rate", "map", "mrr", "ndcg")
    }


def test_user_without_relevant_items_has_nan():
    got = ranking_metrics(np.array([[0, 1], [0, 1]]), csr([[0, 0], [1, 0]]))
    for values in got.values():
        assert np.isnan(values).tolist() == [True, False]


def test_stored_zero_and_repeated_entries_are_one_relevant_item():
    relevant = scipy.sparse.coo_array(([0.0, 2.0, 3.0], ([0, 0, 0], [1, 2, 2])), shape=(1, 4))
    got = ranking_metrics(np.array([[1, 2]]), relevant)
    assert got["recall@2"].tolist() == [1.0]
    assert got["precision@2"].tolist() == [1.0]


def test_argument_is_left_as_it_is():
    unsorted = scipy.sparse.csr_array((np.ones(3), np.array([2, 0, 0]), np.array([0, 3])), shape=(1, 3))
    ranking_metrics(np.array([[0, 1]]), unsorted)
    assert unsorted.indices.tolist() == [2, 0, 0]


def test_graded_ndcg_by_hand():
    weights = csr([[3.0, 1.0, 0.0, 2.0]])
    got = ranking_metrics(np.array([[1, 2, 0]]), weights, graded=True)["ndcg_graded@3"]
    assert got.tolist() == pytest.approx([(1 + 3 / 2) / (3 + 2 / math.log2(3) + 1 / 2)], abs=1e-15)
    cut = graded_ndcg(np.array([[1, 2, 0]]), weights, 1)
    assert cut.tolist() == pytest.approx([1 / 3], abs=1e-15)


def test_graded_ndcg_of_equal_weights_is_ndcg():
    rng = np.random.default_rng(5)
    relevant = csr(rng.random((20, 30)) < 0.2)
    rows = np.argsort(rng.random((20, 30)), axis=1)[:, :7]
    got = ranking_metrics(rows, relevant * 2.5, k=[3, 7, 12], graded=True)
    for k in (3, 7, 12):
        np.testing.assert_allclose(got[f"ndcg_graded@{k}"], got[f"ndcg@{k}"], rtol=0, atol=1e-14)


# --- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "error", "text"),
    [
        ([[0, 3]], ValueError, r"-1\.\.2"),
        ([[0, -2]], ValueError, r"-1\.\.2"),
        ([[1, 1]], ValueError, "twice in row 0"),
        ([0, 1], ValueError, "shape"),
        ([[0.0, 1.0]], TypeError, "integer dtype"),
        ([[0], [1]], ValueError, "one row of relevant"),
        (np.empty((1, 0), dtype=np.int64), ValueError, "shape"),
    ],
)
def test_bad_rows(rows, error, text):
    with pytest.raises(error, match=text):
        ranking_metrics(np.asarray(rows), csr([[1, 0, 0]]))


def test_dense_relevant_is_refused():
    with pytest.raises(TypeError, match="scipy sparse"):
        hit_matrix(np.array([[0]]), np.array([[1]]))


@pytest.mark.parametrize(
    ("k", "error"), [(0, ValueError), (-1, ValueError), ([], ValueError), (2.0, TypeError), (True, TypeError)]
)
def test_bad_k(k, error):
    with pytest.raises(error, match=r"\[evaluate\] expected"):
        check_cutoffs(k)


def test_cutoffs_accept_numpy_integers():
    assert check_cutoffs(np.array([20, 5, 20])) == (5, 20)
    assert check_cutoffs(np.int32(3)) == (3,)


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_graded_ndcg_refuses_weights_without_meaning(weight):
    with pytest.raises(ValueError, match="finite weights"):
        graded_ndcg(np.array([[0]]), csr([[weight]]), 1)


# --- against a naive implementation ----------------------------------------------------------------------


def naive(listed: list[int], relevant: dict[int, float], n_items: int, k: int) -> dict[str, float]:
    """One user, straight from the definitions, places counted from 1."""
    listed = listed[:k]
    hit_places = [place for place, item in enumerate(listed, start=1) if item in relevant]
    n_filled = sum(item >= 0 for item in listed)
    n_hits, n_relevant = len(hit_places), len(relevant)
    p, r = n_hits / k, n_hits / n_relevant
    dcg = sum(1 / math.log2(place + 1) for place in hit_places)
    ideal = sum(1 / math.log2(place + 1) for place in range(1, min(k, n_relevant) + 1))
    gains = sum(relevant[listed[place - 1]] / math.log2(place + 1) for place in hit_places)
    best = sorted(relevant.values(), reverse=True)[:k]
    ideal_gains = sum(weight / math.log2(place + 1) for place, weight in enumerate(best, start=1))
    return {
        "precision": p,
        "recall": r,
        "f1": 2 * p * r / (p + r) if n_hits else 0.0,
        "hit_rate": float(n_hits > 0),
        "map": sum((nth + 1) / place for nth, place in enumerate(hit_places)) / n_relevant,
        "mrr": 1 / hit_places[0] if hit_places else 0.0,
        "ndcg": dcg / ideal,
        "ndcg_graded": gains / ideal_gains,
        "accuracy": (n_hits + n_items - n_filled - n_relevant + n_hits) / n_items,
    }


@st.composite
def cases(draw):
    n_items = draw(st.integers(1, 12))
    width = draw(st.integers(1, 8))
    users = []
    for _ in range(draw(st.integers(1, 5))):
        order = draw(st.permutations(range(n_items)))
        n_listed = draw(st.integers(0, min(width, n_items)))
        listed = list(order[:n_listed]) + [-1] * (width - n_listed)
        relevant = draw(st.dictionaries(st.integers(0, n_items - 1), st.integers(1, 5), max_size=n_items))
        users.append((listed, relevant))
    return n_items, users, draw(st.integers(1, 10))


@settings(max_examples=150, deadline=None)
@given(cases())
def test_metrics_are_the_definitions(case):
    n_items, users, k = case
    weights = np.zeros((len(users), n_items))
    for user, (_, relevant) in enumerate(users):
        for item, weight in relevant.items():
            weights[user, item] = weight
    got = ranking_metrics(np.array([listed for listed, _ in users]), csr(weights), k=k, graded=True)
    for user, (listed, relevant) in enumerate(users):
        if not relevant:
            assert all(np.isnan(values[user]) for values in got.values())
            continue
        for metric, value in naive(listed, relevant, n_items, k).items():
            assert got[f"{metric}@{k}"][user] == pytest.approx(value, abs=1e-12), metric


@settings(max_examples=100, deadline=None)
@given(cases())
def test_catalogue_metrics_are_the_definitions(case):
    n_items, users, _ = case
    rows = np.array([listed for listed, _ in users])
    owned = np.zeros((len(users), n_items))
    for user, (_, relevant) in enumerate(users):
        owned[user, list(relevant)] = 1
    information = self_information(csr(owned))
    owners = owned.sum(axis=0)
    assert information.tolist() == pytest.approx(
        [-math.log2(max(n, 1) / len(users)) for n in owners], abs=1e-12
    )
    got_novelty = novelty(rows, information)
    got_diversity = list_diversity(rows, item_profiles(csr(owned)))
    for user, (listed, _) in enumerate(users):
        items = [item for item in listed if item >= 0]
        if items:
            assert got_novelty[user] == pytest.approx(np.mean(information[items]), abs=1e-12)
        else:
            assert np.isnan(got_novelty[user])
        cosines = []
        for place, a in enumerate(items):
            for b in items[place + 1 :]:
                length = math.sqrt(owners[a] * owners[b])
                cosines.append(owned[:, a] @ owned[:, b] / length if length else 0.0)
        if cosines:
            assert got_diversity[user] == pytest.approx(1 - np.mean(cosines), abs=1e-12)
        else:
            assert np.isnan(got_diversity[user])


# --- catalogue metrics by hand ---------------------------------------------------------------------------


def test_coverage_and_gini_by_hand():
    counts = item_counts(np.array([[0, 1], [0, -1], [0, 3]]), 5)
    assert counts.tolist() == [3, 1, 0, 1, 0]
    assert coverage(counts) == 3 / 5
    # sorted 0 0 1 1 3: (-4 * 0 - 2 * 0 + 0 * 1 + 2 * 1 + 4 * 3) / (5 * 5)
    assert gini(counts) == pytest.approx(14 / 25, abs=1e-15)
    assert math.isnan(gini(np.zeros(4, dtype=np.int64)))


def test_diversity_takes_item_vectors_too():
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    got = list_diversity(np.array([[0, 1, 2], [2, -1, -1], [-1, -1, -1]]), vectors)
    assert got[0] == pytest.approx(1 - (0 + 0.6 + 0.8) / 3, abs=1e-15)
    assert np.isnan(got[1:]).all()


def test_both_ways_to_diversity_agree():
    """Many equal lists are cheaper by cosines, few lists of their own by sums: the values are the same."""
    rng = np.random.default_rng(11)
    profiles = item_profiles(csr(rng.random((40, 50)) < 0.3))
    lists = np.argsort(rng.random((3, 50)), axis=1)[:, :6]
    few = list_diversity(lists, profiles)
    many = list_diversity(np.tile(lists, (400, 1)), profiles)
    np.testing.assert_allclose(many.reshape(400, 3), np.tile(few, (400, 1)), rtol=0, atol=1e-12)


# --- against others ---------------------------------------------------------------------------------------


def ranx_metrics(rows: np.ndarray, relevant: scipy.sparse.csr_array, k: int) -> dict[str, np.ndarray]:
    """The same metrics by ranx. It orders by score alone, so the places become scores that are distinct."""
    ranx = pytest.importorskip(
        "ranx", reason="ranx is not installed: pip install -r tests/requirements-ranx.txt"
    )
    width = rows.shape[1]
    run, qrels = {}, {}
    for user in range(len(rows)):
        own = slice(relevant.indptr[user], relevant.indptr[user + 1])
        qrels[f"u{user:06d}"] = {
            f"i{item}": int(weight) for item, weight in zip(relevant.indices[own], relevant.data[own])
        }
        places = {f"i{item}": float(width - place) for place, item in enumerate(rows[user]) if item >= 0}
        run[f"u{user:06d}"] = places or {"no item": 0.0}
    names = [f"{metric}@{k}" for metric in ("precision", "recall", "f1", "hit_rate", "map", "mrr", "ndcg")]
    got = ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), names, return_mean=False, threads=1)
    return dict(got)


@pytest.mark.parametrize("seed", range(4))
def test_equal_to_ranx_on_random_runs_with_ties(seed):
    """Scores from five values, ordered as everywhere in gpurec: the higher first, then the smaller row."""
    rng = np.random.default_rng(seed)
    n_users, n_items, width = 60, 40, 15
    scores = rng.integers(0, 5, size=(n_users, n_items)).astype(np.float32)
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :width]
    for user, n_filled in enumerate(rng.integers(0, width + 1, size=n_users)):
        if user % 3 == 0:
            rows[user, n_filled:] = -1
    weights = rng.integers(1, 6, size=(n_users, n_items)) * (rng.random((n_users, n_items)) < 0.2)
    weights[np.arange(n_users), rng.integers(0, n_items, n_users)] = 1  # ranx needs a relevant item each
    relevant = csr(weights)
    for k in (1, 5, 15, 30):
        got = ranking_metrics(rows, relevant, k=k, graded=True)
        got[f"ndcg_binary@{k}"], got[f"ndcg@{k}"] = got[f"ndcg@{k}"], got[f"ndcg_graded@{k}"]
        for metric, values in ranx_metrics(rows, relevant, k).items():
            np.testing.assert_allclose(got[metric], values, rtol=0, atol=1e-12, err_msg=f"{metric} (graded)")
        binary = relevant.copy()
        binary.data[:] = 1
        others = ranx_metrics(rows, binary, k)
        np.testing.assert_allclose(got[f"ndcg_binary@{k}"], others[f"ndcg@{k}"], rtol=0, atol=1e-12)


def read_adjacency(path) -> scipy.sparse.csr_array:
    users, items = [], []
    for line in path.read_text().splitlines():
        user, *own = map(int, line.split())
        users += [user] * len(own)
        items += own
    return scipy.sparse.csr_array((np.ones(len(users)), (users, items)), shape=(29_858, 40_981))


@pytest.mark.data
def test_popularity_on_gowalla_gives_the_published_figures(data_folder):
    """Recall@20 / NDCG@20 .0416 / .0317, the definitions of the BARS leaderboard."""
    train = read_adjacency(data_folder / "gowalla" / "train.txt")
    test = read_adjacency(data_folder / "gowalla" / "test.txt")
    n_owners = np.bincount(train.indices, minlength=train.shape[1])
    popular = np.argsort(-n_owners, kind="stable")
    rows = np.empty((train.shape[0], 20), dtype=np.int64)
    for user in range(len(rows)):
        seen = train.indices[train.indptr[user] : train.indptr[user + 1]]
        best = popular[: 20 + len(seen)]
        rows[user] = best[~np.isin(best, seen)][:20]
    got = ranking_metrics(rows, test)
    assert not np.isnan(got["recall@20"]).any()
    assert round(float(got["recall@20"].mean()), 4) == 0.0416
    assert round(float(got["ndcg@20"].mean()), 4) == 0.0317

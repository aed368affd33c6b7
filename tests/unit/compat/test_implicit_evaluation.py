"""implicit's splits and metrics, by their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array

from gpurec.compat.implicit import evaluation

RATINGS = csr_matrix(random_array((50, 40), density=0.2, rng=np.random.default_rng(1), dtype=np.float32))


class Lists:
    """A model that gives prepared lists."""

    def __init__(self, lists: Any) -> None:
        self.lists = np.asarray(lists, np.int32)

    def recommend(self, userid: Any, user_items: Any, N: int) -> tuple[np.ndarray, np.ndarray]:
        assert user_items.shape[0] == len(userid)
        lists = self.lists[userid, :N]
        return lists, np.zeros(lists.shape)


def test_a_random_split() -> None:
    train, test = evaluation.train_test_split(RATINGS, train_percentage=0.7, random_state=5)
    assert isinstance(train, csr_matrix) and isinstance(test, csr_matrix)
    assert train.shape == test.shape == RATINGS.shape and train.dtype == RATINGS.dtype
    assert (train + test != RATINGS).nnz == 0 and train.multiply(test).nnz == 0
    assert abs(train.nnz / RATINGS.nnz - 0.7) < 0.1
    again = evaluation.train_test_split(RATINGS.tocoo(), train_percentage=0.7, random_state=5)
    assert (again[0] != train).nnz == 0
    other = evaluation.train_test_split(RATINGS, train_percentage=0.7, random_state=6)
    assert (other[0] != train).nnz > 0
    with pytest.raises(ValueError, match="train_percentage"):
        evaluation.train_test_split(RATINGS, 80)


def test_dislikes_are_no_test_items() -> None:
    signed = RATINGS.copy()
    signed.data[::3] *= -1
    train, test = evaluation.train_test_split(signed, 0.5, random_state=0)
    assert (train.data < 0).any() and (test.data > 0).all()


@pytest.mark.parametrize("K", [1, 3])
def test_k_of_each_user_are_left_out(K: int) -> None:
    train, test = evaluation.leave_k_out_split(RATINGS, K=K, random_state=2)
    assert (train + test != RATINGS).nnz == 0 and train.multiply(test).nnz == 0
    counts = np.diff(RATINGS.indptr)
    assert np.diff(test.indptr).tolist() == np.where(counts > K + 1, K, 0).tolist()
    again = evaluation.leave_k_out_split(RATINGS, K=K, random_state=2)
    assert (again[1] != test).nnz == 0, "the seed decides everything"
    other = evaluation.leave_k_out_split(RATINGS, K=K, random_state=np.random.default_rng(3))
    assert (other[1] != test).nnz > 0


def test_some_users_stay_in_the_training_part() -> None:
    train, test = evaluation.leave_k_out_split(RATINGS, K=1, train_only_size=0.4, random_state=2)
    assert (train + test != RATINGS).nnz == 0
    eligible = np.diff(RATINGS.indptr) > 2
    assert 0.4 * 50 * 0.5 < (np.diff(test.indptr)[eligible] == 0).sum() <= 0.4 * 50
    for arguments in ({"K": 0}, {"train_only_size": 1.0}, {"train_only_size": -0.1}):
        with pytest.raises(ValueError):
            evaluation.leave_k_out_split(RATINGS, **arguments)


def by_definition(lists: list[list[int]], test: csr_matrix, K: int) -> dict[str, float]:
    hits, most, average, gains, areas = 0, 0, [], [], []
    for user in range(test.shape[0]):
        relevant = set(test[user].indices.tolist())
        if not relevant:
            continue
        given = [item for item in lists[user][:K] if item >= 0]
        n, places = min(K, len(relevant)), [i for i, item in enumerate(given) if item in relevant]
        hits, most = hits + len(places), most + n
        average.append(sum((so_far + 1) / (place + 1) for so_far, place in enumerate(places)) / n)
        ideal = sum(1 / np.log2(place + 2) for place in range(n))
        gains.append(sum(1 / np.log2(place + 2) for place in places) / ideal)
        # Pairs of a test item and another item, in the order of the list; of those beyond it half are right.
        others = set(range(test.shape[1])) - relevant
        right = 0.0
        for other in others:
            before = given[: given.index(other)] if other in given else given
            right += len(relevant & set(before))
            if other not in given:
                right += (len(relevant) - len(places)) / 2
        areas.append(right / (len(relevant) * len(others)))
    return {
        "precision": hits / most,
        "map": float(np.mean(average)),
        "ndcg": float(np.mean(gains)),
        "auc": float(np.mean(areas)),
    }


@pytest.mark.parametrize("K", [1, 4, 9])
def test_metrics(K: int) -> None:
    random = np.random.default_rng(K)
    test = csr_matrix(random.random((30, 15)) < np.linspace(0, 0.5, 30)[:, np.newaxis], dtype=np.float32)
    lists = np.argsort(random.random((30, 15)), axis=1)
    lists[5:9, 3:] = -1  # shorter lists
    lists[9] = -1
    train = csr_matrix((30, 15), dtype=np.float32)
    expected = by_definition(lists.tolist(), test, K)
    found = evaluation.ranking_metrics_at_k(Lists(lists), train, test, K=K, show_progress=False)
    assert found == pytest.approx(expected, abs=1e-12)
    for name, metric in (
        ("precision", evaluation.precision_at_k),
        ("map", evaluation.mean_average_precision_at_k),
        ("ndcg", evaluation.ndcg_at_k),
        ("auc", evaluation.AUC_at_k),
    ):
        assert metric(Lists(lists), train, test, K, show_progress=False) == found[name]


def test_an_item_that_stands_twice_counts_once() -> None:
    test, train = csr_matrix(np.eye(4)), csr_matrix((4, 4))
    padded = [[0, 2, 0, 0], [1, 0, 0, 0], [3, 0, 0, 0], [0, 0, 0, 0]]  # as implicit pads lists
    found = evaluation.ranking_metrics_at_k(Lists(padded), train, test, K=4, show_progress=False)
    assert found["precision"] == 0.5 and found["map"] == 0.5


def test_perfect_lists_and_none() -> None:
    test, train = csr_matrix(np.eye(6)), csr_matrix((6, 6))
    perfect = Lists(np.arange(6)[:, np.newaxis])
    found = evaluation.ranking_metrics_at_k(perfect, train, test, K=1, show_progress=False, num_threads=0)
    assert found == {"precision": 1, "map": 1, "ndcg": 1, "auc": 1}
    with pytest.raises(ValueError, match="test item"):
        evaluation.ranking_metrics_at_k(perfect, train, train, K=1)
    with pytest.raises(ValueError, match="training row"):
        evaluation.ranking_metrics_at_k(perfect, train[:2], test, K=1)

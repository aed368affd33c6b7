"""The ranker that RecTools' models can use, by its contract; RecTools itself is not needed."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from gpurec.compat.rectools import Ranker

RANDOM = np.random.default_rng(2)
SUBJECTS = RANDOM.integers(-3, 4, (12, 5)).astype(np.float32)
OBJECTS = RANDOM.integers(-3, 4, (9, 5)).astype(np.float32)
SEEN = csr_matrix(RANDOM.random((12, 9)) < 0.3, dtype=np.float32)


class Distance(str, Enum):
    """As RecTools' own."""

    DOT = "dot"
    COSINE = "cosine"
    EUCLIDEAN = "euclidean"


def by_definition(distance: Distance, subjects: np.ndarray) -> np.ndarray:
    a, b = SUBJECTS[subjects].astype(np.float64), OBJECTS.astype(np.float64)
    if distance is Distance.EUCLIDEAN:
        return np.sqrt(np.square(a[:, np.newaxis] - b).sum(axis=2))
    norms = np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    return a @ b.T / (np.maximum(norms, 1e-30) if distance is Distance.COSINE else 1)


def check(
    found: Any, scores: np.ndarray, permitted: np.ndarray, ids: np.ndarray, k: int, smallest: bool
) -> None:
    subjects, objects, given = found
    assert (subjects.dtype, objects.dtype, given.dtype) == (np.int64, np.int64, np.float32)
    assert subjects.tolist() == [
        subject for place, subject in enumerate(ids.tolist()) for _ in range(min(k, permitted[place].sum()))
    ]
    begin = 0
    for place in range(len(ids)):
        n = min(k, int(permitted[place].sum()))
        mine, values = objects[begin : begin + n], given[begin : begin + n]
        begin += n
        assert permitted[place, mine].all() and len(set(mine.tolist())) == n
        np.testing.assert_allclose(values, scores[place, mine], rtol=1e-6, atol=1e-6)
        sign = 1 if smallest else -1
        best = np.sort(sign * scores[place, permitted[place]])[:n]
        np.testing.assert_allclose(sign * values, best, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("distance", Distance)
@pytest.mark.parametrize("k", [None, 1, 4, 50])
@pytest.mark.parametrize("whitelist", [None, [1, 2, 7]])
@pytest.mark.parametrize("filtered", [False, True])
def test_ranks(distance: Distance, k: int | None, whitelist: list[int] | None, filtered: bool) -> None:
    ids = np.array([3, 0, 11, 3])
    ranker = Ranker(distance, SUBJECTS, OBJECTS, num_threads=2, use_gpu=False)
    found = ranker.rank(
        subject_ids=ids,
        k=k,
        filter_pairs_csr=SEEN[ids] if filtered else None,
        sorted_object_whitelist=None if whitelist is None else np.array(whitelist),
    )
    permitted = np.ones((4, 9), bool)
    if whitelist is not None:
        permitted[:] = np.isin(np.arange(9), whitelist)
    if filtered:
        permitted &= SEEN[ids].toarray() == 0
    check(found, by_definition(distance, ids), permitted, ids, k or 9, distance is Distance.EUCLIDEAN)


@pytest.mark.parametrize("whitelist", [None, [1, 2, 7]])
@pytest.mark.parametrize("filtered", [False, True])
def test_sparse_subjects(whitelist: list[int] | None, filtered: bool) -> None:
    ids = np.array([3, 0, 11])
    weights = RANDOM.integers(-3, 4, (9, 9)).astype(np.float32)
    ranker = Ranker(Distance.DOT, SEEN, weights)
    found = ranker.rank(ids, 3, SEEN[ids] if filtered else None, whitelist)
    permitted = np.ones((3, 9), bool)
    if whitelist is not None:
        permitted[:] = np.isin(np.arange(9), whitelist)
    if filtered:
        permitted &= SEEN[ids].toarray() == 0
    check(found, SEEN[ids].toarray() @ weights.T.astype(np.float64), permitted, ids, 3, False)


def test_equal_scores_go_by_the_smaller_object() -> None:
    ranker = Ranker("dot", np.ones((1, 2)), np.ones((6, 2)))
    assert ranker.rank([0], k=4)[1].tolist() == [0, 1, 2, 3]


def test_nothing_to_rank() -> None:
    ranker = Ranker("dot", SUBJECTS, OBJECTS)
    for found in (ranker.rank([], k=3), ranker.rank([1], k=3, sorted_object_whitelist=[])):
        assert [part.tolist() for part in found] == [[], [], []]


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="one row"):
        Ranker("dot", SUBJECTS, OBJECTS).rank([0, 1], 3, filter_pairs_csr=SEEN)
    with pytest.raises(ValueError, match="'dot' with sparse"):
        Ranker("cosine", SEEN, OBJECTS)
    with pytest.raises(ValueError, match="distance of"):
        Ranker("manhattan", SUBJECTS, OBJECTS)
    with pytest.raises(ValueError, match="factors"):
        Ranker("dot", SUBJECTS[:, :3], OBJECTS)
    with pytest.raises(IndexError, match="got 12"):
        Ranker("dot", SUBJECTS, OBJECTS).rank([12])
    with pytest.raises(ValueError, match="k of 1"):
        Ranker("dot", SUBJECTS, OBJECTS).rank([1], k=0)

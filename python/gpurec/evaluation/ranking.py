"""Ranking metrics of top-k lists against test items: one float64 value per user, vectorised.

Every function takes `hits`, the boolean matrix that says which places of the lists hold a relevant item
(`hit_matrix` makes it), and the number of relevant items of each user. Notation used below, for one user:
K is the length that is judged, R the number of relevant items, h(i) is 1 where place i = 1..K holds a
relevant item and 0 otherwise. A list shorter than K counts as filled up with misses.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = [
    "accuracy",
    "average_precision",
    "check_cutoffs",
    "f1",
    "graded_ndcg",
    "hit_matrix",
    "hit_rate",
    "ndcg",
    "precision",
    "ranking_metrics",
    "recall",
    "reciprocal_rank",
]


def ranking_metrics(
    rows: Any,
    relevant: Any,
    *,
    k: int | Iterable[int] | None = None,
    n_candidates: Any = None,
    graded: bool = False,
) -> dict[str, np.ndarray]:
    """Every ranking metric of every user, from the recommended lists and the relevant items.

    Parameters
    ----------
    rows : integer array, shape (n_users, width)
        Recommended items of each user, best first, each at most once; -1 is an empty place.
    relevant : scipy sparse, shape (n_users, n_items)
        The relevant items: every stored entry counts, whatever its value.
    k : int or several ints, optional
        Lengths that are judged; the width of `rows` if not given. May exceed the width.
    n_candidates : integer array, shape (n_users,), optional
        How many items could have been recommended to each user, for `accuracy`; n_items if not given.
    graded : bool
        Also `ndcg_graded@K`, whose gains are the values of `relevant`.

    Returns
    -------
    dict of str to float64 array, shape (n_users,)
        `precision@K`, `recall@K`, `f1@K`, `hit_rate@K`, `map@K`, `mrr@K`, `ndcg@K`, `accuracy@K` for each K.
        Users without a relevant item have NaN: no metric is defined for them, and means leave them out.

    Raises
    ------
    ValueError
        If shapes disagree, a row lies outside -1..n_items-1, a list repeats an item, or a k is below 1.
    TypeError
        If `rows` is not of an integer dtype.

    Notes
    -----
    `map@K` and `mrr@K` are named after their means; per user they are average precision and reciprocal rank.
    All values are float64 and agree with those of `ranx` to 1e-12. Time O(n_users * width * log(entries)).

    Examples
    --------
    >>> import numpy as np, scipy.sparse
    >>> relevant = scipy.sparse.csr_array(np.array([[1, 0, 0, 1], [0, 1, 0, 0]]))
    >>> metrics = ranking_metrics(np.array([[3, 2], [0, 2]]), relevant)
    >>> metrics["precision@2"].tolist(), metrics["recall@2"].tolist()
    ([0.5, 0.0], [0.5, 0.0])
    """
    rows = _check_rows(rows)
    relevant = _pattern_of(relevant, rows.shape[0])
    cutoffs = check_cutoffs(rows.shape[1] if k is None else k)
    hits = hit_matrix(rows, relevant)
    n_relevant = np.diff(relevant.indptr).astype(np.int64)
    n_recommended = (rows >= 0).cumsum(axis=1)
    if n_candidates is None:
        n_candidates = np.full(len(rows), relevant.shape[1], dtype=np.int64)

    metrics = {}
    for cutoff in cutoffs:
        metrics[f"precision@{cutoff}"] = precision(hits, cutoff)
        metrics[f"recall@{cutoff}"] = recall(hits, n_relevant, cutoff)
        metrics[f"f1@{cutoff}"] = f1(hits, n_relevant, cutoff)
        metrics[f"hit_rate@{cutoff}"] = hit_rate(hits, cutoff)
        metrics[f"map@{cutoff}"] = average_precision(hits, n_relevant, cutoff)
        metrics[f"mrr@{cutoff}"] = reciprocal_rank(hits, cutoff)
        metrics[f"ndcg@{cutoff}"] = ndcg(hits, n_relevant, cutoff)
        if graded:
            metrics[f"ndcg_graded@{cutoff}"] = graded_ndcg(rows, relevant, cutoff)
        recommended = n_recommended[:, min(cutoff, rows.shape[1]) - 1]
        metrics[f"accuracy@{cutoff}"] = accuracy(hits, n_relevant, recommended, n_candidates, cutoff)
    undefined = n_relevant == 0
    for values in metrics.values():
        values[undefined] = np.nan
    return metrics


def hit_matrix(rows: Any, relevant: Any) -> np.ndarray:
    """Which places of the lists hold a relevant item.

    Parameters
    ----------
    rows : integer array, shape (n_users, width)
        Recommended items, best first, each at most once; -1 is an empty place.
    relevant : scipy sparse, shape (n_users, n_items)
        Every stored entry is a relevant item.

    Returns
    -------
    bool array, shape (n_users, width)

    Raises
    ------
    ValueError
        If shapes disagree, a row lies outside -1..n_items-1, or a list repeats an item (which would be
        counted as two hits); TypeError if `rows` is not of an integer dtype.

    Examples
    --------
    >>> import numpy as np, scipy.sparse
    >>> hit_matrix(np.array([[2, 0, -1]]), scipy.sparse.csr_array(np.array([[1, 0, 0]]))).tolist()
    [[False, True, False]]
    """
    rows = _check_rows(rows)
    relevant = _pattern_of(relevant, rows.shape[0])
    n_items = relevant.shape[1]
    if rows.size and (rows.min() < -1 or rows.max() >= n_items):
        raise ValueError(f"[ranking_metrics] expected rows in -1..{n_items - 1}, got one outside; check rows")
    ordered = np.sort(rows, axis=1)
    repeated = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
    if repeated.any():
        user = int(np.argmax(repeated))
        raise ValueError(
            f"[ranking_metrics] expected each item once a list, got one twice in row {user}; drop it"
        )
    return _positions(rows, relevant) >= 0


def precision(hits: np.ndarray, k: int) -> np.ndarray:
    """precision@K = (sum of h(i) over i <= K) / K; also for lists shorter than K.

    Examples
    --------
    >>> precision(np.array([[True, False, True]]), 2).tolist()
    [0.5]
    """
    return _n_hits(hits, k) / k


def recall(hits: np.ndarray, n_relevant: np.ndarray, k: int) -> np.ndarray:
    """recall@K = (sum of h(i) over i <= K) / R; 0 for a user with R = 0.

    The denominator is R itself and not min(K, R), so that a user with more than K test items cannot reach 1.
    This is the Recall@20 of the BARS leaderboard.

    Examples
    --------
    >>> recall(np.array([[True, False, True]]), np.array([4]), 3).tolist()
    [0.5]
    """
    return _n_hits(hits, k) / np.maximum(n_relevant, 1)


def f1(hits: np.ndarray, n_relevant: np.ndarray, k: int) -> np.ndarray:
    """F1@K = 2 * precision@K * recall@K / (precision@K + recall@K) = 2 hits / (K + R); 0 without hits.

    The mean over users is the mean of the users' F1, not the F1 of the mean precision and recall.

    Examples
    --------
    >>> f1(np.array([[True, False, True]]), np.array([1]), 3).tolist()
    [1.0]
    """
    return 2.0 * _n_hits(hits, k) / (k + np.asarray(n_relevant))


def hit_rate(hits: np.ndarray, k: int) -> np.ndarray:
    """hit_rate@K = 1 if any of the first K places holds a relevant item, else 0.

    Examples
    --------
    >>> hit_rate(np.array([[False, False, True]]), 2).tolist()
    [0.0]
    """
    return np.asarray(hits[:, :k].any(axis=1), dtype=np.float64)


def average_precision(hits: np.ndarray, n_relevant: np.ndarray, k: int) -> np.ndarray:
    """AP@K = (sum over i <= K of h(i) * precision@i) / R; its mean over users is map@K.

    The denominator is R, all the relevant items of the user, as in `ranx` and `trec_eval`. Other libraries
    divide by min(K, R), which gives larger values wherever R > K.

    Examples
    --------
    >>> average_precision(np.array([[True, False, True]]), np.array([2]), 3).round(4).tolist()
    [0.8333]
    """
    hits = hits[:, :k]
    precisions = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    return np.sum(precisions * hits, axis=1) / np.maximum(n_relevant, 1)


def reciprocal_rank(hits: np.ndarray, k: int) -> np.ndarray:
    """RR@K = 1 / (place of the first relevant item), 0 if none is among the first K; its mean is mrr@K.

    Examples
    --------
    >>> reciprocal_rank(np.array([[False, True, True], [False, False, False]]), 3).tolist()
    [0.5, 0.0]
    """
    hits = hits[:, :k]
    return np.where(hits.any(axis=1), 1.0 / (hits.argmax(axis=1) + 1), 0.0)


def ndcg(hits: np.ndarray, n_relevant: np.ndarray, k: int) -> np.ndarray:
    """NDCG@K with binary gains: DCG = sum over i <= K of h(i) / log2(i + 1), over the best possible DCG.

    The best possible list has its first min(K, R) places relevant. This is the NDCG@20 of the BARS
    leaderboard on gowalla.

    Notes
    -----
    Source: K. Järvelin, J. Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 20(4), 2002.

    Examples
    --------
    >>> ndcg(np.array([[True, False], [False, True]]), np.array([1, 1]), 2).round(4).tolist()
    [1.0, 0.6309]
    """
    hits = hits[:, :k]
    dcg = (hits * _discounts(hits.shape[1])).sum(axis=1)
    n_ideal = np.minimum(np.asarray(n_relevant), k)
    ideal = np.concatenate([[0.0], np.cumsum(_discounts(int(n_ideal.max(initial=0))))])[n_ideal]
    return np.divide(dcg, ideal, out=np.zeros(len(dcg)), where=ideal > 0)


def graded_ndcg(rows: np.ndarray, relevant: Any, k: int) -> np.ndarray:
    """NDCG@K with graded gains: as `ndcg` with the weight of the item in place of h(i).

    The best possible list holds the user's K largest weights in falling order. The gain is the weight itself
    (Järvelin and Kekäläinen), not 2^weight - 1.

    Parameters
    ----------
    rows : int64 array, shape (n_users, width)
        Recommended items as in `hit_matrix`.
    relevant : scipy sparse, shape (n_users, n_items)
        Non-negative weights of the relevant items.

    Raises
    ------
    ValueError
        If a weight is negative or not finite.

    Examples
    --------
    >>> import scipy.sparse
    >>> weights = scipy.sparse.csr_array(np.array([[3.0, 1.0, 0.0]]))
    >>> graded_ndcg(np.array([[1, 0]]), weights, 2).round(4).tolist()
    [0.7967]
    """
    relevant = _pattern_of(relevant, rows.shape[0])
    weights = relevant.data.astype(np.float64)
    if weights.size and not (weights.min() >= 0 and np.isfinite(weights.max())):
        raise ValueError(
            "[graded_ndcg] expected finite weights of 0 or more; set relevant_from or shift the weights"
        )
    rows = rows[:, :k]
    positions = _positions(rows, relevant)
    gains = np.where(positions >= 0, np.append(weights, 0.0)[positions], 0.0)
    dcg = (gains * _discounts(rows.shape[1])).sum(axis=1)

    n_users = rows.shape[0]
    owner = np.repeat(np.arange(n_users), np.diff(relevant.indptr))
    falling = np.lexsort((-weights, owner))  # owner is sorted already, so each user's entries stay together
    place = np.arange(len(weights)) - relevant.indptr[owner]
    counted = place < k
    ideal = np.bincount(
        owner[counted], weights[falling][counted] / np.log2(place[counted] + 2.0), minlength=n_users
    )
    return np.divide(dcg, ideal, out=np.zeros(n_users), where=ideal > 0)


def accuracy(
    hits: np.ndarray, n_relevant: np.ndarray, n_recommended: np.ndarray, n_candidates: Any, k: int
) -> np.ndarray:
    """accuracy@K = (TP + TN) / candidates: how many of the candidates were put on the right side of the list.

    An item is put on the right side if it is relevant and among the first K (TP) or neither (TN):
    with L <= K items in the list, TP = hits, FP = L - hits, FN = R - hits, accuracy = 1 - (FP + FN) / C.
    C counts the items that could have been recommended to the user together with the user's relevant items.

    Notes
    -----
    On catalogues much larger than K nearly every item is a true negative, so that every model is close to 1
    and an empty list is hard to beat. Choose models by another metric.

    Examples
    --------
    >>> one = np.array([1])
    >>> accuracy(np.array([[True, False]]), 2 * one, 2 * one, 10 * one, 2).tolist()
    [0.8]
    """
    n_hits = _n_hits(hits, k)
    wrong = (n_recommended - n_hits) + (np.asarray(n_relevant) - n_hits)
    n_candidates = np.asarray(n_candidates)
    return (n_candidates - wrong) / np.maximum(n_candidates, 1)


def check_cutoffs(k: Any) -> tuple[int, ...]:
    """The lengths to judge, ascending and each once.

    Raises
    ------
    ValueError
        If there is none, or one is below 1; TypeError if one is not an integer.

    Examples
    --------
    >>> check_cutoffs([20, 10, 10])
    (10, 20)
    """
    given = list(k) if isinstance(k, Iterable) else [k]
    if not given:
        raise ValueError("[evaluate] expected at least one k, got none; give k=10")
    for cutoff in given:
        if not isinstance(cutoff, (int, np.integer)) or isinstance(cutoff, bool):
            raise TypeError(f"[evaluate] expected k as an integer, got {cutoff!r}; give k=10 or k=[10, 20]")
        if cutoff < 1:
            raise ValueError(f"[evaluate] expected k of 1 or more, got {cutoff}; give k=10")
    return tuple(sorted({int(cutoff) for cutoff in given}))


def _n_hits(hits: np.ndarray, k: int) -> np.ndarray:
    return np.count_nonzero(hits[:, :k], axis=1)


def _discounts(n: int) -> np.ndarray:
    """1 / log2(place + 1) of places 1..n."""
    return 1.0 / np.log2(np.arange(2, n + 2, dtype=np.float64))


def _check_rows(rows: Any) -> np.ndarray:
    rows = np.asarray(rows)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(
            f"[ranking_metrics] expected rows of shape (n_users, 1 or more), got {rows.shape}; reshape"
        )
    if rows.dtype.kind not in "iu":
        raise TypeError(
            f"[ranking_metrics] expected rows of an integer dtype, got {rows.dtype}; convert them"
        )
    return rows.astype(np.int64, copy=False)


def _pattern_of(relevant: Any, n_users: int) -> Any:
    """`relevant` as CSR whose entries are sorted and stand once, the caller's own array left as it is."""
    if not hasattr(relevant, "tocsr"):
        raise TypeError(
            f"[ranking_metrics] expected relevant as a scipy sparse array, got {type(relevant).__name__}; "
            "make it with scipy.sparse.csr_array"
        )
    if relevant.shape[0] != n_users:
        raise ValueError(
            f"[ranking_metrics] expected one row of relevant for each of {n_users} lists, "
            f"got {relevant.shape[0]}; align them"
        )
    matrix = relevant.tocsr()
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    return matrix


def _positions(rows: np.ndarray, relevant: Any) -> np.ndarray:
    """Where the entry (user, item) of each place stands in relevant.data, -1 where it is not stored."""
    n_users, n_items = relevant.shape
    if n_users * (n_items + 1) >= 2**63:
        raise ValueError(
            f"[ranking_metrics] expected fewer than 2^63 cells, got {relevant.shape}; use batches"
        )
    # One sorted list of user * n_items + item answers all look-ups of all users in a single binary search.
    users = np.arange(n_users, dtype=np.int64)
    stored = np.repeat(users, np.diff(relevant.indptr)) * n_items + relevant.indices
    wanted = users[:, None] * n_items + rows
    at = np.searchsorted(stored, wanted)
    found = (np.append(stored, -1)[at] == wanted) & (rows >= 0)
    return np.where(found, at, -1)

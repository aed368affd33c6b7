"""implicit's `evaluation`: splits of a matrix, and how well a model's lists meet the held-out part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...evaluation.ranking import hit_matrix
from ...progress import reporter
from ..arguments import as_count, as_csr
from .utils import check_random_state

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = [
    "AUC_at_k",
    "leave_k_out_split",
    "mean_average_precision_at_k",
    "ndcg_at_k",
    "precision_at_k",
    "ranking_metrics_at_k",
    "train_test_split",
]

_USERS_AT_ONCE = 1000


def train_test_split(
    ratings: Any, train_percentage: float = 0.8, random_state: Any = None
) -> tuple[csr_matrix, csr_matrix]:
    """Put each entry into the training part with a chance, else into the test part.

    Parameters
    ----------
    ratings : sparse matrix, shape (n_users, n_items)
    train_percentage : float
        The chance, from 0 to 1.
    random_state : int, generator or None

    Returns
    -------
    train, test : scipy `csr_matrix`, of the shape and dtype of `ratings`
        The test part holds no entry of 0 or less: such a one is no hit.

    Raises
    ------
    ValueError
        If the chance is outside 0..1.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> train, test = train_test_split(csr_matrix(np.ones((9, 9))), 0.5, random_state=0)
    >>> train.nnz + test.nnz, train.multiply(test).nnz
    (81, 0)
    """
    if not 0 <= train_percentage <= 1:
        raise ValueError(f"[train_test_split] expected train_percentage in 0..1, got {train_percentage}")
    table = as_csr(ratings, "ratings", "train_test_split").tocoo()
    in_train = check_random_state(random_state).random(table.nnz) < train_percentage
    return _part(table, in_train), _part(table, ~in_train & (table.data > 0))


def leave_k_out_split(
    ratings: Any, K: int = 1, train_only_size: float = 0.0, random_state: Any = None
) -> tuple[csr_matrix, csr_matrix]:
    """Hold out K random entries of each user who has more than K + 1.

    Parameters
    ----------
    ratings : sparse matrix, shape (n_users, n_items)
    K : int
    train_only_size : float
        Share of the users with entries, from 0 to below 1, of whom nothing is held out.
    random_state : int, generator or None
        Decides everything that is drawn.

    Returns
    -------
    train, test : scipy `csr_matrix`, of the shape and dtype of `ratings`

    Raises
    ------
    ValueError
        If K is below 1 or the share outside 0..1.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> train, test = leave_k_out_split(csr_matrix([[1, 1, 1], [1, 1, 0]]), random_state=0)
    >>> np.diff(train.indptr).tolist(), np.diff(test.indptr).tolist()
    ([2, 2], [1, 0])
    """
    K = as_count(K, "K", "leave_k_out_split")
    if not 0 <= train_only_size < 1:
        raise ValueError(f"[leave_k_out_split] expected train_only_size in 0..1, got {train_only_size}")
    matrix, random = as_csr(ratings, "ratings", "leave_k_out_split"), check_random_state(random_state)
    table, counts = matrix.tocoo(), np.diff(matrix.indptr)
    splits = counts > K + 1
    if train_only_size > 0 and (counts > 0).any():
        users = np.flatnonzero(counts)
        kept = random.choice(len(users), max(1, int(len(users) * train_only_size)), replace=False)
        splits[users[kept]] = False
    # A user's entries in a random order, of which the first K are held out.
    order = np.lexsort((random.random(table.nnz), table.row))
    place = np.empty(table.nnz, np.int64)
    place[order] = np.arange(table.nnz) - np.repeat(matrix.indptr[:-1], counts)
    held_out = splits[table.row] & (place < K)
    return _part(table, ~held_out), _part(table, held_out)


def _part(table: Any, chosen: np.ndarray) -> csr_matrix:
    from scipy.sparse import csr_matrix

    parts = table.data[chosen], (table.row[chosen], table.col[chosen])
    return csr_matrix(parts, shape=table.shape, dtype=table.dtype)


def ranking_metrics_at_k(
    model: Any,
    train_user_items: Any,
    test_user_items: Any,
    K: int = 10,
    show_progress: bool = True,
    num_threads: int = 1,
) -> dict[str, float]:
    """How well the best K items of each user meet the test items.

    Parameters
    ----------
    model : RecommenderBase
        Or whatever has its `recommend`.
    train_user_items : sparse matrix, shape (n_users, n_items)
        What `recommend` gets, and leaves out.
    test_user_items : sparse matrix, shape (n_users, n_items)
        Every stored entry is a hit.
    K : int
    show_progress : bool
        Show a bar on a terminal, if rich is installed.
    num_threads : int
        Without effect.

    Returns
    -------
    dict
        With R the number of a user's test items, over users who have any: "precision": all hits over the sum
        of min(K, R). "map": mean of the sum over hits of hits so far / place, over min(K, R). "ndcg": mean of
        the discounted gain over that of min(K, R) hits in front. "auc": mean share of the pairs of a hit and
        another item that the list puts right, the test items beyond it counting as in the middle of the rest.

    Raises
    ------
    ValueError
        If no user has a test item, or shapes differ.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> from gpurec.compat.implicit.nearest_neighbours import CosineRecommender
    >>> train, test = csr_matrix([[1, 1, 0], [1, 1, 1]]), csr_matrix([[0, 0, 1], [0, 0, 0]])
    >>> model = CosineRecommender()
    >>> model.fit(train, show_progress=False)
    >>> ranking_metrics_at_k(model, train, test, K=1, show_progress=False)["precision"]
    1.0
    """
    op = "ranking_metrics_at_k"
    K = as_count(K, "K", op)
    train, test = (
        as_csr(train_user_items, "train_user_items", op),
        as_csr(test_user_items, "test_user_items", op),
    )
    if train.shape[0] < test.shape[0]:
        raise ValueError(
            f"[{op}] expected a training row for each of {test.shape[0]} users, got {train.shape[0]}"
        )
    users = np.flatnonzero(np.diff(test.indptr))
    if len(users) == 0:
        raise ValueError(f"[{op}] expected at least one user with a test item, got none")
    parts = []
    with reporter(None if show_progress else False, "evaluate", len(users)) as report:
        for first in range(0, len(users), _USERS_AT_ONCE):
            batch = users[first : first + _USERS_AT_ONCE]
            ids, _ = model.recommend(batch, train[batch], N=K)
            parts.append(_metrics_of_lists(np.asarray(ids, np.int64), test[batch], K))
            report(first + len(batch), len(users))
    hits, most, average, gain, area = (np.concatenate(column) for column in zip(*parts))
    area = area[np.isfinite(area)]
    return {
        "precision": float(hits.sum() / most.sum()),
        "map": float(average.mean()),
        "ndcg": float(gain.mean()),
        "auc": float(area.mean()) if len(area) else float("nan"),
    }


def _metrics_of_lists(ids: np.ndarray, test: csr_matrix, K: int) -> tuple[np.ndarray, ...]:
    """Of each user: hits, the most there can be, average precision, NDCG and limited AUC."""
    n_items = test.shape[1]
    if ids.shape[1] == 0:
        ids = np.full((len(ids), 1), -1)
    # An item that the test part has no column for is no hit.
    ids = _without_repeats(np.where(ids < n_items, ids, -1)[:, :K])
    hit = hit_matrix(ids, test)
    places = np.arange(1, ids.shape[1] + 1)
    relevant = np.diff(test.indptr)
    most = np.minimum(K, relevant)
    so_far = hit.cumsum(axis=1)
    hits = so_far[:, -1]
    average = (hit * so_far / places).sum(axis=1) / most
    discounts = 1.0 / np.log2(np.arange(2, max(K, ids.shape[1]) + 2))
    gain = (hit * discounts[: ids.shape[1]]).sum(axis=1) / np.cumsum(discounts)[most - 1]
    missed = ~hit & (ids >= 0)
    others = n_items - relevant
    right = (missed * so_far).sum(axis=1) + (hits + relevant) / 2 * (others - missed.sum(axis=1))
    pairs = (relevant * others).astype(np.float64)
    area = np.divide(right, pairs, out=np.full(len(ids), np.nan), where=pairs > 0)
    return hits, most, average, gain, area


def _without_repeats(ids: np.ndarray) -> np.ndarray:
    """Lists in which an item that stands twice, as where implicit pads them, counts where it stands first."""
    order = np.argsort(ids, axis=1, kind="stable")
    rising = np.take_along_axis(ids, order, axis=1)
    repeated = np.zeros(ids.shape, bool)
    np.put_along_axis(repeated, order[:, 1:], rising[:, 1:] == rising[:, :-1], axis=1)
    return np.where(repeated, -1, ids)


def precision_at_k(
    model: Any,
    train_user_items: Any,
    test_user_items: Any,
    K: int = 10,
    show_progress: bool = True,
    num_threads: int = 1,
) -> float:
    """The precision of `ranking_metrics_at_k`."""
    return ranking_metrics_at_k(model, train_user_items, test_user_items, K, show_progress)["precision"]


def mean_average_precision_at_k(
    model: Any,
    train_user_items: Any,
    test_user_items: Any,
    K: int = 10,
    show_progress: bool = True,
    num_threads: int = 1,
) -> float:
    """The mean average precision of `ranking_metrics_at_k`."""
    return ranking_metrics_at_k(model, train_user_items, test_user_items, K, show_progress)["map"]


def ndcg_at_k(
    model: Any,
    train_user_items: Any,
    test_user_items: Any,
    K: int = 10,
    show_progress: bool = True,
    num_threads: int = 1,
) -> float:
    """The NDCG of `ranking_metrics_at_k`."""
    return ranking_metrics_at_k(model, train_user_items, test_user_items, K, show_progress)["ndcg"]


def AUC_at_k(
    model: Any,
    train_user_items: Any,
    test_user_items: Any,
    K: int = 10,
    show_progress: bool = True,
    num_threads: int = 1,
) -> float:
    """The limited AUC of `ranking_metrics_at_k`."""
    return ranking_metrics_at_k(model, train_user_items, test_user_items, K, show_progress)["auc"]

"""Metrics that look beyond the test items: how much of the catalogue the lists show, how known, how alike."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "coverage",
    "gini",
    "item_counts",
    "item_profiles",
    "list_diversity",
    "novelty",
    "self_information",
]


def item_counts(rows: np.ndarray, n_items: int) -> np.ndarray:
    """In how many lists each item stands.

    Parameters
    ----------
    rows : int64 array, shape (n_users, width)
        Recommended items; -1 is an empty place.
    n_items : int

    Returns
    -------
    int64 array, shape (n_items,)

    Examples
    --------
    >>> item_counts(np.array([[0, 2], [2, -1]]), 4).tolist()
    [1, 0, 2, 0]
    """
    return np.bincount(rows[rows >= 0], minlength=n_items).astype(np.int64)


def coverage(counts: np.ndarray) -> float:
    """Catalogue coverage: the share of all items that stand in at least one list.

    Examples
    --------
    >>> coverage(np.array([1, 0, 2, 0]))
    0.5
    """
    return float(np.count_nonzero(counts) / len(counts)) if len(counts) else float("nan")


def gini(counts: np.ndarray) -> float:
    """Gini coefficient of how often items are recommended: 0 if all alike, towards 1 if one item has it all.

    With the counts c_1 <= ... <= c_n sorted, G = sum of (2 i - n - 1) c_i / (n * sum of c_i). NaN without any
    recommendation.

    Examples
    --------
    >>> gini(np.array([5, 5, 5, 5])), gini(np.array([0, 0, 0, 8]))
    (0.0, 0.75)
    """
    n = len(counts)
    total = float(np.sum(counts))
    if total == 0:
        return float("nan")
    return float((2.0 * np.arange(1, n + 1) - n - 1) @ np.sort(counts)) / (n * total)


def self_information(user_items: Any) -> np.ndarray:
    """Self-information of each item in bits: -log2(p), p the share of training users who have the item.

    Parameters
    ----------
    user_items : scipy sparse, shape (n_users, n_items)
        The training interactions, each pair stored once.

    Returns
    -------
    float64 array, shape (n_items,)
        An item nobody has counts as one that a single user has, which is the largest value: log2(n_users).

    Notes
    -----
    Source: T. Zhou et al., Solving the apparent diversity-accuracy dilemma of recommender systems, PNAS 2010.

    Examples
    --------
    >>> import scipy.sparse
    >>> self_information(scipy.sparse.csr_array(np.array([[1, 1, 0], [1, 0, 0]]))).tolist()
    [0.0, 1.0, 1.0]
    """
    n_users, n_items = user_items.shape
    n_owners = np.bincount(user_items.tocsr().indices, minlength=n_items)
    return np.log2(max(n_users, 1)) - np.log2(np.maximum(n_owners, 1))


def novelty(rows: np.ndarray, information: np.ndarray) -> np.ndarray:
    """Novelty of each list: the mean self-information of its items, in bits; NaN for an empty list.

    Parameters
    ----------
    rows : int64 array, shape (n_users, width)
        Recommended items; -1 is an empty place.
    information : float64 array, shape (n_items,)
        From `self_information`.

    Examples
    --------
    >>> novelty(np.array([[0, 1], [1, -1]]), np.array([0.0, 1.0])).tolist()
    [0.5, 1.0]
    """
    filled = rows >= 0
    values = np.append(information, 0.0)[rows]  # -1 reads the appended zero
    n = filled.sum(axis=1)
    return np.divide(values.sum(axis=1), n, out=np.full(len(rows), np.nan), where=n > 0)


def item_profiles(user_items: Any) -> Any:
    """Items as unit vectors over the training users who have them: the binary columns of `user_items`.

    Parameters
    ----------
    user_items : scipy sparse, shape (n_users, n_items)

    Returns
    -------
    scipy CSR float64, shape (n_items, n_users)
        Row i is 1 / sqrt(owners of i) at the users who have item i; zero for an item that nobody has.

    Examples
    --------
    >>> import scipy.sparse
    >>> item_profiles(scipy.sparse.csr_array(np.array([[1, 0], [1, 0]]))).toarray().round(3).tolist()
    [[0.707, 0.707], [0.0, 0.0]]
    """
    profiles = user_items.tocsr().T.tocsr().astype(np.float64)
    n_owners = np.diff(profiles.indptr)
    profiles.data = np.repeat(1.0 / np.sqrt(np.maximum(n_owners, 1)), n_owners)
    return profiles


def list_diversity(rows: np.ndarray, profiles: Any) -> np.ndarray:
    """Intra-list diversity: 1 - the mean cosine over all pairs of different items of the list.

    Parameters
    ----------
    rows : int64 array, shape (n_users, width)
        Recommended items; -1 is an empty place.
    profiles : scipy CSR or float64 array, shape (n_items, d)
        Item vectors of length 1, or all zero for an item without a vector, whose cosine with others is 0.

    Returns
    -------
    float64 array, shape (n_users,)
        NaN for a list of fewer than two items.

    Notes
    -----
    Two ways to the same sums, the cheaper of which is taken: for the sum s of a list's m vectors, the cosines
    of its m (m - 1) ordered pairs add up to |s|^2 - (sum of |x|^2); or the cosines between the items of all
    lists, once each, and a look-up a pair. The two agree to rounding. On gowalla's 29,858 popularity lists of
    20 items the second takes 0.2 s where the first takes 20 s.
    Source: C.-N. Ziegler et al., Improving recommendation lists through topic diversification, WWW 2005.

    Examples
    --------
    >>> list_diversity(np.array([[0, 1], [0, 2]]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])).tolist()
    [1.0, 0.0]
    """
    import scipy.sparse

    profiles = scipy.sparse.csr_array(profiles)
    filled = rows >= 0
    n = filled.sum(axis=1)
    items, flat = np.unique(rows[filled], return_inverse=True)
    own = profiles[items]
    # Multiplications of either way: a list's items by their entries, or entries that share a column.
    by_sums = np.diff(own.indptr)[flat].sum()
    by_cosines = (np.bincount(own.indices).astype(np.int64) ** 2).sum()
    if by_sums <= by_cosines:
        ends = np.concatenate([[0], np.cumsum(n)])
        lists = scipy.sparse.csr_array((np.ones(len(flat)), flat, ends), shape=(len(rows), len(items)))
        pairs = _squared_lengths(lists @ own) - lists @ _squared_lengths(own)
    else:
        places = np.full(rows.shape, -1, dtype=np.int64)
        places[filled] = flat
        pairs = 2.0 * _pair_sums(places, own @ own.T)
    n_pairs = (n * (n - 1)).astype(np.float64)
    return 1.0 - np.divide(pairs, n_pairs, out=np.full(len(rows), np.nan), where=n_pairs > 0)


def _pair_sums(places: np.ndarray, cosines: Any) -> np.ndarray:
    """Sum of cosines[a, b] over the pairs of places a before b of each list, -1 left out."""
    cosines.sort_indices()
    sums = np.zeros(len(places))
    for column in range(1, places.shape[1]):
        first, second = places[:, :column], places[:, column : column + 1]
        user, earlier = np.nonzero((first >= 0) & (second >= 0))
        values = cosines[first[user, earlier], second[user, 0]]
        sums += np.bincount(user, np.asarray(values).ravel(), minlength=len(sums))
    return sums


def _squared_lengths(matrix: Any) -> np.ndarray:
    owner = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return np.bincount(owner, matrix.data**2, minlength=matrix.shape[0])

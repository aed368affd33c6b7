"""Ranks of items for a user, and what they are worth when lists are fused."""

from __future__ import annotations

import numpy as np

from ...ops import top_k

__all__ = ["ranks_among_unseen"]


def ranks_among_unseen(scores: np.ndarray, seen: tuple[np.ndarray, np.ndarray], depth: int) -> np.ndarray:
    """Rank of every item for each user, int64 (n_users, n_items): 1 is the best, 0 is beyond `depth`.

    Parameters
    ----------
    scores : float32 array, shape (n_users, n_items)
        -inf is no candidate, and has rank 0.
    seen : (indptr, rows)
        Items that each user has had. They do not push others down: an item's rank is one more than the
        number of unseen items before it, so that it is the same whether seen items may be shown or not.
    depth : int

    Examples
    --------
    >>> scores = np.float32([[3, 1, 2, -np.inf]])
    >>> ranks_among_unseen(scores, (np.array([0, 1]), np.array([0])), depth=4).tolist()
    [[1, 2, 1, 0]]
    """
    indptr, rows = seen
    owners = np.repeat(np.arange(len(scores)), np.diff(indptr))
    unseen = scores.copy()
    unseen[owners, rows] = -np.inf
    best = top_k(unseen, depth)
    ranks = np.zeros(scores.shape, np.int64)
    users, places = np.nonzero(best.rows >= 0)
    ranks[users, best.rows[users, places]] = places + 1
    there = (best.rows >= 0).sum(axis=1)
    for user in range(len(scores)):
        own = rows[indptr[user] : indptr[user + 1]]
        own = own[np.isfinite(scores[user, own])]
        # Keys rise with the score and fall with the row, so those of a list fall; none is there twice.
        listed = _keys(best.scores[user, : there[user]], best.rows[user, : there[user]])[::-1]
        before = there[user] - np.searchsorted(listed, _keys(scores[user, own], own))
        ranks[user, own] = np.where(before < depth, before + 1, 0)
    return ranks


def _keys(scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """One number that holds the order of items: higher score first, then smaller row; uint64."""
    bits = (scores + np.float32(0)).view(np.uint32)
    rising = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64)
    return (rising << np.uint64(32)) | (np.uint64(0xFFFFFFFF) - rows.astype(np.uint64))

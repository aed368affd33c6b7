"""A pool of candidates of a fixed size, for rules that order candidates anew."""

from __future__ import annotations

import numpy as np

from .candidates import Candidates

__all__ = ["Pool"]


class Pool:
    """The first `size` candidates of each user, as long as they are settled.

    Attributes
    ----------
    rows : int64 array, shape (n_users, size or fewer)
    relevance : float64 array, of the same shape
        Scores brought to 0..1 over the user's pool, 1 where all are equal; 0 where there is no item.
    """

    def __init__(self, candidates: Candidates, size: int) -> None:
        self._candidates = candidates.settled()
        self.rows = self._candidates.rows[:, :size]
        self._scores = self._candidates.scores[:, :size]
        there = self.rows >= 0
        # Users whose pool may still change are to be asked about again, with more candidates.
        self._known = self._candidates.complete | (self._candidates.sure >= size)
        self.counts = there.sum(axis=1)
        scores = self._scores.astype(np.float64)
        low = np.where(there, scores, np.inf).min(axis=1, initial=np.inf, keepdims=True)
        high = np.where(there, scores, -np.inf).max(axis=1, initial=-np.inf, keepdims=True)
        some = high > low
        with np.errstate(invalid="ignore"):
            span = np.where(some, high - low, 1)
        low = np.where(some, low, np.where(there.any(axis=1, keepdims=True), high - 1, 0))
        self.relevance = (np.where(there, scores, low) - low) / span

    def taken(self, picks: np.ndarray) -> Candidates:
        """The places of the pool that were picked, (n_users, n_picks), in this order, each at most once."""
        rows = np.take_along_axis(self.rows, picks, axis=1)
        scores = np.take_along_axis(self._scores, picks, axis=1)
        n = np.minimum(self.counts, picks.shape[1])
        # Items that were not picked yet may come after these, with scores that say nothing of the order.
        outside = np.where(self._known & (self.counts <= picks.shape[1]), -np.inf, np.inf)
        ceilings = np.repeat(outside[:, np.newaxis], 2, axis=1).astype(np.float32)
        there = np.arange(picks.shape[1]) < n[:, np.newaxis]
        return Candidates(
            np.where(there, rows, -1),
            np.where(there, scores, np.float32(-np.inf)),
            np.where(self._known, n, 0),
            ceilings,
        )

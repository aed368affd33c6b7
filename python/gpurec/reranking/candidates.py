"""What rules pass on: candidates in order, how many places of them are settled, and what could still come."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..types import TopK

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Candidates", "Context"]


@dataclass(frozen=True)
class Context:
    """What rules know beside the candidates.

    Attributes
    ----------
    user_rows : int64 array, shape (n_users,)
        Rows of the users in `user_items`; -1 is a user of whom nothing is known.
    user_items : scipy CSR, shape (n_all_users, n_items), or None
        What users have had.
    now : float
        Seconds since 1970.
    raised : bool array, shape (n_items,)
        Items whose score some rule may raise; they are candidates in a list of their own.
    """

    user_rows: np.ndarray
    user_items: csr_array | None
    now: float
    raised: np.ndarray


@dataclass(frozen=True)
class Candidates:
    """Candidates of some users, best first, and what is known of the items that are not among them.

    Attributes
    ----------
    rows : int64 array, shape (n_users, n_places)
        Rows of items; -1, after all others, where there is none.
    scores : float32 array, shape (n_users, n_places)
        -inf where there is no item.
    sure : int64 array, shape (n_users,)
        So many leading places would hold the same items however many candidates there were.
    ceilings : float32 array, shape (n_users, 2)
        No permitted item outside scores more than this: items that no rule raises, and items that one may
        raise. -inf where none is outside.

    Examples
    --------
    >>> found = TopK(np.array([[4, 2, -1]]), np.float32([[3.0, 1.0, -np.inf]]))
    >>> Candidates.all_of(found).sure.tolist()
    [2]
    """

    rows: np.ndarray
    scores: np.ndarray
    sure: np.ndarray
    ceilings: np.ndarray

    @classmethod
    def all_of(cls, found: TopK) -> Candidates:
        """Candidates beside which there are no others."""
        rows, scores = np.asarray(found.rows), np.asarray(found.scores)
        return cls(rows, scores, (rows >= 0).sum(axis=1), np.full((len(rows), 2), -np.inf, np.float32))

    @property
    def complete(self) -> np.ndarray:
        """Users of whom no permitted item is missing, bool (n_users,)."""
        return self.ceilings.max(axis=1) == -np.inf

    def ordered(self, scores: np.ndarray, ceilings: np.ndarray) -> Candidates:
        """The same candidates with other scores and ceilings, in the order of the scores, ties by row."""
        order = np.lexsort((self.rows, -scores), axis=1)
        scores = np.take_along_axis(scores, order, axis=1)
        sure = (scores > ceilings.max(axis=1, keepdims=True)).sum(axis=1)
        return Candidates(np.take_along_axis(self.rows, order, axis=1), scores, sure, ceilings)

    def settled(self) -> Candidates:
        """The sure places alone; the others count as not there."""
        there = np.arange(self.rows.shape[1]) < self.sure[:, np.newaxis]
        dropped = np.where(there, -np.inf, self.scores).max(axis=1, initial=-np.inf, keepdims=True)
        return Candidates(
            np.where(there, self.rows, -1),
            np.where(there, self.scores, np.float32(-np.inf)),
            self.sure,
            np.maximum(self.ceilings, dropped.astype(np.float32)),
        )

    def keep(self, kept: np.ndarray) -> Candidates:
        """The places of a mask (n_users, n_places) only; the others are out for good."""
        kept = kept & (self.rows >= 0)
        sure = (kept & (np.arange(kept.shape[1]) < self.sure[:, np.newaxis])).sum(axis=1)
        order = np.argsort(~kept, axis=1, kind="stable")
        rows = np.where(kept, self.rows, -1)
        scores = np.where(kept, self.scores, np.float32(-np.inf))
        return replace(
            self,
            rows=np.take_along_axis(rows, order, axis=1),
            scores=np.take_along_axis(scores, order, axis=1),
            sure=sure,
        )

    def first(self, k: int) -> TopK:
        """The first k places, padded."""
        n, m = self.rows.shape
        rows, scores = np.full((n, k), -1, np.int64), np.full((n, k), -np.inf, np.float32)
        rows[:, : min(k, m)], scores[:, : min(k, m)] = self.rows[:, :k], self.scores[:, :k]
        return TopK(rows, scores)

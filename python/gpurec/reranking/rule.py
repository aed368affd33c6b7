"""What a rule is."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from .candidates import Candidates, Context

__all__ = ["Rule"]


class Rule(ABC):
    """One rule about lists. Small, without state of its own between calls, and deterministic.

    A rule that changes scores reports the changed ones; one that chooses or reorders leaves them alone.
    """

    def wanted(self, k: int) -> int:
        """How many candidates to begin with for k places of this rule's answer."""
        return k

    def permitted(self, now: float) -> np.ndarray | None:
        """Items that may be shown, bool (n_items,), or None for all: applied inside of the search."""
        return None

    def raised(self, now: float) -> np.ndarray | None:
        """Items whose score the rule may raise, bool (n_items,), or None."""
        return None

    @property
    def most(self) -> int | None:
        """The longest list that the rule can give, or None."""
        return None

    @property
    def n_items(self) -> int | None:
        """How many items the rule knows, or None for any number."""
        return None

    def changed(self, scores: np.ndarray, item_rows: np.ndarray, now: float) -> np.ndarray:
        """The scores that items of these rows, both (n,), have under the rule; by default as they are."""
        return scores

    @abstractmethod
    def apply(self, candidates: Candidates, k: int, context: Context) -> Candidates:
        """The candidates as the rule would have them; of a list that it orders, k places are enough."""

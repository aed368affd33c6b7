"""Items that are shown only between two moments."""

from __future__ import annotations

from typing import Any

import numpy as np

from .candidates import Candidates, Context
from .item_values import item_array
from .rule import Rule

__all__ = ["Expiry"]


class Expiry(Rule):
    """Show items from `starts` on and until `ends`.

    Parameters
    ----------
    ends : array, shape (n_items,)
        Seconds since 1970, by item row: at this moment an item is shown no more. NaN or infinity is never.
    starts : array, shape (n_items,), optional
        The first moment at which an item is shown. NaN is always.

    Notes
    -----
    Exact and done inside of the search: what may not be shown is a filter there, and no candidate is lost.

    Examples
    --------
    >>> from gpurec.reranking import Pipeline
    >>> from gpurec import TopK
    >>> found = TopK(np.array([[0, 1]]), np.float32([[3, 2]]))
    >>> Pipeline([Expiry([100, np.inf])]).rerank(found, k=2, now=100).rows.tolist()
    [[1, -1]]
    """

    def __init__(self, ends: Any, starts: Any = None) -> None:
        self.ends = item_array("expiry", "ends", ends, nan=True)
        self.starts = None if starts is None else item_array("expiry", "starts", starts, nan=True)
        if self.starts is not None and len(self.starts) != len(self.ends):
            raise ValueError(
                f"[expiry] expected starts for {len(self.ends)} items, got {len(self.starts)}; see by_item"
            )

    @property
    def n_items(self) -> int:
        return len(self.ends)

    def permitted(self, now: float) -> np.ndarray:
        shown = ~(self.ends <= now)  # NaN is never
        return shown if self.starts is None else shown & ~(self.starts > now)

    def apply(self, candidates: Candidates, k: int, context: Context) -> Candidates:
        return candidates.keep(self.permitted(context.now)[candidates.rows])

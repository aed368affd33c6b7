"""Rules that change scores: factors or amounts by item, and the decay of what grows old."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .candidates import Candidates, Context
from .item_values import item_array
from .rule import Rule

__all__ = ["Boosts", "FreshnessDecay"]

_LARGEST = np.finfo(np.float32).max
_SMALLEST = np.finfo(np.float32).tiny


class _Scaled(Rule):
    """Scores times factors that may depend on the time."""

    def _factors(self, now: float) -> np.ndarray:
        raise NotImplementedError

    def _changed(self, scores: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """Scores with factors beside them, rounded once; rises with the score and with the factor."""
        wide = scores.astype(np.float64)
        changed = np.where(wide < 0, wide / factors, wide * factors)
        clipped = np.clip(changed, -_LARGEST, _LARGEST).astype(np.float32)
        return np.where(np.isneginf(scores), np.float32(-np.inf), clipped + np.float32(0))

    def _neutral(self) -> float:
        return 1.0

    def wanted(self, k: int) -> int:
        return 2 * k

    def raised(self, now: float) -> np.ndarray | None:
        raised = self._factors(now) > self._neutral()
        return raised if raised.any() else None

    def changed(self, scores: np.ndarray, item_rows: np.ndarray, now: float) -> np.ndarray:
        return self._changed(scores, self._factors(now)[item_rows])

    def apply(self, candidates: Candidates, k: int, context: Context) -> Candidates:
        factors = self._factors(context.now)
        if (factors == self._neutral()).all():
            return candidates
        scores = self._changed(candidates.scores, factors[candidates.rows])
        highest = np.array(
            [factors[group].max(initial=_SMALLEST) for group in (~context.raised, context.raised)]
        )
        return candidates.ordered(scores, self._changed(candidates.ceilings, highest))


class Boosts(_Scaled):
    """Raise or lower the scores of items.

    Parameters
    ----------
    values : array, shape (n_items,)
        By item row (`by_item` makes it of ids). Factors, above 0: a score of 0 or more is multiplied by its
        factor, a negative one divided by it, so that more than 1 always raises. Or amounts that are added.
    how : {"multiply", "add"}

    Notes
    -----
    The score reported is the changed one, in float64 and rounded once to float32. Lists are exact: raised
    items are searched for in a list of their own, and the search goes deeper until no item outside could
    come in. For amounts alone on top of item vectors, `ItemIndex(items, boost=amounts)` does the same inside
    of one search.

    Examples
    --------
    >>> from gpurec.reranking import Pipeline
    >>> from gpurec import TopK
    >>> found = TopK(np.array([[0, 1, 2]]), np.float32([[3, 2, -1]]))
    >>> Pipeline([Boosts([1, 2, 4])]).rerank(found, k=3).scores.tolist()
    [[4.0, 3.0, -0.25]]
    """

    def __init__(self, values: Any, *, how: str = "multiply") -> None:
        if how not in ("multiply", "add"):
            raise ValueError(f"[boosts] expected how of 'multiply' or 'add', got {how!r}; choose one")
        self.how = how
        self.values = item_array("boosts", "values", values, low=0 if how == "multiply" else -math.inf)
        if not np.isfinite(self.values).all():
            raise ValueError("[boosts] expected finite values, got infinity; see Expiry for items to hide")

    @property
    def n_items(self) -> int:
        return len(self.values)

    def _factors(self, now: float) -> np.ndarray:
        return self.values

    def _neutral(self) -> float:
        return 1.0 if self.how == "multiply" else 0.0

    def _changed(self, scores: np.ndarray, factors: np.ndarray) -> np.ndarray:
        if self.how == "multiply":
            return super()._changed(scores, factors)
        changed = np.clip(scores.astype(np.float64) + factors, -_LARGEST, _LARGEST).astype(np.float32)
        return np.where(np.isneginf(scores), np.float32(-np.inf), changed + np.float32(0))


class FreshnessDecay(_Scaled):
    """Halve the scores of items with every `half_life` of their age.

    Parameters
    ----------
    times : array, shape (n_items,)
        When items appeared, in seconds since 1970, by item row; NaN where nobody knows, which changes
        nothing. Items of the future are as fresh as those of now.
    half_life : float
        In seconds, above 0.

    Notes
    -----
    The factor is 2 ** (-age / half_life), at least 1e-38, and works as a factor of `Boosts`: negative scores
    are divided by it. Lists are exact: since nothing is raised, the search goes deeper until the last score
    as it is no longer reaches the list.

    Examples
    --------
    >>> from gpurec.reranking import Pipeline
    >>> from gpurec import TopK
    >>> found = TopK(np.array([[0, 1]]), np.float32([[3, 2]]))
    >>> Pipeline([FreshnessDecay([0, 7200], half_life=3600)]).rerank(found, k=2, now=7200).rows.tolist()
    [[1, 0]]
    """

    def __init__(self, times: Any, half_life: float) -> None:
        self.times = item_array("freshness", "times", times, nan=True)
        if isinstance(half_life, bool) or not isinstance(half_life, (int, float)) or not half_life > 0:
            raise ValueError(
                f"[freshness] expected a half_life above 0 seconds, got {half_life!r}; a day is 86400"
            )
        self.half_life = float(half_life)

    @property
    def n_items(self) -> int:
        return len(self.times)

    def _factors(self, now: float) -> np.ndarray:
        ages = np.where(np.isnan(self.times), 0, np.maximum(now - self.times, 0))
        return np.maximum(np.exp2(-ages / self.half_life), _SMALLEST)

"""What a trial is judged by: a metric of lists or of ratings, by name."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..evaluation import evaluate, evaluate_ratings

if TYPE_CHECKING:
    from ..data import Interactions
    from ..models import Recommender

__all__ = ["LIST_METRICS", "RATING_METRICS", "Metric"]

RATING_METRICS = ("rmse", "mse", "mae")
LIST_METRICS = ("precision", "recall", "f1", "hit_rate", "map", "mrr", "ndcg")

_OF_LISTS = re.compile(rf"({'|'.join(LIST_METRICS)})@([1-9][0-9]{{0,5}})", re.ASCII)


@dataclass(frozen=True)
class Metric:
    """A metric of `gpurec.evaluation` that models are compared by.

    Parameters
    ----------
    name : str
        "rmse", "mse", "mae", or one of "precision", "recall", "f1", "hit_rate", "map", "mrr" and "ndcg" with
        the length of the lists: "recall@20".
    relevant_from : float, optional
        For lists: a pair is relevant if its weight is at least this; otherwise every one is.

    Raises
    ------
    ValueError
        If there is no such metric, or ratings are to be relevant from somewhere.

    Examples
    --------
    >>> Metric("rmse").lower_is_better, Metric("recall@20").of_ratings
    (True, False)
    """

    name: str
    relevant_from: float | None = None

    def __post_init__(self) -> None:
        if not (self.of_ratings or _OF_LISTS.fullmatch(self.name)):
            raise ValueError(
                f"[tune] expected a metric of {', '.join(RATING_METRICS)}, or of {', '.join(LIST_METRICS)} "
                f"with @K, got {self.name!r:.60}; choose one, such as ndcg@20"
            )
        if self.of_ratings and self.relevant_from is not None:
            raise ValueError(
                f"[tune] expected no relevant_from with {self.name}, which is of all ratings; leave it out"
            )

    @property
    def of_ratings(self) -> bool:
        """Whether it is an error of ratings."""
        return self.name in RATING_METRICS

    @property
    def lower_is_better(self) -> bool:
        """Whether it is an error, rather than a gain."""
        return self.of_ratings

    def best(self, values: list[float]) -> float:
        """The best of some values."""
        return min(values) if self.lower_is_better else max(values)

    def measure(self, model: Recommender, part: Interactions) -> float:
        """The metric of a fitted model on a part that it has not seen.

        Raises
        ------
        ValueError
            If no pair of the part is relevant, or the metric is not a finite number.
        """
        if self.of_ratings:
            value = getattr(evaluate_ratings(model, part), self.name)
        else:
            (k,) = map(int, _OF_LISTS.fullmatch(self.name).groups()[1:])  # type: ignore[union-attr]
            judged = evaluate(model, part, k=k, relevant_from=self.relevant_from, progress=False)
            value = judged.mean(self.name)
        if not math.isfinite(value):
            raise ValueError(f"[tune] expected a finite {self.name}, got {value}; look at the settings")
        return float(value)

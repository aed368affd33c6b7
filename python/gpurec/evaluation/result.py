"""The result of an evaluation: per-user values first, means and intervals from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .bootstrap import Interval, bootstrap_interval
from .ratings import RatingErrors

__all__ = ["Evaluation"]

_RATING_METRICS = ("rmse", "mse", "mae")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How well a model did on a test part.

    Attributes
    ----------
    name : str
        Of the model.
    user_ids : array, shape (n_users,)
        Users with at least one relevant test item, in the order of the test part's user rows.
    per_user : dict of str to float64 array, shape (n_users,)
        `precision@10` and so on: one value a user. NaN where a value is undefined (the novelty of an empty
        list).
    overall : dict of str to float
        Metrics of all lists together: `coverage@10`, `gini@10`.
    ratings : RatingErrors or None
        For models that predict ratings.
    recommend_seconds : float
        Wall time spent in the model's `recommend_rows`.
    n_unknown_users, n_unknown_items : int
        Users and items of the relevant test pairs that the model has never seen. They are counted in all
        metrics.
    """

    name: str
    user_ids: np.ndarray
    per_user: dict[str, np.ndarray]
    overall: dict[str, float]
    ratings: RatingErrors | None
    recommend_seconds: float
    n_unknown_users: int = 0
    n_unknown_items: int = 0

    @property
    def metrics(self) -> list[str]:
        """Names of all metrics: per user, overall, ratings."""
        rating_metrics = [] if self.ratings is None else list(_RATING_METRICS)
        return [*self.per_user, *self.overall, *rating_metrics]

    def mean(self, metric: str) -> float:
        """The metric over all users: the mean of its per-user values, or what stands for that.

        Users with an undefined value are left out; NaN if no user has one. `rmse`, `mse` and `mae` are taken
        over all ratings, not over users.

        Raises
        ------
        ValueError
            If there is no such metric.
        """
        if metric in self.per_user:
            values = self.per_user[metric]
            values = values[~np.isnan(values)]
            return float(values.mean()) if values.size else float("nan")
        if metric in self.overall:
            return self.overall[metric]
        if metric in _RATING_METRICS and self.ratings is not None:
            return float(getattr(self.ratings, metric))
        raise ValueError(
            f"[evaluation] expected a metric of {self.metrics}, got {metric!r}; take one of those"
        )

    def interval(
        self, metric: str, *, level: float = 0.95, n_resamples: int = 1000, random_state: int = 0
    ) -> Interval:
        """Bootstrap interval of a metric over users; see `bootstrap_interval`.

        Raises
        ------
        ValueError
            If there is no such metric, or it is one of `overall`, which has no per-user values.
        """
        values, counts, root = self._columns(metric)
        return bootstrap_interval(
            values, counts=counts, root=root, level=level, n_resamples=n_resamples, random_state=random_state
        )

    def difference(
        self,
        other: Evaluation,
        metric: str,
        *,
        level: float = 0.95,
        n_resamples: int = 1000,
        random_state: int = 0,
    ) -> Interval:
        """Paired bootstrap interval of the metric here minus there, over the users of both.

        Two intervals may overlap while this one excludes zero: users differ from each other more than models
        do on one user.

        Raises
        ------
        ValueError
            As for `interval`, or if the two evaluations are not over the same users in the same order.
        """
        mine, counts, root = self._columns(metric)
        theirs, their_counts, _ = other._columns(metric)
        same = np.array_equal(self._users(metric), other._users(metric))
        if counts is not None and their_counts is not None:
            same = same and np.array_equal(counts, their_counts)
        if not same:
            raise ValueError(
                "[evaluation] expected both evaluations over the same test users, got different ones; "
                "evaluate both models on one test part"
            )
        return bootstrap_interval(
            mine,
            minus=theirs,
            counts=counts,
            root=root,
            level=level,
            n_resamples=n_resamples,
            random_state=random_state,
        )

    def to_dict(self) -> dict[str, Any]:
        """Means by name (`precision@10`, ..., `rmse`), counts and time, ready for JSON; undefined is None."""
        out: dict[str, Any] = {}
        for metric in self.metrics:
            value = self.mean(metric)
            out[metric] = None if np.isnan(value) else value
        out["n_users"] = len(self.user_ids)
        out["n_unknown_users"] = self.n_unknown_users
        out["n_unknown_items"] = self.n_unknown_items
        out["recommend_seconds"] = self.recommend_seconds
        return out

    def _columns(self, metric: str) -> tuple[np.ndarray, np.ndarray | None, bool]:
        """What the bootstrap needs for a metric: per-user values or sums, counts of sums, root or not."""
        if metric in self.per_user:
            return self.per_user[metric], None, False
        if metric in self.overall:
            raise ValueError(
                f"[evaluation] expected a metric with per-user values, got {metric!r}, which is a property "
                "of all lists together; ask for another"
            )
        self.mean(metric)  # raises for an unknown name
        assert self.ratings is not None
        sums = self.ratings.absolute if metric == "mae" else self.ratings.squared
        return sums, self.ratings.n_ratings, metric == "rmse"

    def _users(self, metric: str) -> np.ndarray:
        if metric in self.per_user or self.ratings is None:
            return self.user_ids
        return self.ratings.user_ids

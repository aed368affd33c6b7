"""Bootstrap intervals: how far a mean over users would move had other users been drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Interval", "bootstrap_interval", "resampled_sums"]


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval around it.

    Attributes
    ----------
    estimate : float
        The value on the users as they are.
    low, high : float
        Bounds of the interval.
    level : float
        Share of resamples within the bounds, 0.95 for a 95 % interval.
    """

    estimate: float
    low: float
    high: float
    level: float = 0.95

    def excludes_zero(self) -> bool:
        """Whether 0 lies outside: a difference is then larger than the choice of users explains."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.estimate:.4f} [{self.low:.4f}, {self.high:.4f}]"


def bootstrap_interval(
    values: Any,
    *,
    counts: Any = None,
    minus: Any = None,
    root: bool = False,
    level: float = 0.95,
    n_resamples: int = 1000,
    random_state: int = 0,
) -> Interval:
    """Percentile bootstrap interval of a mean over users, or of the difference of two means.

    Parameters
    ----------
    values : float64 array, shape (n_users,)
        The metric of each user, or with `counts` its sum over the user's ratings. Users with NaN are left
        out.
    counts : array, shape (n_users,), optional
        How many ratings went into each sum; the mean is then sum(values) / sum(counts), and users are drawn
        with all their ratings (which are not independent of each other).
    minus : float64 array, shape (n_users,), optional
        The same of another model on the same users: the interval is that of the difference, paired, since
        both models meet the same users in every resample.
    root : bool
        Take the square root of each mean (RMSE from squared errors).
    level : float
        Between 0 and 1.
    n_resamples : int
        How many samples of n_users users are drawn, with replacement.
    random_state : int
        Seed; equal seeds give equal intervals.

    Raises
    ------
    ValueError
        If there is no user with a value, shapes differ, or `level` or `n_resamples` is out of range.

    Notes
    -----
    Source: B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    Examples
    --------
    >>> bootstrap_interval(np.array([0.5, 0.5, 0.5]))
    Interval(estimate=0.5, low=0.5, high=0.5, level=0.95)
    >>> bootstrap_interval(np.array([0.7, 0.9]), minus=np.array([0.2, 0.4])).excludes_zero()
    True
    """
    if not 0 < level < 1:
        raise ValueError(f"[bootstrap] expected level between 0 and 1, got {level}; give 0.95")
    columns = [np.asarray(values, dtype=np.float64)]
    if minus is not None:
        columns.append(np.asarray(minus, dtype=np.float64))
    columns.append(np.ones_like(columns[0]) if counts is None else np.asarray(counts, dtype=np.float64))
    if any(column.ndim != 1 or column.shape != columns[0].shape for column in columns):
        shapes = [column.shape for column in columns]
        raise ValueError(f"[bootstrap] expected arrays of one shape (n_users,), got {shapes}; align them")
    table = np.column_stack(columns)
    table = table[~np.isnan(table).any(axis=1)]
    if len(table) == 0:
        raise ValueError("[bootstrap] expected at least one user with a value, got none")

    def statistic(sums: np.ndarray) -> np.ndarray:
        means = sums[..., :-1] / sums[..., -1:]
        means = np.sqrt(means) if root else means
        return means[..., 0] - means[..., 1] if minus is not None else means[..., 0]

    estimate = float(statistic(table.sum(axis=0)))
    resamples = statistic(resampled_sums(table, n_resamples, random_state))
    low, high = np.quantile(resamples, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), level)


def resampled_sums(table: np.ndarray, n_resamples: int = 1000, random_state: int = 0) -> np.ndarray:
    """Column sums of `n_resamples` samples of the rows of a table, drawn with replacement.

    Parameters
    ----------
    table : float64 array, shape (n_users, n_columns)
        One draw of users serves all columns, which keeps what belongs to one user together.
    n_resamples, random_state : int
        As in `bootstrap_interval`.

    Returns
    -------
    float64 array, shape (n_resamples, n_columns)

    Examples
    --------
    >>> resampled_sums(np.ones((5, 1)), 3).ravel().tolist()
    [5.0, 5.0, 5.0]
    """
    if n_resamples < 1:
        raise ValueError(f"[bootstrap] expected n_resamples of 1 or more, got {n_resamples}; give 1000")
    generator = np.random.default_rng(random_state)
    n_users = len(table)
    sums = np.empty((n_resamples, table.shape[1]))
    for resample in range(n_resamples):
        drawn = generator.integers(0, n_users, size=n_users)
        sums[resample] = np.bincount(drawn, minlength=n_users) @ table
    return sums

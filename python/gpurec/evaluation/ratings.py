"""Errors of predicted ratings against the actual ones, in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["RatingErrors", "mae", "mse", "rating_errors", "rmse"]


@dataclass(frozen=True, eq=False)
class RatingErrors:
    """Rating errors added up per user, from which the metrics and their intervals come.

    Attributes
    ----------
    user_ids : array, shape (n_users,)
        Users with at least one test rating.
    n_ratings : int64 array, shape (n_users,)
    squared : float64 array, shape (n_users,)
        Sum of (actual - predicted)^2 over the user's test ratings.
    absolute : float64 array, shape (n_users,)
        Sum of |actual - predicted| over the user's test ratings.
    """

    user_ids: np.ndarray
    n_ratings: np.ndarray
    squared: np.ndarray
    absolute: np.ndarray

    @property
    def mse(self) -> float:
        """Mean squared error over all ratings, each rating with the same weight."""
        return float(self.squared.sum() / self.n_ratings.sum())

    @property
    def rmse(self) -> float:
        """Square root of `mse`."""
        return float(np.sqrt(self.mse))

    @property
    def mae(self) -> float:
        """Mean absolute error over all ratings, each rating with the same weight."""
        return float(self.absolute.sum() / self.n_ratings.sum())


def mse(actual: Any, predicted: Any) -> float:
    """Mean squared error: the mean of (actual - predicted)^2 over all ratings.

    Parameters
    ----------
    actual, predicted : array, shape (n,)
        Ratings; widened to float64.

    Raises
    ------
    ValueError
        If the shapes differ, there is no rating, or one is NaN or infinite.

    Examples
    --------
    >>> mse([4.0, 2.0], [3.0, 5.0])
    5.0
    """
    return float(np.mean(_errors(actual, predicted) ** 2))


def rmse(actual: Any, predicted: Any) -> float:
    """Root mean squared error: the square root of `mse`.

    Examples
    --------
    >>> rmse([4.0, 2.0], [1.0, 5.0])
    3.0
    """
    return float(np.sqrt(mse(actual, predicted)))


def mae(actual: Any, predicted: Any) -> float:
    """Mean absolute error: the mean of |actual - predicted| over all ratings.

    Examples
    --------
    >>> mae([4.0, 2.0], [3.0, 5.0])
    2.0
    """
    return float(np.mean(np.abs(_errors(actual, predicted))))


def rating_errors(user_ids: np.ndarray, user_rows: np.ndarray, actual: Any, predicted: Any) -> RatingErrors:
    """Add the rating errors up per user.

    Parameters
    ----------
    user_ids : array, shape (n_users,)
        Id of each user row.
    user_rows : int64 array, shape (n,)
        User of each rating.
    actual, predicted : array, shape (n,)
        Ratings; widened to float64.

    Raises
    ------
    ValueError
        As for `mse`.

    Examples
    --------
    >>> errors = rating_errors(np.array(["ann", "bob"]), np.array([1, 1]), [4.0, 2.0], [3.0, 5.0])
    >>> errors.user_ids.tolist(), errors.squared.tolist(), errors.mae
    (['bob'], [10.0], 2.0)
    """
    errors = _errors(actual, predicted)
    n_ratings = np.bincount(user_rows, minlength=len(user_ids)).astype(np.int64)
    rated = np.flatnonzero(n_ratings)
    return RatingErrors(
        user_ids=user_ids[rated],
        n_ratings=n_ratings[rated],
        squared=np.bincount(user_rows, errors**2, minlength=len(user_ids))[rated],
        absolute=np.bincount(user_rows, np.abs(errors), minlength=len(user_ids))[rated],
    )


def _errors(actual: Any, predicted: Any) -> np.ndarray:
    actual = np.asarray(actual, dtype=np.float64)
    predicted = np.asarray(predicted, dtype=np.float64)
    if actual.ndim != 1 or actual.shape != predicted.shape:
        raise ValueError(
            f"[rmse] expected actual and predicted of one shape (n,), got {actual.shape} and "
            f"{predicted.shape}; align them"
        )
    if actual.size == 0:
        raise ValueError("[rmse] expected at least one rating, got none; give a test part with ratings")
    errors = actual - predicted
    if not np.isfinite(errors).all():
        place = int(np.argmin(np.isfinite(errors)))
        raise ValueError(
            f"[rmse] expected finite ratings, got {actual[place]} predicted as {predicted[place]} "
            f"at position {place}; clean the test part or look at the model"
        )
    return errors

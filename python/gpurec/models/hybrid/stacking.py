"""Weights of models learnt from a part that they have not seen: regularised linear learners."""

from __future__ import annotations

import numpy as np

__all__ = ["choice_weights", "ridge_weights"]

_MOST_STEPS = 50
_CONVERGED = 1e-9


def ridge_weights(scores: np.ndarray, ratings: np.ndarray, l2: float) -> tuple[np.ndarray, float]:
    """Weights w and a constant c with the least |ratings - scores w - c|^2 + l2 |w - 1/n_models|^2.

    Parameters
    ----------
    scores : float64 array, shape (n, n_models)
    ratings : float64 array, shape (n,)
    l2 : float
        Above 0: pulls to the plain mean of the models.

    Examples
    --------
    >>> weights, constant = ridge_weights(np.array([[1.0, 5], [2, 3], [3, 4]]), np.array([1.0, 2, 3]), 1e-9)
    >>> weights.round(6).tolist(), abs(round(constant, 6))
    ([1.0, 0.0], 0.0)
    """
    start = np.full(scores.shape[1], 1 / scores.shape[1])
    means = scores.mean(axis=0)
    centred = scores - means
    left = ratings - scores @ start
    weights = start + np.linalg.solve(
        _products(centred, centred) + l2 * np.eye(len(start)), _products(centred, left[:, np.newaxis])[:, 0]
    )
    return weights, float(ratings.mean() - means @ weights)


def choice_weights(scores: np.ndarray, chosen: np.ndarray, indptr: np.ndarray, l2: float) -> np.ndarray:
    """Weights of a conditional logistic model: a user's choices among candidates, given their scores.

    The largest sum over users and chosen items of log softmax(scores w), less l2 / 2 |w|^2; a constant of a
    user cancels out.

    Parameters
    ----------
    scores : float64 array, shape (n, n_models)
        Candidates, user by user.
    chosen : bool array, shape (n,)
    indptr : int64 array, shape (n_users + 1,)
        Candidates of user u are `indptr[u]` to `indptr[u + 1] - 1`; each has at least one.
    l2 : float
        Above 0.

    Notes
    -----
    Newton's method with halved steps; the function is strictly concave, so there is one answer.

    Source: McFadden 1974, "Conditional logit analysis of qualitative choice behavior".

    Examples
    --------
    >>> scores = np.array([[2.0, 0], [1, 1], [3, 1], [1, 2]])
    >>> chosen = np.array([True, False, True, False])
    >>> choice_weights(scores, chosen, np.array([0, 2, 4]), 1.0).round(3).tolist()
    [0.595, -0.43]
    """
    starts, owners = indptr[:-1], np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    n_chosen = np.add.reduceat(chosen.astype(np.float64), starts)
    wanted = scores[chosen].sum(axis=0)
    weights = np.zeros(scores.shape[1])

    def shares_of(weights: np.ndarray) -> tuple[np.ndarray, float]:
        """Probabilities of candidates, and the function's value."""
        values = (scores * weights).sum(axis=1)
        values -= np.maximum.reduceat(values, starts)[owners]
        powers = np.exp(values)
        sums = np.add.reduceat(powers, starts)
        log_likelihood = values[chosen].sum() - (n_chosen * np.log(sums)).sum()
        return powers / sums[owners], float(log_likelihood - l2 / 2 * (weights * weights).sum())

    shares, value = shares_of(weights)
    for _ in range(_MOST_STEPS):
        expected = np.add.reduceat(scores * shares[:, np.newaxis], starts)
        gradient = wanted - (n_chosen[:, np.newaxis] * expected).sum(axis=0) - l2 * weights
        off = scores - expected[owners]
        curvature = _products(off * (shares * n_chosen[owners])[:, np.newaxis], off) + l2 * np.eye(
            len(weights)
        )
        step = np.linalg.solve(curvature, gradient)
        while True:
            new_shares, new_value = shares_of(weights + step)
            if new_value >= value or np.abs(step).max() < _CONVERGED:
                break
            step /= 2
        weights, shares, value = weights + step, new_shares, new_value
        if np.abs(step).max() <= _CONVERGED * max(1.0, np.abs(weights).max()):
            break
    return weights


def _products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a' b by sums whose order does not depend on the number of threads, as BLAS's may."""
    return np.array([[(column * other).sum() for other in b.T] for column in a.T])

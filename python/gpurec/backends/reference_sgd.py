"""Stochastic gradient descent in NumPy float32, rating by rating: the bits that every backend must give."""

from __future__ import annotations

import numpy as np

__all__ = ["sgd_epoch"]

LANES = 8


def sgd_epoch(
    user_rows: np.ndarray,
    item_rows: np.ndarray,
    ratings: np.ndarray,
    user_factors: np.ndarray,
    item_factors: np.ndarray,
    user_biases: np.ndarray,
    item_biases: np.ndarray,
    user_shrink: np.ndarray,
    item_shrink: np.ndarray,
    *,
    factor_rate: float,
    factor_penalty: float,
    bias_rate: float,
    bias_penalty: float,
) -> float:
    """Visit each rating in turn, moving factors and biases in place; see `gpurec.ops.sgd.sgd_epoch`.

    Notes
    -----
    Every operand below is a float32 scalar or array, so every operation is rounded to float32 on its own.
    """
    factor_step, bias_step = np.float32(factor_rate), np.float32(bias_rate)
    factor_decay = factor_step * np.float32(factor_penalty)
    bias_decay = bias_step * np.float32(bias_penalty)
    squared_errors = 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # a descent that diverges is seen in the result
        for user, item, rating in zip(user_rows.tolist(), item_rows.tolist(), ratings):
            p, q = user_factors[user].copy(), item_factors[item].copy()
            bias_p, bias_q = user_biases[user], item_biases[item]
            shrink_p, shrink_q = user_shrink[user], item_shrink[item]

            error = rating - ((bias_p + bias_q) + _dot_in_lanes(p, q))
            squared_errors += float(error) * float(error)

            user_biases[user] = bias_p + (bias_step * error - (bias_decay * shrink_p) * bias_p)
            item_biases[item] = bias_q + (bias_step * error - (bias_decay * shrink_q) * bias_q)
            step = factor_step * error
            user_factors[user] = p + (step * q - (factor_decay * shrink_p) * p)
            item_factors[item] = q + (step * p - (factor_decay * shrink_q) * q)
    return squared_errors


def _dot_in_lanes(p: np.ndarray, q: np.ndarray) -> np.float32:
    lanes = np.zeros(LANES, dtype=np.float32)
    for first in range(0, len(p), LANES):
        products = p[first : first + LANES] * q[first : first + LANES]
        lanes[: len(products)] += products
    half = LANES // 2
    while half:
        lanes = lanes[:half] + lanes[half:]
        half //= 2
    return lanes[0]

"""Stochastic gradient descent for ratings: each visit moves the vectors of its user and item."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .....ops.sgd import FactorTable, SgdRates, sgd_epoch
from ..moments import Moments
from .records import Ratings

__all__ = ["Descent"]

# A native call that visits this many factors takes about 0.1 s, so Ctrl-C is never far away.
_FACTORS_PER_CALL = 1 << 26
# The seed of the order comes from the model's seed and this.
_ORDER = 2


class Descent:
    """Epochs over some ratings, with the settings of `MF`.

    Attributes
    ----------
    epoch : int
        Epochs made.
    tables : dict of str to float32 array
        All that an epoch starts from and changes, in place.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        ratings: Ratings,
        user_rows: Moments,
        item_rows: Moments,
        start: np.random.Generator,
    ) -> None:
        self.epoch = 0
        self._settings, self._scale, self._mean = settings, ratings.scale, ratings.mean
        # One order for all epochs: another one for each brings nothing, and takes longer than the visits.
        seeds = np.random.SeedSequence(settings["random_state"], spawn_key=(_ORDER,))
        order = np.random.Generator(np.random.PCG64(seeds)).permutation(len(ratings))
        scaled = ((ratings.weights - self._mean) / self._scale).astype(np.float32, copy=False)
        self._visits = ratings.user_rows[order], ratings.item_rows[order], scaled[order]
        self._users = _new_table(settings, start, ratings.user_rows, user_rows.n)
        self._items = _new_table(settings, start, ratings.item_rows, item_rows.n)
        self.tables = {
            f"{name}.{table}": getattr(side, table)
            for name, side in (("users", self._users), ("items", self._items))
            for table in ("factors", "biases")
        }

    def step(self) -> dict[str, float]:
        """Make an epoch; its metrics."""
        settings = self._settings
        decay = settings["learning_rate_decay"] ** self.epoch
        rates = SgdRates(
            factor_rate=settings["learning_rate"] * decay,
            factor_penalty=settings["penalty"],
            bias_rate=settings["bias_learning_rate"] * decay,
            bias_penalty=settings["bias_penalty"],
        )
        self.epoch += 1
        n, squared_errors = len(self._visits[0]), 0.0
        visits_per_call = max(1, _FACTORS_PER_CALL // (settings["n_factors"] + 16))
        for first in range(0, n, visits_per_call):
            users, items, values = (part[first : first + visits_per_call] for part in self._visits)
            squared_errors += sgd_epoch(users, items, values, self._users, self._items, rates)
        if not all(np.isfinite(table).all() for table in self.tables.values()):
            raise ValueError(
                f"[mf] expected a descent that converges, got infinite values in epoch {self.epoch}; "
                "lower learning_rate and bias_learning_rate, or take outliers from the weights"
            )
        return {
            "learning_rate": rates.factor_rate,
            "train_rmse": self._scale * math.sqrt(squared_errors / n),
        }

    def learnt(self) -> dict[str, Any]:
        """Factors, biases and the mean, in the unit of the ratings."""
        scale, root = np.float32(self._scale), np.float32(math.sqrt(self._scale))
        return {
            "user_factors": self._users.factors * root,
            "item_factors": self._items.factors * root,
            "user_biases": self._users.biases * scale,
            "item_biases": self._items.biases * scale,
            "mean": self._mean,
        }


def _new_table(
    settings: dict[str, Any], start: np.random.Generator, rows: np.ndarray, n_rows: int
) -> FactorTable:
    counts = np.bincount(rows, minlength=n_rows)
    factors = start.random((n_rows, settings["n_factors"]), dtype=np.float32)
    factors -= np.float32(0.5)
    factors *= np.float32(settings["init_scale"] * math.sqrt(12))  # uniform on (0, 1): variance 1/12
    factors[counts == 0] = 0
    shrink = (1 / np.sqrt(np.maximum(counts, 1))).astype(np.float32)
    return FactorTable(factors, np.zeros(n_rows, dtype=np.float32), shrink)

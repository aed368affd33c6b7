"""Alternating least squares for ratings: one side's vectors where the loss is least, then the other's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .....backends import GibbsSide
from .....ops import GibbsDraw, gibbs_half_sweep
from .....ops.sparse_arguments import transposed
from ..implicit import features_of
from .records import Ratings

__all__ = ["Alternation"]

_CHANGED = ("own", "vectors", "weights")


class Alternation:
    """Sweeps over some ratings, with the settings of `MF`.

    Attributes
    ----------
    epoch : int
        Sweeps made.
    tables : dict of str to float64 array
        All that a sweep starts from and changes, in place.

    Notes
    -----
    The loss is the sum of squared errors and of penalties times squares. Every step takes some of the
    unknowns to where the loss is least, so it never rises but for rounding.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        ratings: Ratings,
        n_users: int,
        n_items: int,
        start: np.random.Generator,
    ) -> None:
        self.epoch = 0
        self._mean, self._scale = ratings.mean, ratings.scale
        matrix = ratings.matrix(n_users, n_items)
        scaled = ((matrix.values - self._mean) / self._scale).astype(np.float32)
        self._by_users = matrix.with_values(scaled)
        self._by_items = transposed(self._by_users)
        n_factors, implicit = settings["n_factors"], settings["implicit"]
        own = [settings["als_bias_penalty"], *[settings["als_penalty"]] * n_factors]
        of_features = [settings["implicit_bias_penalty"], *[settings["implicit_penalty"]] * n_factors]
        sides = []
        both = {"users": (self._by_users, self._by_items), "items": (self._by_items, self._by_users)}
        for name, (rows, others) in both.items():
            side = GibbsSide.of(rows.n_rows, n_factors + 1, features_of(rows, others, implicit, name))
            side.own[:, 1:] = settings["als_init_scale"] * start.standard_normal((rows.n_rows, n_factors))
            side.own[rows.lengths == 0] = 0
            side.vectors[:] = side.own
            side.prior_precisions[0], side.prior_precisions[1:] = own, of_features
            sides.append(side)
        self._users, self._items = sides
        self.tables = {
            f"{name}.{table}": getattr(side, table)
            for name, side in zip(("users", "items"), sides)
            for table in _CHANGED
        }

    def step(self) -> dict[str, float]:
        """Make a sweep; its metrics."""
        users, items = self._users, self._items
        gibbs_half_sweep(self._by_items, users, items, GibbsDraw(0, self.epoch, 1, random=False))
        errors = gibbs_half_sweep(self._by_users, items, users, GibbsDraw(0, self.epoch, 0, random=False))
        self.epoch += 1
        squared = float(np.add.accumulate(errors)[-1])
        loss = squared + _penalty(users) + _penalty(items)
        return {
            "loss": loss * self._scale**2,
            "train_rmse": self._scale * math.sqrt(max(squared, 0) / len(self._by_users.values)),
        }

    def learnt(self) -> dict[str, Any]:
        """Factors, biases and the mean, in the unit of the ratings."""
        root = math.sqrt(self._scale)
        users, items = self._users.vectors, self._items.vectors
        return {
            "user_factors": (users[:, 1:] * root).astype(np.float32),
            "item_factors": (items[:, 1:] * root).astype(np.float32),
            "user_biases": (users[:, 0] * self._scale).astype(np.float32),
            "item_biases": (items[:, 0] * self._scale).astype(np.float32),
            "mean": self._mean,
        }


def _penalty(side: GibbsSide) -> float:
    of_rows = (side.prior_precisions[0] * np.square(side.own)).sum()
    return float(of_rows + (side.prior_precisions[1:] * np.square(side.weights)).sum())

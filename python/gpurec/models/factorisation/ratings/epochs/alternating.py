"""Alternating least squares for ratings: one side's vectors where the loss is least, then the other's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .....backends import GibbsSide
from .....ops import GibbsDraw, gibbs_half_sweep
from .....ops.sparse_arguments import transposed
from ..moments import Moments
from ..side_features import side_features
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
        user_rows: Moments,
        item_rows: Moments,
        start: np.random.Generator,
    ) -> None:
        self.epoch = 0
        self._mean, self._scale = ratings.mean, ratings.scale
        matrix = ratings.matrix(user_rows.n_rows, item_rows.n_rows)
        scaled = ((matrix.values - self._mean) / self._scale).astype(np.float32)
        self._by_users = matrix.with_values(scaled)
        self._by_items = transposed(self._by_users)
        rated, rating = self._by_users, self._by_items
        if user_rows.days or item_rows.days:
            rated = ratings.pairs(user_rows.owners, item_rows.owners, (user_rows.n, item_rows.n))
            rating = transposed(rated)
        n_factors, implicit = settings["n_factors"], settings["implicit"]
        penalties = {
            name: [settings[f"{name}_bias_penalty"], *[settings[f"{name}_penalty"]] * n_factors]
            for name in ("als", "implicit", "time")
        }
        sides = []
        both = {"users": (user_rows, rated, rating), "items": (item_rows, rating, rated)}
        for name, (rows, these, others) in both.items():
            features = side_features(rows, these, others, implicit, name, [])
            side = GibbsSide.of(rows.n_rows, n_factors + 1, *features, rows.shared)
            first = settings["als_init_scale"] * start.standard_normal((rows.n, n_factors))
            first[these.lengths == 0] = 0
            if rows.days:  # a row's own part is what its time adds to the first group, whose row it is
                side.weights[: rows.n, 1:] = first
                of_groups = [penalties["time"], penalties["als"], penalties["implicit"]]
            else:
                side.own[:, 1:] = first
                of_groups = [penalties["als"], penalties["implicit"]]
            side.vectors[:, 1:] = first[rows.owners]
            side.prior_precisions[:] = of_groups[: len(side.prior_precisions)]
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
    of_features = side.prior_precisions[side.groups]
    return float(of_rows + (of_features * np.square(side.weights)).sum())

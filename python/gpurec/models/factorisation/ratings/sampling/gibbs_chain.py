"""A Markov chain over the tables of a Bayesian factorisation: what a sweep draws, and where it can go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .....backends import GibbsSide, SparseRows
from .....ops import GibbsDraw, gibbs_half_sweep
from .....ops.sparse_arguments import transposed
from ..moments import Moments

__all__ = ["GibbsChain"]

Features = tuple[SparseRows | None, np.ndarray | None]

# Where the chain starts: factors of this deviation, in units of the ratings', and no bias.
_START = 0.1
# Gamma and normal distributions that priors have: worth one row each.
_SHAPE, _RATE, _ROWS = 1.0, 1.0, 1.0


@dataclass
class GibbsChain:
    """The state of the chain.

    Attributes
    ----------
    by_users, by_items : SparseRows
        Ratings less their mean, in units of their standard deviation, by users and by items.
    users, items : GibbsSide
    user_rows, item_rows : Moments
        Whose rows the tables have.
    user_errors : float64 array, shape (n_user_rows,)
        Squared errors of each user row's ratings, times the items' precisions.
    noise_precision : float
        Of all ratings; a user's and an item's own precisions come on top.
    user_noise, item_noise : float
        Degrees of freedom of the users' and items' own precisions: more keeps them nearer to 1.
    seed : int
    sweep : int
        Sweeps done.
    """

    by_users: SparseRows
    by_items: SparseRows
    users: GibbsSide
    items: GibbsSide
    user_rows: Moments
    item_rows: Moments
    user_errors: np.ndarray
    noise_precision: float
    user_noise: float
    item_noise: float
    seed: int
    sweep: int = 0

    @classmethod
    def of_settings(
        cls,
        settings: dict[str, Any],
        by_users: SparseRows,
        user_rows: Moments,
        item_rows: Moments,
        user_features: Features,
        item_features: Features,
    ) -> GibbsChain:
        """The chain of a `BayesianMF` before its first sweep; features by column, and their groups."""
        n_factors, seed = settings["n_factors"], settings["random_state"]
        rng = _random(seed, (1 << 64) - 1)
        by_items = transposed(by_users)
        users = GibbsSide.of(by_users.n_rows, n_factors + 1, *user_features, user_rows.shared)
        items = GibbsSide.of(by_items.n_rows, n_factors + 1, *item_features, item_rows.shared)
        for side in (users, items):
            side.own[:, 1:] = _START * rng.standard_normal((len(side.own), n_factors))
            side.vectors[:] = side.own
            side.prior_precisions[:] = 10.0
        errors = by_users.lengths.astype(np.float64)  # of ratings of which nothing is known
        sides = (users, items, user_rows, item_rows)
        return cls(
            by_users, by_items, *sides, errors, 1.0, settings["user_noise"], settings["item_noise"], seed
        )

    @property
    def n_factors(self) -> int:
        """Factors of each vector, beside its bias."""
        return self.users.own.shape[1] - 1

    def step(self) -> None:
        """One sweep: noise, the items' side, the users' side."""
        rng = _random(self.seed, self.sweep)
        own = self.users.precisions / self.noise_precision
        errors = float(np.add.accumulate(own * self.user_errors)[-1])
        n_ratings = len(self.by_users.values)
        self.noise_precision = rng.gamma((1 + n_ratings) / 2) / ((1 + errors) / 2)
        errors_of_users = self.noise_precision * self.user_errors
        own = _drawn_noise(rng, self.user_noise, self.user_rows, self.by_users.lengths, errors_of_users)
        self.users.precisions[:] = self.noise_precision * own
        _draw_priors(self.items, self.item_rows.n_without_ratings, rng)
        errors_of_items = gibbs_half_sweep(self.by_items, self.users, self.items, self._draw(1))
        self.items.precisions[:] = _drawn_noise(
            rng, self.item_noise, self.item_rows, self.by_items.lengths, errors_of_items
        )
        _draw_priors(self.users, self.user_rows.n_without_ratings, rng)
        self.user_errors = gibbs_half_sweep(self.by_users, self.items, self.users, self._draw(0))
        self.sweep += 1

    def _draw(self, number: int) -> GibbsDraw:
        return GibbsDraw(self.seed, self.sweep, number)


def _random(seed: int, sweep: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([seed, sweep], np.uint64)))


def _drawn_noise(
    rng: np.random.Generator, freedom: float, rows: Moments, lengths: np.ndarray, errors: np.ndarray
) -> np.ndarray:
    """For each row the precision of its user, or item, about the common one, given squared errors of rows."""
    n_ratings = np.bincount(rows.owners, lengths, minlength=rows.n)
    rates = freedom + np.bincount(rows.owners, errors, minlength=rows.n)
    return (rng.gamma((freedom + n_ratings) / 2) / (rates / 2))[rows.owners]


def _draw_priors(side: GibbsSide, first: int, rng: np.random.Generator) -> None:
    """Mean and precision of each component's normal prior, given the tables that they are priors of.

    Own parts before the row `first` are of rows that never have ratings, and say nothing.
    """
    for group in range(len(side.prior_means)):
        table = side.own[first:] if group == 0 else side.weights[side.groups == group]
        n, before = len(table), side.prior_means[group]
        squares = np.square(table - before).sum(axis=0) + _ROWS * np.square(before)
        precisions = rng.gamma((_SHAPE + n + 1) / 2, size=len(before)) / ((_RATE + squares) / 2)
        means = table.sum(axis=0) / (_ROWS + n)
        side.prior_means[group] = means + rng.standard_normal(len(before)) / np.sqrt(precisions * (_ROWS + n))
        side.prior_precisions[group] = precisions

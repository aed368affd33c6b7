"""A Markov chain over the tables of a Bayesian factorisation: what a sweep draws, and where it can go on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....backends import GibbsSide, SparseRows
from ....ops import GibbsDraw, gibbs_half_sweep

__all__ = ["GibbsChain"]

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
    user_errors : float64 array, shape (n_users,)
        Squared errors of each user's ratings, times the items' precisions.
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
    user_errors: np.ndarray
    noise_precision: float
    user_noise: float
    item_noise: float
    seed: int
    sweep: int = 0

    @classmethod
    def start(
        cls,
        by_users: SparseRows,
        by_items: SparseRows,
        n_factors: int,
        user_features: SparseRows | None,
        item_features: SparseRows | None,
        user_noise: float,
        item_noise: float,
        seed: int,
    ) -> GibbsChain:
        """The chain before its first sweep."""
        rng = _random(seed, (1 << 64) - 1)
        users = GibbsSide.of(by_users.n_rows, n_factors + 1, user_features)
        items = GibbsSide.of(by_items.n_rows, n_factors + 1, item_features)
        for side in (users, items):
            side.own[:, 1:] = _START * rng.standard_normal((len(side.own), n_factors))
            side.vectors[:] = side.own
            side.prior_precisions[:] = 10.0
        errors = by_users.lengths.astype(np.float64)  # of ratings of which nothing is known
        return cls(by_users, by_items, users, items, errors, 1.0, user_noise, item_noise, seed)

    @property
    def n_factors(self) -> int:
        """Factors of each vector, beside its bias."""
        return self.users.own.shape[1] - 1

    def step(self) -> None:
        """One sweep: noise, the items' side, the users' side."""
        rng = _random(self.seed, self.sweep)
        n_of_users, n_of_items = self.by_users.lengths, self.by_items.lengths
        own = self.users.precisions / self.noise_precision
        errors = float(np.add.accumulate(own * self.user_errors)[-1])
        self.noise_precision = rng.gamma((1 + n_of_users.sum()) / 2) / ((1 + errors) / 2)
        rates = self.user_noise + self.noise_precision * self.user_errors
        own = rng.gamma((self.user_noise + n_of_users) / 2) / (rates / 2)
        self.users.precisions[:] = self.noise_precision * own
        _draw_priors(self.items, rng)
        errors_of_items = gibbs_half_sweep(self.by_items, self.users, self.items, self._draw(1))
        rates = self.item_noise + errors_of_items
        self.items.precisions[:] = rng.gamma((self.item_noise + n_of_items) / 2) / (rates / 2)
        _draw_priors(self.users, rng)
        self.user_errors = gibbs_half_sweep(self.by_users, self.items, self.users, self._draw(0))
        self.sweep += 1

    def _draw(self, number: int) -> GibbsDraw:
        return GibbsDraw(self.seed, self.sweep, number)


def _random(seed: int, sweep: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([seed, sweep], np.uint64)))


def _draw_priors(side: GibbsSide, rng: np.random.Generator) -> None:
    """Mean and precision of each component's normal prior, given the tables that they are priors of."""
    for group in range(len(side.prior_means)):
        table = side.own if group == 0 else side.weights[side.groups == group]
        n, before = len(table), side.prior_means[group]
        squares = np.square(table - before).sum(axis=0) + _ROWS * np.square(before)
        precisions = rng.gamma((_SHAPE + n + 1) / 2, size=len(before)) / ((_RATE + squares) / 2)
        means = table.sum(axis=0) / (_ROWS + n)
        side.prior_means[group] = means + rng.standard_normal(len(before)) / np.sqrt(precisions * (_ROWS + n))
        side.prior_precisions[group] = precisions

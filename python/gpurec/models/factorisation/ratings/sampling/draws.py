"""What is kept of a chain's sweeps: every product of factors, sums of biases, and some whole draws."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .gibbs_chain import GibbsChain
from .posterior_mean import mean_of_products

__all__ = ["Draws"]


@dataclass
class Draws:
    """Sweeps after the first ones, which do not count.

    Attributes
    ----------
    users, items : float32 arrays, shape (n_users, n_kept, n_factors) and (n_items, n_kept, n_factors)
        Of users the means of what their factors were drawn from, given the items' draw beside them: the mean
        of their product has less noise than that of two draws, and the same expectation.
    user_biases, item_biases : float64 arrays, (n_users,) and (n_items,)
        Sums.
    user_samples, item_samples : float32 arrays, shape (n_users, n_samples, n_factors + 1) and so on
        Whole draws, evenly spread, biases first.
    noise : float
        Sum of the standard deviations of ratings.
    n : int
        Sweeps kept so far.
    """

    users: np.ndarray
    items: np.ndarray
    user_biases: np.ndarray
    item_biases: np.ndarray
    user_samples: np.ndarray
    item_samples: np.ndarray
    noise: float = 0.0
    n: int = 0

    @classmethod
    def room_for(cls, n_users: int, n_items: int, n_kept: int, n_factors: int, n_samples: int) -> Draws:
        """Room for so many sweeps."""
        return cls(
            np.zeros((n_users, n_kept, n_factors), np.float32),
            np.zeros((n_items, n_kept, n_factors), np.float32),
            np.zeros(n_users),
            np.zeros(n_items),
            np.zeros((n_users, n_samples, n_factors + 1), np.float32),
            np.zeros((n_items, n_samples, n_factors + 1), np.float32),
        )

    @classmethod
    def of_settings(cls, settings: dict[str, Any], chain: GibbsChain) -> Draws:
        """Room for the sweeps of a `BayesianMF` that count."""
        n_kept = settings["n_sweeps"] - settings["burn_in"]
        n_users, n_items = len(chain.users.own), len(chain.items.own)
        return cls.room_for(n_users, n_items, n_kept, settings["n_factors"], settings["n_samples"])

    def keep(self, chain: GibbsChain) -> None:
        """Add the chain's last sweep."""
        n_kept, n_samples = self.users.shape[1], self.user_samples.shape[1]
        self.users[:, self.n] = chain.users.means[:, 1:]
        # Rows without ratings depend on nothing else, so of items' too the mean may stand for the draw.
        items, first = chain.items.vectors.copy(), chain.item_rows.n_without_ratings
        items[:first] = chain.items.means[:first]
        self.items[:, self.n] = items[:, 1:]
        self.user_biases += chain.users.means[:, 0]
        self.item_biases += items[:, 0]
        self.noise += 1 / math.sqrt(chain.noise_precision)
        place = self.n * n_samples // n_kept
        if (self.n + 1) * n_samples // n_kept > place:
            self.user_samples[:, place] = chain.users.vectors
            self.item_samples[:, place] = chain.items.vectors
        self.n += 1

    def means(self, rank: int, random_state: int) -> tuple[np.ndarray, ...]:
        """Factors of `rank` columns and biases, of users and items, float32; their products' mean."""
        users, items = (t[:, : self.n].reshape(len(t), -1) for t in (self.users, self.items))
        factors = mean_of_products(users, items, self.n, rank, random_state)
        biases = (np.float32(b / self.n) for b in (self.user_biases, self.item_biases))
        return *factors, *biases

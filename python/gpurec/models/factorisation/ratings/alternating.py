"""Alternating least squares for ratings: one side's vectors where the loss is least, then the other's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ....backends import GibbsSide, SparseRows
from ....ops import GibbsDraw, gibbs_half_sweep
from ....ops.sparse_arguments import transposed
from .implicit import features_of

__all__ = ["Penalties", "als_sweeps"]


@dataclass(frozen=True)
class Penalties:
    """Of the squares of biases and factors, and of those that a side has of its implicit features."""

    bias: float
    factor: float
    implicit_bias: float
    implicit_factor: float


def als_sweeps(
    by_users: SparseRows,
    n_factors: int,
    implicit: str,
    penalties: Penalties,
    init_scale: float,
    start: np.random.Generator,
) -> Iterator[tuple[GibbsSide, GibbsSide, float, float]]:
    """Sweep without end; after each the two sides, the sum of squared errors, and the loss.

    Notes
    -----
    The loss is the sum of squared errors and of penalties times squares. Every step takes some of the
    unknowns to where the loss is least, so it never rises but for rounding.
    """
    by_items = transposed(by_users)
    users = GibbsSide.of(by_users.n_rows, n_factors + 1, features_of(by_users, implicit, "users"))
    items = GibbsSide.of(by_items.n_rows, n_factors + 1, features_of(by_items, implicit, "items"))
    for side, rows in ((users, by_users), (items, by_items)):
        side.own[:, 1:] = init_scale * start.standard_normal((len(side.own), n_factors))
        side.own[rows.lengths == 0] = 0
        side.vectors[:] = side.own
        side.prior_precisions[0] = [penalties.bias, *[penalties.factor] * n_factors]
        side.prior_precisions[1:] = [penalties.implicit_bias, *[penalties.implicit_factor] * n_factors]
    sweep = 0
    while True:
        gibbs_half_sweep(by_items, users, items, GibbsDraw(0, sweep, 1, random=False))
        errors = gibbs_half_sweep(by_users, items, users, GibbsDraw(0, sweep, 0, random=False))
        squared = float(np.add.accumulate(errors)[-1])
        yield users, items, squared, squared + _penalty(users) + _penalty(items)
        sweep += 1


def _penalty(side: GibbsSide) -> float:
    of_rows = (side.prior_precisions[0] * np.square(side.own)).sum()
    return float(of_rows + (side.prior_precisions[1:] * np.square(side.weights)).sum())

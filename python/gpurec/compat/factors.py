"""Factors that another library learnt, as a model that recommends, predicts, explains and can be saved."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..backends import strict_floats
from ..data import Interactions
from ..models import MF
from ..models.recommender.training import TrainingPart
from ..ops.arguments import as_matrix
from ..types import IdMap

__all__ = ["import_factors"]


@strict_floats()
def import_factors(
    user_factors: Any,
    item_factors: Any,
    interactions: Interactions,
    *,
    user_ids: Iterable[Any] | None = None,
    item_ids: Iterable[Any] | None = None,
    user_biases: Any = None,
    item_biases: Any = None,
    mean: float = 0.0,
) -> MF:
    """A fitted `MF` with given factors: its scores are mean + b_u + b_i + p_u . q_i.

    That is the score of Surprise's `SVD` (`pu`, `qi`, `bu`, `bi`, `trainset.global_mean`) and, with a mean of
    0, of LightFM (`get_user_representations`, `get_item_representations`).

    Parameters
    ----------
    user_factors, item_factors : arrays, shape (n_users, n_factors) and (n_items, n_factors)
        Rounded to float32.
    interactions : Interactions
        What the factors were learnt from: it says what a user has seen. Of users and items without one
        nothing is known, as in any `MF`: their factors and biases become 0.
    user_ids, item_ids : sequences of ids, length n_users and n_items, optional
        Of the rows of the factors; by default those of `interactions`, in its order.
    user_biases, item_biases : arrays, shape (n_users,) and (n_items,), optional
        0 if left out.
    mean : float

    Returns
    -------
    MF

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite, or there is no interaction.
    UnknownIdError
        If interactions have a user or an item that the ids lack.

    Examples
    --------
    >>> ratings = Interactions.from_arrays(["ann", "bob", "bob"], ["alien", "alien", "dune"], [5, 4, 2])
    >>> model = import_factors([[1, 0], [0, 1]], [[0.5, 0], [2, 1]], ratings, item_biases=[0, 1], mean=3)
    >>> model.recommend(["ann"], k=1).to_dicts()[0]["item_id"], model.predict(["ann"], ["dune"]).tolist()
    ('dune', [6.0])
    """
    op = "import_factors"
    factors, biases, maps = {}, {}, {}
    given = {
        "user": (user_factors, user_biases, user_ids, interactions.user_map),
        "item": (item_factors, item_biases, item_ids, interactions.item_map),
    }
    for side, (table, shifts, ids, known) in given.items():
        factors[side] = np.array(as_matrix(table, f"{side}_factors", op))
        n = len(factors[side])
        maps[side] = known if ids is None else IdMap(ids)
        if len(maps[side]) != n:
            raise ValueError(
                f"[{op}] expected {side}_factors with a row for each of {len(maps[side])} ids, got {n}; "
                f"give {side}_ids"
            )
        column = np.zeros((n, 1)) if shifts is None else np.asarray(shifts).reshape(-1, 1)
        biases[side] = np.array(as_matrix(column, f"{side}_biases", op)[:, 0])
        if len(biases[side]) != n:
            raise ValueError(f"[{op}] expected {n} {side}_biases, one a row, got {len(biases[side])}")
    widths = {side: table.shape[1] for side, table in factors.items()}
    if widths["user"] != widths["item"]:
        raise ValueError(f"[{op}] expected factors of one width, got {widths['user']} and {widths['item']}")
    if not np.isfinite(mean):
        raise ValueError(f"[{op}] expected a finite mean, got {mean}")
    model = MF(n_factors=widths["user"], method="sgd")  # as those that such libraries learn
    interactions = interactions.reindex(maps["user"], maps["item"])
    model._training = TrainingPart.of(interactions)
    model._divide(interactions)
    for side in factors:
        unknown = ~model.training.known(side)
        factors[side][unknown] = biases[side][unknown] = 0
    model._keep(
        user_factors=factors["user"],
        item_factors=factors["item"],
        user_biases=biases["user"],
        item_biases=biases["item"],
        mean=float(mean),
        n_epochs=0,
    )
    return model

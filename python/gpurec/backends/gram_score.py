"""How two sparse rows are compared: what `Backend.gram_top_k` is given beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["GramScore"]


@dataclass(frozen=True)
class GramScore:
    """How the score of two rows follows from the columns that both have.

    Attributes
    ----------
    form : {"products", "sets", "pearson"}
        "products": the sum of products, divided by left[a] * right[b] where there are such.
        "sets": n / (n + alpha (n_a - n) + beta (n_b - n)) of n common columns, n_a and n_b entries.
        "pearson": the correlation over common columns.
    left, right : float64 array, shape (n_rows,), or None
        Divisors of a row that asks and of one that is answered.
    alpha, beta : float
        Of "sets".
    shrinkage : float
        The score is multiplied by n / (n + shrinkage).
    min_overlap : int
        Common columns, at least 1, without which two rows are no pair.
    """

    form: str
    left: np.ndarray | None = None
    right: np.ndarray | None = None
    alpha: float = 1.0
    beta: float = 1.0
    shrinkage: float = 0.0
    min_overlap: int = 1

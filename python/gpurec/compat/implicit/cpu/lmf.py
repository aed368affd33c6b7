"""`LogisticMatrixFactorization`: what implicit learnt is loaded and answers; it learns nothing here."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .matrix_factorization_base import MatrixFactorizationBase

__all__ = ["LogisticMatrixFactorization"]


class LogisticMatrixFactorization(MatrixFactorizationBase):
    """Logistic matrix factorisation as implicit learnt it: `load` it, or assign the factors.

    Parameters
    ----------
    factors, learning_rate, regularization, dtype, iterations, neg_prop, num_threads, random_state
        implicit's settings, kept.

    Notes
    -----
    The factors' last two columns are biases: (b, 1) of users and (1, b) of items.

    Source: Johnson 2014, "Logistic matrix factorization for implicit feedback data", NIPS workshop.

    Examples
    --------
    >>> model = LogisticMatrixFactorization(factors=1)
    >>> model.user_factors, model.item_factors = np.float32([[2, 0, 1]]), np.float32([[1, 1, 0], [1, 1, 0.5]])
    >>> [part.tolist() for part in model.recommend(0, None, filter_already_liked_items=False)]
    [[1, 0], [2.5, 2.0]]
    """

    _kinds: ClassVar[dict[str, type]] = {
        "factors": int,
        "learning_rate": float,
        "regularization": float,
        "iterations": int,
        "neg_prop": int,
        "num_threads": int,
        "random_state": int,
    }

    def __init__(
        self,
        factors: int = 30,
        learning_rate: float = 1.0,
        regularization: float = 0.6,
        dtype: Any = np.float32,
        iterations: int = 30,
        neg_prop: int = 30,
        num_threads: int = 0,
        random_state: Any = None,
    ) -> None:
        super().__init__(num_threads)
        self.factors, self.learning_rate, self.regularization = factors, learning_rate, regularization
        self.dtype, self.iterations, self.neg_prop = np.dtype(dtype), iterations, neg_prop
        self.random_state = random_state

    def fit(self, user_items: Any, show_progress: bool = True, callback: Any = None) -> None:
        """Not implemented: `BayesianPersonalizedRanking` learns to rank from the same matrix."""
        raise NotImplementedError(
            "[fit] expected a model that is learnt here; do: BayesianPersonalizedRanking, or fit with "
            "implicit and load what it saves"
        )

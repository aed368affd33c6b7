"""What every backend promises of ops that learn factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .sparse_rows import SparseRows

__all__ = ["AlsRates", "FactorOps"]


@dataclass(frozen=True)
class AlsRates:
    """How `als` solves: "cholesky", "cg" or "block", in how many steps, with how many directions a block."""

    solver: str
    steps: int
    block_size: int


class FactorOps(Protocol):
    """Part of `Backend`: rows are checked, factors float32 in C order, finite."""

    def als_shared(self, factors: np.ndarray, unobserved_weight: float) -> Any:
        """What the equations of all rows share, with the Gram matrix as `gram`, float64."""
        ...

    def als(
        self,
        shared: Any,
        weights: SparseRows,
        pulls: np.ndarray,
        l2: np.ndarray,
        start: np.ndarray | None,
        rates: AlsRates,
        many: bool,
        out: np.ndarray,
    ) -> float:
        """Write the factors of rows into `out` and give their loss.

        `pulls` are weights times targets, float32 in the places of `weights`; `l2` float64, above 0. Where
        `many` entries come, a backend may prepare all columns for them.
        """
        ...

    def sgd_epoch(
        self,
        user_rows: np.ndarray,
        item_rows: np.ndarray,
        ratings: np.ndarray,
        user_factors: np.ndarray,
        item_factors: np.ndarray,
        user_biases: np.ndarray,
        item_biases: np.ndarray,
        user_shrink: np.ndarray,
        item_shrink: np.ndarray,
        *,
        factor_rate: float,
        factor_penalty: float,
        bias_rate: float,
        bias_penalty: float,
    ) -> float:
        """Descend over ratings in turn, changing factors and biases in place; the sum of squared errors."""
        ...

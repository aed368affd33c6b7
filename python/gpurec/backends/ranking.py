"""What a backend promises to op `bpr`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from .base import SparseRows

__all__ = ["RankingJob", "Ranks"]


@dataclass(frozen=True)
class RankingJob:
    """What `bpr_epochs` is to do, beside its arrays; the fields are what that op says of them."""

    loss: str
    n_negatives: int
    n_candidates: int
    learning_rate: float
    regularisation: float
    bias_learning_rate: float
    bias_regularisation: float
    move_users: bool
    move_positives: bool
    move_negatives: bool
    seed: int
    first_epoch: int
    n_epochs: int
    n_blocks: int

    @property
    def items_move(self) -> bool:
        return self.move_positives or self.move_negatives


class Ranks(Protocol):
    """Part of a backend."""

    def bpr_epochs(
        self,
        positives: SparseRows,
        visited: np.ndarray | None,
        keys: np.ndarray | None,
        user_factors: np.ndarray,
        item_factors: np.ndarray,
        item_biases: np.ndarray,
        weights: np.ndarray | None,
        *,
        job: RankingJob,
    ) -> tuple[float, int, int, int]:
        """Visit positives with drawn negatives, changing factors and biases in place.

        The loss of all visits, how many they were, negatives that scored less, and positives without any.
        """
        ...

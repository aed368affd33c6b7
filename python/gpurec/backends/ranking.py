"""What a backend promises to op `bpr`, and how every backend cuts an epoch into blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from .base import SparseRows

__all__ = [
    "BLOCKS",
    "DRAWS",
    "GOLDEN",
    "RankingJob",
    "Ranks",
    "epoch_key",
    "mix",
    "user_bounds",
    "weights_among",
]

GOLDEN = 0x9E3779B97F4A7C15
BLOCKS, DRAWS = 1, 2  # what random numbers are for
_WORD = (1 << 64) - 1
_BLOCKS_OF_FIXED_ITEMS = 64


@dataclass(frozen=True)
class RankingJob:
    """What `bpr_epochs` is to do, beside its arrays; the fields are what that op says of them."""

    loss: str
    sharpness: float
    unit: bool
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

    @property
    def n_user_blocks(self) -> int:
        return self.n_blocks if self.items_move else _BLOCKS_OF_FIXED_ITEMS

    @property
    def n_item_blocks(self) -> int:
        return self.n_blocks if self.items_move else 1


def mix(z: Any) -> Any:
    """The finaliser of SplitMix64, of an int or an array of uint64."""
    z = z & _WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _WORD
    return z ^ (z >> 31)


def epoch_key(seed: int, epoch: int, purpose: int) -> int:
    """What random numbers of an epoch begin with, for `BLOCKS` or `DRAWS`."""
    return mix(mix(seed + GOLDEN) + GOLDEN * (2 * epoch + purpose))


def user_bounds(indptr: np.ndarray, n_blocks: int) -> list[int]:
    """The first row of each block of users, and their number: blocks have about as many positives."""
    n = int(indptr[-1])
    starts = [n // n_blocks * block + min(n % n_blocks, block) for block in range(1, n_blocks)]
    return [0, *np.searchsorted(indptr[:-1], starts).tolist(), len(indptr) - 1]


def weights_among(weights: np.ndarray | None, among: np.ndarray | None, n_items: int) -> np.ndarray | None:
    """How likely each item is drawn where others than `among` never are."""
    if among is None:
        return weights
    of_all = np.zeros(n_items, np.uint32)
    of_all[among] = 1 if weights is None else weights[among]
    return of_all


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
        among: np.ndarray | None,
        *,
        job: RankingJob,
    ) -> tuple[float, int, int, int]:
        """Visit positives with drawn negatives, changing factors and biases in place.

        The loss of all visits, how many they were, negatives that scored less, and positives without any.
        """
        ...

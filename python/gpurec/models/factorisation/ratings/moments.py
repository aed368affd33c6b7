"""Users, or items, in bins of time: a row for each bin in which one has ratings, beside a row of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ....artifacts import Artifact
from ....errors import ArtifactError

if TYPE_CHECKING:
    from ....data import Interactions
    from ...recommender.training import TrainingPart

__all__ = ["Moments"]

_DAY = 86_400


@dataclass(frozen=True)
class Moments:
    """Rows of a side.

    Attributes
    ----------
    n : int
        Users or items: rows 0..n-1 stand for these at no particular time.
    days : float
        Length of a bin; 0 where time plays no part, and there are no more rows.
    of : int64 array, shape (n_moments,)
        Whom the rows n, n + 1, ... belong to, ascending.
    bins : int64 array, shape (n_moments,)
        In which bin since 1970, ascending where `of` is equal.
    """

    n: int
    days: float
    of: np.ndarray
    bins: np.ndarray

    @classmethod
    def learn(cls, n: int, days: float, rows: np.ndarray, timestamps: np.ndarray | None) -> Moments:
        """Those of records of rows 0..n-1."""
        if not days:
            return cls(n, days, np.zeros(0, np.int64), np.zeros(0, np.int64))
        found = np.unique(np.stack([rows, _bins(timestamps, days)], axis=1), axis=0)
        return cls(n, days, *(np.ascontiguousarray(part, dtype=np.int64) for part in found.T))

    @classmethod
    def of_sides(
        cls, training: TrainingPart, settings: Mapping[str, Any], interactions: Interactions
    ) -> tuple[Moments, Moments]:
        """Those of users and of items, by the settings `user_days` and `item_days`."""
        times = interactions.timestamps
        return (
            cls.learn(training.n_users, settings["user_days"], interactions.user_rows, times),
            cls.learn(training.n_items, settings["item_days"], interactions.item_rows, times),
        )

    @property
    def n_rows(self) -> int:
        return self.n + len(self.of)

    @property
    def owners(self) -> np.ndarray:
        """Whom each row belongs to, int64 (n_rows,)."""
        return np.concatenate([np.arange(self.n), self.of])

    @property
    def shared(self) -> np.ndarray | None:
        """The same as `GibbsSide` takes it: int32, or None where every row is its own."""
        return self.owners.astype(np.int32) if self.days else None

    @property
    def n_without_ratings(self) -> int:
        """So many rows at the beginning have none, because ratings belong to the others."""
        return self.n if self.days else 0

    def rows_at(self, rows: np.ndarray, timestamps: np.ndarray | None) -> np.ndarray:
        """For each of some rows below n the row at a time; itself where there is none, as for row -1."""
        if not self.days:
            return rows
        bins = _bins(timestamps, self.days)
        places = _search(self.of, self.bins, rows, bins)
        found = np.minimum(places, len(self.of) - 1)
        same = (self.of[found] == rows) & (self.bins[found] == bins)
        return np.where(same, self.n + found, rows)

    def to_tensors(self, side: str) -> dict[str, np.ndarray]:
        """Tensors to save."""
        return {f"{side}_moments.of": self.of, f"{side}_moments.bins": self.bins} if self.days else {}

    @classmethod
    def from_artifact(cls, artifact: Artifact, side: str, n: int, days: float) -> Moments:
        """What was saved.

        Raises
        ------
        ArtifactError
            If tensors are missing, or rows are not of this side, or do not ascend.
        """
        if not days:
            return cls(n, days, np.zeros(0, np.int64), np.zeros(0, np.int64))
        of = artifact.tensor(f"{side}_moments.of", np.int64, (None,))
        bins = artifact.tensor(f"{side}_moments.bins", np.int64, of.shape)
        within = len(of) and of[0] >= 0 and of[-1] < n
        ascending = (of[1:] > of[:-1]) | ((of[1:] == of[:-1]) & (bins[1:] > bins[:-1]))
        if not within or not ascending.all():
            raise ArtifactError(f"[load] expected moments of {side}s that ascend, got others; fit again")
        return cls(n, days, of, bins)


def _bins(timestamps: np.ndarray | None, days: float) -> np.ndarray:
    if timestamps is None:
        raise ValueError(
            "[fit] expected interactions with timestamps, got none; do: user_days=0, item_days=0"
        )
    return np.floor_divide(timestamps, max(round(days * _DAY), 1))


def _search(of: np.ndarray, bins: np.ndarray, rows: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where pairs of a row and a bin stand, or would, among ascending ones."""
    pairs = np.concatenate([np.stack([of, bins], axis=1), np.stack([rows, wanted], axis=1)])
    codes = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)
    return np.searchsorted(codes[: len(of)], codes[len(of) :])

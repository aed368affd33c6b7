"""How far a fit of `MF` has come, as what it goes on from, and as tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .....artifacts import Artifact
from .....errors import ArtifactError
from ..biased_factors import TABLES
from .alternating import Alternation
from .descent import Descent
from .records import Ratings

__all__ = ["STAGES", "Fitting"]

STAGES = ("search", "fit")
_RECORDS = (("user_rows", np.int64), ("item_rows", np.int64), ("weights", np.float32))


@dataclass
class Fitting:
    """A fit under way.

    Attributes
    ----------
    stage : {"search", "fit"}
        The search for the number of epochs, on a part of the ratings, or the fit.
    ratings : Ratings
        All of them.
    validation : Ratings or None
        Given by the caller; its best epoch is kept.
    learner : Alternation or Descent
        Of the stage.
    most : int
        Epochs of the stage, at most.
    best_rmse, best_epoch : float, int
        Of the epochs so far, where a validation part judges them.
    best : dict
        What the model had learnt then, where that may be wanted again.
    """

    stage: str
    ratings: Ratings
    validation: Ratings | None
    learner: Alternation | Descent
    most: int
    best_rmse: float = math.inf
    best_epoch: int = 0
    best: dict[str, Any] = field(default_factory=dict)

    def is_over(self, patience: int) -> bool:
        """Whether the stage has no more epochs to make."""
        without_better = self.learner.epoch - self.best_epoch
        return self.learner.epoch >= self.most or (self.is_judged and without_better >= patience)

    @property
    def is_judged(self) -> bool:
        """Whether a part that was held out says which epoch is the best."""
        return self.stage == "search" or self.validation is not None

    def to_tensors(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Tensors and settings to save."""
        tensors = {f"fitting.{name}": table for name, table in self.learner.tables.items()}
        parts = {"ratings": self.ratings, "validation": self.validation}
        for part, records in parts.items():
            if records is not None:
                tensors |= {f"fitting.{part}.{name}": getattr(records, name) for name, _ in _RECORDS}
        tensors |= {f"fitting.best.{name}": self.best[name] for name in TABLES if self.best}
        rmse = self.best_rmse if math.isfinite(self.best_rmse) else None
        meta = {"stage": self.stage, "epoch": self.learner.epoch, "most": self.most, "best_rmse": rmse}
        return tensors, {"fitting": meta | {"best_epoch": self.best_epoch}}

    @classmethod
    def from_artifact(
        cls,
        artifact: Artifact,
        n_users: int,
        n_items: int,
        n_factors: int,
        max_epochs: int,
        begin: Callable[[str, Ratings, Ratings | None, int], Fitting],
    ) -> Fitting | None:
        """What was saved, None if the fit was over; `begin` makes the stage before its first epoch.

        Raises
        ------
        ArtifactError
            If tensors are missing, of another shape, or not what a fit may hold.
        """
        meta = artifact.meta.get("fitting")
        if meta is None:
            return None
        names = ("stage", "epoch", "most", "best_rmse", "best_epoch")
        if not isinstance(meta, dict) or set(meta) != set(names) or meta["stage"] not in STAGES:
            raise ArtifactError(f"[load] expected how far a fit has come, got {meta!r:.60}; fit again")
        stage, epoch, most, rmse, best_epoch = (meta[name] for name in names)
        counts_are_sound = all(type(count) is int for count in (epoch, most, best_epoch)) and (
            0 <= best_epoch <= epoch <= most <= max_epochs and epoch >= 1
        )
        if not counts_are_sound:
            raise ArtifactError(f"[load] expected epochs of a fit, got {meta!r:.90}; fit again")
        ratings = _records(artifact, "ratings", (0, 0), (n_users, n_items))
        validation = None
        if "fitting.validation.weights" in artifact.tensors:
            validation = _records(artifact, "validation", (-1, -1), (n_users, n_items))
        found = begin(stage, ratings, validation, most)
        found.learner.epoch = epoch
        for name, table in found.learner.tables.items():
            table[:] = _finite(artifact, f"fitting.{name}", table.dtype.type, table.shape)
        if found.is_judged:
            if best_epoch < 1 or type(rmse) is not float or not 0 <= rmse < math.inf:
                raise ArtifactError(f"[load] expected the best epoch of a fit, got {meta!r:.90}; fit again")
            found.best_rmse, found.best_epoch = rmse, best_epoch
        if stage == "fit" and found.is_judged:
            for side, n in (("user", n_users), ("item", n_items)):
                for name, shape in ((f"{side}_factors", (n, n_factors)), (f"{side}_biases", (n,))):
                    found.best[name] = _finite(artifact, f"fitting.best.{name}", np.float32, shape)
            found.best |= {"mean": ratings.mean, "n_epochs": best_epoch}
        return found


def _records(artifact: Artifact, part: str, least: tuple[int, int], ends: tuple[int, int]) -> Ratings:
    shape: tuple[int | None, ...] = (None,)
    found = []
    for name, dtype in _RECORDS:
        found.append(artifact.tensor(f"fitting.{part}.{name}", dtype, shape))
        shape = found[0].shape
    if not len(found[0]):
        raise ArtifactError(f"[load] expected {part} of a fit, got none; fit again")
    for rows, low, end in zip(found, least, ends):
        if not low <= rows.min() <= rows.max() < end:
            raise ArtifactError(f"[load] expected {part} of a fit with rows below {end}, got others")
    if not np.isfinite(found[2]).all():
        raise ArtifactError(f"[load] expected {part} of a fit that are finite, got others; fit again")
    return Ratings(*found)


def _finite(artifact: Artifact, name: str, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    tensor = artifact.tensor(name, dtype, shape)
    if not np.isfinite(tensor).all():
        raise ArtifactError(f"[load] expected finite numbers in {name}, got others; fit and save again")
    return tensor

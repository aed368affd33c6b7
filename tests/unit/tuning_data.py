"""What tests of tuning share: data, a model that learns by a known rule, and how runs are compared."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpurec import Interactions, Popularity
from gpurec.tuning import Choice, Epochs, Space, Tuning


def plays(seed: int = 0) -> Interactions:
    """Some 700 ratings with a taste in them, a pair at most once, with times."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 40)) + rng.normal(size=(60, 40))
    users, items = np.nonzero(scores > 1)
    stars = np.clip(np.round(scores[users, items]), 1, 5)
    return Interactions.from_arrays(users, items, stars, rng.permutation(len(users)))


def what(tuning: Tuning) -> list[dict[str, Any]]:
    """All that must be equal in two runs: everything but the time it took."""
    return [{**trial.to_dict(), "seconds": None} for trial in tuning.trials]


class Learner(Popularity):
    """Good after its third epoch only, with 8 factors after all others; with 7 it cannot be fitted."""

    name = "learner"
    predicts_ratings = False
    fits: list[tuple[Interactions, int]] = []  # noqa: RUF012

    def __init__(self, *, n_factors: int = 4, n_epochs: int = 5) -> None:
        super().__init__()
        self.settings = {"n_factors": n_factors, "n_epochs": n_epochs}

    def _learn(self, interactions: Interactions, validation: Any, callback: Any, progress: Any) -> None:
        assert validation is None
        if self.settings["n_factors"] == 7:
            raise ValueError("no seven")
        popular = self.training.item_counts.astype(np.float32)
        for epoch in range(1, self.settings["n_epochs"] + 1):
            good = (epoch == 3) != (self.settings["n_factors"] == 8)
            self._scores = popular if good else -popular
            self._indexes.clear()
            if callback is not None and callback(epoch, self, {}):
                break
        Learner.fits.append((interactions, epoch))


LEARNER_SPACE = Space({"n_factors": Choice(1, 4, 7, 8)}, epochs=Epochs("n_epochs", most=8, patience=3))

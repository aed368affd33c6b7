"""What a tuning found: its trials, the best of them, and the model that follows."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtraError
from ..models import MODELS
from ..progress import Progress
from .metrics import Metric
from .pictures import draw_pictures
from .report import markdown
from .space import Space
from .trial import STATES, Trial

if TYPE_CHECKING:
    from ..data import Interactions
    from ..models import Recommender

__all__ = ["Tuning", "new_model"]


@dataclass(frozen=True)
class Tuning:
    """What `tune` found.

    Attributes
    ----------
    task : dict
        What was tuned, how it was judged, and the hash of the data.
    space : Space
    trials : tuple of Trial
        Finished ones, by number.
    importances : dict of str to float
        Shares, adding up to 1, of how much each setting matters among the better half of the trials; empty
        where fewer than ten are complete. Source: Watanabe, Bansal and Hutter 2023, "PED-ANOVA", IJCAI.
    """

    task: dict[str, Any]
    space: Space
    trials: tuple[Trial, ...]
    importances: dict[str, float]

    @property
    def metric(self) -> Metric:
        """What trials were judged by."""
        return Metric(self.task["metric"], self.task["relevant_from"])

    @property
    def best(self) -> Trial:
        """The complete trial with the best value, of equal ones the first.

        Raises
        ------
        ValueError
            If none is complete.
        """
        complete = [trial for trial in self.trials if trial.value is not None]
        if not complete:
            raise ValueError("[tune] expected a complete trial, got none; do: more trials")
        wanted = self.metric.best([trial.value for trial in complete])  # type: ignore[misc]
        return next(trial for trial in complete if trial.value == wanted)

    @property
    def settings(self) -> dict[str, Any]:
        """All settings of the model with those of the best trial, the number of epochs included."""
        return self.new_model().settings

    def new_model(self) -> Recommender:
        """An unfitted model with the settings of the best trial."""
        return new_model(self.task["model"], self.space, self.best.settings, self.best.epochs)

    def fit(self, interactions: Interactions, *, progress: Progress = None) -> Recommender:
        """The model with the best settings, fitted on all of the training data."""
        return self.new_model().fit(interactions, progress=progress)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON holds it."""
        states = [trial.state for trial in self.trials]
        return {
            "model": self.task["model"],
            "metric": self.task["metric"],
            "best": self.best.to_dict(),
            "settings": self.settings,
            "defaults": self.trials[0].value,
            "importances": self.importances,
            "n_trials": {state: states.count(state) for state in STATES},
            "trial_seconds": sum(trial.seconds for trial in self.trials),
            "task": self.task,
            "trials": [trial.to_dict() for trial in self.trials],
        }

    def write(self, folder: str | os.PathLike[str], test: Mapping[str, Any] | None = None) -> list[Path]:
        """Write report.json, report.md and pictures into a folder, each replaced as a whole.

        Parameters
        ----------
        folder : path
        test : mapping, optional
            What the final model reaches on a test part, by metric.

        Returns
        -------
        list of Path
            What was written. Without matplotlib (extra `plot`) pictures are left out with a warning.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            pictures = draw_pictures(self, folder)
        except MissingExtraError as error:
            warnings.warn(f"the pictures are left out: {error}", stacklevel=2)
            pictures = []
        found = self.to_dict() | {"test": None if test is None else dict(test)}
        texts = {
            "report.json": json.dumps(found, indent=1, allow_nan=False) + "\n",
            "report.md": markdown(self, [path.name for path in pictures], test),
        }
        for name, text in texts.items():
            partial = folder / f".{name}.partial"
            partial.write_text(text, encoding="utf-8")
            partial.replace(folder / name)
        return [*(folder / name for name in texts), *pictures]


def new_model(name: str, space: Space, chosen: Mapping[str, Any], epochs: int | None = None) -> Recommender:
    """An unfitted model with what a space fixes and a trial chose, and the most epochs if none are given."""
    more: dict[str, Any] = {}
    if space.epochs is not None:
        more[space.epochs.setting] = space.epochs.most if epochs is None else epochs
    return MODELS[name](**{**space.fixed, **chosen, **more})

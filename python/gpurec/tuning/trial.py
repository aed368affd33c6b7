"""One trial: a model fitted with some settings on each fold, judged, and given up where that says nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

from .metrics import Metric
from .space import Epochs, Range

if TYPE_CHECKING:
    from ..data import Split
    from ..models import Recommender

__all__ = ["STATES", "Pruned", "Trial", "run_trial"]

STATES = ("complete", "pruned", "failed")


class Pruned(Exception):
    """Raised by a report to end a trial that does worse than others did at the same step."""


@dataclass(frozen=True)
class Trial:
    """What a finished trial found.

    Attributes
    ----------
    number : int
        From 0.
    state : {"complete", "pruned", "failed"}
        "pruned": given up, as it did worse than others at the same step; "failed": the settings fit no model.
    settings : dict
        Those that were tuned.
    value : float or None
        The metric, a mean over folds; only of complete trials.
    epochs : int or None
        Of models that learn in epochs, how many of them the value belongs to.
    folds : tuple of float
        The metric on each fold.
    reports : dict of int to float
        What was known at each step on the way.
    seconds : float
    reason : str or None
        Why it failed.
    """

    number: int
    state: str
    settings: dict[str, Any]
    value: float | None = None
    epochs: int | None = None
    folds: tuple[float, ...] = ()
    reports: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        reports = [[step, value] for step, value in self.reports.items()]
        return {**vars(self), "folds": list(self.folds), "reports": reports}

    @classmethod
    def from_dict(cls, found: Any, number: int, ranges: Mapping[str, Range]) -> Trial:
        """The trial that a line of a file holds, if it is one and the one that is due.

        Raises
        ------
        ValueError
            If it is anything else; the text says what.
        """
        if not isinstance(found, dict) or found.keys() != cls.__dataclass_fields__.keys():
            raise ValueError("the fields of a trial")
        settings, state, value = found["settings"], found["state"], found["value"]
        if type(found["number"]) is not int or found["number"] != number:
            raise ValueError(f"number {number}")
        if state not in STATES:
            raise ValueError(f"a state of {', '.join(STATES)}")
        if not isinstance(settings, dict) or settings.keys() != ranges.keys():
            raise ValueError("a value of each setting")
        outside = [name for name, of in ranges.items() if not of.holds(settings[name])]
        if outside:
            raise ValueError(f"{outside[0]} inside its range")
        if not (_is_number(value) if state == "complete" else value is None):
            raise ValueError("a finite value if the trial is complete")
        epochs, reason = found["epochs"], found["reason"]
        if not (epochs is None or (type(epochs) is int and epochs >= 1)):
            raise ValueError("a number of epochs")
        if not (reason is None or isinstance(reason, str)):
            raise ValueError("a reason as text")
        if not _is_number(found["seconds"]) or not _are(found["folds"], _is_number):
            raise ValueError("finite seconds and folds")
        if not _are(found["reports"], _is_report) or (state == "pruned" and not found["reports"]):
            raise ValueError("reports as pairs of step and finite value")
        reports = {step: float(value) for step, value in found["reports"]}
        folds = tuple(float(value) for value in found["folds"])
        return cls(number, state, settings, value, epochs, folds, reports, float(found["seconds"]), reason)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_report(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and type(value[0]) is int and _is_number(value[1])


def _are(values: Any, kind: Callable[[Any], bool]) -> bool:
    return isinstance(values, list) and all(map(kind, values))


def run_trial(
    number: int,
    settings: dict[str, Any],
    new_model: Callable[[], Recommender],
    splits: Sequence[Split],
    metric: Metric,
    epochs: Epochs | None,
    report: Callable[[int, float], None],
) -> Trial:
    """Fit a model on each fold's training part and judge it by the validation part.

    Parameters
    ----------
    number : int
    settings : dict
        What is tuned, for the record.
    new_model : callable
        Gives an unfitted model with these settings.
    splits : sequence of Split
    metric : Metric
    epochs : Epochs, optional
        For a model that is judged after each epoch.
    report : callable
        Gets (step, value) on the way; may raise `Pruned`, or anything else to abandon the trial.

    Notes
    -----
    With epochs a fold gives a curve, and the value is the best of the mean of the curves, cut to the shortest
    one: one number of epochs for all folds. A report is the mean of the folds so far, each by its best.
    """
    start = perf_counter()
    reports: dict[int, float] = {}
    steps = 1 if epochs is None else epochs.most
    curves: list[list[float]] = []

    def tell(step: int, curve: list[float]) -> None:
        bests = [metric.best(values) for values in [*curves, curve]]
        reports[step] = sum(bests) / len(bests)
        report(step, reports[step])

    def finished(state: str, **found: Any) -> Trial:
        return Trial(number, state, settings, reports=reports, seconds=perf_counter() - start, **found)

    try:
        for fold, split in enumerate(splits):
            curve: list[float] = []
            model = new_model()
            if epochs is None:
                model.fit(split.train, progress=False)
                curve.append(metric.measure(model, split.test))
                if fold < len(splits) - 1:  # after the last there is nothing to save
                    tell(fold + 1, curve)
            else:
                model.fit(
                    split.train,
                    callback=_judge(metric, split, epochs, curve, lambda n: tell(fold * steps + n, curve)),  # noqa: B023
                    progress=False,
                )
            curves.append(curve)
    except Pruned:
        return finished("pruned")
    except (ValueError, ArithmeticError, MemoryError) as error:
        if number == 0:
            raise  # the model's defaults: more likely the data, the metric or a fixed setting
        return finished("failed", reason=f"{type(error).__name__}: {error}"[:500])
    n_epochs = min(map(len, curves))
    means = [sum(curve[epoch] for curve in curves) / len(curves) for epoch in range(n_epochs)]
    best = means.index(metric.best(means))
    folds = tuple(curve[best] for curve in curves)
    return finished("complete", value=means[best], folds=folds, epochs=None if epochs is None else best + 1)


def _judge(
    metric: Metric, split: Split, epochs: Epochs, curve: list[float], tell: Callable[[int], None]
) -> Callable[[int, Recommender, dict[str, Any]], bool]:
    """A callback that lengthens the curve after each epoch, and stops when it has long been no better."""

    def callback(epoch: int, model: Recommender, metrics: dict[str, Any]) -> bool:
        curve.append(metric.measure(model, split.test))
        tell(len(curve))
        since_best = len(curve) - 1 - curve.index(metric.best(curve))
        return since_best >= epochs.patience

    return callback

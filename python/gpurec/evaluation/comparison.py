"""Compare models on one test part: a table with intervals, and a picture of it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import MissingExtraError, import_extra
from .bootstrap import Interval
from .evaluate import evaluate
from .ranking import check_cutoffs
from .result import Evaluation

if TYPE_CHECKING:
    from ..data import Interactions

__all__ = ["Comparison", "compare"]

_DEFAULT_METRICS = ("precision", "recall", "f1", "hit_rate", "map", "mrr", "ndcg", "coverage")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Evaluations of several models on one test part, with intervals.

    Attributes
    ----------
    evaluations : list of Evaluation
        One a model, names distinct. The first is the one that the others are compared with.
    intervals : dict of str to list of (Interval or None)
        For each metric and model the 95 % interval; None where there is none (metrics of all lists together,
        or a metric that the model does not have).
    differences : dict of str to list of (Interval or None)
        For each metric and model the paired interval of this model minus the first.
    """

    evaluations: list[Evaluation]
    intervals: dict[str, list[Interval | None]]
    differences: dict[str, list[Interval | None]]

    def cells(self) -> list[list[str]]:
        """The table as text: a head (metric, model names), then one line a metric.

        A cell is `estimate [low, high]`, followed by * where the paired interval of the difference from the
        first model excludes zero.
        """
        table = [["metric", *(evaluation.name for evaluation in self.evaluations)]]
        for metric, intervals in self.intervals.items():
            line = [metric]
            for evaluation, interval, difference in zip(
                self.evaluations, intervals, self.differences[metric], strict=True
            ):
                if interval is not None:
                    star = "*" if difference is not None and difference.excludes_zero() else ""
                    line.append(f"{interval}{star}")
                else:
                    line.append(f"{evaluation.mean(metric):.4f}" if metric in evaluation.metrics else "-")
            table.append(line)
        seconds = [f"{evaluation.recommend_seconds:.3f}" for evaluation in self.evaluations]
        return [*table, ["recommend_seconds", *seconds]]

    def to_text(self) -> str:
        """The table in plain text, one metric a line, never wrapped or cut."""
        cells = self.cells()
        widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells]
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join([*lines, *self._notes()])

    def print(self, file: TextIO | None = None) -> None:
        """Print the table on a stream, stdout by default: with rich on a terminal, else as `to_text`."""
        stream = sys.stdout if file is None else file
        if stream.isatty():
            try:
                rich_table = import_extra("rich.table", "cli")
            except MissingExtraError:
                pass
            else:
                head, *lines = self.cells()
                table = rich_table.Table(*head)
                text = import_extra("rich.text", "cli").Text  # brackets are no markup in it
                for line in lines:
                    table.add_row(*(text(cell) for cell in line))
                console = import_extra("rich.console", "cli").Console(file=stream)
                console.print(table)
                console.print("\n".join(self._notes()), markup=False)
                return
        print(self.to_text(), file=stream)

    def plot(self, path: str | PathLike[str]) -> None:
        """Draw the table: one panel a metric, one point with its interval a model.

        Parameters
        ----------
        path : path
            File to write; its ending says the format (png, svg, pdf).

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed (extra `plot`).
        """
        figure_module = import_extra("matplotlib.figure", "plot")
        metrics = list(self.intervals)
        n_columns = min(len(metrics), 4)
        n_lines = -(-len(metrics) // n_columns)
        height = 0.9 + 0.3 * len(self.evaluations)
        # A Figure of its own rather than pyplot: no window, no state shared with the caller's pictures.
        figure = figure_module.Figure(figsize=(3.2 * n_columns, height * n_lines), layout="constrained")
        panels = figure.subplots(n_lines, n_columns, squeeze=False, sharey=True).ravel()
        places = list(range(len(self.evaluations)))
        for panel, metric in zip(panels, metrics):
            for place, evaluation, interval in zip(places, self.evaluations, self.intervals[metric]):
                if metric not in evaluation.metrics:
                    continue
                value = evaluation.mean(metric)
                reach = None if interval is None else [[value - interval.low], [interval.high - value]]
                panel.errorbar([value], [place], xerr=reach, fmt="o", capsize=3, color=f"C{place % 10}")
            panel.set_title(metric, fontsize=10)
            panel.set_yticks(places, [evaluation.name for evaluation in self.evaluations])
            panel.set_ylim(len(places) - 0.5, -0.5)
            panel.grid(axis="x", alpha=0.3)
        for panel in panels[len(metrics) :]:
            panel.set_axis_off()
        figure.savefig(path, dpi=150)

    def _notes(self) -> list[str]:
        first = self.evaluations[0]
        notes = [f"{len(first.user_ids)} users; in brackets the 95 % bootstrap interval over users"]
        if len(self.evaluations) > 1:
            notes.append(
                f"* differs from {first.name}: the paired 95 % interval of the difference excludes 0"
            )
        return notes


def compare(
    models: Iterable[Any] | Mapping[str, Any],
    test: Interactions | None = None,
    *,
    k: int | Iterable[int] = 10,
    metrics: Iterable[str] | None = None,
    plot: str | PathLike[str] | None = None,
    show: bool = True,
    file: TextIO | None = None,
    n_resamples: int = 1000,
    random_state: int = 0,
    **options: Any,
) -> Comparison:
    """Evaluate models on one test part, print the table with 95 % intervals, and draw it.

    Parameters
    ----------
    models : several models, or mapping of name to model
        Fitted models, or `Evaluation`s made before. The others are compared with the first.
    test : Interactions, optional
        The test part; not needed if all are `Evaluation`s.
    k : int or several ints
        As in `evaluate`; the table shows the largest.
    metrics : several str, optional
        The lines of the table, as `recall@10`. By default precision, recall, F1, hit rate, MAP, MRR, NDCG and
        coverage, and RMSE and MAE if a model predicts ratings.
    plot : path, optional
        Where to draw the table. Without matplotlib (extra `plot`) the picture is left out with a warning.
    show : bool
        Print the table.
    file : text stream, optional
        Where to print it; stdout by default.
    n_resamples, random_state : int
        As in `bootstrap_interval`.
    **options
        Passed on to `evaluate`: `relevant_from`, `exclude_seen`, `batch_users`, `graded`, `progress`.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If there is no model, two have one name, a model comes without `test`, evaluations are over different
        users, or a metric is one that no model has.

    Examples
    --------
    >>> def judged(name, recall):
    ...     return Evaluation(name, np.arange(3), {"recall@2": np.array(recall)}, {}, None, 0.5)
    >>> import numpy as np
    >>> pair = [judged("first", [0.0, 0.5, 0.5]), judged("second", [0.5, 1.0, 1.0])]
    >>> table = compare(pair, metrics=["recall@2"], show=False)
    >>> table.differences["recall@2"][1].low
    0.5
    """
    named = list(models.items()) if isinstance(models, Mapping) else [(None, model) for model in models]
    if not named:
        raise ValueError("[compare] expected at least one model, got none")
    cutoffs = check_cutoffs(k)
    evaluations = []
    for name, model in named:
        if isinstance(model, Evaluation):
            evaluations.append(model)
        elif test is None:
            raise ValueError("[compare] expected a test part to evaluate models on, got none; give test=")
        else:
            evaluations.append(evaluate(model, test, k=cutoffs, name=name, **options))
    names = [evaluation.name for evaluation in evaluations]
    if len(set(names)) < len(names):
        raise ValueError(f"[compare] expected a name of its own for each model, got {names}; give a mapping")

    available = [metric for evaluation in evaluations for metric in evaluation.metrics]
    if metrics is None:
        wanted = [f"{metric}@{cutoffs[-1]}" for metric in _DEFAULT_METRICS] + ["rmse", "mae"]
        chosen = [metric for metric in wanted if metric in available]
    else:
        chosen = list(metrics)
        unknown = [metric for metric in chosen if metric not in available]
        if unknown:
            known = list(dict.fromkeys(available))
            raise ValueError(f"[compare] expected metrics of {known}, got {unknown}; take some of those")
    if not chosen:
        raise ValueError(f"[compare] expected evaluations at k={cutoffs[-1]}; give the k they were made with")

    comparison = _compare(evaluations, chosen, n_resamples, random_state)
    if show:
        comparison.print(file)
    if plot is not None:
        try:
            comparison.plot(plot)
        except MissingExtraError as error:
            warnings.warn(f"the picture is left out: {error}", stacklevel=2)
    return comparison


def _compare(
    evaluations: list[Evaluation], metrics: list[str], n_resamples: int, random_state: int
) -> Comparison:
    settings = {"n_resamples": n_resamples, "random_state": random_state}
    first = evaluations[0]
    intervals: dict[str, list[Interval | None]] = {}
    differences: dict[str, list[Interval | None]] = {}
    for metric in metrics:
        intervals[metric] = []
        differences[metric] = []
        for evaluation in evaluations:
            resampled = metric in evaluation.metrics and metric not in evaluation.overall
            intervals[metric].append(evaluation.interval(metric, **settings) if resampled else None)
            paired = resampled and evaluation is not first and metric in first.metrics
            differences[metric].append(evaluation.difference(first, metric, **settings) if paired else None)
    return Comparison(evaluations, intervals, differences)

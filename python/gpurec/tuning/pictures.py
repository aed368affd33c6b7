"""Pictures of a tuning: its history, what matters, each setting beside the metric, all settings at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import import_extra
from .space import Choice, Range

if TYPE_CHECKING:
    from .trial import Trial
    from .tuning import Tuning

__all__ = ["draw_pictures"]


def draw_pictures(tuning: Tuning, folder: Path) -> list[Path]:
    """Draw history.png, slices.png, parallel.png and, where it is known, importance.png.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed (extra `plot`).
    """
    new_figure = import_extra("matplotlib.figure", "plot").Figure
    complete = [trial for trial in tuning.trials if trial.value is not None]
    figures = {
        "history": _history(new_figure, tuning, complete),
        "slices": _slices(new_figure, tuning, complete),
        "parallel": _parallel(new_figure, tuning, complete),
    }
    if tuning.importances:
        figures["importance"] = _importance(new_figure, tuning)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=150)
    return paths


def _history(new_figure: Any, tuning: Tuning, complete: list[Trial]) -> Any:
    figure = new_figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    numbers, values = [trial.number for trial in complete], [trial.value for trial in complete]
    running = np.minimum.accumulate if tuning.metric.lower_is_better else np.maximum.accumulate
    axes.step(numbers, running(np.array(values)), where="post", color="tab:blue", label="best so far")
    axes.scatter(numbers, values, s=18, color="tab:blue", label="complete")
    pruned = [trial for trial in tuning.trials if trial.state == "pruned" and trial.reports]
    if pruned:
        last = [list(trial.reports.values())[-1] for trial in pruned]
        axes.scatter([trial.number for trial in pruned], last, s=18, color="0.7", label="pruned")
    if tuning.trials[0].value is not None:
        axes.axhline(tuning.trials[0].value, color="0.5", linewidth=0.8, linestyle=":", label="defaults")
    axes.set_xlabel("trial")
    axes.set_ylabel(tuning.task["metric"])
    axes.legend(fontsize=8)
    axes.set_title(tuning.task["model"])
    return figure


def _slices(new_figure: Any, tuning: Tuning, complete: list[Trial]) -> Any:
    ranges = tuning.space.ranges
    n_columns = min(len(ranges), 4)
    n_lines = -(-len(ranges) // n_columns)
    figure = new_figure(figsize=(3.2 * n_columns, 2.8 * n_lines), layout="constrained")
    panels = figure.subplots(n_lines, n_columns, squeeze=False, sharey=True).ravel()
    values = [trial.value for trial in complete]
    numbers = [trial.number for trial in complete]
    for panel, (name, of) in zip(panels, ranges.items()):
        if isinstance(of, Choice):
            places = [_place(of, trial.settings[name]) for trial in complete]
            panel.set_xticks(range(len(of.options)), map(str, of.options), fontsize=8)
        else:
            places = [trial.settings[name] for trial in complete]
            panel.set_xscale("log" if of.log else "linear")
        panel.scatter(places, values, c=numbers, cmap="Blues", edgecolors="0.4", linewidths=0.4, s=18)
        panel.scatter([places[complete.index(tuning.best)]], [tuning.best.value], color="tab:red", s=26)
        panel.set_title(name, fontsize=10)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel(tuning.task["metric"])
    for panel in panels[len(ranges) :]:
        panel.set_axis_off()
    return figure


def _parallel(new_figure: Any, tuning: Tuning, complete: list[Trial]) -> Any:
    ranges = tuning.space.ranges
    figure = new_figure(figsize=(1.6 * (len(ranges) + 2), 4), layout="constrained")
    axes = figure.add_subplot()
    # Lines of good trials are drawn over those of bad ones, in the order of their values.
    sign = -1 if tuning.metric.lower_is_better else 1
    in_order = sorted(complete, key=lambda trial: sign * trial.value)  # type: ignore[operator]
    low, high = (tuning.metric.best([t.value for t in some]) for some in (in_order[:1], in_order))  # type: ignore[misc]
    for rank, trial in enumerate(in_order, start=1):
        heights = [_height(of, trial.settings[name]) for name, of in ranges.items()]
        heights.append(0.5 if low == high else (trial.value - low) / (high - low))  # type: ignore[operator]
        shade = rank / len(in_order)
        colour = "tab:red" if trial is tuning.best else str(0.85 * (1 - shade))
        axes.plot(range(len(heights)), heights, color=colour, linewidth=0.6 + shade, alpha=0.8)
    labels = [f"{name}\n{_ends(of)}" for name, of in ranges.items()]
    labels.append(f"{tuning.task['metric']}\n{low:.4g} to {high:.4g}")
    axes.set_xticks(range(len(labels)), labels, fontsize=8)
    axes.set_yticks([])
    return figure


def _importance(new_figure: Any, tuning: Tuning) -> Any:
    shares = sorted(tuning.importances.items(), key=lambda share: share[1])
    figure = new_figure(figsize=(6, 1.2 + 0.35 * len(shares)), layout="constrained")
    axes = figure.add_subplot()
    bars = axes.barh(range(len(shares)), [share for _, share in shares], color="tab:blue")
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set_yticks(range(len(shares)), [name for name, _ in shares])
    axes.margins(x=0.12)
    axes.set_title("importance among the better half", fontsize=10)
    return figure


def _place(of: Choice, value: Any) -> int:
    return next(place for place, option in enumerate(of.options) if Choice(option).holds(value))


def _height(of: Range, value: Any) -> float:
    """Where in its range a value lies, from 0 to 1."""
    if isinstance(of, Choice):
        return _place(of, value) / max(len(of.options) - 1, 1)
    scale = np.log if of.log else float
    return float((scale(value) - scale(of.low)) / (scale(of.high) - scale(of.low)))


def _ends(of: Range) -> str:
    if isinstance(of, Choice):
        return f"{of.options[0]} to {of.options[-1]}"
    return f"{of.low:g} to {of.high:g}"

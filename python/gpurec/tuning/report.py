"""The report of a tuning as a page of Markdown."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .tuning import Tuning

__all__ = ["command_to_fit", "markdown"]

_N_SHOWN = 10


def markdown(tuning: Tuning, pictures: Sequence[str] = (), test: Mapping[str, Any] | None = None) -> str:
    """A page that says what was searched, what was found, and how to fit it.

    Parameters
    ----------
    tuning : Tuning
    pictures : sequence of str
        Names of files that lie beside the page.
    test : mapping, optional
        What the final model reaches on a test part.
    """
    task, best, metric = tuning.task, tuning.best, tuning.task["metric"]
    first, validation = tuning.trials[0], task["validation"]
    states = [trial.state for trial in tuning.trials]
    lines = [
        f"# {task['model']}, tuned for {metric}",
        "",
        f"Best of {len(states)} trials ({states.count('pruned')} pruned, {states.count('failed')} failed): "
        f"number {best.number} with {metric} {_short(best.value)}; the first one, with default settings, has "
        f"{_short(first.value)}.",
        "",
        f"Validation by {validation['by']}: {validation['folds']} of {validation['fraction']:g} of the "
        f"training data's {task['records']:,} records, seed {validation['seed']}. The best of many trials "
        "looks better on the parts that chose it than it is; a test part tells how good it is.",
        "",
        "```console",
        command_to_fit(tuning),
        "```",
    ]
    if test is not None:
        lines += ["", "Measured once on the test part, after a fit on all of the training data:", ""]
        lines += _table(["metric", "value"], [[name, _short(value)] for name, value in test.items()])
    names = list(tuning.space.ranges)
    lines += ["", "## Settings", ""]
    columns = ["setting", "searched", "best", "first", "importance"]
    lines += _table(
        columns,
        [
            [
                f"`{name}`",
                _range(tuning.space.to_dict()["ranges"][name]),
                _short(best.settings[name]),
                _short(first.settings[name]),
                _short(tuning.importances.get(name)),
            ]
            for name in names
        ],
    )
    if best.epochs is not None and tuning.space.epochs is not None:
        epochs = tuning.space.epochs
        lines += ["", f"`{epochs.setting}`: {best.epochs}, of at most {epochs.most} in a trial."]
    complete = [trial for trial in tuning.trials if trial.value is not None]
    sign = 1 if tuning.metric.lower_is_better else -1
    complete.sort(key=lambda trial: sign * trial.value)  # type: ignore[operator]
    lines += ["", "## Best trials", ""]
    lines += _table(
        ["trial", metric, "on each fold", *names, "seconds"],
        [
            [
                str(trial.number),
                _short(trial.value),
                " ".join(map(_short, trial.folds)),
                *(_short(trial.settings[name]) for name in names),
                f"{trial.seconds:.1f}",
            ]
            for trial in complete[:_N_SHOWN]
        ],
    )
    for name in pictures:
        lines += ["", f"![{name.partition('.')[0]}]({name})"]
    return "\n".join(lines) + "\n"


def command_to_fit(tuning: Tuning) -> str:
    """The command that fits the model with the best settings."""
    settings = tuning.settings
    shown = {**tuning.space.fixed, **tuning.best.settings}
    if tuning.space.epochs is not None:
        shown[tuning.space.epochs.setting] = tuning.best.epochs
    given = [f"--set {shlex.quote(f'{name}={_word(settings[name])}')}" for name in shown]
    return " ".join(["gpurec fit TRAIN --model", tuning.task["model"], *given, "--out MODEL"])


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _short(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _range(of: dict[str, Any]) -> str:
    if "options" in of:
        return ", ".join(map(str, of["options"]))
    return f"{of['low']:g} to {of['high']:g}" + (", logarithmic" if of["log"] else "")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]

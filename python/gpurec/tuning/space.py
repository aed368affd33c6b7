"""Search spaces: which settings of a model are tuned, and what each may be."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["Choice", "Epochs", "Range", "Real", "Space", "Whole", "range_of"]


@dataclass(frozen=True)
class Real:
    """Any number from `low` to `high`, both included; with `log` each order of magnitude is as likely.

    Raises
    ------
    ValueError
        If the bounds are not finite or not in order, or `log` begins at 0 or below.

    Examples
    --------
    >>> Real(0.1, 10, log=True).holds(3)
    True
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, self.log)

    def holds(self, value: Any) -> bool:
        """Whether a value lies in the range."""
        return type(value) in (int, float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Whole:
    """Any integer from `low` to `high`, both included; with `log` each order of magnitude is as likely.

    Raises
    ------
    TypeError
        If a bound is no integer.
    ValueError
        As of `Real`.

    Examples
    --------
    >>> Whole(8, 128).holds(64), Whole(8, 128).holds(64.5)
    (True, False)
    """

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        if type(self.low) is not int or type(self.high) is not int:
            raise TypeError(f"[space] expected integers, got {self.low!r} and {self.high!r}; use Real")
        _check_bounds(self.low, self.high, self.log)

    def holds(self, value: Any) -> bool:
        """Whether a value lies in the range."""
        return type(value) is int and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of some texts, numbers, truth values or None.

    Raises
    ------
    ValueError
        If there is none, or one stands twice.
    TypeError
        If one is of another type.

    Examples
    --------
    >>> Choice("none", "tf-idf").holds("bm25")
    False
    """

    options: tuple[Any, ...]

    def __init__(self, *options: Any) -> None:
        if not options or len({repr(option) for option in options}) < len(options):
            raise ValueError(f"[space] expected options that differ, got {options}; give each once")
        if not all(option is None or type(option) in (str, int, float, bool) for option in options):
            raise TypeError(f"[space] expected texts, numbers, truth values or None, got {options}")
        object.__setattr__(self, "options", options)

    def holds(self, value: Any) -> bool:
        """Whether a value is one of the options; 1, 1.0 and True are three."""
        return any(type(value) is type(option) and value == option for option in self.options)


Range = Real | Whole | Choice


@dataclass(frozen=True)
class Epochs:
    """How a model that learns in epochs is tuned: judged after each, and the best number becomes a setting.

    Parameters
    ----------
    setting : str
        The setting that says how many epochs a fit has.
    most : int
        Epochs of a trial at most.
    patience : int
        Epochs without a better value after which a trial ends.
    """

    setting: str
    most: int
    patience: int


@dataclass(frozen=True)
class Space:
    """What is tuned of a model.

    Parameters
    ----------
    ranges : mapping of str to Real, Whole or Choice
        By names of settings.
    fixed : mapping of str to value
        Settings that every trial has.
    start : mapping of str to value
        Settings of which the first trial takes the model's defaults for all others.
    epochs : Epochs, optional
        For models whose callback is called after each epoch.

    Examples
    --------
    >>> Space({"l2": Real(1, 1000, log=True)}).with_fixed({"l2": 80.0}).ranges
    {}
    """

    ranges: Mapping[str, Range] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    start: Mapping[str, Any] = field(default_factory=dict)
    epochs: Epochs | None = None

    def with_fixed(self, settings: Mapping[str, Any]) -> Space:
        """The same space with some settings fixed; a fixed number of epochs is the most of a trial."""
        settings, epochs = dict(settings), self.epochs
        if epochs is not None and epochs.setting in settings:
            most = settings.pop(epochs.setting)
            if type(most) is not int or most < 1:
                raise ValueError(f"[space] expected {epochs.setting} of 1 or more, got {most!r}; raise it")
            epochs = replace(epochs, most=most)
        ranges = {name: of for name, of in self.ranges.items() if name not in settings}
        start = {name: value for name, value in self.start.items() if name not in settings}
        return Space(ranges, {**self.fixed, **settings}, start, epochs)

    def with_ranges(self, ranges: Mapping[str, Range]) -> Space:
        """The same space with some settings searched in other ranges, or searched at all.

        A number of epochs that is searched is no longer found along: models are judged after their fit.
        """
        fixed = {name: value for name, value in self.fixed.items() if name not in ranges}
        epochs = None if self.epochs is not None and self.epochs.setting in ranges else self.epochs
        return replace(self, ranges={**self.ranges, **ranges}, fixed=fixed, epochs=epochs)

    def to_dict(self) -> dict[str, Any]:
        """What it consists of, as JSON holds it; equal for equal spaces."""
        epochs = None if self.epochs is None else vars(self.epochs)
        return {
            "ranges": {name: _as_json(self.ranges[name]) for name in sorted(self.ranges)},
            "fixed": {name: self.fixed[name] for name in sorted(self.fixed)},
            "start": {name: self.start[name] for name in sorted(self.start)},
            "epochs": None if epochs is None else dict(epochs),
        }


def range_of(text: str) -> Range:
    """A range from a text: `LOW:HIGH`, `LOW:HIGH:log`, or options with bars between them.

    Raises
    ------
    ValueError
        If it is none of these.

    Examples
    --------
    >>> range_of("8:128"), range_of("0.1:10:log"), range_of("none|bm25")
    (Whole(low=8, high=128, log=False), Real(low=0.1, high=10, log=True), Choice(options=('none', 'bm25')))
    """
    if "|" in text:
        return Choice(*(_plain(option) for option in text.split("|")))
    parts = text.split(":")
    bounds = [_plain(part) for part in parts[:2]]
    log = parts[2:] == ["log"]
    numbers = len(bounds) == 2 and all(type(bound) in (int, float) for bound in bounds)
    if not numbers or not (log or len(parts) == 2):
        raise ValueError(f"[space] expected LOW:HIGH, LOW:HIGH:log or A|B, got {text!r}; write one of them")
    low, high = bounds
    whole = type(low) is int and type(high) is int
    return Whole(low, high, log) if whole else Real(low, high, log)


def _plain(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if value is None or type(value) in (int, float, bool, str) else text


def _as_json(of: Range) -> dict[str, Any]:
    if isinstance(of, Choice):
        return {"options": list(of.options)}
    return {"kind": type(of).__name__.lower(), "low": of.low, "high": of.high, "log": of.log}


def _check_bounds(low: float, high: float, log: bool) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"[space] expected finite bounds, the lower one first, got {low} and {high}")
    if log and low <= 0:
        raise ValueError(f"[space] expected a logarithmic range to begin above 0, got {low}; raise it")

"""What a search tells of itself, where it is asked to."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

__all__ = ["SearchReport"]


@dataclass
class SearchReport:
    """What a search did, an entry a query; a backend says what it can.

    Attributes
    ----------
    counts : dict of int64 arrays, shape (n_queries,)
        Work done.
    choices : dict of object arrays, shape (n_queries,)
        What was chosen to do it with.
    thresholds : float32 array, shape (n_queries,)
        What ruled items out at the end of the scan; -inf where nothing did.
    seconds : dict of float
        What each phase of the whole search took.
    thread_seconds : dict of float
        What its threads were busy with during the phase "search", of all threads together.
    """

    counts: dict[str, np.ndarray] = field(default_factory=dict)
    choices: dict[str, np.ndarray] = field(default_factory=dict)
    thresholds: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
    seconds: dict[str, float] = field(default_factory=dict)
    thread_seconds: dict[str, float] = field(default_factory=dict)
    _phase: str | None = None
    _since: float = 0.0

    def begin(self, phase: str) -> None:
        """Start the clock of a phase, and stop that of the phase before."""
        self.stop()
        self._phase = phase

    def stop(self) -> None:
        """Stop the clock."""
        now = perf_counter()
        if self._phase is not None:
            _add(self.seconds, {self._phase: now - self._since})
        self._phase, self._since = None, now

    def choose(self, n_queries: int, **choices: Any) -> None:
        """Note what was chosen for all queries."""
        self.choices |= {name: np.full(n_queries, value, object) for name, value in choices.items()}

    def put(self, n_queries: int, queries: np.ndarray, part: SearchReport) -> None:
        """Take over what was done for some of `n_queries` queries."""
        if len(self.thresholds) == 0:
            self.thresholds = np.full(n_queries, -np.inf, np.float32)
        self.thresholds[queries] = part.thresholds
        for mine, others in ((self.counts, part.counts), (self.choices, part.choices)):
            for name, column in others.items():
                mine.setdefault(name, np.zeros(n_queries, column.dtype))[queries] = column
        part.stop()
        _add(self.seconds, part.seconds)
        _add(self.thread_seconds, part.thread_seconds)


def _add(seconds: dict[str, float], more: dict[str, float]) -> None:
    for phase, value in more.items():
        seconds[phase] = seconds.get(phase, 0.0) + value

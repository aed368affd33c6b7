"""Measuring side by side: contenders take turns in one run; only what shared a round is compared."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any

from . import ROOT

__all__ = ["machine", "milliseconds", "ratio", "spread", "take_turns", "typical"]

_GROUPS = 10


def take_turns(
    turns: Mapping[str, Callable[[], float]], n_rounds: int, pause: float = 0.1
) -> dict[str, list[float]]:
    """Let every contender measure itself once a round, each round beginning with another one.

    Parameters
    ----------
    turns : mapping of name to function
        The function measures once and returns the figure.
    n_rounds : int
    pause : float
        Seconds between turns: threads of BLAS and OpenMP spin for a while after their work, and would
        otherwise spin into the next contender's turn.

    Returns
    -------
    dict of name to list
        One figure a round. Figures of one round were taken within seconds of each other, so that their ratio
        holds on a machine whose speed drifts.

    Examples
    --------
    >>> take_turns({"a": lambda: 1.0, "b": lambda: 2.0}, n_rounds=2, pause=0)
    {'a': [1.0, 1.0], 'b': [2.0, 2.0]}
    """
    names = list(turns)
    figures: dict[str, list[float]] = {name: [] for name in names}
    for round_ in range(n_rounds):
        first = round_ % len(names)
        for name in names[first:] + names[:first]:
            time.sleep(pause)
            figures[name].append(turns[name]())
    return figures


def typical(seconds: Sequence[float]) -> float:
    """What one of many searches takes: the median of the means of ten groups of them.

    Some queries take many times as long as most, which a median of all would not see; a group in which other
    work disturbed the machine is left out, as a mean of all would not do.

    Examples
    --------
    >>> typical([1, 1, 1, 5] * 10)
    2.0
    >>> typical([1, 1, 9])
    1.0
    """
    n_groups = min(_GROUPS, len(seconds))
    bounds = [len(seconds) * i // n_groups for i in range(n_groups + 1)]
    return median(fmean(seconds[a:b]) for a, b in pairwise(bounds))


def spread(figures: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest of the rounds.

    Examples
    --------
    >>> spread([3.0, 1.0, 2.0])
    {'median': 2.0, 'low': 1.0, 'high': 3.0}
    """
    return {"median": median(figures), "low": min(figures), "high": max(figures)}


def milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    """Spread of the rounds, in milliseconds.

    Examples
    --------
    >>> milliseconds([0.003, 0.001, 0.002])
    {'median': 2.0, 'low': 1.0, 'high': 3.0}
    """
    return spread([1e3 * s for s in seconds])


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Spread of the round-by-round ratios ours / theirs.

    Examples
    --------
    >>> ratio([1.0, 2.0, 3.0], [2.0, 4.0, 2.0])
    {'median': 0.5, 'low': 0.5, 'high': 1.5}
    """
    return spread([a / b for a, b in zip(ours, theirs)])


def machine(n_threads: int) -> dict[str, Any]:
    """Where and when a measurement was taken: processor, cores, threads, load, date, commit."""
    model = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "threads": n_threads,
        "load_before": round(os.getloadavg()[0], 2),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "csrc", "python", "CMakeLists.txt")),
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else "unknown"

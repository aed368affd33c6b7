"""A progress bar for long work: on a terminal, and only if rich is installed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .errors import MissingExtraError, import_extra

__all__ = ["Progress", "reporter"]

Progress = bool | Callable[[int, int], None] | None


@contextmanager
def reporter(progress: Progress, label: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Give a function (done, total) that shows how far the work is.

    Parameters
    ----------
    progress : bool, callable or None
        A callable is given back as it is. True shows a bar on stderr, False none, None one if stderr is a
        terminal and rich is installed.
    label : str
        Stands before the bar.
    total : int
        The first guess; each report may give another.

    Raises
    ------
    MissingExtraError
        If `progress` is True and rich is not installed.

    Examples
    --------
    >>> with reporter(print, "fit", 20) as report:
    ...     report(10, 20)
    10 20
    """
    if callable(progress):
        yield progress
        return
    bars = None
    if progress or (progress is None and sys.stderr.isatty()):
        try:
            bars = import_extra("rich.progress", "cli")
        except MissingExtraError:
            if progress:
                raise
    if bars is None:
        yield lambda done, total: None
        return
    console = import_extra("rich.console", "cli").Console(stderr=True)
    with bars.Progress(console=console, transient=True) as shown:
        bar = shown.add_task(label, total=total)
        yield lambda done, total: shown.update(bar, completed=done, total=total)

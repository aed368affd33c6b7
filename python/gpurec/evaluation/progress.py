"""A progress bar for long evaluations: on a terminal, and only if rich is installed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import import_extra

__all__ = ["reporter"]


@contextmanager
def reporter(
    progress: bool | Callable[[int, int], None] | None, label: str, total: int
) -> Iterator[Callable[[int, int], None]]:
    """Give a function (done, total) that shows how far the work is.

    Parameters
    ----------
    progress : bool, callable or None
        A callable is given back as it is; True shows a bar on stderr, False none, None a bar only if stderr
        is a terminal and rich is there.
    label : str
        Stands before the bar.
    total : int

    Raises
    ------
    MissingExtraError
        If `progress` is True and rich is not installed.

    Examples
    --------
    >>> with reporter(print, "evaluate", 20) as report:
    ...     report(10, 20)
    10 20
    """
    if callable(progress):
        yield progress
        return
    rich_progress = None
    if progress or (progress is None and sys.stderr.isatty()):
        try:
            rich_progress = import_extra("rich.progress", "cli")
        except ImportError:
            if progress:
                raise
    if rich_progress is None:
        yield lambda done, total: None
        return
    console = import_extra("rich.console", "cli").Console(stderr=True)
    with rich_progress.Progress(console=console, transient=True) as bars:
        bar = bars.add_task(label, total=total)
        yield lambda done, total: bars.update(bar, completed=done, total=total)

"""What commands print: rich tables on a terminal, else plain lines that are never wrapped or coloured."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, TextIO

__all__ = ["is_terminal", "note", "printable", "say", "say_json", "show_table"]


def is_terminal(stream: TextIO | None) -> bool:
    """Whether someone is looking: the stream is there and is a terminal.

    Examples
    --------
    >>> import io
    >>> is_terminal(io.StringIO()), is_terminal(None)
    (False, False)
    """
    return stream is not None and stream.isatty()


def say(text: str = "") -> None:
    """Print text on stdout as it is; characters that its encoding lacks are written as escapes.

    Examples
    --------
    >>> say("two films")
    two films
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def note(text: str) -> None:
    """Tell what is going on, on stderr, if that is a terminal: never part of a result."""
    if is_terminal(sys.stderr):
        print(text, file=sys.stderr)


def say_json(value: dict[str, Any]) -> None:
    """Print one JSON object; a number that JSON lacks is a ValueError, not a word of JavaScript's.

    Examples
    --------
    >>> say_json({"rmse": None})
    {
      "rmse": null
    }
    """
    print(json.dumps(value, indent=2, allow_nan=False))  # ASCII, whatever the encoding


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print a table: on a terminal with lines around it, else a line a row with tabs between its fields.

    Parameters
    ----------
    columns : sequence of str
        The first line.
    rows : iterable of sequences
        Numbers stand to the right on a terminal. Titles and ids come from files, so characters that would
        end a line or steer a terminal are shown as escapes.
    title : str, optional
        Stands above.

    Examples
    --------
    >>> show_table(["rank", "title"], [[1, "Alien"], [2, "two\\nlines"]])  # doctest: +NORMALIZE_WHITESPACE
    rank title
    1    Alien
    2    two\\nlines
    """
    if not is_terminal(sys.stdout):
        if title is not None:
            say(title)
        for row in chain([columns], rows):  # as they come
            say("\t".join(printable(str(cell)) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = list(rows)
    table = Table(title=None if title is None else Text(title), title_justify="left")
    for place, column in enumerate(columns):
        numbers = all(isinstance(row[place], (int, float)) for row in rows)
        table.add_column(Text(column), justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    Console().print(table)


def printable(text: str) -> str:
    """Text without characters that would end a line, a field, or steer a terminal; those become escapes.

    Examples
    --------
    >>> printable("Amélie\\tII \\x1b[31m")
    'Amélie\\\\tII \\\\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if unicodedata.category(character) == "Zs":  # a space of another width is still a space
        return " "
    return character.encode("unicode_escape").decode("ascii")

"""Recommendations written as a table: to stdout, or to a csv, jsonl or parquet file."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import import_extra
from .output import show_table

if TYPE_CHECKING:
    from ..models import Recommendations

__all__ = ["FORMATS", "table_format", "write_tables"]

FORMATS = ("csv", "jsonl", "parquet")


def table_format(out: str, format: str | None) -> str | None:
    """The format of what is written to `out`, checked before any work is done.

    Parameters
    ----------
    out : str
        Path of a file, or "-" for stdout.
    format : str or None
        None goes by the ending of the file's name; on stdout it stays None: a table to read.

    Raises
    ------
    ValueError
        If the format is unknown or the name does not end in one, or parquet is to go to stdout.

    Examples
    --------
    >>> table_format("films.jsonl", None), table_format("-", "csv"), table_format("-", None)
    ('jsonl', 'csv', None)
    """
    if format is None and out != "-":
        format = Path(out).suffix.lower().lstrip(".")
        if format not in FORMATS:
            raise ValueError(
                f"[write] expected a name that ends in {', '.join(FORMATS)}, got {out!r}; do: --format csv"
            )
    if format is not None and format not in FORMATS:
        raise ValueError(f"[write] expected a format of {', '.join(FORMATS)}, got {format!r}; choose one")
    if format == "parquet" and out == "-":
        raise ValueError("[write] expected a file for parquet, got stdout; do: --out FILE.parquet")
    return format


def write_tables(parts: Iterable[Recommendations], out: str, format: str | None) -> None:
    """Write recommendations as they come.

    Parameters
    ----------
    parts : iterable of Recommendations
    out : str
        Path of a file, which is replaced when all is written or not at all; "-" is stdout.
    format : {"csv", "jsonl", "parquet", None}
        As `table_format` gives it. None is lines with tabs, or a table of rich's on a terminal.

    Raises
    ------
    ValueError
        If it is parquet and ids of one column differ in type.
    MissingExtraError
        If it is parquet and polars is not installed.

    Notes
    -----
    Scores have the fewest digits that give back the same float32; parquet holds them as they are.
    """
    if out == "-":
        _TEXT_WRITERS[format](parts, sys.stdout)
        return
    with _replaced(Path(out)) as path:
        if format == "parquet":
            _write_parquet(parts, path)
        else:
            with path.open("w", encoding="utf-8", newline="") as file:
                _TEXT_WRITERS[format](parts, file)


def _rows(part: Recommendations) -> Iterator[dict[str, Any]]:
    for row, score in zip(part.to_dicts(), part.scores.astype(str).tolist()):
        yield row | {"score": float(score)}


def _columns(part: Recommendations) -> list[str]:
    return [*part.columns, "score", "rank", *(["source"] if part.sources is not None else [])]


def _show(parts: Iterable[Recommendations], file: TextIO) -> None:
    parts = iter(parts)
    first = next(parts)
    rows = (list(row.values()) for part in chain([first], parts) for row in _rows(part))
    show_table(_columns(first), rows)


def _write_csv(parts: Iterable[Recommendations], file: TextIO) -> None:
    writer = csv.writer(file, lineterminator="\n")
    for number, part in enumerate(parts):
        if number == 0:
            writer.writerow(_columns(part))
        writer.writerows(row.values() for row in _rows(part))


def _write_jsonl(parts: Iterable[Recommendations], file: TextIO) -> None:
    for part in parts:
        for row in _rows(part):
            # Ids of types that JSON lacks come only from models fitted in Python; they are written as texts.
            file.write(json.dumps(row, default=str, allow_nan=False) + "\n")


_TEXT_WRITERS: dict[str | None, Callable[[Iterable[Recommendations], TextIO], None]] = {
    None: _show,
    "csv": _write_csv,
    "jsonl": _write_jsonl,
}


def _write_parquet(parts: Iterable[Recommendations], path: Path) -> None:
    polars = import_extra("polars", "data")
    frames = [part.to_polars() for part in parts]
    # Ids are integers or texts or, where there is no row, nothing yet.
    with_rows = [frame for frame in frames if len(frame)]
    if not with_rows:
        schema = {
            name: polars.String if kind == polars.Object else kind for name, kind in frames[0].schema.items()
        }
        with_rows = [polars.DataFrame(schema=schema)]
    for name in with_rows[0].columns:
        kinds = {frame.schema[name] for frame in with_rows}
        if len(kinds) > 1 or polars.Object in kinds:
            raise ValueError(f"[write] expected ids of one type in {name}, got several; do: --format jsonl")
    polars.concat(with_rows).write_parquet(path)


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` if nothing goes wrong."""
    if path.exists() and not path.is_file():
        yield path  # a pipe or a device has no place to take
        return
    path = path.resolve()
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

"""Reading records from files: which format a file has, and one reader a format."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MissingExtraError, import_extra
from .columns import BadValue, find_columns, id_array, time_array, weight_array
from .formats import FORMATS, detect_format, has_header
from .records import Records, records_from_frame

__all__ = ["read_records"]


def read_records(
    path: str | PathLike[str],
    *,
    format: str = "auto",
    columns: Mapping[str, str | int | None] | None = None,
) -> Records:
    """Raw records of a file, in its order; what is missing in it is missing in them.

    Parameters
    ----------
    path : str or path
        Text is UTF-8, lines end in LF or CRLF, empty lines are skipped.
    format : {"auto", "csv", "tsv", "movielens", "adjacency", "parquet"}
        csv and tsv: commas or tabs, double quotes, with a header unless a field of the first line is a
        number; without one the columns are user, item, weight, timestamp. movielens: these columns
        without a header, separated by `::`, a tab or spaces; weight and timestamp may lack. adjacency: a
        user and all of its items a line, separated by spaces; a user without items is legal. auto:
        `detect_format` decides.
    columns : mapping, optional
        Columns of the roles, by name or place, as in `find_columns`; not for adjacency.

    Returns
    -------
    Records
        Ids are integers where the whole column is written as such, else texts.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is empty, no text, or of another format than it should be; if a line has more or fewer
        fields than the first or holds a weight or timestamp that is none (the text names the line); if a
        column is not found.
    MissingExtraError
        If the format is parquet and polars is not installed. Other formats need nothing; where polars is
        installed, csv, tsv and movielens are read through it, with the same result.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "plays.tsv")
    >>> _ = path.write_text("user\\tartistID\\tplays\\nann\\t51\\t13883\\nbob\\t52\\t\\n")
    >>> raw = read_records(path)
    >>> raw.user_ids.tolist(), raw.item_ids.tolist(), raw.weights.tolist()
    (['ann', 'bob'], [51, 52], [13883.0, nan])
    """
    path = Path(path)
    if format != "auto" and format not in FORMATS:
        raise ValueError(f"[read] expected a format among {['auto', *FORMATS]}, got {format!r}")
    if format == "auto":
        format = detect_format(path)
    if format == "parquet":
        return _read_parquet(path, columns)
    text = _text(path)
    if format == "adjacency":
        if columns:
            raise ValueError(
                "[read] expected no columns for an adjacency file, whose first field is the user"
            )
        return _read_adjacency(text)
    table = _table(path, text, format, columns)
    return _through_polars(table) or _line_by_line(table)


def _text(path: Path) -> str:
    data = path.read_bytes()
    if not data.strip():
        raise ValueError(f"[read] expected records, but {path.name} is empty")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"[read] expected UTF-8 text, but line {line} of {path.name} is none") from None


def _read_parquet(path: Path, columns: Mapping[str, str | int | None] | None) -> Records:
    pl = import_extra("polars", "data")
    with path.open("rb") as file:
        magic = file.read(4)
    if magic != b"PAR1":
        raise ValueError(f"[read] expected a parquet file, but {path.name} begins with {magic!r}")
    try:
        frame = pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise ValueError(
            f"[read] expected a parquet file, but {path.name} cannot be read: {error}"
        ) from error
    return records_from_frame(frame, columns)


def _read_adjacency(text: str) -> Records:
    users, items, counts = [], [], []
    for line in text.split("\n"):
        fields = line.split()
        if fields:
            users.append(fields[0])
            items.extend(fields[1:])
            counts.append(len(fields) - 1)
    user_ids, n_items = id_array(users, text=True), np.array(counts)
    return Records(
        np.repeat(user_ids, n_items), id_array(items, text=True), idle_user_ids=user_ids[n_items == 0]
    )


@dataclass(frozen=True)
class _Table:
    """Text with one record a line, and how to read it."""

    name: str
    text: str
    separator: str
    quoted: bool
    header: bool
    n_fields: int
    places: Mapping[str, int]

    def lines(self) -> Iterator[tuple[int, list[str]]]:
        """Line number and fields of each record."""
        lines = _lines(self.text, self.separator, self.quoted)
        return islice(lines, 1, None) if self.header else lines


def _table(path: Path, text: str, format: str, columns: Mapping[str, str | int | None] | None) -> _Table:
    quoted = format != "movielens"
    separator = "," if format == "csv" else "\t"
    if format == "movielens":  # all three separators become a tab, so that one parser reads them
        first = text.lstrip().partition("\n")[0]
        if "::" in first:
            text = text.replace("::", "\t")
        elif "\t" not in first:
            text = "\n".join("\t".join(line.split()) for line in text.split("\n"))
    _, names = next(_lines(text, separator, quoted))
    n_fields = len(names)
    header = quoted and has_header(names)
    if not header:
        if n_fields < 2 or (n_fields > 4 and not columns):
            what = f"{n_fields} fields in {separator.join(names)!r:.80}"
            raise ValueError(f"[read] expected user, item, weight, timestamp in {path.name}, got {what}")
        usual = ["user", "item", "weight", "timestamp", *(f"column {place}" for place in range(4, n_fields))]
        names = usual[:n_fields]
    places = find_columns([name.strip() for name in names], columns)
    return _Table(path.name, text, separator, quoted, header, n_fields, places)


def _lines(text: str, separator: str, quoted: bool) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each line that is not empty."""
    rule: dict[str, Any] = {"quoting": csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE}
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, **rule)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(f"[read] expected well-formed fields in line {line}: {error}") from None
        if len(fields) > 1 or (fields and fields[0].strip()):
            yield line, fields


def _line_by_line(table: _Table) -> Records:
    """The reader that decides: it needs no extra, and names the line of whatever is wrong."""
    found: dict[str, list[str]] = {role: [] for role in table.places}
    wanted = [(found[role].append, place) for role, place in table.places.items()]
    numbers = []
    for line, fields in table.lines():
        if len(fields) != table.n_fields:
            raise ValueError(
                f"[read] expected {table.n_fields} fields in line {line} of {table.name}, "
                f"got {len(fields)}: {table.separator.join(fields)!r:.80}"
            )
        numbers.append(line)
        for append, place in wanted:
            append(fields[place].strip())
    if not numbers:
        raise ValueError(f"[read] expected records, but {table.name} has a header and nothing else")
    try:
        return Records(
            id_array(found["user"], text=True),
            id_array(found["item"], text=True),
            weight_array(found["weight"]) if "weight" in found else None,
            time_array(found["timestamp"]) if "timestamp" in found else None,
        )
    except BadValue as bad:
        where = f"line {numbers[bad.place]} of {table.name}"
        raise ValueError(f"[read] expected {bad.expected} in {where}, got {bad.value!r:.60}") from None


def _through_polars(table: _Table) -> Records | None:
    """The same records much faster where polars is installed and nothing at all is unusual, else None.

    Unusual is a missing field, a date, a text that is no number, an uneven line: `_line_by_line` decides
    what those mean, so that the two cannot disagree.
    """
    try:
        pl = import_extra("polars", "data")
    except MissingExtraError:
        return None
    try:
        frame = pl.read_csv(
            table.text.encode(),
            separator=table.separator,
            has_header=table.header,
            infer_schema=False,
            quote_char='"' if table.quoted else None,
        )
    except pl.exceptions.PolarsError:
        return None
    # polars fills lines that are too short with nulls.
    if frame.width != table.n_fields or frame.is_empty() or frame.to_series(-1).null_count():
        return None
    found = {}
    for role, place in table.places.items():
        column = frame.to_series(place).str.strip_chars()
        if column.null_count() or (column == "").any():
            return None
        numbers = column.cast(pl.Float64 if role == "weight" else pl.Int64, strict=False)
        if role in ("user", "item"):
            integers = not numbers.null_count() and (numbers.cast(pl.String) == column).all()
            found[role] = numbers.to_numpy() if integers else id_array(column.to_list(), text=True)
        elif numbers.null_count():
            return None
        else:
            found[role] = numbers.to_numpy()
    return Records(found["user"], found["item"], found.get("weight"), found.get("timestamp"))

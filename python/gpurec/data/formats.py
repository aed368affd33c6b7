"""Which format a file of interactions has, told from its name and its first lines."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

__all__ = ["FORMATS", "detect_format", "has_header"]

FORMATS = ("csv", "tsv", "movielens", "adjacency", "parquet")

_SAMPLE_BYTES = 1 << 16


def detect_format(path: str | PathLike[str]) -> str:
    """The format of a file, one of `FORMATS`.

    A name that ends in csv, tsv, parquet or pq decides, if the content bears it out. Otherwise the first
    64 KiB decide: `::` or tabs without a header are movielens, tabs with one tsv, commas csv; whole
    numbers separated by spaces are adjacency where lines differ in length and no first field repeats, and
    movielens where all lines have the same 2 to 4 fields and first fields repeat.

    Raises
    ------
    ValueError
        If the content fits no format, fits two, or contradicts the name; the text says what was seen.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "train.txt")
    >>> _ = path.write_text("0 10 11 12\\n1 10\\n2\\n")
    >>> detect_format(path)
    'adjacency'
    """
    path = Path(path)
    with path.open("rb") as file:
        data = file.read(_SAMPLE_BYTES)
        whole = not file.read(1)
    if not data.strip():
        raise ValueError(f"[read] expected records, but {path.name} is empty")
    suffix = path.suffix.lower().lstrip(".")
    if data[:4] == b"PAR1":
        return "parquet"
    if suffix in ("parquet", "pq") or b"\0" in data:
        raise ValueError(f"[read] expected text or parquet, but {path.name} begins with {data[:8]!r}")
    lines = [line for line in data.decode("utf-8-sig", errors="replace").splitlines() if line.strip()]
    lines = lines if whole or len(lines) < 2 else lines[:-1]  # the sample may end within a line
    if suffix in ("csv", "tsv"):
        separator = {"csv": ",", "tsv": "\t"}[suffix]
        if separator not in lines[0]:
            raise _unclear(
                path, lines, f"a {suffix} file by its name, but no {separator!r} in its first line"
            )
        return suffix
    return _from_lines(path, lines)


def has_header(fields: list[str]) -> bool:
    """Whether the first line of a table names its columns: none of its fields is a number.

    Examples
    --------
    >>> has_header(["userId", "movieId"]), has_header(["ann", "31", "2.5"])
    (True, False)
    """
    return not any(map(_is_number, fields))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _from_lines(path: Path, lines: list[str]) -> str:
    if all("::" in line for line in lines):
        return "movielens"
    if all("\t" in line for line in lines):
        return "tsv" if has_header(lines[0].split("\t")) else "movielens"
    if all("," in line for line in lines):
        return "csv"
    rows = [line.split() for line in lines]
    widths = {len(fields) for fields in rows}
    repeats = len({fields[0] for fields in rows}) < len(rows)
    integers = all(field.isdecimal() for fields in rows for field in fields)
    if len(rows) > 1 and all(fields[0] == str(len(fields) - 1) for fields in rows):
        raise _unclear(path, lines, "lines that begin with the count of their fields, not with a user")
    if len(widths) == 1 and widths <= {2, 3, 4} and repeats and all(map(_is_number, _weights(rows))):
        return "movielens"
    if integers and not repeats and (len(widths) > 1 or min(widths) > 4):
        return "adjacency"
    if integers:
        seen = f"whole numbers separated by spaces, {min(widths)} to {max(widths)} a line, first fields "
        raise _unclear(path, lines, seen + ("that repeat" if repeats else "that differ"))
    raise _unclear(path, lines, "lines that are neither of these")


def _weights(rows: list[list[str]]) -> list[str]:
    return [field for fields in rows for field in fields[2:]]


def _unclear(path: Path, lines: list[str], seen: str) -> ValueError:
    return ValueError(
        f"[read] expected a format among {list(FORMATS)}, but {path.name} has {seen}; its first line is "
        f"{lines[0]!r:.80}; do: format=..."
    )

"""`FeatureTable`: what is known of users or items beside their interactions, with a schema."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import import_extra
from ..id_stores import plain_ids
from ..types import IdMap
from .columns import Column, is_missing
from .schema import inferred

__all__ = ["FeatureTable"]


class FeatureTable:
    """Features of users or items: ids, columns of values, and a schema that says what each column is.

    Parameters
    ----------
    ids : sequence of hashable, length n
        Each once.
    columns : mapping of str to sequence
        n values each; an array (n, d) for vectors. None, NaN and the empty text are missing values.
    schema : mapping of str to Column, optional
        What a column is; those that it leaves out are not used. Without it every column is what it looks
        like (`gpurec.features.inferred`).

    Attributes
    ----------
    id_map : IdMap
    columns : dict of str to array
    schema : dict of str to Column

    Raises
    ------
    ValueError
        If lengths differ, an id is missing or stands twice, or the schema names a column that is not there.

    Examples
    --------
    >>> plots = ["A ship meets a guest", "A man has a dream"]
    >>> films = FeatureTable([1, 2], {"plot": plots, "year": [1979, 1985]})
    >>> films
    FeatureTable(2 rows: plot Text, year Numeric)
    """

    def __init__(
        self, ids: Iterable[Any], columns: Mapping[str, Any], schema: Mapping[str, Column] | None = None
    ) -> None:
        ids = plain_ids(ids)
        missing = [row for row, key in enumerate(ids) if is_missing(key)]
        if missing:
            raise ValueError(f"[features] expected an id in every row, got none in row {missing[0]}; drop it")
        self.id_map = IdMap(ids)
        self.columns = {name: _column(name, values, len(self.id_map)) for name, values in columns.items()}
        self.schema = inferred(self.columns) if schema is None else dict(schema)
        for name, column in self.schema.items():
            if not isinstance(name, str) or not isinstance(column, Column):
                raise TypeError(
                    f"[features] expected a schema of names and columns, got {name!r}: {column!r:.60}"
                )
            needed = (
                [column.settings["first"], column.settings["second"]] if column.kind == "cross" else [name]
            )
            strange = [each for each in needed if each not in self.columns]
            if strange:
                raise ValueError(
                    f"[features] expected the schema's columns among {list(self.columns)}, got {strange[0]!r}"
                )

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *,
        id: str | None = None,
        schema: Mapping[str, Column] | None = None,
    ) -> FeatureTable:
        """The table of a csv, tsv or parquet file with names of its columns in the first line.

        Parameters
        ----------
        path : path
            Ends in .csv, .tsv or .parquet; UTF-8.
        id : str, optional
            The column of ids; the first one by default. In a file of texts, ids become integers where every
            one is written as such.
        schema
            As of `FeatureTable`.

        Raises
        ------
        ValueError
            If the file is of another kind, has no such column, or lines of different lengths.
        MissingExtraError
            For parquet, if polars is not installed.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "films.csv")
        >>> _ = path.write_text("film,genres\\n7,war|drama\\n8,drama\\n")
        >>> FeatureTable.from_file(path)
        FeatureTable(2 rows: genres MultiLabel)
        """
        path = Path(path)
        kind = path.suffix.lower()
        if kind == ".parquet":
            return cls.from_frame(import_extra("polars", "data").read_parquet(path), id=id, schema=schema)
        if kind not in (".csv", ".tsv"):
            raise ValueError(
                f"[features] expected a file of csv, tsv or parquet, got {path.name!r}; convert it"
            )
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                names, *lines = csv.reader(file, delimiter="," if kind == ".csv" else "\t")
        except UnicodeDecodeError:
            raise ValueError(f"[features] expected UTF-8 text in {path.name}; convert it") from None
        except (csv.Error, ValueError) as error:
            raise ValueError(f"[features] expected a table in {path.name}, got {error!s:.100}") from None
        lines = [line for line in lines if line]
        for number, line in enumerate(lines, start=2):
            if len(line) != len(names):
                at = f"line {number} of {path.name}"
                raise ValueError(f"[features] expected {len(names)} fields in {at}, got {len(line)}; fix it")
        texts = dict(zip(names, zip(*lines))) if lines else dict.fromkeys(names, ())
        return cls._of_columns(names, texts, id, schema, text=True)

    @classmethod
    def from_frame(
        cls, frame: Any, *, id: str | None = None, schema: Mapping[str, Column] | None = None
    ) -> FeatureTable:
        """The table of a polars or pandas frame; parameters as of `from_file`.

        Examples
        --------
        >>> import polars as pl
        >>> FeatureTable.from_frame(pl.DataFrame({"who": ["ann"], "age": [31]}))
        FeatureTable(1 rows: age Numeric)
        """
        names = [str(name) for name in frame.columns]
        columns = {}
        for name in names:
            series = frame[name]
            as_list = series.to_list() if hasattr(series, "to_list") else list(series)
            columns[name] = as_list
        return cls._of_columns(names, columns, id, schema, text=False)

    @classmethod
    def _of_columns(
        cls,
        names: list[str],
        columns: Mapping[str, Any],
        id: str | None,
        schema: Mapping[str, Column] | None,
        *,
        text: bool,
    ) -> FeatureTable:
        if not names or len(set(names)) < len(names) or (id is not None and id not in names):
            raise ValueError(f"[features] expected distinct columns, {id or 'ids'} among them, got {names}")
        id = names[0] if id is None else id
        ids = list(columns[id])
        if text and all(_is_integer(key) for key in ids):
            ids = [int(key) for key in ids]
        return cls(ids, {name: columns[name] for name in names if name != id}, schema)

    def take(self, rows: Any) -> FeatureTable:
        """The table of some rows, in their order.

        Examples
        --------
        >>> FeatureTable([1, 2], {"year": [1979, 1985]}).take([1]).id_map.ids().tolist()
        [2]
        """
        rows = np.asarray(rows, dtype=np.int64)
        columns = {name: values[rows] for name, values in self.columns.items()}
        return FeatureTable(self.id_map.ids(rows), columns, self.schema)

    def values(self, name: str) -> np.ndarray:
        """The values of a column, all missing where the table lacks it.

        Examples
        --------
        >>> FeatureTable([1], {"year": [1979]}).values("director").tolist()
        [None]
        """
        found = self.columns.get(name)
        return np.full(len(self), None, object) if found is None else found

    def __len__(self) -> int:
        return len(self.id_map)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {type(column).__name__}" for name, column in self.schema.items())
        return f"FeatureTable({len(self)} rows: {shown})"


def _is_integer(text: str) -> bool:
    """Whether a text is an integer as Python writes it, so that 007 stays a text."""
    try:
        return str(int(text)) == text and -(2**63) <= int(text) < 2**63
    except ValueError:
        return False


def _column(name: str, values: Any, n: int) -> np.ndarray:
    if isinstance(values, np.ndarray) and values.dtype.kind in "iufbM" and values.ndim in (1, 2):
        found = values
    else:
        as_list = values.tolist() if isinstance(values, np.ndarray) else list(values)
        found = np.empty(len(as_list), object)
        found[:] = as_list
    if len(found) != n:
        raise ValueError(f"[features] expected {n} values of {name!r}, one an id, got {len(found)}")
    return found

"""What answers have in common when they become a table: dictionaries, polars, pandas."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import import_extra

__all__ = ["Tabular", "ranks"]


class Tabular:
    """A result that is a table of named columns of one length."""

    def _table(self) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def to_dicts(self) -> list[dict[str, Any]]:
        """The table as one dictionary a row, of plain Python values."""
        table = self._table()
        return [dict(zip(table, row)) for row in zip(*(column.tolist() for column in table.values()))]

    def to_polars(self) -> Any:
        """The table as a polars DataFrame (extra `data`); ids of mixed types become an Object column."""
        polars = import_extra("polars", "data")
        return polars.DataFrame(
            {name: _series(polars, name, values) for name, values in self._table().items()}
        )

    def to_pandas(self) -> Any:
        """The table as a pandas DataFrame (`pip install pandas`)."""
        return import_extra("pandas", "test").DataFrame(self._table())


def ranks(indptr: np.ndarray) -> np.ndarray:
    """Place of each row in its list, int64; the first of each list is 1.

    Parameters
    ----------
    indptr : int64 array, shape (n_lists + 1,)
        List i has the rows `indptr[i]` to `indptr[i + 1] - 1`.

    Examples
    --------
    >>> ranks(np.array([0, 2, 2, 5])).tolist()
    [1, 2, 1, 2, 3]
    """
    return np.arange(indptr[-1]) - np.repeat(indptr[:-1], np.diff(indptr)) + 1


def _series(polars: Any, name: str, values: np.ndarray) -> Any:
    if values.dtype != object:
        return polars.Series(name, values)
    as_list = values.tolist()
    # A column of one type would turn the ids 1 and "1" into the same text.
    kinds = set(map(type, as_list))
    plain = len(kinds) == 1 and kinds <= {int, float, str, bool, bytes}
    return polars.Series(name, as_list, dtype=None if plain else polars.Object)

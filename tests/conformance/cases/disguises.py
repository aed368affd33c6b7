"""The same float32 table in other dtypes and layouts, and the same row sets in every form of filter."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

RowSet = np.ndarray  # int64 rows, ascending and distinct


def disguise_table(rng: np.random.Generator, table: np.ndarray) -> np.ndarray:
    """An array of another dtype or layout that must be read as exactly this float32 table."""
    choices = ["fortran", "reversed", "strided", "float64", "read_only"]
    integral = table.size and np.array_equal(table, np.rint(table)) and np.abs(table).max() < 2.0**40
    if integral and not np.signbit(table[table == 0]).any():
        choices += ["integer"] * 4
    with np.errstate(over="ignore"):
        if np.array_equal(table.astype(np.float16).astype(np.float32), table):
            choices += ["float16"] * 2
    return _DISGUISES[str(rng.choice(choices))](rng, table)


def _fortran(rng, table):
    return np.asfortranarray(table)


def _reversed(rng, table):
    return table[::-1, ::-1].copy()[::-1, ::-1]


def _strided(rng, table):
    wide = np.full((2 * table.shape[0], 3 * table.shape[1]), np.nan, dtype=np.float32)
    wide[::2, 1::3] = table
    return wide[::2, 1::3]


def _read_only(rng, table):
    table = table.copy()
    table.flags.writeable = False
    return table


def _float64(rng, table):
    """Values that are no float32, each less than half a unit from the one it must be rounded to."""
    noise = rng.uniform(-0.24, 0.24, table.shape) * np.spacing(np.abs(table)).astype(np.float64)
    return np.where(table == 0, table, table + noise)


def _integer(rng, table):
    """Integers; above 2^25, where float32 holds every fourth only, some that must be rounded to it."""
    integers = table.astype(np.int64)
    if integers.size and np.abs(integers).max() < 2**31:
        return integers.astype(rng.choice([np.int32, np.int64]))
    return np.where(np.abs(integers) > 2**26, integers + rng.integers(-1, 2, table.shape), integers)


def _float16(rng, table):
    return table.astype(np.float16)


_DISGUISES = {
    "fortran": _fortran,
    "reversed": _reversed,
    "strided": _strided,
    "float64": _float64,
    "read_only": _read_only,
    "integer": _integer,
    "float16": _float16,
}


def disguise_sets(
    rng: np.random.Generator,
    sets: list[RowSet],
    n_items: int,
    *,
    which: np.ndarray | None,
    forms: tuple[str, ...],
) -> Any:
    """Write per-query row sets (or the sets that `which` points to) in a random one of the named forms."""
    form = str(rng.choice(forms))
    if which is not None:
        return [_messy(rng, rows) for rows in sets], which.astype(rng.choice([np.int32, np.int64]))
    if form == "list":
        return [_messy(rng, rows) for rows in sets]
    indptr = np.cumsum([0, *map(len, sets)])
    indices = np.concatenate([*sets, np.empty(0, dtype=np.int64)]).astype(np.int64)
    if form == "pair":
        messy = [_messy(rng, rows) for rows in sets]
        indptr = np.cumsum([0, *map(len, messy)])
        return indptr, np.concatenate([*messy, np.empty(0, dtype=np.int64)]).astype(np.int64)
    stored = rng.choice([0.0, 1.0, -2.5], len(indices)).astype(np.float32)  # every stored entry counts
    matrix = scipy.sparse.csr_matrix((stored, indices, indptr), shape=(len(sets), n_items))
    return {"csr": matrix, "csc": matrix.tocsc(), "coo": matrix.tocoo()}[form]


def disguise_one_set(rng: np.random.Generator, rows: RowSet, n_items: int) -> Any:
    """One set for all queries, as an array of rows, a list of integers, or a mask."""
    form = rng.choice(["array", "list", "mask"])
    if form == "mask":
        mask = np.zeros(n_items, dtype=bool)
        mask[rows] = True
        return mask
    messy = _messy(rng, rows)
    return messy.tolist() if form == "list" and len(messy) else messy


def _messy(rng: np.random.Generator, rows: RowSet) -> np.ndarray:
    """The same set unsorted, with repeats and -1 among its rows."""
    extra = rng.choice(rows, len(rows) // 4) if len(rows) else rows
    missing = np.full(int(rng.integers(0, 3)), -1)
    return rng.permutation(np.concatenate([rows, extra, missing])).astype(rng.choice([np.int32, np.int64]))

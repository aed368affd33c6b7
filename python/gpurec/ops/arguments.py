"""Checks that every op makes: arrays become finite float32 matrices in C order, k and sizes are in range."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from .. import config
from ..arrays import as_numpy, widened_bfloat16
from ..backends import METRICS, PRUNING, first_invalid_row, strict_floats

__all__ = [
    "PRECISIONS",
    "as_k",
    "as_matrix",
    "as_metric",
    "as_precision",
    "as_pruning",
    "as_rows",
    "check_finite",
    "check_result_size",
]

PRECISIONS = ("auto", "int8", "int4", "bf16", "fp32")
_FLOAT32 = np.dtype(np.float32)


def as_float32(x: Any, name: str, op: str) -> np.ndarray:
    """The array as float32: narrower floats widen exactly, float64 and integers are rounded once.

    Raises
    ------
    TypeError
        If the dtype is bool, complex, object or text.
    """
    array = x if type(x) is np.ndarray else as_numpy(x, name, op)  # a call less for a search of a few us
    if array.dtype == _FLOAT32:
        return array
    if array.dtype.name == "bfloat16":  # an extension type of other packages: the upper half of a float32
        return widened_bfloat16(array.view(np.uint16))
    if array.dtype.kind not in "fiu":
        raise TypeError(f"[{op}] expected {name} of a float or integer dtype, got {array.dtype}")
    with strict_floats(), np.errstate(over="ignore", under="ignore"):  # infinity is found and reported later
        return array.astype(np.float32)


def as_matrix(x: Any, name: str, op: str, *, finite: bool = True, n_columns: int | None = None) -> np.ndarray:
    """A finite float32 matrix in C order; a vector becomes one row.

    Raises
    ------
    ValueError
        If it has not one or two dimensions, no columns, another width than `n_columns`, or a row with NaN or
        infinity (also after rounding to float32).
    TypeError
        If the dtype is not one of numbers.
    """
    array = as_float32(x, name, op)
    if array.ndim == 1:
        array = array.reshape(1, -1)
    if array.ndim != 2:
        raise ValueError(f"[{op}] expected {name} of shape (n, d), got {array.ndim} dimensions")
    d = array.shape[1]
    if d == 0:
        raise ValueError(f"[{op}] expected {name} with at least one component a row, got shape {array.shape}")
    if n_columns is not None and d != n_columns:
        raise ValueError(f"[{op}] expected {name} with {n_columns} components a row, got {d}")
    if not array.flags.c_contiguous:
        array = np.ascontiguousarray(array)
    if finite and first_invalid_row(array) is not None:  # asked here: a call less for a search of a few us
        check_finite(array, name, op)
    return array


def check_finite(matrix: np.ndarray, name: str, op: str, *, first: int = 0) -> None:
    """Raise ValueError that names the first row of a float32 matrix in C order with NaN or infinity.

    Rows are counted from `first`.
    """
    if (row := first_invalid_row(matrix)) is not None:
        row += first
        raise ValueError(f"[{op}] expected finite float32 values, got NaN or infinity in row {row} of {name}")


def as_k(k: Any, op: str, name: str = "k") -> int:
    """k, or another count, as an int >= 1."""
    if isinstance(k, (bool, np.bool_)):
        raise TypeError(f"[{op}] expected an integer {name}, got {k!r}")
    try:
        k = operator.index(k)
    except TypeError:
        raise TypeError(f"[{op}] expected an integer {name}, got {type(k).__name__}") from None
    if k < 1:
        raise ValueError(f"[{op}] expected {name} >= 1, got {k}")
    return k


def as_metric(metric: Any, op: str) -> str:
    """A known metric."""
    if metric not in METRICS:
        raise ValueError(f"[{op}] expected metric to be one of {', '.join(METRICS)}, got {metric!r}")
    return metric


def as_precision(precision: Any, op: str) -> str:
    """A known precision; it changes the speed of a search, never an answer."""
    if precision not in PRECISIONS:
        raise ValueError(f"[{op}] expected precision to be one of {', '.join(PRECISIONS)}, got {precision!r}")
    return precision


def as_pruning(pruning: Any, op: str) -> str | tuple[str, ...]:
    """ "auto", or names of `PRUNING`, each once and in their order; changes no answer either."""
    if isinstance(pruning, str) and pruning == "auto":
        return pruning
    names = {pruning} if isinstance(pruning, str) else set(pruning)
    if not names <= set(PRUNING):
        raise ValueError(
            f"[{op}] expected pruning to be 'auto' or some of {', '.join(PRUNING)}, got {pruning!r}"
        )
    return tuple(name for name in PRUNING if name in names)


def as_rows(rows: Any, n_rows: int, op: str, *, distinct: bool = False) -> np.ndarray:
    """Rows of a table as int64 in one dimension, each once where asked."""
    wanted = np.atleast_1d(as_numpy(rows, "rows", op))
    if wanted.size == 0:
        return np.empty(0, np.int64)
    if wanted.ndim != 1 or wanted.dtype.kind not in "iu":
        raise TypeError(f"[{op}] expected rows as integers in one dimension, got {wanted.dtype}")
    outside = (wanted < 0) | (wanted >= n_rows)
    if outside.any():
        raise ValueError(f"[{op}] expected rows in 0..{n_rows - 1}, got {wanted[np.argmax(outside)]}")
    wanted = wanted.astype(np.int64)
    if distinct and len(np.unique(wanted)) != len(wanted):
        raise ValueError(f"[{op}] expected each row once")
    return wanted


def check_result_size(n_queries: int, k: int, op: str) -> None:
    """Refuse a result beyond the limit before anything is allocated: 12 bytes for each row and score."""
    if n_queries * k * 12 <= config.LEAST_RESULT_BYTES:
        return
    limit = config.max_result_bytes()
    if n_queries * k * 12 > limit:
        raise ValueError(
            f"[{op}] expected a result of at most {limit} bytes, got {n_queries} queries x k = {k} "
            f"({n_queries * k * 12} bytes); ask for fewer at a time or set GPUREC_MAX_RESULT_BYTES"
        )


def as_threshold(threshold: Any, op: str) -> np.float32:
    """The smallest float32 that is not below the threshold: a float32 score reaches both or neither."""
    if isinstance(threshold, (bool, np.bool_)) or not isinstance(threshold, (int, float, np.number)):
        raise TypeError(f"[{op}] expected a number as threshold, got {type(threshold).__name__}")
    value = float(threshold)
    if value != value:
        raise ValueError(f"[{op}] expected a threshold that is a number, got NaN")
    with np.errstate(over="ignore"):
        rounded = np.float32(value)
    return rounded if float(rounded) >= value else np.nextafter(rounded, np.float32(np.inf))

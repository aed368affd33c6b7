"""Columns of numbers: single ones, dates, and dense vectors."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import import_extra
from .columns import Column, ColumnState, is_missing

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Dates", "Dense", "Numeric", "date_values", "numeric_values"]

_SCALERS = {
    "standard": ("StandardScaler", "mean_", "scale_"),
    "robust": ("RobustScaler", "center_", "scale_"),
    "none": None,
}
# What hardly varies in the training part has a tiny scale; squares of what is scaled must stay in float32.
_LARGEST = 1e18
_DAY, _YEAR = 86400, 365.2425 * 86400


class Numeric(Column):
    """A number, scaled by what the training part holds; a missing one is 0, which is the centre.

    Parameters
    ----------
    scale : {"standard", "robust", "none"}
        Less the mean, in standard deviations; less the median, in interquartile ranges; as it is. By
        scikit-learn's scalers.
    n_knots : int
        0, or 2 and more: instead of one number the two nearest of n_knots quantiles of the training part,
        with weights that add up to 1. Near values are similar then and far ones are not, which a product
        of two numbers cannot say; a missing one is similar to nothing.

    Examples
    --------
    >>> column = Numeric(n_knots=3).fit(np.array([0.0, 10.0, 20.0]))
    >>> column.transform(np.array([5.0, np.nan])).toarray().tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]
    """

    kind: ClassVar[str] = "numeric"

    def __init__(self, scale: str = "standard", n_knots: int = 0) -> None:
        if scale not in _SCALERS:
            raise ValueError(f"[numeric] expected scale of {', '.join(_SCALERS)}, got {scale!r}; choose one")
        if type(n_knots) is not int or n_knots < 0 or n_knots == 1:
            raise ValueError(f"[numeric] expected n_knots of 0, or 2 or more, got {n_knots!r}")
        super().__init__(scale=scale, n_knots=n_knots)

    def _learn(self, values: np.ndarray) -> ColumnState:
        there = numeric_values(values)
        there = there[~np.isnan(there)]
        if self.settings["n_knots"]:
            spread = np.linspace(0, 1, self.settings["n_knots"])
            return ColumnState(numbers=np.unique(np.quantile(there, spread)) if len(there) else there)
        return ColumnState(numbers=np.concatenate(_scaling(self.settings["scale"], there[:, np.newaxis])))

    def _check(self, state: ColumnState) -> None:
        n_knots, numbers = self.settings["n_knots"], state.numbers
        fits = len(numbers) <= n_knots if n_knots else len(numbers) == 2
        if state.terms or not fits or ((np.diff(numbers) <= 0).any() and n_knots):
            raise ValueError("no shift and scale, or knots that do not ascend")
        if not n_knots and numbers[1] <= 0:
            raise ValueError("a scale that is not above 0")

    def transform(self, values: np.ndarray) -> csr_array:
        from scipy.sparse import csr_array

        numbers, learnt = numeric_values(values), self.state().numbers
        if self.settings["n_knots"]:
            return _between_knots(numbers, learnt)
        scaled = _scaled(numbers, learnt[0], learnt[1])
        scaled[np.isnan(scaled)] = 0
        return csr_array(scaled[:, np.newaxis])

    def names(self) -> list[str]:
        return [f"~{knot:g}" for knot in self.state().numbers] if self.settings["n_knots"] else [""]


def _scaling(scale: str, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shift and scale of each column, float64; 0 and 1 where there is nothing to learn from."""
    scaler = _SCALERS[scale]
    if scaler is None or not len(there):
        return np.zeros(there.shape[1]), np.ones(there.shape[1])
    name, shift, spread = scaler
    fitted = getattr(import_extra("sklearn.preprocessing", "features"), name)().fit(there)
    return np.asarray(getattr(fitted, shift), float), np.asarray(getattr(fitted, spread), float)


def _scaled(numbers: np.ndarray, shift: Any, scale: Any) -> np.ndarray:
    """Less the shift, over the scale, float32, at most `_LARGEST` from 0; NaN stays."""
    with np.errstate(over="ignore"):
        return np.clip((numbers - shift) / scale, -_LARGEST, _LARGEST).astype(np.float32)


def _between_knots(numbers: np.ndarray, knots: np.ndarray) -> csr_array:
    from scipy.sparse import coo_array

    rows = np.flatnonzero(~np.isnan(numbers)) if len(knots) else np.empty(0, np.int64)
    place = np.interp(numbers[rows], knots, np.arange(len(knots))) if len(rows) else np.empty(0)
    left = np.floor(place).astype(np.int64)
    right = np.minimum(left + 1, max(len(knots) - 1, 0))
    share = place - left
    entries = np.concatenate([1 - share, share])
    at = (np.concatenate([rows, rows]), np.concatenate([left, right]))
    matrix = coo_array((entries, at), shape=(len(numbers), len(knots))).tocsr()
    matrix.eliminate_zeros()
    return matrix.astype(np.float32)


class Dates(Column):
    """A day: how late it is among those of the training part, its season, its day of the week.

    Parameters
    ----------
    parts : sequence of {"time", "season", "weekday"}
        "time": one number, as `Numeric`; the others: a point on a circle each.
    n_knots : int
        Of the time, as of `Numeric`.

    Notes
    -----
    Dates, datetimes, numpy's datetime64, ISO 8601 texts, or numbers, which are seconds since 1970; UTC where
    no zone is given.

    Examples
    --------
    >>> column = Dates(parts=["time"]).fit(np.array(["2020-01-01", "2020-01-03"], object))
    >>> column.transform(np.array(["2020-01-02", None], object)).toarray().tolist()
    [[0.0], [0.0]]
    """

    kind: ClassVar[str] = "dates"

    def __init__(self, parts: Sequence[str] = ("time", "season", "weekday"), n_knots: int = 0) -> None:
        chosen = list(parts)
        if not chosen or not set(chosen) <= {"time", "season", "weekday"} or len(set(chosen)) < len(chosen):
            raise ValueError(f"[dates] expected parts of time, season, weekday, got {parts!r}; choose some")
        self._time = Numeric("standard", n_knots)
        super().__init__(parts=chosen, n_knots=n_knots)

    def _learn(self, values: np.ndarray) -> ColumnState:
        return self._time._learn(date_values(values))

    def _check(self, state: ColumnState) -> None:
        self._time._check(state)

    def transform(self, values: np.ndarray) -> csr_array:
        from scipy.sparse import csr_array, hstack

        seconds = date_values(values)
        parts = {"season": _circle(seconds, _YEAR), "weekday": _circle(seconds, 7 * _DAY)}
        if "time" in self.settings["parts"]:
            parts["time"] = self._time._with(self.state()).transform(seconds)
        return csr_array(hstack([parts[part] for part in self.settings["parts"]], format="csr"))

    def names(self) -> list[str]:
        of = {part: [f"{part} sin", f"{part} cos"] for part in ("season", "weekday")}
        of["time"] = ["time"]
        if self.settings["n_knots"]:
            of["time"] = [f"time~{np.datetime64(int(knot), 's')}" for knot in self.state().numbers]
        return [name for part in self.settings["parts"] for name in of[part]]


def _circle(seconds: np.ndarray, period: float) -> csr_array:
    from scipy.sparse import csr_array

    angle = seconds % period * (2 * np.pi / period)
    return csr_array(np.nan_to_num(np.column_stack([np.sin(angle), np.cos(angle)])).astype(np.float32))


class Dense(Column):
    """A vector of numbers, such as an image's or a text's embedding; given as rows of one array.

    Parameters
    ----------
    scale : {"none", "standard", "robust"}
        Of each component, as `Numeric`.

    Notes
    -----
    A row with NaN is missing, and so is a None among lists of numbers.

    Examples
    --------
    >>> Dense().fit(np.eye(2)).transform(np.array([[1.0, 2.0], [np.nan, 3.0]])).tolist()
    [[1.0, 2.0], [0.0, 0.0]]
    """

    kind: ClassVar[str] = "dense"

    def __init__(self, scale: str = "none") -> None:
        if scale not in _SCALERS:
            raise ValueError(f"[dense] expected scale of {', '.join(_SCALERS)}, got {scale!r}; choose one")
        super().__init__(scale=scale)

    def _learn(self, values: np.ndarray) -> ColumnState:
        there = _matrix(values)
        there = there[~np.isnan(there).any(axis=1)]
        return ColumnState(numbers=np.concatenate(_scaling(self.settings["scale"], there)))

    def _check(self, state: ColumnState) -> None:
        if state.terms or len(state.numbers) % 2 or (state.numbers[len(state.numbers) // 2 :] <= 0).any():
            raise ValueError("no shifts and scales")

    def transform(self, values: np.ndarray) -> np.ndarray:
        d = len(self.state().numbers) // 2
        shift, scale = self.state().numbers.reshape(2, d)
        if values.ndim == 1 and all(map(is_missing, values.tolist())):
            return np.zeros((len(values), d), np.float32)
        given = _matrix(values)
        if given.shape[1] != d:
            raise ValueError(f"[dense] expected vectors of {d} numbers, got {given.shape[1]}; see the table")
        scaled = _scaled(given, shift, scale)
        scaled[np.isnan(given).any(axis=1)] = 0
        return scaled

    def names(self) -> list[str]:
        return [str(i) for i in range(len(self.state().numbers) // 2)]


def _matrix(values: np.ndarray) -> np.ndarray:
    """Vectors as float64 (n, d), NaN in the rows of missing ones."""
    if values.ndim == 1:
        rows = [None if is_missing(value) else np.asarray(value, np.float64) for value in values.tolist()]
        sizes = {row.shape for row in rows if row is not None}
        if len(sizes) > 1 or any(len(size) != 1 for size in sizes):
            raise ValueError(f"[dense] expected vectors of one length, got shapes {sorted(sizes)[:3]}")
        d = next(iter(sizes))[0] if sizes else 0
        values = np.array([np.full(d, np.nan) if row is None else row for row in rows]).reshape(len(rows), d)
    if values.ndim != 2 or values.dtype.kind not in "iufb":
        raise TypeError(f"[dense] expected an array (n, d) of numbers, got {values.dtype} {values.shape}")
    return _without_infinity(values.astype(np.float64), "dense")


def numeric_values(values: np.ndarray) -> np.ndarray:
    """Numbers as float64, NaN where one is missing; texts that are numbers count.

    Raises
    ------
    ValueError
        If a value is no finite number.
    """
    if values.dtype.kind in "iufb" and values.ndim == 1:
        return _without_infinity(values.astype(np.float64), "numeric")
    numbers = np.full(len(values), np.nan)
    for row, value in enumerate(values.tolist()):
        if not is_missing(value):
            try:
                numbers[row] = float(value)
            except (TypeError, ValueError):
                raise ValueError(
                    f"[numeric] expected a number, got {value!r:.60} in row {row}; declare another column"
                ) from None
    return _without_infinity(numbers, "numeric")


def _without_infinity(numbers: np.ndarray, kind: str) -> np.ndarray:
    bad = np.flatnonzero(np.isinf(numbers).reshape(len(numbers), -1).any(axis=1))
    if bad.size:
        raise ValueError(f"[{kind}] expected finite numbers, got infinity in row {bad[0]}; leave it empty")
    return numbers


def date_values(values: np.ndarray) -> np.ndarray:
    """Dates as seconds since 1970, float64, NaN where one is missing.

    Raises
    ------
    ValueError
        If a value is no date.
    """
    if values.dtype.kind == "M":
        seconds = values.astype("datetime64[s]").astype(np.int64).astype(np.float64)
        seconds[np.isnat(values)] = np.nan
        return seconds
    if values.dtype.kind in "iuf":
        return numeric_values(values)
    seconds = np.full(len(values), np.nan)
    for row, value in enumerate(values.tolist()):
        if not is_missing(value):
            try:
                seconds[row] = _seconds(value)
            except (TypeError, ValueError):
                raise ValueError(
                    f"[dates] expected a date, got {value!r:.60} in row {row}; write it as 2020-12-31"
                ) from None
    return seconds


def _seconds(value: Any) -> float:
    if isinstance(value, str):
        value = datetime.fromisoformat(value[:-1] + "+00:00" if value[-1:] in "zZ" else value)
    if isinstance(value, date):
        whole = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
        return (whole if whole.tzinfo else whole.replace(tzinfo=timezone.utc)).timestamp()
    return float(value)

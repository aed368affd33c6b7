"""One pass of stochastic gradient descent over ratings: explicit matrix factorisation with biases."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..backends import Backend, select, strict_floats

__all__ = ["FactorTable", "SgdRates", "sgd_epoch"]


@dataclass(frozen=True)
class FactorTable:
    """The users' or the items' half of a factorisation; `sgd_epoch` changes factors and biases in place.

    Attributes
    ----------
    factors : float32 array, shape (n_rows, n_factors), C order
    biases : float32 array, shape (n_rows,)
    shrink : float32 array, shape (n_rows,)
        Row i is pulled to zero with penalty * shrink[i] at each of its ratings.

    Examples
    --------
    >>> zeros = np.zeros(3, np.float32)
    >>> FactorTable(np.zeros((3, 2), np.float32), zeros, zeros + 1).factors.shape
    (3, 2)
    """

    factors: np.ndarray
    biases: np.ndarray
    shrink: np.ndarray


@dataclass(frozen=True)
class SgdRates:
    """Step sizes and penalties of `sgd_epoch`, each rounded once to float32; all >= 0 and finite.

    Attributes
    ----------
    factor_rate, bias_rate : float
        Step sizes of factors and biases.
    factor_penalty, bias_penalty : float
        Pulls to zero, each times the row's `shrink`.

    Examples
    --------
    >>> SgdRates(0.01, 1.0, 0.005, 0.5).factor_rate
    0.01
    """

    factor_rate: float
    factor_penalty: float
    bias_rate: float
    bias_penalty: float


@strict_floats()
def sgd_epoch(
    user_rows: np.ndarray,
    item_rows: np.ndarray,
    ratings: np.ndarray,
    users: FactorTable,
    items: FactorTable,
    rates: SgdRates,
    *,
    backend: str | Backend | None = None,
) -> float:
    """Visit ratings one after another and move the factors and biases that each touches.

    Rating r of user u and item i, with factors p, q and biases b, has the error
    e = r - (b_u + b_i + p.q). All four then move, each from the old values:
    b_u += bias_rate * (e - bias_penalty * shrink_u * b_u), p += factor_rate * (e * q - factor_penalty *
    shrink_u * p), and likewise b_i and q.

    Parameters
    ----------
    user_rows, item_rows : int64 arrays, shape (n,)
        Rows of the tables, in the order of the visits: shuffle before calling.
    ratings : float32 array, shape (n,)
        What remains after the mean is taken off.
    users, items : FactorTable
        Changed in place. The tables must not overlap in memory.
    rates : SgdRates
    backend : str or Backend, optional

    Returns
    -------
    float
        Sum of squared errors, each taken before the update that it causes; infinite or NaN when the
        descent diverged.

    Raises
    ------
    TypeError
        If an array has another dtype or is not C-contiguous and writeable where it is changed.
    ValueError
        If shapes disagree, a row lies outside its table, the tables overlap, or a rate is negative.

    Notes
    -----
    Everything is float32 in one fixed sequence of operations, so the bits depend on the input alone: dot
    products add in 8 lanes (lane l takes components l, l + 8, ...; then halves are added), products and
    sums are rounded one by one, and `rate * penalty` and `rate * error` are formed first. The sum of
    squared errors is float64. One thread: each rating changes what the next one reads. No extra memory;
    about 4 ns a rating and 0.4 a factor of it on the `cpu` backend.

    Source: Koren, Bell and Volinsky 2009, "Matrix factorization techniques for recommender systems".

    Examples
    --------
    >>> zeros, ones, row = np.zeros((1, 2), np.float32), np.ones(1, np.float32), np.zeros(1, np.int64)
    >>> users, items = (FactorTable(zeros.copy(), zeros[:, 0].copy(), ones) for _ in range(2))
    >>> sgd_epoch(row, row, np.float32([2]), users, items, SgdRates(0.1, 0, 0.25, 0))
    4.0
    >>> users.biases.tolist(), items.biases.tolist()
    ([0.5], [0.5])
    """
    _check_records(user_rows, item_rows, ratings, len(users.factors), len(items.factors))
    _check_table("users", users)
    _check_table("items", items)
    if users.factors.shape[1] != items.factors.shape[1]:
        raise ValueError(
            f"[sgd_epoch] expected users and items of equally many factors, got {users.factors.shape[1]} "
            f"and {items.factors.shape[1]}; make both from one n_factors"
        )
    mine, theirs = (users.factors, users.biases), (items.factors, items.biases)
    if any(np.may_share_memory(a, b) for a in mine for b in theirs):
        raise ValueError("[sgd_epoch] expected tables apart in memory, got overlapping ones; copy one")
    for name, rate in vars(rates).items():
        if not (math.isfinite(rate) and rate >= 0):
            raise ValueError(f"[sgd_epoch] expected {name} >= 0 and finite, got {rate}; choose another")
    return select(backend).sgd_epoch(
        user_rows,
        item_rows,
        ratings,
        users.factors,
        items.factors,
        users.biases,
        items.biases,
        users.shrink,
        items.shrink,
        **vars(rates),
    )


def _check_array(name: str, array: np.ndarray, dtype: type, shape: tuple[int, ...]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype or not array.flags.c_contiguous:
        got = f"{array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(
            f"[sgd_epoch] expected {name} as a C-contiguous {np.dtype(dtype)} array, got {got}; "
            f"do: np.ascontiguousarray({name}, dtype=np.{np.dtype(dtype)})"
        )
    if array.shape != shape:
        raise ValueError(f"[sgd_epoch] expected {name} of shape {shape}, got {array.shape}; reshape it")


def _check_records(
    user_rows: np.ndarray, item_rows: np.ndarray, ratings: np.ndarray, n_users: int, n_items: int
) -> None:
    n = (len(ratings),)
    _check_array("ratings", ratings, np.float32, n)
    for name, rows, limit in (("user_rows", user_rows, n_users), ("item_rows", item_rows, n_items)):
        _check_array(name, rows, np.int64, n)
        if rows.size and (rows.min() < 0 or rows.max() >= limit):
            raise ValueError(
                f"[sgd_epoch] expected {name} in 0..{limit - 1}, got rows outside; check the map"
            )


def _check_table(name: str, table: FactorTable) -> None:
    n_rows = len(table.factors)
    _check_array(f"{name}.factors", table.factors, np.float32, (n_rows, *table.factors.shape[1:2]))
    _check_array(f"{name}.biases", table.biases, np.float32, (n_rows,))
    _check_array(f"{name}.shrink", table.shrink, np.float32, (n_rows,))
    if not (table.factors.flags.writeable and table.biases.flags.writeable):
        raise TypeError(f"[sgd_epoch] expected {name} to be writeable, got a read-only array; copy it")

"""What implicit's `utils` offers its users: seeds, CSR matrices, and inner products as angles."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arguments import as_csr

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["ParameterWarning", "augment_inner_product_matrix", "check_csr", "check_random_state", "nonzeros"]


class ParameterWarning(Warning):
    """An argument was brought into another form, which takes time."""


def nonzeros(m: Any, row: int) -> Iterator[tuple[Any, Any]]:
    """Column and value of each stored entry in a row of a CSR matrix.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> [(int(column), int(value)) for column, value in nonzeros(csr_matrix([[0, 5, 6]]), 0)]
    [(1, 5), (2, 6)]
    """
    part = slice(m.indptr[row], m.indptr[row + 1])
    yield from zip(m.indices[part], m.data[part])


def check_random_state(random_state: Any) -> np.random.Generator:
    """A generator of random numbers: of a seed, of None, or of a `RandomState`; a generator stays itself.

    Examples
    --------
    >>> check_random_state(7).random() == check_random_state(7).random()
    True
    """
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31 - 1))
    return np.random.default_rng(random_state)


def check_csr(user_items: Any) -> csr_matrix:
    """The matrix as `csr_matrix`, with a `ParameterWarning` where it was of another format.

    Raises
    ------
    ValueError
        If it is no sparse matrix.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> check_csr(csr_matrix([[0, 5]])).indices.tolist()
    [1]
    """
    found = as_csr(user_items, "user_items", "fit")
    if user_items.format != "csr":
        warnings.warn(
            f"[fit] expected user_items as a CSR matrix, got {user_items.format}, which was converted; "
            "do: user_items.tocsr()",
            ParameterWarning,
            stacklevel=3,
        )
    return found


def augment_inner_product_matrix(factors: Any) -> tuple[float, np.ndarray]:
    """The largest norm of rows, and the rows with one more coordinate, which gives all of them that norm.

    The cosine of such a row with a query that has 0 there is their inner product, but for a factor of the
    query's.

    Source: Bachrach and others 2014, "Speeding up the Xbox recommender system", RecSys.

    Examples
    --------
    >>> largest, rows = augment_inner_product_matrix(np.array([[3.0, 4.0], [0.0, 3.0]]))
    >>> float(largest), rows.tolist()
    (5.0, [[3.0, 4.0, 0.0], [0.0, 3.0, 4.0]])
    """
    rows = np.asarray(factors)
    squares = np.square(rows).sum(axis=1)
    largest = squares.max()
    return np.sqrt(largest), np.column_stack([rows, np.sqrt(np.maximum(largest - squares, 0))])

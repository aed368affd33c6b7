"""What every kind of column can do: learn from training values, turn values into numbers, be saved."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import ArtifactError

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from typing_extensions import Self

__all__ = ["Column", "ColumnState", "is_missing", "plain_text"]


@dataclass(frozen=True)
class ColumnState:
    """All that a fitted column has learnt.

    Attributes
    ----------
    terms : list of str
        Its vocabulary, if it has one.
    numbers : float64 array, shape (n,)
        Means, scales, inverse document frequencies and the like.
    """

    terms: list[str] = field(default_factory=list)
    numbers: np.ndarray = field(default_factory=lambda: np.empty(0))


class Column(ABC):
    """A column of a feature table, and how it becomes numbers.

    Attributes
    ----------
    kind : str
        The word for it in saved files: "numeric".
    settings : dict
        Every argument of the constructor; JSON can hold it.

    Notes
    -----
    `fit` leaves the column as it is and gives a fitted copy, so that one schema serves any number of tables.
    """

    kind: ClassVar[str]

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self._state: ColumnState | None = None

    @abstractmethod
    def _learn(self, values: np.ndarray) -> ColumnState:
        """What the training values say; `values` as `FeatureTable` holds them."""

    @abstractmethod
    def _check(self, state: ColumnState) -> None:
        """Raise ValueError if this is nothing that `_learn` could have given."""

    @abstractmethod
    def transform(self, values: np.ndarray) -> csr_array | np.ndarray:
        """Values as numbers, float32 (n, width); all zero where a value is missing.

        Parameters
        ----------
        values : array, shape (n,) or (n, d)
            As a `FeatureTable` holds them.
        """

    @abstractmethod
    def names(self) -> list[str]:
        """What each number means, one name a column of `transform`."""

    def fit(self, values: np.ndarray) -> Self:
        """A copy that has learnt from training values.

        Raises
        ------
        ValueError, TypeError
            If a value is of another kind.
        MissingExtraError
            If scikit-learn is needed and not installed.
        """
        return self._with(self._learn(values))

    def state(self) -> ColumnState:
        """What was learnt, to save."""
        if self._state is None:
            raise ValueError(f"[{self.kind}] expected a fitted column, got a new one; do: column.fit(values)")
        return self._state

    def restore(self, state: ColumnState) -> Self:
        """A copy with what another one had learnt.

        Raises
        ------
        ArtifactError
            If the state does not fit the column.
        """
        if not np.isfinite(state.numbers).all() or len(set(state.terms)) < len(state.terms):
            raise ArtifactError(f"[load] expected finite numbers and distinct terms of a {self.kind} column")
        try:
            self._check(state)
        except ValueError as error:
            raise ArtifactError(f"[load] expected the state of a {self.kind} column, got {error}") from None
        return self._with(state)

    def _with(self, state: ColumnState) -> Self:
        fitted = copy.copy(self)
        fitted._state = state
        return fitted

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.settings == other.settings  # type: ignore[attr-defined]

    __hash__ = None  # type: ignore[assignment]  # settings may change

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"{type(self).__name__}({shown})"


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN, NaT, pandas' NA or the empty text.

    Examples
    --------
    >>> [is_missing(value) for value in (None, float("nan"), "", 0, "no")]
    [True, True, True, False, False]
    """
    if value is None or (isinstance(value, str) and not value):
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # pandas.NA has no truth value, and an array has several
        return type(value).__name__ == "NAType"


def plain_text(value: Any) -> str:
    """A value as the term that it is: 1, 1.0 and "1" are one, as a file of texts cannot tell them apart.

    Examples
    --------
    >>> plain_text(1), plain_text(1.0), plain_text(" 1 "), plain_text(0.5)
    ('1', '1', '1', '0.5')
    """
    if isinstance(value, (float, np.floating)) and math.isfinite(value) and float(value).is_integer():
        value = int(value)
    return str(value).strip()

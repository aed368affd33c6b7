"""`FeatureEncoder`: the columns of a table as one matrix of numbers, learnt from the training part alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..artifacts import texts_from_tensors, texts_to_tensors
from ..errors import ArtifactError, NotFittedError
from .columns import Column, ColumnState
from .schema import schema_from_meta, schema_to_meta
from .selection import Selection
from .table import FeatureTable
from .terms import Categorical, Cross, Terms

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["FeatureEncoder"]


class FeatureEncoder:
    """Turns tables of one schema into matrices with named columns.

    Parameters
    ----------
    schema : mapping of str to Column
    selection : Selection, optional
        Which features of all columns but the dense ones are kept.

    Attributes
    ----------
    columns : dict of str to Column
        Fitted ones, in the order of the schema.
    names : list of str
        One a column of the matrix: "genre=war" for a term, "year" for a number, "image=3" for a component.

    Notes
    -----
    `fit` sees the training part only; `transform` learns nothing. A table may lack columns of the schema,
    whose values are missing then, and have others, which are not used.

    Examples
    --------
    >>> from gpurec.features import Numeric
    >>> films = FeatureTable(["alien", "brazil"], {"genre": ["horror|sf", "sf"], "year": [1979, 1985]})
    >>> encoder = FeatureEncoder({"genre": films.schema["genre"], "year": Numeric()}).fit(films)
    >>> encoder.names
    ['genre=horror', 'genre=sf', 'year']
    >>> encoder.transform(FeatureTable(["dune"], {"genre": ["sf|desert"]})).toarray().tolist()
    [[0.0, 1.0, 0.0]]
    """

    def __init__(self, schema: Mapping[str, Column], *, selection: Selection | None = None) -> None:
        self.schema, self.selection = dict(schema), selection
        if not self.schema:
            raise ValueError("[features] expected a schema with a column, got an empty one; see FeatureTable")
        self.columns: dict[str, Column] = {}
        self._kept: dict[str, np.ndarray] = {}

    def fit(self, table: FeatureTable, target: Any = None) -> FeatureEncoder:
        """Learn vocabularies, means, scales and the selection from a training part.

        Parameters
        ----------
        table : FeatureTable
        target : sequence of len(table) classes, optional
            What `selection` goes by, unless by variance.

        Raises
        ------
        ValueError, TypeError
            If a value does not fit its column.
        MissingExtraError
            If a column needs scikit-learn and it is not installed.
        """
        from scipy.sparse import hstack

        self.columns, self._kept = {}, {}
        for name, column in self.schema.items():
            self.columns[name] = column.fit(self._values(table, name))
        if self.selection is not None:
            sparse = [name for name in self.columns if not self.is_dense([name])]
            if sparse:
                parts = [self._encoded(table, name) for name in sparse]
                ends = np.cumsum([0, *(part.shape[1] for part in parts)])
                kept = self.selection.kept(hstack(parts, format="csr"), target)
                for name, first, end in zip(sparse, ends, ends[1:]):
                    self._kept[name] = kept[(kept >= first) & (kept < end)] - first
        return self

    def is_dense(self, columns: Sequence[str]) -> bool:
        """Whether all of these columns are vectors, whose matrix is an array and not sparse.

        Examples
        --------
        >>> from gpurec.features import Dense
        >>> FeatureEncoder({"image": Dense()}).is_dense(["image"])
        True
        """
        return all(self.schema[name].kind == "dense" for name in columns)

    def transform(self, table: FeatureTable, columns: Sequence[str] | None = None) -> csr_array | np.ndarray:
        """The matrix of some columns, all by default.

        Returns
        -------
        scipy CSR or array, float32, shape (len(table), n_features)
            An array if all of the columns are dense. Rows where every value is missing are zero.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If a value does not fit its column.
        """
        from scipy.sparse import csr_array, hstack

        names = self._chosen(columns)
        parts = [self._selected(self._encoded(table, name), name) for name in names]
        if self.is_dense(names):
            return np.hstack(parts) if parts else np.empty((len(table), 0), np.float32)
        matrix = csr_array(hstack([csr_array(part) for part in parts], format="csr"))
        matrix.sort_indices()
        return matrix.astype(np.float32)

    @property
    def names(self) -> list[str]:
        return self.names_of(None)

    def names_of(self, columns: Sequence[str] | None) -> list[str]:
        """Names of the features of some columns.

        Examples
        --------
        >>> table = FeatureTable([1, 2], {"year": [1979, 1985], "colour": [True, False]})
        >>> FeatureEncoder(table.schema).fit(table).names_of(["colour"])
        ['colour=False', 'colour=True']
        """
        found = []
        for name in self._chosen(columns):
            inner = self.columns[name].names()
            inner = [inner[i] for i in self._kept[name]] if name in self._kept else inner
            found += [f"{name}={each}" if each else name for each in inner]
        return found

    def _chosen(self, columns: Sequence[str] | None) -> list[str]:
        if not self.columns:
            raise NotFittedError(
                "[features] expected a fitted encoder, got a new one; do: encoder.fit(table)"
            )
        return list(self.columns) if columns is None else list(columns)

    def _encoded(self, table: FeatureTable, name: str) -> csr_array | np.ndarray:
        return self.columns[name].transform(self._values(table, name))

    def _selected(self, matrix: Any, name: str) -> Any:
        return matrix[:, self._kept[name]] if name in self._kept else matrix

    def _values(self, table: FeatureTable, name: str) -> np.ndarray:
        column = self.schema[name]
        if not isinstance(column, Cross):
            return table.values(name)
        pairs = np.empty(len(table), object)
        sides = []
        for side in ("first", "second"):
            of = self.schema.get(column.settings[side])
            # A column that is used only in pairs is no part of the schema.
            of = of if isinstance(of, Terms) else Categorical()
            sides.append([of._all_terms(value) for value in table.values(column.settings[side]).tolist()])
        pairs[:] = list(zip(*sides))
        return pairs

    # Saving.

    def to_tensors(self, prefix: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Tensors and settings to pass to `write_artifact`, from which the same encoder comes back."""
        states = [column.state() for column in self.columns.values()]
        tensors = texts_to_tensors(f"{prefix}.terms", [term for state in states for term in state.terms])
        tensors[f"{prefix}.numbers"] = np.concatenate([state.numbers for state in states])
        kept = [self._kept.get(name, np.empty(0, np.int64)) for name in self.columns]
        tensors[f"{prefix}.kept"] = np.concatenate(kept)
        meta = {
            "schema": schema_to_meta(self.schema),
            "selection": None if self.selection is None else [self.selection.by, self.selection.k],
            "sizes": [[len(state.terms), len(state.numbers), len(of)] for state, of in zip(states, kept)],
        }
        return tensors, {prefix: meta}

    @classmethod
    def from_tensors(
        cls, prefix: str, tensors: Mapping[str, np.ndarray], meta: Mapping[str, Any]
    ) -> FeatureEncoder:
        """The encoder that `to_tensors` turned into tensors under this prefix.

        Raises
        ------
        ArtifactError
            If anything is missing or does not fit.
        """
        found = meta.get(prefix)
        if not isinstance(found, dict):
            raise ArtifactError(f"[load] expected an encoder {prefix!r}, got {found!r:.60}")
        schema, chosen = schema_from_meta(found.get("schema")), found.get("selection")
        try:
            encoder = cls(schema, selection=None if chosen is None else Selection(*chosen))
        except (TypeError, ValueError) as error:
            raise ArtifactError(f"[load] expected an encoder of features, got {error!s:.200}") from None
        terms = texts_from_tensors(f"{prefix}.terms", tensors)
        numbers, kept = (tensors.get(f"{prefix}.{name}") for name in ("numbers", "kept"))
        if numbers is None or kept is None or numbers.dtype != np.float64 or kept.dtype != np.int64:
            raise ArtifactError("[load] expected numbers and kept features of an encoder; save again")
        sizes = _sizes(found.get("sizes"), len(schema), (len(terms), numbers.size, kept.size))
        at = [0, 0, 0]
        for (name, column), size in zip(schema.items(), sizes):
            of_terms, of_numbers, of_kept = (slice(a, a + n) for a, n in zip(at, size))
            fitted = column.restore(ColumnState(terms[of_terms], numbers[of_numbers]))
            encoder.columns[name] = fitted
            if chosen is not None and column.kind != "dense":
                encoder._kept[name] = _ascending(kept[of_kept], len(fitted.names()))
            at = [a + n for a, n in zip(at, size)]
        return encoder


def _sizes(found: Any, n: int, totals: tuple[int, int, int]) -> list[list[int]]:
    fits = (
        isinstance(found, list)
        and len(found) == n
        and all(isinstance(row, list) and len(row) == 3 for row in found)
        and all(type(size) is int and size >= 0 for row in found for size in row)
        and tuple(map(sum, zip(*found))) == totals
    )
    if not fits:
        raise ArtifactError("[load] expected the sizes of an encoder's columns to add up; save again")
    return found


def _ascending(kept: np.ndarray, n: int) -> np.ndarray:
    if len(kept) and (kept[0] < 0 or kept[-1] >= n or (np.diff(kept) <= 0).any()):
        raise ArtifactError("[load] expected kept features of an encoder that ascend; save again")
    return kept

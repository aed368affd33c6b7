"""What a column looks like, where no schema says what it is; and schemas in saved files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np

from ..errors import ArtifactError
from .columns import Column, is_missing
from .numbers import Dates, Dense, Numeric, date_values, numeric_values
from .terms import Categorical, Cross, MultiLabel, Text

__all__ = ["KINDS", "inferred", "schema_from_meta", "schema_to_meta"]

KINDS: dict[str, type[Column]] = {
    kind.kind: kind for kind in (Numeric, Dates, Dense, Categorical, MultiLabel, Text, Cross)
}

_SEPARATORS = ("|", ";")
# Of numbers and dates whose kind is guessed: near ones shall be similar.
_KNOTS = 8
# A text of so many words, in the mean, is read word by word.
_WORDS_OF_A_TEXT = 3


def inferred(columns: Mapping[str, np.ndarray]) -> dict[str, Column]:
    """What each column looks like.

    Parameters
    ----------
    columns : mapping of str to array
        As `FeatureTable` holds them.

    Returns
    -------
    dict of str to Column
        Vectors are `Dense`; sets of labels, and texts of which a tenth holds | or ;, `MultiLabel`; numbers,
        also those written as text, `Numeric`, and dates `Dates`, both with 8 knots; truth values
        `Categorical`. Other texts are `Text` if they have three words in the mean or most stand only once,
        else `Categorical`. A column
        without a value is left out.

    Examples
    --------
    >>> inferred({"genres": np.array(["war|drama", "drama"], object), "year": np.array([1979, 1985])})
    {'genres': MultiLabel(sep='|', min_count=1, max_terms=None, n_hashed=None, idf=True),
     'year': Numeric(scale='standard', n_knots=8)}
    """
    found = {name: _looks_like(values) for name, values in columns.items()}
    return {name: column for name, column in found.items() if column is not None}


def _looks_like(values: np.ndarray) -> Column | None:
    if values.ndim == 2:
        return Dense()
    if values.dtype.kind == "M":
        return Dates(n_knots=_KNOTS)
    if values.dtype.kind in "iuf":
        return Numeric(n_knots=_KNOTS)
    there = [value for value in values.tolist() if not is_missing(value)]
    if not there:
        return None
    if all(isinstance(value, (list, tuple, np.ndarray)) and len(value) for value in there) and all(
        isinstance(part, (float, np.floating)) for value in there for part in value
    ):
        return Dense()
    if any(isinstance(value, (list, tuple, set, frozenset, np.ndarray)) for value in there):
        return MultiLabel()
    if all(isinstance(value, bool) for value in there):
        return Categorical()
    if all(isinstance(value, date) for value in there):
        return Dates(n_knots=_KNOTS)
    for read, column in ((numeric_values, Numeric(n_knots=_KNOTS)), (date_values, Dates(n_knots=_KNOTS))):
        try:
            read(np.array(there, object))
            return column
        except (ValueError, TypeError):
            continue
    texts = [str(value) for value in there]
    for separator in _SEPARATORS:
        if sum(separator in text for text in texts) * 10 >= len(texts):
            return MultiLabel(sep=separator)
    n_words = sum(len(text.split()) for text in texts)
    if n_words >= _WORDS_OF_A_TEXT * len(texts) or 2 * len(set(texts)) > len(texts) > 3:
        return Text()
    return Categorical()


def schema_to_meta(schema: Mapping[str, Column]) -> list[Any]:
    """A schema as JSON can hold it, in its order.

    Examples
    --------
    >>> schema_to_meta({"year": Numeric()})
    [['year', 'numeric', {'scale': 'standard', 'n_knots': 0}]]
    """
    return [[name, column.kind, column.settings] for name, column in schema.items()]


def schema_from_meta(meta: Any) -> dict[str, Column]:
    """The schema that `schema_to_meta` wrote.

    Raises
    ------
    ArtifactError
        If it is none.

    Examples
    --------
    >>> schema_from_meta([["year", "numeric", {"scale": "none"}]])
    {'year': Numeric(scale='none', n_knots=0)}
    """
    schema: dict[str, Column] = {}
    for entry in meta if isinstance(meta, list) else [meta]:
        try:
            name, kind, settings = entry
            if not isinstance(name, str) or name in schema:
                raise ValueError(f"the name {name!r:.60}")
            schema[name] = KINDS[kind](**settings)
        except (TypeError, ValueError, KeyError) as error:
            raise ArtifactError(f"[load] expected a schema of features, got {error!s:.200}") from None
    return schema

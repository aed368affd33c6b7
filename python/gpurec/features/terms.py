"""Columns of terms: categories, sets of labels, texts, and pairs of terms of two columns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import import_extra
from .columns import Column, ColumnState, is_missing, plain_text

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Categorical", "Cross", "MultiLabel", "Terms", "Text"]

_MOST_HASHED = 1 << 20


class Terms(Column):
    """A column whose values have terms: counted by scikit-learn, weighted by how rare they are.

    Notes
    -----
    With idf, an entry is count * (ln((1 + n) / (1 + n_t)) + 1), n training rows of which n_t have the term
    (scikit-learn's `TfidfTransformer`). Without, it is the count. Terms that the training part lacks are left
    out; with `n_hashed`, which needs no vocabulary, they share the columns of others.
    """

    def __init__(
        self,
        min_count: int,
        max_terms: int | None,
        n_hashed: int | None,
        idf: bool,
        **settings: Any,
    ) -> None:
        for name, value, high in (
            ("min_count", min_count, None),
            ("max_terms", max_terms, None),
            ("n_hashed", n_hashed, _MOST_HASHED),
        ):
            optional = name != "min_count" and value is None
            if not optional and (type(value) is not int or value < 1 or (high is not None and value > high)):
                raise ValueError(f"[{self.kind}] expected {name} as an integer of 1 or more, got {value!r}")
        if type(idf) is not bool:
            raise ValueError(f"[{self.kind}] expected idf of True or False, got {idf!r}; choose one")
        super().__init__(**settings, min_count=min_count, max_terms=max_terms, n_hashed=n_hashed, idf=idf)

    @abstractmethod
    def terms_of(self, value: Any) -> list[str]:
        """The terms of one value that is not missing, one as often as it counts."""

    def _all_terms(self, value: Any) -> list[str]:
        return [] if is_missing(value) else self.terms_of(value)

    def _counter(self, terms: Sequence[str] | None) -> Any:
        """scikit-learn's counter of lists of terms: hashed, of a vocabulary, or of what it finds (None)."""
        of_text = import_extra("sklearn.feature_extraction.text", "features")
        if self.settings["n_hashed"]:
            return of_text.HashingVectorizer(
                analyzer=list, n_features=self.settings["n_hashed"], norm=None, alternate_sign=False
            )
        return of_text.CountVectorizer(analyzer=list, vocabulary=terms, dtype=np.float64)

    def _counts(self, values: np.ndarray, terms: Sequence[str] | None) -> csr_array:
        from scipy.sparse import csr_array

        return csr_array(
            self._counter(terms).transform([self._all_terms(value) for value in values.tolist()])
        )

    def _learn(self, values: np.ndarray) -> ColumnState:
        if self.settings["n_hashed"]:
            return ColumnState([], self._rarities(self._counts(values, None)))
        found = [self._all_terms(value) for value in values.tolist()]
        if not any(found):
            return ColumnState()  # scikit-learn refuses to learn an empty vocabulary
        counter = self._counter(None)
        counts = counter.fit_transform(found).tocsr()
        terms = np.asarray(counter.get_feature_names_out(), object)
        n_rows = np.bincount(counts.indices, minlength=len(terms))
        kept = np.flatnonzero(n_rows >= self.settings["min_count"])
        # The terms come sorted and the sort is stable: of equally frequent ones the first in the alphabet.
        kept = np.sort(kept[np.argsort(-n_rows[kept], kind="stable")][: self.settings["max_terms"]])
        return ColumnState(terms[kept].tolist(), self._rarities(counts[:, kept]))

    def _rarities(self, counts: Any) -> np.ndarray:
        if not self.settings["idf"]:
            return np.empty(0)
        return import_extra("sklearn.feature_extraction.text", "features").TfidfTransformer().fit(counts).idf_

    def _width(self, state: ColumnState) -> int:
        return self.settings["n_hashed"] or len(state.terms)

    def _check(self, state: ColumnState) -> None:
        if self.settings["n_hashed"] and state.terms:
            raise ValueError("terms of a hashed column")
        if (
            len(state.numbers) != (self._width(state) if self.settings["idf"] else 0)
            or (state.numbers <= 0).any()
        ):
            raise ValueError("weights that do not fit its terms")

    def transform(self, values: np.ndarray) -> csr_array:
        from scipy.sparse import csr_array

        state = self.state()
        if not self._width(state):
            return csr_array((len(values), 0), dtype=np.float32)
        counts = self._counts(values, state.terms)
        if self.settings["idf"]:
            counts.data = counts.data * state.numbers[counts.indices]
        counts.sort_indices()
        return counts.astype(np.float32)

    def names(self) -> list[str]:
        state = self.state()
        if self.settings["n_hashed"]:
            return [f"hash {i}" for i in range(self.settings["n_hashed"])]
        return list(state.terms)


class Categorical(Terms):
    """One of several values: a column for each.

    Parameters
    ----------
    min_count : int
        A value that fewer training rows have is left out.
    max_terms : int, optional
        Only the most frequent so many.
    n_hashed : int, optional
        Instead of a vocabulary, this many columns, to which values are hashed.
    idf : bool
        Rare values weigh more; see `Terms`.

    Examples
    --------
    >>> column = Categorical().fit(np.array(["us", "de", "us"], object))
    >>> column.names(), column.transform(np.array(["us", "fr", None], object)).toarray().tolist()
    (['de', 'us'], [[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    """

    kind: ClassVar[str] = "categorical"

    def __init__(
        self, min_count: int = 1, max_terms: int | None = None, n_hashed: int | None = None, idf: bool = False
    ) -> None:
        super().__init__(min_count, max_terms, n_hashed, idf)

    def terms_of(self, value: Any) -> list[str]:
        return [plain_text(value)]


class MultiLabel(Terms):
    """A set of labels, such as genres or tags: a column for each.

    Parameters
    ----------
    sep : str
        What separates labels within a text; lists, sets and arrays of labels are taken as they are.
    min_count, max_terms, n_hashed, idf
        As of `Categorical`.

    Examples
    --------
    >>> column = MultiLabel(idf=False).fit(np.array(["war|drama", "drama"], object))
    >>> column.names(), column.transform(np.array(["drama|comedy"], object)).toarray().tolist()
    (['drama', 'war'], [[1.0, 0.0]])
    """

    kind: ClassVar[str] = "multi_label"

    def __init__(
        self,
        sep: str = "|",
        min_count: int = 1,
        max_terms: int | None = None,
        n_hashed: int | None = None,
        idf: bool = True,
    ) -> None:
        if not isinstance(sep, str) or not sep:
            raise ValueError(f"[multi_label] expected sep as a text, got {sep!r}; do: sep='|'")
        super().__init__(min_count, max_terms, n_hashed, idf, sep=sep)

    def terms_of(self, value: Any) -> list[str]:
        if isinstance(value, str):
            value = value.split(self.settings["sep"])
        elif not isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
            value = [value]
        labels = (plain_text(label) for label in value if not is_missing(label))
        return list(dict.fromkeys(label for label in labels if label))


class Text(Terms):
    """Words of a text, weighted by how rare they are.

    Parameters
    ----------
    ngrams : int
        Terms of up to so many words.
    stop_words : "english" or None
        Words to leave out, by scikit-learn's list.
    sublinear : bool
        A term that stands c times counts 1 + ln(c).
    min_count, max_terms, n_hashed, idf
        As of `Categorical`.

    Notes
    -----
    Words are runs of two or more letters, digits and underscores, in lower case, without accents.

    Examples
    --------
    >>> column = Text(idf=False).fit(np.array(["The blue whale", "A whale of a time"], object))
    >>> column.names()
    ['blue', 'time', 'whale']
    """

    kind: ClassVar[str] = "text"

    def __init__(
        self,
        ngrams: int = 1,
        stop_words: str | None = "english",
        sublinear: bool = True,
        min_count: int = 1,
        max_terms: int | None = None,
        n_hashed: int | None = None,
        idf: bool = True,
    ) -> None:
        if type(ngrams) is not int or not 1 <= ngrams <= 5:
            raise ValueError(f"[text] expected ngrams from 1 to 5, got {ngrams!r}; do: ngrams=2")
        if stop_words not in ("english", None) or type(sublinear) is not bool:
            raise ValueError(
                "[text] expected stop_words of 'english' or None and sublinear of True or False, got "
                f"{stop_words!r} and {sublinear!r}; choose"
            )
        super().__init__(
            min_count, max_terms, n_hashed, idf, ngrams=ngrams, stop_words=stop_words, sublinear=sublinear
        )
        self._words: Callable[[str], list[str]] | None = None

    def terms_of(self, value: Any) -> list[str]:
        if self._words is None:
            self._words = (
                import_extra("sklearn.feature_extraction.text", "features")
                .CountVectorizer(
                    ngram_range=(1, self.settings["ngrams"]),
                    stop_words=self.settings["stop_words"],
                    strip_accents="unicode",
                )
                .build_analyzer()
            )
        return list(self._words(str(value)))

    def _counts(self, values: np.ndarray, terms: Sequence[str] | None) -> csr_array:
        counts = super()._counts(values, terms)
        if self.settings["sublinear"]:
            counts.data = np.log(counts.data) + 1
        return counts


class Cross(Terms):
    """Pairs of a term of one column and a term of another one of the same table.

    Parameters
    ----------
    first, second : str
        Names of the columns; of terms, or of single values, which are their own terms.
    min_count, max_terms, n_hashed, idf
        As of `Categorical`.

    Notes
    -----
    The table's column of this name need not exist: its values are pairs that the encoder makes.

    Examples
    --------
    >>> from gpurec.features import FeatureEncoder, FeatureTable
    >>> schema = {"job": Categorical(), "genre": MultiLabel(), "both": Cross("job", "genre")}
    >>> table = FeatureTable([1, 2], {"job": ["cook", "guard"], "genre": ["war|drama", "drama"]}, schema)
    >>> FeatureEncoder(schema).fit(table).names[-3:]
    ['both=cook & drama', 'both=cook & war', 'both=guard & drama']
    """

    kind: ClassVar[str] = "cross"

    def __init__(
        self,
        first: str,
        second: str,
        min_count: int = 1,
        max_terms: int | None = None,
        n_hashed: int | None = None,
        idf: bool = False,
    ) -> None:
        if not isinstance(first, str) or not isinstance(second, str) or first == second:
            raise ValueError(f"[cross] expected names of two columns, got {first!r} and {second!r}")
        super().__init__(min_count, max_terms, n_hashed, idf, first=first, second=second)

    def terms_of(self, value: Any) -> list[str]:
        first, second = value
        return [f"{a} & {b}" for a, b in product(first, second)]

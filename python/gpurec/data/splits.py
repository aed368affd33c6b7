"""Splitting interactions into a training and a test part, by seed, user, time or publication."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from .interactions import Interactions

__all__ = [
    "Split",
    "k_fold",
    "leave_one_out",
    "published_folds",
    "random_split",
    "time_split",
    "user_holdout",
]


@dataclass(frozen=True, eq=False)
class Split:
    """A training and a test part over the same maps.

    Raises
    ------
    ValueError
        If the parts have different maps; `Split.of` gives them common ones.

    Examples
    --------
    >>> train, test = random_split(Interactions.from_arrays([1, 1, 2, 2], [5, 6, 5, 6]), 0.25)
    >>> len(train), len(test)
    (3, 1)
    """

    train: Interactions
    test: Interactions

    def __post_init__(self) -> None:
        if self.train.user_map != self.test.user_map or self.train.item_map != self.test.item_map:
            raise ValueError("[split] expected parts over the same maps; do: Split.of(train, test)")

    @classmethod
    def of(cls, train: Interactions, test: Interactions) -> Split:
        """Two given parts over common maps: the ids of `train` in their order, then the new ones of `test`.

        Examples
        --------
        >>> split = Split.of(Interactions.from_arrays(["ann"], [1]), Interactions.from_arrays(["bob"], [1]))
        >>> split.train.n_users, split.test.user_rows.tolist()
        (2, [1])
        """
        moved = test.with_maps_of(train)
        return cls(train.reindex(moved.user_map, moved.item_map), moved)

    def __iter__(self) -> Iterator[Interactions]:  # train, test = random_split(...)
        yield self.train
        yield self.test


def random_split(
    interactions: Interactions,
    test_fraction: float = 0.2,
    *,
    random_state: int | np.random.Generator = 0,
) -> Split:
    """Put a random fraction of all records into the test part.

    Parameters
    ----------
    interactions : Interactions
    test_fraction : float
        Between 0 and 1; the test part has the nearest whole number of records.
    random_state : int or numpy Generator
        The same integer gives the same split.

    Raises
    ------
    ValueError
        If the fraction is out of range, or a part would be empty.

    Notes
    -----
    Here and in every split the parts keep the order of the records, and a pair that stands in several
    records may come into both parts: `resolve_duplicates` first.

    Examples
    --------
    >>> ratings = Interactions.from_arrays([1, 1, 2, 2, 3], [5, 6, 5, 6, 5])
    >>> random_split(ratings, 0.4, random_state=1).test
    Interactions(2 records, 3 users, 2 items)
    """
    n_test = int(len(interactions) * _fraction("test_fraction", test_fraction) + 0.5)
    chosen = _generator(random_state).permutation(len(interactions))[:n_test]
    in_test = np.zeros(len(interactions), dtype=bool)
    in_test[chosen] = True
    return _split(interactions, in_test)


def user_holdout(
    interactions: Interactions,
    *,
    n: int | None = None,
    fraction: float | None = None,
    by: str = "random",
    random_state: int | np.random.Generator = 0,
) -> Split:
    """Put some records of every user into the test part: `n` each, or a fraction of each one's records.

    Parameters
    ----------
    interactions : Interactions
    n : int, optional
        Records a user, at least 1; give this or `fraction`.
    fraction : float, optional
        Between 0 and 1; the nearest whole number of each user's records (halves go up).
    by : {"random", "time"}
        Which records: drawn by `random_state`, or the user's last ones (equal times: the later records).
    random_state : int or numpy Generator
        Only for "random".

    Raises
    ------
    ValueError
        If not exactly one of `n` and `fraction` is given, one is out of range, there are no timestamps to
        go by, or a part would be empty.

    Notes
    -----
    Every user keeps at least one training record, so one who has a single record has none in the test part.

    Examples
    --------
    >>> ratings = Interactions.from_arrays([1, 1, 1, 2], [5, 6, 7, 5], timestamps=[30, 10, 20, 5])
    >>> user_holdout(ratings, n=1, by="time").test.item_ids().tolist()
    [5]
    """
    if (n is None) == (fraction is None):
        raise ValueError(f"[split] expected n or fraction, got n={n!r} and fraction={fraction!r}")
    counts = np.bincount(interactions.user_rows, minlength=interactions.n_users)
    if fraction is not None:
        n_test = (counts * _fraction("fraction", fraction) + 0.5).astype(np.int64)
    else:
        n_test = np.full(interactions.n_users, min(_integer("n", n, 1), len(interactions)))
    n_test = np.minimum(n_test, np.maximum(counts - 1, 0))
    if by == "random":
        key = _generator(random_state).permutation(len(interactions))
    elif by == "time":
        key = _timestamps(interactions)
    else:
        raise ValueError(f"[split] expected by of 'random' or 'time', got {by!r}")
    order = np.lexsort((key, interactions.user_rows))
    users = interactions.user_rows[order]
    from_end = np.cumsum(counts)[users] - np.arange(len(interactions))  # 1 for a user's last record
    in_test = np.zeros(len(interactions), dtype=bool)
    in_test[order] = from_end <= n_test[users]
    return _split(interactions, in_test)


def leave_one_out(
    interactions: Interactions, *, by: str = "time", random_state: int | np.random.Generator = 0
) -> Split:
    """Put one record of every user who has two into the test part: the last one, or a random one.

    The same as `user_holdout(interactions, n=1, by=by)`.

    Examples
    --------
    >>> ratings = Interactions.from_arrays([1, 1, 2, 2], [5, 6, 5, 6], timestamps=[2, 1, 3, 4])
    >>> leave_one_out(ratings).test.item_ids().tolist()
    [5, 6]
    """
    return user_holdout(interactions, n=1, by=by, random_state=random_state)


def time_split(interactions: Interactions, *, fraction: float | None = None, at: int | None = None) -> Split:
    """Put everything from a moment on into the test part, as if the model had been fitted then.

    Parameters
    ----------
    interactions : Interactions
    fraction : float, optional
        Between 0 and 1: the moment is the one from which on at least this part of the records lies
        (more where records share its second); give this or `at`.
    at : int, optional
        The moment itself, in seconds since 1970.

    Raises
    ------
    ValueError
        If not exactly one of the two is given, there are no timestamps, or a part would be empty.

    Examples
    --------
    >>> ratings = Interactions.from_arrays([1, 1, 2, 2], [5, 6, 5, 6], timestamps=[10, 20, 30, 40])
    >>> time_split(ratings, at=30).train.timestamps.tolist()
    [10, 20]
    >>> time_split(ratings, fraction=0.25).test.timestamps.tolist()
    [40]
    """
    if (fraction is None) == (at is None):
        raise ValueError(f"[split] expected fraction or at, got fraction={fraction!r} and at={at!r}")
    times = _timestamps(interactions)
    if fraction is not None:
        n_test = int(np.ceil(len(times) * _fraction("fraction", fraction)))
        at = int(np.sort(times)[len(times) - n_test]) if n_test else 0
    return _split(interactions, times >= _integer("at", at, None))


def k_fold(
    interactions: Interactions, n_folds: int = 5, *, random_state: int | np.random.Generator = 0
) -> Iterator[Split]:
    """Splits of cross-validation: every record is in the test part of exactly one.

    Parameters
    ----------
    interactions : Interactions
    n_folds : int
        From 2 to the number of records; test parts differ by at most one record.
    random_state : int or numpy Generator

    Raises
    ------
    ValueError
        If `n_folds` is out of range; at the call, not at the first split.

    Examples
    --------
    >>> ratings = Interactions.from_arrays([1, 1, 2, 2, 3], [5, 6, 5, 6, 5])
    >>> [len(split.test) for split in k_fold(ratings, 2)]
    [3, 2]
    """
    n = len(interactions)
    if _integer("n_folds", n_folds, 2) > n:
        raise ValueError(f"[split] expected n_folds in 2..{n}, the number of records, got {n_folds}")
    fold = np.empty(n, dtype=np.int64)
    fold[_generator(random_state).permutation(n)] = np.arange(n) % n_folds
    return (_split(interactions, fold == i) for i in range(n_folds))


def published_folds(
    folder: str | PathLike[str],
    folds: Iterable[int] = range(1, 6),
    *,
    train: str = "u{fold}.base",
    test: str = "u{fold}.test",
    format: str = "auto",
) -> Iterator[Split]:
    """Splits that a data set comes with, such as u1..u5 of MovieLens 100k, each over common maps.

    Parameters
    ----------
    folder : str or path
    folds : iterable of int
    train, test : str
        Names of the files; `{fold}` stands for the number.
    format : str
        As in `read_records`.

    Raises
    ------
    FileNotFoundError
        If a file is not there; at the call, not at its turn.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "u1.base").write_text("1\\t10\\t5\\t880000000\\n")
    >>> _ = (folder / "u1.test").write_text("2\\t10\\t3\\t880000000\\n")
    >>> [split.test for split in published_folds(folder, [1])]
    [Interactions(1 records, 2 users, 1 items)]
    """
    folder = Path(folder)
    paths = [tuple(folder / name.format(fold=fold) for name in (train, test)) for fold in folds]
    lacking = [str(path) for pair in paths for path in pair if not path.is_file()]
    if lacking:
        raise FileNotFoundError(f"[split] expected published folds, but there is no {', '.join(lacking)}")
    read = Interactions.from_file
    return (Split.of(read(base, format=format), read(held, format=format)) for base, held in paths)


def _split(interactions: Interactions, in_test: np.ndarray) -> Split:
    n, n_test = len(in_test), int(np.count_nonzero(in_test))
    if n_test in (0, n):
        raise ValueError(
            f"[split] expected records in both parts, got {n - n_test} for training, {n_test} for test"
        )
    return Split(interactions.take(~in_test), interactions.take(in_test))


def _fraction(name: str, value: float) -> float:
    if not 0 < value < 1:
        raise ValueError(f"[split] expected {name} between 0 and 1, got {value!r}")
    return float(value)


def _integer(name: str, value: int | None, least: int | None) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"[split] expected an integer {name}, got {value!r}")
    if least is not None and value < least:
        raise ValueError(f"[split] expected {name} >= {least}, got {value}")
    return int(value)


def _timestamps(interactions: Interactions) -> np.ndarray:
    if interactions.timestamps is None:
        raise ValueError("[split] expected timestamps to go by, got interactions without; do: by='random'")
    return interactions.timestamps


def _generator(random_state: int | np.random.Generator) -> np.random.Generator:
    if isinstance(random_state, np.random.Generator):
        return random_state
    return np.random.default_rng(_integer("random_state", random_state, 0))

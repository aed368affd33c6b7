"""Validation: parts of the training data that trials are judged by, so that no test data is seen."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..artifacts import ids_to_tensors
from ..data import Split, random_split, user_holdout

if TYPE_CHECKING:
    from ..data import Interactions

__all__ = ["Validation", "data_hash"]

_WAYS = ("user", "random", "time")


@dataclass(frozen=True)
class Validation:
    """How validation parts are taken from the training data.

    Parameters
    ----------
    by : {"user", "random", "time"}
        "user": a fraction of each user's records, drawn by the seed, every user keeping one at least;
        "random": a fraction of all records, drawn by the seed; "time": the last records.
    fraction : float
        Between 0 and 1: how large a validation part is, or with "time" all of them together.
    folds : int
        Of "user" and "random" each fold is another draw. Of "time" the last records are cut into as many
        windows; each is judged by a model fitted on everything before it.
    seed : int

    Raises
    ------
    ValueError, TypeError
        If one of them is out of range.

    Examples
    --------
    >>> from gpurec import Interactions
    >>> plays = Interactions.from_arrays([1, 1, 2, 2], [5, 6, 5, 6], timestamps=[10, 20, 30, 40])
    >>> splits = Validation("time", fraction=0.5, folds=2).splits(plays)
    >>> [(len(split.train), split.test.timestamps.tolist()) for split in splits]
    [(2, [30]), (3, [40])]
    """

    by: str = "user"
    fraction: float = 0.2
    folds: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by not in _WAYS:
            raise ValueError(f"[tune] expected validation by {', '.join(_WAYS)}, got {self.by!r}; choose one")
        if not 0 < self.fraction < 1:
            raise ValueError(f"[tune] expected a validation fraction between 0 and 1, got {self.fraction}")
        for name, value, least in (("folds", self.folds, 1), ("seed", self.seed, 0)):
            if type(value) is not int:
                raise TypeError(f"[tune] expected {name} as an integer, got {value!r}")
            if value < least:
                raise ValueError(f"[tune] expected {name} of {least} or more, got {value}; raise it")

    def splits(self, interactions: Interactions) -> list[Split]:
        """A training and a validation part for each fold.

        Raises
        ------
        ValueError
            If a part would be empty, or there are no timestamps to go by.
        """
        if self.by == "time":
            return self._windows(interactions)
        draws = [np.random.default_rng((self.seed, fold)) for fold in range(self.folds)]
        if self.by == "user":
            return [user_holdout(interactions, fraction=self.fraction, random_state=draw) for draw in draws]
        return [random_split(interactions, self.fraction, random_state=draw) for draw in draws]

    def _windows(self, interactions: Interactions) -> list[Split]:
        times = interactions.timestamps
        if times is None:
            raise ValueError("[tune] expected timestamps to go by, got none; do: validation by 'user'")
        in_order, n = np.sort(times), len(times)
        n_last = int(np.ceil(n * self.fraction))
        begins = [int(in_order[n - n_last + fold * n_last // self.folds]) for fold in range(self.folds)]
        splits = []
        for begin, end in zip(begins, [*begins[1:], int(in_order[-1]) + 1]):
            before, inside = times < begin, (begin <= times) & (times < end)
            if not (before.any() and inside.any()):
                raise ValueError(
                    f"[tune] expected records before and in each of {self.folds} windows of time, got "
                    f"{np.count_nonzero(before)} and {np.count_nonzero(inside)}; do: fewer folds"
                )
            splits.append(Split(interactions.take(before), interactions.take(inside)))
        return splits


def data_hash(interactions: Interactions) -> str:
    """SHA-256 of all records in their order: ids with their types, weights and timestamps.

    Raises
    ------
    ArtifactError
        If an id is of a type that cannot be saved.

    Examples
    --------
    >>> from gpurec import Interactions
    >>> of = [data_hash(Interactions.from_arrays(["ann"], [item])) for item in (1, 1, "1")]
    >>> of[0] == of[1], of[0] == of[2]
    (True, False)
    """
    digest = hashlib.sha256()
    for name, ids in (("user", interactions.user_map), ("item", interactions.item_map)):
        tensors, meta = ids_to_tensors(name, ids)
        digest.update(repr(meta).encode())
        for tensor in tensors.values():
            _add(digest, tensor)
    times = interactions.timestamps
    for column in (interactions.user_rows, interactions.item_rows, interactions.weights):
        _add(digest, column)
    _add(digest, np.empty(0, np.int64) if times is None else times)
    return digest.hexdigest()


def _add(digest: hashlib._Hash, array: np.ndarray) -> None:
    digest.update(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data)

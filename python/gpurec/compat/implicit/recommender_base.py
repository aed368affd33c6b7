"""What implicit's models have in common."""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ...errors import ArtifactError, NotFittedError
from ..npz import read_npz

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ModelFitError", "RecommenderBase", "fitted", "setting", "trimmed"]

_KINDS: dict[type, str] = {bool: "b", int: "iu", float: "fiu", str: "U"}


class ModelFitError(Exception):
    """A fit came to factors that are not numbers."""


class RecommenderBase(ABC):
    """The interface of implicit's models, in rows: users and items are numbered from 0.

    Answers are pairs of arrays (ids, scores), best first, equal scores by smaller id: of one user or item in
    one dimension and as long as there are answers, of several in two, missing places at the end of a row
    being id -1 and score -inf. What a filter leaves out is never in an answer.
    """

    @abstractmethod
    def fit(self, user_items: Any, show_progress: bool = True, callback: Any = None) -> None:
        """Learn from a CSR matrix of weights, shape (n_users, n_items)."""

    @abstractmethod
    def recommend(
        self,
        userid: Any,
        user_items: Any,
        N: int = 10,
        filter_already_liked_items: bool = True,
        filter_items: Any = None,
        recalculate_user: bool = False,
        items: Any = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best N items of a user, or of each of several.

        Parameters
        ----------
        userid : int, or integers in one dimension
        user_items : sparse matrix, shape (1 or len(userid), n_items)
            What the users had: a row for each user asked about, in their order.
        N : int
        filter_already_liked_items : bool
            Leave out what stands in the user's row of `user_items`, stored zeros too.
        filter_items : integers, optional
            Items that nobody gets.
        recalculate_user : bool
            Take from `user_items` who the user is, and not from what was learnt; not all models can.
        items : integers, optional
            The only items that may be given; not together with `filter_items`.

        Returns
        -------
        ids, scores
            See the class.

        Raises
        ------
        IndexError
            If a user or an item is not in the model.
        ValueError
            If `user_items` has not a row for each user, or N is below 1.
        """

    @abstractmethod
    def similar_users(
        self, userid: Any, N: int = 10, filter_users: Any = None, users: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N users most similar to a user, or to each of several; the user is the first of them."""

    @abstractmethod
    def similar_items(
        self,
        itemid: Any,
        N: int = 10,
        recalculate_item: bool = False,
        item_users: Any = None,
        filter_items: Any = None,
        items: Any = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N items most similar to an item, or to each of several; the item is the first of them."""

    def rank_items(
        self, userid: Any, user_items: Any, selected_items: Any, recalculate_user: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """The selected items, best first; deprecated in implicit: `recommend(..., items=...)` does it."""
        warnings.warn(
            "rank_items is deprecated; do: recommend(userid, user_items, items=selected_items)",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.recommend(
            userid,
            user_items,
            N=max(len(selected_items), 1),
            filter_already_liked_items=False,
            recalculate_user=recalculate_user,
            items=selected_items,
        )

    # Saving.

    @abstractmethod
    def _saved(self) -> dict[str, Any]:
        """Arrays and settings to save, under implicit's names; None is left out."""

    @abstractmethod
    def _restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take what `_saved` gave, distrusting all of it."""

    def save(self, fileobj_or_path: str | os.PathLike[str] | BinaryIO) -> None:
        """Write the model as .npz, which implicit's class of this name loads.

        Parameters
        ----------
        fileobj_or_path : path or binary file
            `numpy.savez` adds .npz to a path that lacks it.
        """
        np.savez(
            fileobj_or_path, **{name: value for name, value in self._saved().items() if value is not None}
        )

    @classmethod
    def load(cls, fileobj_or_path: str | os.PathLike[str] | BinaryIO) -> Self:
        """Read what `save` wrote, or implicit's class of this name; nothing in the file is executed.

        Raises
        ------
        ArtifactError
            If it is no such file, or damaged.
        """
        model, arrays = cls(), read_npz(fileobj_or_path)
        model._restore(arrays)
        if arrays:
            raise ArtifactError(f"[load] expected what {cls.__name__} saves, got {sorted(arrays)!r:.100} too")
        return model


def setting(arrays: dict[str, np.ndarray], name: str, kind: type, default: Any) -> Any:
    """Take a single bool, int, float or str out of a file's arrays; the default where there is none.

    Raises
    ------
    ArtifactError
        If it is something else, or not finite.
    """
    if name not in arrays:
        return default
    array = arrays.pop(name)
    if array.shape != () or array.dtype.kind not in _KINDS[kind] or array.dtype.itemsize > 256:
        raise ArtifactError(f"[load] expected {name} as one {kind.__name__}, got {array.dtype} {array.shape}")
    try:
        value = kind(array.item())
    except (ValueError, OverflowError) as error:  # text that is none
        raise ArtifactError(f"[load] expected {name} as one {kind.__name__}") from error
    if kind is float and not np.isfinite(value):
        raise ArtifactError(f"[load] expected a finite {name}, got {value}")
    return value


def trimmed(rows: np.ndarray, scores: np.ndarray, one: bool) -> tuple[np.ndarray, np.ndarray]:
    """An answer as implicit shapes it: int32 ids, of one row alone without missing places.

    Examples
    --------
    >>> trimmed(np.array([[4, -1]]), np.float32([[0.5, -np.inf]]), True)
    (array([4], dtype=int32), array([0.5], dtype=float32))
    """
    ids = rows.astype(np.int32)
    if not one:
        return ids, scores
    n = int(np.count_nonzero(ids[0] >= 0))
    return ids[0, :n], scores[0, :n]


def fitted(value: Any, model: Any) -> Any:
    """What a fit leaves behind.

    Raises
    ------
    NotFittedError
        If there was none.
    """
    if value is None:
        raise NotFittedError(
            f"[{type(model).__name__}] expected a fitted model; do: model.fit(user_items) or load a saved one"
        )
    return value

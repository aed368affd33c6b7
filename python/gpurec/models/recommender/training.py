"""What every fitted model keeps of the interactions it learnt from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ...artifacts import Artifact, ids_from_tensors, ids_to_tensors
from ...errors import ArtifactError
from ...types import IdMap

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from ...data import Interactions

__all__ = ["TrainingPart"]


@dataclass(frozen=True, eq=False)
class TrainingPart:
    """The training interactions of a fitted model.

    Attributes
    ----------
    user_map, item_map : IdMap
        The model's own copies, so that rows stay valid when the caller's maps grow.
    user_items : scipy CSR, float32, shape (n_users, n_items)
        Every stored entry is a seen item.
    weight_range : (float, float)
        Smallest and largest weight of a record.
    described_users, described_items : bool arrays, (n_users,) and (n_items,), or None
        Of whom the model knows features: known without an interaction.
    """

    user_map: IdMap
    item_map: IdMap
    user_items: csr_array
    weight_range: tuple[float, float]
    described_users: np.ndarray | None = None
    described_items: np.ndarray | None = None

    @classmethod
    def of(cls, interactions: Interactions) -> TrainingPart:
        """Take over what is needed; the matrix is shared, not copied.

        Raises
        ------
        ValueError
            If there is no interaction at all, or a weight is not finite.
        """
        weights = interactions.weights
        if len(weights) == 0:
            raise ValueError(
                "[fit] expected at least one interaction, got none; check the file and the split"
            )
        low, high = float(weights.min()), float(weights.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            bad = int(np.argmin(np.isfinite(weights)))
            raise ValueError(
                f"[fit] expected finite weights, got {weights[bad]} in record {bad}; do: clean(interactions)"
            )
        return cls(
            interactions.user_map.copy(), interactions.item_map.copy(), interactions.user_items, (low, high)
        )

    def with_more(self, interactions: Interactions) -> TrainingPart:
        """This part and more interactions; new ids get the rows after the old ones.

        Notes
        -----
        Weights of a pair that is there already are added, as those of a pair that stands twice are in `of`:
        exactly so where float32 holds their sums, as it does those of ratings.
        """
        from ...data.matrix import user_items_matrix

        user_map, item_map = self.user_map.copy(), self.item_map.copy()
        user_map.add(interactions.user_map)
        item_map.add(interactions.item_map)
        moved = interactions.reindex(user_map, item_map)
        old = self.user_items.tocoo()
        matrix = user_items_matrix(
            np.concatenate([old.row, moved.user_rows]),
            np.concatenate([old.col, moved.item_rows]),
            np.concatenate([old.data, moved.weights]),
            (len(user_map), len(item_map)),
        )
        bounds = [*self.weight_range, *moved.weights.tolist()]
        return TrainingPart(user_map, item_map, matrix, (min(bounds), max(bounds)))

    @property
    def n_users(self) -> int:
        return self.user_items.shape[0]

    @property
    def n_items(self) -> int:
        return self.user_items.shape[1]

    @cached_property
    def user_counts(self) -> np.ndarray:
        """Items that each user has interacted with, int64 (n_users,)."""
        return np.diff(self.user_items.indptr).astype(np.int64)

    @cached_property
    def item_counts(self) -> np.ndarray:
        """Users that have interacted with each item, int64 (n_items,)."""
        return np.bincount(self.user_items.indices, minlength=self.n_items)

    def seen(self, user_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The items of users as (indptr, rows), both int64."""
        chosen = self.user_items[user_rows]
        return chosen.indptr.astype(np.int64), chosen.indices.astype(np.int64)

    def known(self, side: str) -> np.ndarray:
        """Which rows of "user" or "item" have an interaction or features, bool (n,)."""
        return self._known_users if side == "user" else self._known_items

    @cached_property
    def _known_users(self) -> np.ndarray:
        known = self.user_counts > 0
        return known if self.described_users is None else known | self.described_users

    @cached_property
    def _known_items(self) -> np.ndarray:
        known = self.item_counts > 0
        return known if self.described_items is None else known | self.described_items

    def known_rows(self, side: str, ids: Any) -> np.ndarray:
        """Rows of the ids of "user" or "item" that are known, -1 for every other id."""
        known = self.known(side)
        rows = (self.user_map if side == "user" else self.item_map).rows(ids, unknown="ignore")
        rows[rows >= 0] = np.where(known[rows[rows >= 0]], rows[rows >= 0], -1)
        return rows

    def to_tensors(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Tensors and settings to save."""
        user_tensors, user_meta = ids_to_tensors("user_ids", self.user_map)
        item_tensors, item_meta = ids_to_tensors("item_ids", self.item_map)
        seen = {
            "user_items.indptr": self.user_items.indptr.astype(np.int64),
            "user_items.indices": self.user_items.indices.astype(np.int64),
            "user_items.weights": self.user_items.data.astype(np.float32),
        }
        meta = {"weight_range": list(self.weight_range)}
        return user_tensors | item_tensors | seen, user_meta | item_meta | meta

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> TrainingPart:
        """The same training part back.

        Raises
        ------
        ArtifactError
            If tensors are missing, of another dtype, or do not fit each other.
        """
        from scipy.sparse import csr_array

        user_map = ids_from_tensors("user_ids", artifact.tensors, artifact.meta)
        item_map = ids_from_tensors("item_ids", artifact.tensors, artifact.meta)
        indptr = artifact.tensor("user_items.indptr", np.int64, (len(user_map) + 1,))
        indices = artifact.tensor("user_items.indices", np.int64, (None,))
        weights = artifact.tensor("user_items.weights", np.float32, indices.shape)
        whole = indptr[0] == 0 and indptr[-1] == len(indices) and (np.diff(indptr) >= 0).all()
        if not whole or (len(indices) and not 0 <= indices.min() <= indices.max() < len(item_map)):
            raise ArtifactError(
                "[load] expected user_items to be a CSR matrix over the saved ids; save again"
            )
        low_high = artifact.meta.get("weight_range")
        if not (
            isinstance(low_high, list)
            and len(low_high) == 2
            and all(type(bound) in (int, float) for bound in low_high)
            and low_high[0] <= low_high[1]
        ):
            raise ArtifactError(f"[load] expected a weight_range of two numbers, got {low_high!r:.60}")
        shape = (len(user_map), len(item_map))
        matrix = csr_array((weights, indices, indptr), shape=shape)
        return cls(user_map, item_map, matrix, (float(low_high[0]), float(low_high[1])))

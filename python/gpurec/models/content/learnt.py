"""What a content model has learnt: vectors of items, tastes of users, what scores are made of, saving."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...artifacts import Artifact
from ...backends import SparseRows
from ...errors import ArtifactError
from ...features import FeatureEncoder, FeatureTable
from ..recommender import Explanation, Reasons, VectorModel
from .blocks import Blocks
from .matrices import GrowingRows, csr_from_artifact, csr_to_tensors, resized, side_by_side, sparse_rows
from .profiles import weighted_means
from .reasons import feature_reasons, past_reasons
from .registration import Registration

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["LearntContent"]


class LearntContent(VectorModel):
    """The answering half of `ContentBased`.

    Attributes
    ----------
    blocks : Blocks
    encoder : FeatureEncoder or None
        None: items are described by their users.
    """

    blocks: Blocks
    encoder: FeatureEncoder | None
    _registration: Registration | None
    _items: GrowingRows  # float32 (n_items, d), of length one or zero
    _item_features: csr_array  # (n_items, features of all sparse blocks)
    _histories: csr_array  # (n_users, n_items), how much each interaction counts

    @property
    def _vectors(self) -> np.ndarray:
        return self._items.rows

    # What is known of items.

    def _users_as_features(self) -> csr_array:
        """Items by their users, each counting ln((1 + n_items) / (1 + its items)) + 1."""
        from scipy.sparse import csr_array

        seen, counts = self.training.user_items, self.training.user_counts
        rarity = (np.log((1 + seen.shape[1]) / (1 + counts)) + 1).astype(np.float32)
        owners = np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr))
        turned = csr_array((rarity[owners], seen.indices, seen.indptr), shape=seen.shape).T.tocsr()
        turned.sort_indices()
        return turned

    def _described(self, table: FeatureTable) -> tuple[csr_array, np.ndarray]:
        """Features of the sparse blocks, and unit vectors of all blocks, of items that need not be known."""
        encoder = self.encoder
        if encoder is None:
            raise ValueError("[content] expected a model with features of items, got one without; fit anew")
        parts = [encoder.transform(table, block.columns) for block in self.blocks.blocks]
        return side_by_side(parts), self.blocks.units(parts)

    def _take_units(self, units: np.ndarray) -> None:
        """Make the vectors of items from the unit vectors of their blocks."""
        self._indexes.clear()
        self._items = GrowingRows(self.blocks.vectors(units))
        self._tell_who_is_described()

    def _tell_who_is_described(self) -> None:
        items = None if self.encoder is None else (self._vectors != 0).any(axis=1)
        users = None if self._registration is None else self._registration.described
        self._training = replace(self.training, described_items=items, described_users=users)

    def _item_vectors(self, item_rows: np.ndarray) -> np.ndarray:
        vectors = self._vectors[item_rows]
        vectors[item_rows < 0] = 0
        return vectors

    # What is known of users.

    def _user_vectors(self, user_rows: np.ndarray) -> np.ndarray:
        histories = sparse_rows(self._histories, user_rows)
        if self._registration is None:
            return weighted_means(histories, self._vectors, None, np.zeros(len(user_rows)))
        features = self._registration.of(user_rows)
        foretold = self._registration.foretold(features)
        return weighted_means(histories, self._vectors, foretold, self._pull(features))

    def _pull(self, features: SparseRows) -> np.ndarray:
        """How many items the features of each user count as, float64 (n,)."""
        return np.where(features.lengths > 0, self.settings["user_weight"], 0.0)

    def _factors(self, side: str) -> np.ndarray:
        return self._vectors if side == "item" else self._user_vectors(np.arange(self.training.n_users))

    # Why.

    def explain(self, user_id: Any, item_id: Any, *, by: str = "items") -> Explanation:
        """What the user's score of an item is made of.

        Parameters
        ----------
        user_id, item_id
            Known ids.
        by : {"items", "features"}
            What each item and each feature of the user adds, or each feature of the item; a dense block is
            one feature.

        Returns
        -------
        Explanation
            Its contributions add up to what `predict` gives, within its `tolerance`.

        Raises
        ------
        UnknownIdError
            If the user or the item is unknown.
        """
        if by not in ("items", "features"):
            raise ValueError(f"[explain] expected by of 'items' or 'features', got {by!r}; choose one")
        if by == "items":
            return super().explain(user_id, item_id)
        user_row, item_rows = self._explainable(user_id, item_id)
        scores = self._score_pairs(np.array([user_row]), item_rows)
        item, user = self._vectors[item_rows[0]], self._user_vectors(np.array([user_row]))[0]
        reasons = feature_reasons(self.blocks, item, self._item_features[item_rows], user, self.encoder)
        return self._explained(user_row, item_rows, scores, reasons)[0]

    def _reasons(self, user_row: int, item_rows: np.ndarray) -> list[Reasons]:
        row = np.array([user_row])
        histories = sparse_rows(self._histories, row)
        past, items, user = (
            self._vectors[histories.columns],
            self._vectors[item_rows],
            self._user_vectors(row)[0],
        )
        registration = self._registration
        if registration is None or not registration.described[user_row]:
            return past_reasons(histories, past, items, user)
        features = registration.of(row)
        return past_reasons(
            histories, past, items, user, registration, features, float(self._pull(features)[0])
        )

    # Saving.

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        tensors, meta = self.blocks.to_tensors()
        tensors |= {"item_vectors": self._vectors, "histories": self._histories.data}
        if self.encoder is not None:
            of_encoder, more = self.encoder.to_tensors("item_encoder")
            tensors |= of_encoder | csr_to_tensors("item_features", self._item_features)
            meta |= more
        if self._registration is not None:
            of_users, more = self._registration.to_tensors()
            tensors, meta = tensors | of_users, meta | more
        return tensors, meta

    def _restore(self, artifact: Artifact) -> None:
        training = self.training
        self.blocks = Blocks.from_artifact(artifact)
        self._items = GrowingRows(
            artifact.tensor("item_vectors", np.float32, (training.n_items, self.blocks.d))
        )
        counts = artifact.tensor("histories", np.float32, training.user_items.data.shape)
        if not np.isfinite(self._vectors).all() or not np.isfinite(counts).all():
            raise ArtifactError("[load] expected finite vectors and histories; fit and save again")
        self._histories = resized(training.user_items, training.user_items.shape)
        self._histories.data = counts
        self.encoder = self._registration = None
        if "item_encoder" in artifact.meta:
            self.encoder = FeatureEncoder.from_tensors("item_encoder", artifact.tensors, artifact.meta)
            width = self.blocks.check(self.encoder)
            self._item_features = csr_from_artifact("item_features", artifact, (training.n_items, width))
        else:
            widths = [block.n_features for block in self.blocks.blocks]
            if len(widths) != 1 or widths[0] > training.n_users:
                raise ArtifactError("[load] expected a block of users, or an encoder of features; save again")
            # Users who came later have no interaction, so that nothing lies behind.
            self._item_features = self._users_as_features()[:, : widths[0]]
        if "user_encoder" in artifact.meta:
            self._registration = Registration.from_artifact(artifact, training.n_users, self.blocks.d)
        self._tell_who_is_described()

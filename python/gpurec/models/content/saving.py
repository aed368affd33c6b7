"""Taking back a saved content model, distrusting all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...artifacts import Artifact
from ...errors import ArtifactError
from ...features import FeatureEncoder
from .blocks import Blocks
from .matrices import csr_from_artifact, resized

if TYPE_CHECKING:
    from .content_based import ContentBased

__all__ = ["restore"]


def restore(model: ContentBased, artifact: Artifact) -> None:
    """Put what `_state` gave into a model that has its training part.

    Raises
    ------
    ArtifactError
        If anything is missing or does not fit.
    """
    training = model.training
    model.blocks = Blocks.from_artifact(artifact)
    model._vectors = artifact.tensor("item_vectors", np.float32, (training.n_items, model.blocks.d))
    values = artifact.tensor("histories", np.float32, training.user_items.data.shape)
    if not np.isfinite(model._vectors).all() or not np.isfinite(values).all():
        raise ArtifactError("[load] expected finite vectors and histories; fit and save again")
    model._histories = resized(training.user_items, training.user_items.shape)
    model._histories.data = values
    model.encoder = model.user_encoder = model._user_features = model._foretelling = None
    widths = [block.n_features for block in model.blocks.blocks]
    if "item_encoder" in artifact.meta:
        model.encoder = encoder = FeatureEncoder.from_tensors("item_encoder", artifact.tensors, artifact.meta)
        for block in model.blocks.blocks:
            fits = bool(block.columns) and set(block.columns) <= set(encoder.columns)
            if not fits or len(encoder.names_of(block.columns)) != block.n_features:
                raise ArtifactError(f"[load] expected the columns of block {block.name!r:.60} in the encoder")
        sparse = [block.n_features for block in model.blocks.blocks if not encoder.is_dense(block.columns)]
        model._item_features = csr_from_artifact("item_features", artifact, (training.n_items, sum(sparse)))
    else:
        if widths != [training.n_users]:
            raise ArtifactError("[load] expected one block of users, or an encoder of features; save again")
        model._item_features = model._users_as_features()
    if "user_encoder" in artifact.meta:
        encoder = FeatureEncoder.from_tensors("user_encoder", artifact.tensors, artifact.meta)
        width = len(encoder.names)
        model.user_encoder = encoder
        model._user_features = csr_from_artifact("user_features", artifact, (training.n_users, width))
        model._foretelling = artifact.tensor("foretelling", np.float32, (width + 1, model.blocks.d))
        if not np.isfinite(model._foretelling).all():
            raise ArtifactError("[load] expected finite coefficients of users' features; fit and save again")
    model._tell_who_is_described()

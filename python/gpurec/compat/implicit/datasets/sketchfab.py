"""implicit's `datasets.sketchfab`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .cached import read_dataset

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["get_sketchfab"]


def get_sketchfab() -> tuple[np.ndarray, np.ndarray, csr_matrix]:
    """Likes of models on Sketchfab from ~/implicit_datasets/sketchfab.hdf5.

    Returns
    -------
    items, users : arrays
    likes : scipy CSR, items by users

    Raises
    ------
    FileNotFoundError, ArtifactError, MissingExtraError
        See `cached.read_dataset`.
    """
    (items, users), matrix = read_dataset("sketchfab", "item_user_likes", ("item", "user"))
    return items, users, matrix

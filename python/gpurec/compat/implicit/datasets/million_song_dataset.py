"""implicit's `datasets.million_song_dataset`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .cached import read_dataset

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["get_msd_taste_profile"]


def get_msd_taste_profile() -> tuple[np.ndarray, np.ndarray, csr_matrix]:
    """Plays of the million song data set from ~/implicit_datasets/msd_taste_profile.hdf5.

    Returns
    -------
    tracks, users : arrays
    plays : scipy CSR, tracks by users

    Raises
    ------
    FileNotFoundError, ArtifactError, MissingExtraError
        See `cached.read_dataset`.
    """
    (items, users), matrix = read_dataset("msd_taste_profile", "track_user_plays", ("track", "user"))
    return items, users, matrix

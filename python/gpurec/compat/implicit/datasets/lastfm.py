"""implicit's `datasets.lastfm`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .cached import read_dataset

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["get_lastfm"]


def get_lastfm() -> tuple[np.ndarray, np.ndarray, csr_matrix]:
    """Plays of artists by 360,000 users of last.fm from ~/implicit_datasets/lastfm_360k.hdf5.

    Returns
    -------
    artists, users : arrays
    plays : scipy CSR, artists by users

    Raises
    ------
    FileNotFoundError, ArtifactError, MissingExtraError
        See `cached.read_dataset`.
    """
    (items, users), matrix = read_dataset("lastfm_360k", "artist_user_plays", ("artist", "user"))
    return items, users, matrix

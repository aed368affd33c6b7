"""implicit's `datasets.movielens`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .cached import read_dataset

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["get_movielens"]


def get_movielens(variant: str = "20m") -> tuple[np.ndarray, csr_matrix]:
    """MovieLens from ~/implicit_datasets/movielens_VARIANT.hdf5.

    Parameters
    ----------
    variant : {"20m", "10m", "1m", "100k"}

    Returns
    -------
    movies : array of text, by movie id
    ratings : scipy CSR, movie ids by user ids

    Raises
    ------
    ValueError
        If there is no such variant.
    FileNotFoundError, ArtifactError, MissingExtraError
        See `cached.read_dataset`.
    """
    if variant not in ("20m", "10m", "1m", "100k"):
        raise ValueError(f"[datasets] expected a variant of 20m, 10m, 1m, 100k, got {variant!r}")
    (movies,), ratings = read_dataset(f"movielens_{variant}", "movie_user_ratings", ("movie",))
    return movies, ratings

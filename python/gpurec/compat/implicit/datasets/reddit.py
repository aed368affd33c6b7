"""implicit's `datasets.reddit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cached import read_dataset

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["get_reddit"]


def get_reddit() -> csr_matrix:
    """Votes on links of reddit from ~/implicit_datasets/reddit.hdf5: scipy CSR, items by users.

    Raises
    ------
    FileNotFoundError, ArtifactError, MissingExtraError
        See `cached.read_dataset`.
    """
    return read_dataset("reddit", "item_user_ratings", ())[1]

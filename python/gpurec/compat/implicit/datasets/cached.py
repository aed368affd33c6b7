"""Files of implicit's data sets, where implicit itself keeps them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ....errors import ArtifactError, import_extra

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["LOCAL_CACHE_DIR", "read_dataset"]

LOCAL_CACHE_DIR = os.path.join(os.path.expanduser("~"), "implicit_datasets")


def read_dataset(name: str, matrix: str, texts: tuple[str, ...]) -> tuple[list[np.ndarray], csr_matrix]:
    """The texts and the matrix of a file in `LOCAL_CACHE_DIR`.

    Parameters
    ----------
    name : str
        The file's, without .hdf5.
    matrix : str
        The group with data, indices and indptr of a CSR matrix.
    texts : names of the arrays beside it

    Raises
    ------
    FileNotFoundError
        If the file is not there: download it once, with implicit or a browser.
    ArtifactError
        If it holds something else.
    MissingExtraError
        If h5py is not installed.
    """
    path = Path(LOCAL_CACHE_DIR, f"{name}.hdf5")
    if not path.is_file():
        raise FileNotFoundError(
            f"[datasets] expected the file {path}, got none, and gpurec downloads nothing; do: get it from "
            "implicit's releases of recommender_data, or gpurec.data.load_movielens()"
        )
    h5py = import_extra("h5py", "hdf5")
    try:
        with h5py.File(path, "r") as file:
            return [_array(file[text]) for text in texts], _csr(file[matrix])
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise ArtifactError(
            f"[datasets] expected implicit's data set {name!r}, got: {error!s:.200}"
        ) from error


def _array(stored: Any) -> np.ndarray:
    """Text as `str`, all else as it is."""
    h5py = import_extra("h5py", "hdf5")
    kind = h5py.check_string_dtype(stored.dtype)
    return np.array(stored[:] if kind is None else stored.asstr()[:])


def _csr(group: Any) -> csr_matrix:
    from scipy.sparse import csr_matrix

    matrix = csr_matrix(tuple(np.asarray(group[part]) for part in ("data", "indices", "indptr")))
    matrix.check_format(full_check=True)  # every index is compared with the shape
    return matrix

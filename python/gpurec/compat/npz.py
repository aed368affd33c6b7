"""Files that `numpy.savez` wrote, read without trust: nothing is executed, nothing larger than the file."""

from __future__ import annotations

import io
import math
import os
import re
import struct
import tokenize
import zipfile
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ..errors import ArtifactError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["read_npz", "square_matrix", "with_suffix"]

_MEMBER = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,63})\.npy", re.ASCII)
_MOST_MEMBERS = 64
_MOST_HEADER_BYTES = 4096
_ENCRYPTED = 1
# What the parts of a damaged or hostile file make the standard library and NumPy raise.
_DAMAGE = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    ValueError,
    TypeError,
    EOFError,
    OSError,
    OverflowError,
    SyntaxError,
    RuntimeError,
    RecursionError,
    NotImplementedError,
    MemoryError,
    struct.error,
    tokenize.TokenError,
)


def with_suffix(file: Any) -> Any:
    """A path with .npz at its end, which `numpy.savez` adds; anything else as it is.

    Examples
    --------
    >>> with_suffix("model"), with_suffix("model.npz")
    ('model.npz', 'model.npz')
    """
    if not isinstance(file, (str, os.PathLike)):
        return file
    path = os.fspath(file)
    return path if path.endswith(".npz") else path + ".npz"


def read_npz(file: str | os.PathLike[str] | BinaryIO) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name.

    Parameters
    ----------
    file : path, with or without .npz, or binary file

    Returns
    -------
    dict of str to array
        Numbers, truth values or text, of any shape, in the machine's byte order.

    Raises
    ------
    ArtifactError
        If it is no archive of plain arrays, or damaged: members that are compressed (`numpy.savez` compresses
        none), arrays of objects, sizes that are not those of the bytes.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> file = io.BytesIO()
    >>> np.savez(file, factors=np.float32([[1, 2]]), alpha=2.0)
    >>> _ = file.seek(0)
    >>> {name: array.tolist() for name, array in read_npz(file).items()}
    {'factors': [[1.0, 2.0]], 'alpha': 2.0}
    """
    if isinstance(file, (str, os.PathLike)):
        with open(with_suffix(file), "rb") as opened:
            return _read(opened)
    return _read(file)


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    try:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if len(members) > _MOST_MEMBERS:
                raise ArtifactError(f"[load] expected at most {_MOST_MEMBERS} arrays, got {len(members)}")
            # Members that lie over each other would give more bytes than the file has.
            if sum(member.file_size for member in members) > size:
                raise ArtifactError("[load] expected arrays within the file, got sizes beyond it")
            arrays = {_name(member): _array(archive, member) for member in members}
    except ArtifactError:
        raise
    except _DAMAGE as error:
        raise ArtifactError(f"[load] expected a whole .npz file, got: {error!s:.200}") from error
    if len(arrays) != len(members):
        raise ArtifactError("[load] expected each array once, got a name twice")
    return arrays


def _name(member: zipfile.ZipInfo) -> str:
    found = _MEMBER.fullmatch(member.filename)
    if found is None:
        raise ArtifactError(f"[load] expected arrays NAME.npy, got {member.filename!r:.80}")
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & _ENCRYPTED:
        raise ArtifactError(f"[load] expected arrays as numpy.savez stores them, got a packed {found[1]!r}")
    return found[1]


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """One array, all of whose bytes are there; reading them checks their CRC."""
    data = archive.read(member)
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(stream, max_header_size=_MOST_HEADER_BYTES)
    elif version == (2, 0):
        header = np.lib.format.read_array_header_2_0(stream, max_header_size=_MOST_HEADER_BYTES)
    else:
        raise ArtifactError(f"[load] expected format 1.0 or 2.0 of {member.filename!r}, got {version}")
    shape, by_columns, dtype = header
    if dtype.kind not in "biufU" or dtype.itemsize == 0 or any(extent < 0 for extent in shape):
        raise ArtifactError(f"[load] expected numbers or text in {member.filename!r}, got {dtype} {shape}")
    begin = stream.tell()
    if math.prod(shape) * dtype.itemsize != len(data) - begin:
        raise ArtifactError(f"[load] expected {member.filename!r} of shape {shape} to fill its bytes")
    flat = np.frombuffer(data, dtype, offset=begin)
    array = flat.reshape(shape, order="F" if by_columns else "C")
    return array.astype(dtype.newbyteorder("="), order="C", copy=False)


def square_matrix(shape: np.ndarray, data: np.ndarray, indptr: np.ndarray, indices: np.ndarray) -> csr_matrix:
    """A matrix of items by items from a file's arrays, none of which is trusted.

    Raises
    ------
    ArtifactError
        If shapes, dtypes, places or values are not those of a finite CSR matrix.
    """
    from scipy.sparse import csr_matrix

    if shape.shape != (2,) or shape.dtype.kind not in "iu" or shape[0] != shape[1] or shape[0] < 0:
        raise ArtifactError("[load] expected similarities of items by items, got another shape")
    n = int(shape[0])
    if any(part.ndim != 1 for part in (data, indptr, indices)) or len(indptr) != n + 1:
        raise ArtifactError(f"[load] expected similarities of {n} items, got other lengths")
    if data.dtype.kind != "f" or any(part.dtype.kind not in "iu" for part in (indptr, indices)):
        raise ArtifactError("[load] expected similarities as floats at integer places, got other dtypes")
    begins, columns = indptr.astype(np.int64), indices.astype(np.int64)
    whole = begins[0] == 0 and begins[-1] == len(columns) == len(data) and (np.diff(begins) >= 0).all()
    if not whole or (len(columns) and not 0 <= columns.min() <= columns.max() < n):
        raise ArtifactError("[load] expected similarities to be a CSR matrix, got none; fit and save again")
    if not np.isfinite(data).all():
        raise ArtifactError("[load] expected finite similarities, got others; fit and save again")
    matrix = csr_matrix((data.astype(np.float32).astype(np.float64), columns, begins), shape=(n, n))
    matrix.sum_duplicates()
    return matrix

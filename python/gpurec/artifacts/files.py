"""Writing an artefact so that a crash leaves the old one or the new one, and reading it without trust.

Linux cannot replace a folder that has files in it in one step, but it can replace a file. So the tensor
file is named after its own hash and never changes once it has that name, and the artefact *is* whatever
`manifest.json` names: a save writes the new tensor file beside the old one, then replaces the manifest
with `os.replace`, and only then removes the old tensor file. Every step is made durable before the next
begins. A reader that finds the tensor file gone has read a manifest that was replaced meanwhile, and
starts again. Writers take turns by a lock on the folder; readers need neither lock nor write permission.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap as memory_map
import os
import re
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArtifactError
from .layout import (
    DTYPES,
    MAX_HEADER_BYTES,
    MAX_MANIFEST_BYTES,
    Manifest,
    TensorSpec,
    encode_header,
    encode_manifest,
    is_manifest,
    parse_header,
    parse_manifest,
    plain_json,
    tensor_file_name,
)

__all__ = ["Artifact", "read_artifact", "write_artifact"]

_MANIFEST = "manifest.json"
_TEMPORARY = ("manifest.json.tmp", "tensors.safetensors.tmp")
_TENSOR_FILE = re.compile(r"tensors-[0-9a-f]{16}\.safetensors", re.ASCII)
_DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_CHUNK = 1 << 22
# A retry happens only when a whole save fits between two system calls of the reader.
_TRIES = 100


@dataclass(frozen=True, eq=False)
class Artifact:
    """A loaded artefact.

    Attributes
    ----------
    kind : str
    tensors : dict of str to array
        Read-only; with `mmap=True` they lie in the file.
    meta : dict
        Settings, as JSON holds them.
    gpurec_version : str
        The version that wrote it.
    """

    kind: str
    tensors: dict[str, np.ndarray]
    meta: dict[str, Any]
    gpurec_version: str
    _data: Any = field(repr=False)
    _sha256: str = field(repr=False)

    def tensor(self, name: str, dtype: Any, shape: tuple[int | None, ...]) -> np.ndarray:
        """A tensor that must be there with this dtype and shape; None in the shape stands for any size.

        Raises
        ------
        ArtifactError
            If it is missing, or of another dtype or shape.
        """
        found = self.tensors.get(name)
        if found is None:
            raise ArtifactError(f"[load] expected a tensor {name!r}, got {sorted(self.tensors)}")
        fits = found.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, found.shape))
        if found.dtype != np.dtype(dtype) or not fits:
            raise ArtifactError(
                f"[load] expected tensor {name!r} as {np.dtype(dtype)} of shape {shape}, "
                f"got {found.dtype} of shape {found.shape}"
            )
        return found

    def verify(self) -> Artifact:
        """Compare the tensor file with its hash (reads all of it), and return the artefact itself.

        Raises
        ------
        ArtifactError
            If a byte differs from what was written.
        """
        found = hashlib.sha256(self._data).hexdigest()
        if found != self._sha256:
            raise ArtifactError(
                f"[load] expected a tensor file of SHA-256 {self._sha256}, got {found}; it is damaged"
            )
        return self


def write_artifact(
    path: str | os.PathLike[str],
    kind: str,
    tensors: Mapping[str, np.ndarray],
    meta: Mapping[str, Any] | None = None,
) -> None:
    """Save tensors and settings as the folder `path`, replacing a whole artefact that is there.

    Parameters
    ----------
    path : path
        A new folder, an empty one, or one that holds an artefact.
    kind : str
        What this is ("item_index", "mf"): reading asks for the same kind.
    tensors : mapping of str to array
        At most 64; bool, integers, float16, float32 or float64; any shape and strides.
    meta : mapping, optional
        Settings that JSON can hold, under 1 MB; long data such as ids belongs in tensors.

    Raises
    ------
    ArtifactError
        If the folder holds something else, or the content cannot be stored as it is.
    OSError
        If the disk refuses; the artefact that was there before is still there.

    Notes
    -----
    Whatever the moment of a crash or a power loss, `read_artifact` gives the old content or the new.
    Needs room for both at once on disk, and no copy in memory of tensors in C order.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> write_artifact(folder, "example", {"factors": np.eye(2, dtype=np.float32)}, {"n_factors": 2})
    >>> read_artifact(folder, "example").meta
    {'n_factors': 2}
    """
    arrays = {name: _storable(name, array) for name, array in tensors.items()}
    draft = Manifest(
        kind=kind,
        gpurec_version=_own_version(),
        size=0,
        sha256="0" * 64,
        tensors={name: TensorSpec(_DTYPE_NAMES[a.dtype], a.shape) for name, a in arrays.items()},
        meta=plain_json(meta or {}),
    )
    encode_manifest(draft)  # whatever is wrong with the content is said before the disk is touched
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise ArtifactError(
            f"[save] expected a folder at {folder}, got a file; do: choose a new path"
        ) from error
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        _refuse_foreign(folder, directory)
        manifest_tmp, tensors_tmp = (folder / name for name in _TEMPORARY)
        try:
            for left_behind in (manifest_tmp, tensors_tmp):
                left_behind.unlink(missing_ok=True)
            _write_tensors(tensors_tmp, arrays, draft.tensors)
            size, sha256 = _make_durable(tensors_tmp)
            name = tensor_file_name(sha256)
            manifest_tmp.write_bytes(encode_manifest(replace(draft, size=size, sha256=sha256)))
            _make_durable(manifest_tmp)
            os.replace(tensors_tmp, folder / name)
            os.fsync(directory)
            os.replace(manifest_tmp, folder / _MANIFEST)  # from here on the artefact is the new one
            os.fsync(directory)
        finally:
            for left_behind in (manifest_tmp, tensors_tmp):
                with suppress(OSError):
                    left_behind.unlink(missing_ok=True)
        for entry in os.listdir(directory):
            if _TENSOR_FILE.fullmatch(entry) and entry != name:
                with suppress(OSError):  # it only takes space, and the next save tries again
                    os.unlink(entry, dir_fd=directory)
    finally:
        os.close(directory)


def read_artifact(
    path: str | os.PathLike[str], kind: str, *, mmap: bool = False, verify: bool | None = None
) -> Artifact:
    """Load the artefact in the folder `path`, checking all of it before any of it is used.

    Parameters
    ----------
    path : path
    kind : str
        The kind that it must have.
    mmap : bool
        Leave the tensors in the file and let the system page them in. Do not shorten the file meanwhile:
        saving over it is fine, since a save never changes a tensor file.
    verify : bool, optional
        Compare the tensor file with its hash, which reads all of it; by default exactly when `mmap` is
        off. Structure, sizes and the manifest's own hash are always checked.

    Returns
    -------
    Artifact
        With read-only tensors.

    Raises
    ------
    ArtifactError
        If there is none, or it is truncated, edited, hostile, of another kind or of a newer schema.

    Notes
    -----
    Allocates the size of the tensor file (nothing of the sort with `mmap`), and that only after the size
    on disk has been found to be the size that the manifest states.
    """
    verify = not mmap if verify is None else verify
    for _ in range(_TRIES):
        try:
            directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ArtifactError(f"[load] expected an artefact at {path}, got: {error.strerror}") from error
        try:
            manifest = _read_manifest(directory, kind)
            name = tensor_file_name(manifest.sha256)
            try:
                file = _open_regular(name, directory)
            except FileNotFoundError:
                continue
            try:
                return _read_tensors(file, manifest, mmap, verify)
            finally:
                os.close(file)
        finally:
            os.close(directory)
    raise ArtifactError(f"[load] expected {name} beside the manifest in {path}, got no such file")


def _read_manifest(directory: int, kind: str) -> Manifest:
    try:
        file = _open_regular(_MANIFEST, directory)
    except FileNotFoundError as error:
        raise ArtifactError(
            f"[load] expected {_MANIFEST} in the folder, got none: not an artefact, or its first save "
            "did not finish; do: save it again"
        ) from error
    with open(file, "rb") as stream:
        return parse_manifest(stream.read(MAX_MANIFEST_BYTES + 1), kind)


def _read_tensors(file: int, manifest: Manifest, mmap: bool, verify: bool) -> Artifact:
    size = os.fstat(file).st_size
    if size != manifest.size:
        raise ArtifactError(
            f"[load] expected a tensor file of {manifest.size} bytes, got {size}; it was cut or edited"
        )
    length = int.from_bytes(os.pread(file, 8, 0), "little")
    if size < 8 or length > min(MAX_HEADER_BYTES, size - 8):
        raise ArtifactError(
            f"[load] expected a tensor header of at most {MAX_HEADER_BYTES} bytes, got {length}"
        )
    begins = parse_header(os.pread(file, length, 8), manifest.tensors, size)
    data: Any
    if mmap:
        data = memory_map.mmap(file, size, access=memory_map.ACCESS_READ)
    else:
        data = np.empty(size, dtype=np.uint8)
        _read_whole(file, memoryview(data))
        data.flags.writeable = False
    tensors = {name: _view(data, spec, begins[name]) for name, spec in manifest.tensors.items()}
    for name, tensor in tensors.items():
        # Compiled code takes a bool for 0 or 1, and does as it likes with any other byte.
        if tensor.dtype == np.bool_ and tensor.size and tensor.view(np.uint8).max() > 1:
            raise ArtifactError(f"[load] expected bytes 0 and 1 in the bool tensor {name!r}, got others")
    artifact = Artifact(manifest.kind, tensors, manifest.meta, manifest.gpurec_version, data, manifest.sha256)
    return artifact.verify() if verify else artifact


def _view(data: Any, spec: TensorSpec, begin: int) -> np.ndarray:
    dtype = DTYPES[spec.dtype]
    return np.frombuffer(data, dtype, spec.n_bytes // dtype.itemsize, begin).reshape(spec.shape)


def _read_whole(file: int, view: memoryview) -> None:
    position = 0
    while position < len(view):
        got = os.preadv(file, [view[position : position + _CHUNK]], position)
        if got == 0:
            raise ArtifactError(f"[load] expected {len(view)} bytes of tensor file, got {position}")
        position += got


def _open_regular(name: str, directory: int, op: str = "load") -> int:
    """Descriptor of a plain file in the folder: no link that leads elsewhere, no pipe that blocks."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        file = os.open(name, flags, dir_fd=directory)
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = "a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise ArtifactError(f"[{op}] expected a plain file {name}, got {reason}") from error
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise ArtifactError(f"[{op}] expected a plain file {name}, got something else of that name")
    return file


def _refuse_foreign(folder: Path, directory: int) -> None:
    """Raise unless the folder holds an artefact, nothing, or what an interrupted first save left."""
    entries = set(os.listdir(directory))
    if _MANIFEST in entries:
        with open(_open_regular(_MANIFEST, directory, "save"), "rb") as stream:
            ours = is_manifest(stream.read(MAX_MANIFEST_BYTES + 1))
    else:
        ours = all(entry in _TEMPORARY or _TENSOR_FILE.fullmatch(entry) for entry in entries)
    if not ours:
        raise ArtifactError(
            f"[save] expected a new folder or an artefact at {folder}, got a folder with other content; "
            "do: choose a new path, or remove the folder"
        )


def _storable(name: str, array: Any) -> np.ndarray:
    stored = np.asarray(array, order="C")
    if stored.dtype.newbyteorder("=") not in _DTYPE_NAMES:
        known = ", ".join(str(dtype) for dtype in _DTYPE_NAMES)
        raise ArtifactError(f"[save] expected tensor {name!r} of {known}, got {stored.dtype}")
    return stored.astype(stored.dtype.newbyteorder("="), copy=False)


def _write_tensors(path: Path, arrays: Mapping[str, np.ndarray], specs: Mapping[str, TensorSpec]) -> None:
    header, order = encode_header(specs)
    with open(path, "wb") as stream:
        stream.write(header)
        for name in order:
            stream.write(arrays[name].reshape(-1).view(np.uint8).data)  # as it lies in memory: no copy


def _make_durable(path: Path) -> tuple[int, str]:
    """Flush a file to the disk; its size and SHA-256, read back."""
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
        os.fsync(stream.fileno())
    return size, digest.hexdigest()


def _own_version() -> str:
    # Importing the package by name would close a circle through every layer above this one.
    return sys.modules[__package__.partition(".")[0]].__version__

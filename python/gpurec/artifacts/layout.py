"""What an artefact says about itself, and the checks that decide whether bytes from outside are one.

`manifest.json` holds the schema version, the kind, the version of gpurec, small settings (`meta`), the
size and SHA-256 of the tensor file, dtype and shape of every tensor, and a SHA-256 of all that. The
tensor file is in the safetensors format; its header must repeat the manifest's tensors exactly, without
gaps or overlaps. Nothing here reads a file or allocates more than a small multiple of the text it is given.

The hashes find damage. They do not say who wrote the artefact: against a hostile one stand the caps and
the checks of structure, which hold whether or not its hashes are right.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..cache_lines import CACHE_LINE
from ..errors import ArtifactError

__all__ = ["DTYPES", "SCHEMA_VERSION", "Manifest", "TensorSpec", "encode_header", "encode_manifest"]
__all__ += ["is_manifest", "parse_header", "parse_manifest", "plain_json", "tensor_file_name"]

SCHEMA_VERSION = 1
FORMAT = "gpurec artifact"
MAX_MANIFEST_BYTES = 1 << 20
MAX_HEADER_BYTES = 1 << 20
MAX_TENSORS = 64
MAX_DIMENSIONS = 8
MAX_TENSOR_BYTES = 2**63 - 1

DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "U16": np.dtype(np.uint16),
    "I16": np.dtype(np.int16),
    "F16": np.dtype(np.float16),
    "U32": np.dtype(np.uint32),
    "I32": np.dtype(np.int32),
    "F32": np.dtype(np.float32),
    "U64": np.dtype(np.uint64),
    "I64": np.dtype(np.int64),
    "F64": np.dtype(np.float64),
}

_KIND = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}", re.ASCII)
_TENSOR_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class TensorSpec:
    """dtype (a key of `DTYPES`) and shape of one tensor."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize


@dataclass(frozen=True)
class Manifest:
    """The content of `manifest.json`; `size` and `sha256` are those of the tensor file."""

    kind: str
    gpurec_version: str
    size: int
    sha256: str
    tensors: dict[str, TensorSpec]
    meta: dict[str, Any] = field(default_factory=dict)


def tensor_file_name(sha256: str) -> str:
    """Name of the tensor file with this SHA-256: the manifest cannot name any other file."""
    return f"tensors-{sha256[:16]}.safetensors"


def encode_manifest(manifest: Manifest) -> bytes:
    """Text of `manifest.json`; raises ArtifactError for what `parse_manifest` would refuse."""
    content = {"format": FORMAT, "schema_version": SCHEMA_VERSION, **asdict(manifest)}
    content["manifest_sha256"] = _checksum(content)
    text = json.dumps(content, indent=1, allow_nan=False).encode()
    parse_manifest(text, manifest.kind, op="save")
    return text


def is_manifest(text: bytes) -> bool:
    """Whether this is the manifest of an artefact, of whatever schema version, intact or not."""
    if len(text) > MAX_MANIFEST_BYTES:
        return False
    try:
        return _parse_object(text, "manifest", "save").get("format") == FORMAT
    except ArtifactError:
        return False


def parse_manifest(text: bytes, kind: str, *, op: str = "load") -> Manifest:
    """Manifest of an artefact of the given kind.

    Raises
    ------
    ArtifactError
        If the text is too long, not a manifest, of a newer schema, of another kind, or edited.
    """
    if len(text) > MAX_MANIFEST_BYTES:
        raise ArtifactError(
            f"[{op}] expected a manifest of at most {MAX_MANIFEST_BYTES} bytes, got {len(text)}; "
            "do: keep ids and other long data in tensors"
        )
    content = _parse_object(text, "manifest", op)
    if content.get("format") != FORMAT:
        raise ArtifactError(f"[{op}] expected a manifest of format {FORMAT!r}, got another JSON file")
    version, found = content.get("schema_version"), content.get("kind")
    if type(version) is not int or version < 1 or not isinstance(found, str):
        raise ArtifactError(f"[{op}] expected a schema version and a kind in the manifest, got none")
    if version > SCHEMA_VERSION or found != kind:
        action = "upgrade gpurec" if version > SCHEMA_VERSION else f"load it as {found[:64]!r}"
        raise ArtifactError(
            f"[{op}] expected kind {kind!r} of schema version {SCHEMA_VERSION} or older, "
            f"got kind {found[:64]!r} of schema version {version}; do: {action}"
        )
    claimed = content.pop("manifest_sha256", None)
    try:
        intact = claimed == _checksum(content)
    except (ValueError, RecursionError):  # an infinite number, or nesting that only the parser could follow
        intact = False
    if not intact:
        raise ArtifactError(f"[{op}] expected the manifest as it was written, got an edited or damaged one")
    return _manifest_of(content, op)


def _manifest_of(content: dict[str, Any], op: str) -> Manifest:
    del content["format"], content["schema_version"]
    if set(content) != {"kind", "gpurec_version", "size", "sha256", "tensors", "meta"}:
        raise ArtifactError(f"[{op}] expected the fields of a manifest, got {sorted(content)!r:.300}")
    tensors, meta, sha256 = content["tensors"], content["meta"], content["sha256"]
    if not _KIND.fullmatch(content["kind"]):
        raise ArtifactError(
            f"[{op}] expected a kind of a-z, 0-9, '_', '.', '-', got {content['kind']!r:.100}"
        )
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise ArtifactError(f"[{op}] expected the tensor file's SHA-256 in hex, got {sha256!r:.100}")
    if type(content["size"]) is not int or content["size"] < 0:
        raise ArtifactError(f"[{op}] expected the tensor file's size, got {content['size']!r:.100}")
    if not isinstance(content["gpurec_version"], str) or not isinstance(meta, dict):
        raise ArtifactError(f"[{op}] expected text as gpurec_version and an object as meta")
    if not isinstance(tensors, dict) or len(tensors) > MAX_TENSORS:
        raise ArtifactError(f"[{op}] expected an object of at most {MAX_TENSORS} tensors in the manifest")
    content["tensors"] = {name: _spec_of(name, spec, op) for name, spec in tensors.items()}
    return Manifest(**content)


def encode_header(specs: Mapping[str, TensorSpec]) -> tuple[bytes, list[str]]:
    """The start of a safetensors file, up to its data, and the tensors in the order in which they follow.

    Parameters
    ----------
    specs : mapping of str to TensorSpec

    Returns
    -------
    header : bytes
        The header's length and its JSON text, padded with spaces so that the data begin at a multiple of
        `CACHE_LINE`.
    order : list of str
        Tensors of whole cache lines come first, the largest at the front, so that each of them begins at a
        multiple of `CACHE_LINE`. The others follow by falling size of their elements, which keeps all aligned
        without gaps; the format allows none.

    Examples
    --------
    >>> specs = {"row_of": TensorSpec("U32", (3,)), "panels": TensorSpec("F32", (1, 2, 16))}
    >>> header, order = encode_header(specs)
    >>> len(header) % 64, order
    (0, ['panels', 'row_of'])
    """

    def place(name: str) -> tuple[bool, int, int, str]:
        whole = specs[name].n_bytes % CACHE_LINE == 0
        return not whole, 0 if whole else -DTYPES[specs[name].dtype].itemsize, -specs[name].n_bytes, name

    order, content, begin = sorted(specs, key=place), {}, 0
    for name in order:
        end = begin + specs[name].n_bytes
        content[name] = {**asdict(specs[name]), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(content, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % CACHE_LINE)
    return len(text).to_bytes(8, "little") + text, order


def parse_header(header: bytes, specs: Mapping[str, TensorSpec], file_size: int) -> dict[str, int]:
    """Where each tensor begins in a safetensors file, in bytes from the start of the file.

    Parameters
    ----------
    header : bytes
        The file's JSON header, without the eight bytes of its length.
    specs : mapping of str to TensorSpec
        What the manifest promises; the header must say the same.
    file_size : int
        Size of the whole file in bytes.

    Raises
    ------
    ArtifactError
        If the header is no header, differs from the manifest, or its tensors do not fill the file's data
        one after the other, each aligned to its element.
    """
    content = _parse_object(header, "tensor header", "load")
    if set(content) != set(specs):
        raise ArtifactError("[load] expected the tensors of the manifest in the tensor file, got others")
    data_start = 8 + len(header)
    begins, spans = {}, []
    for name, entry in content.items():
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise ArtifactError(f"[load] expected dtype, shape and data_offsets of tensor {name!r}")
        spec = _spec_of(name, {"dtype": entry["dtype"], "shape": entry["shape"]}, "load")
        if spec != specs[name]:
            raise ArtifactError(f"[load] expected tensor {name!r} as {specs[name]}, got {spec}")
        offsets = entry["data_offsets"]
        if not isinstance(offsets, list) or len(offsets) != 2 or any(type(x) is not int for x in offsets):
            raise ArtifactError(f"[load] expected two integers as data_offsets of tensor {name!r}")
        begin, end = offsets
        if end - begin != spec.n_bytes or (data_start + begin) % DTYPES[spec.dtype].itemsize:
            raise ArtifactError(f"[load] expected {spec.n_bytes} aligned bytes of tensor {name!r}")
        begins[name] = data_start + begin
        spans.append((begin, end))
    position = 0
    for begin, end in sorted(spans):
        if begin != position:
            raise ArtifactError("[load] expected tensors one after the other, got a gap or an overlap")
        position = end
    if data_start + position != file_size:
        raise ArtifactError(f"[load] expected {data_start + position} bytes of tensor file, got {file_size}")
    return begins


def plain_json(value: Any, where: str = "meta") -> Any:
    """A copy of settings in JSON's own types: tuples as lists, NumPy numbers as Python's.

    Raises
    ------
    ArtifactError
        If a value has no exact JSON form: NaN, infinity, a key that is no text, any other type.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, (list, tuple)):
        return [plain_json(part, f"{where}[{i}]") for i, part in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: plain_json(part, f"{where}[{key!r}]") for key, part in value.items()}
    raise ArtifactError(
        f"[save] expected finite numbers, text, lists and dicts in {where}, got {value!r:.100}"
    )


def _spec_of(name: str, spec: Any, op: str) -> TensorSpec:
    if not _TENSOR_NAME.fullmatch(name):
        raise ArtifactError(
            f"[{op}] expected a tensor name of letters, digits, '_', '.', '-', got {name!r:.120}"
        )
    if not isinstance(spec, dict) or set(spec) != {"dtype", "shape"}:
        raise ArtifactError(f"[{op}] expected dtype and shape of tensor {name!r}")
    dtype, shape = spec["dtype"], spec["shape"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ArtifactError(f"[{op}] expected a dtype of {', '.join(DTYPES)} for {name!r}, got {dtype!r:.40}")
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
        raise ArtifactError(f"[{op}] expected a shape of at most {MAX_DIMENSIONS} numbers for {name!r}")
    if any(type(extent) is not int or not 0 <= extent <= MAX_TENSOR_BYTES for extent in shape):
        raise ArtifactError(f"[{op}] expected a shape of sizes from 0 for {name!r}, got {shape!r:.100}")
    # NumPy multiplies the other extents even where one is zero, so an empty tensor is held to the cap too.
    if math.prod(max(extent, 1) for extent in shape) * DTYPES[dtype].itemsize > MAX_TENSOR_BYTES:
        raise ArtifactError(f"[{op}] expected a tensor that can be addressed, got shape {shape} of {name!r}")
    return TensorSpec(dtype, tuple(shape))


def _parse_object(text: bytes, what: str, op: str) -> dict[str, Any]:
    try:
        content = json.loads(text.decode(), object_pairs_hook=_distinct, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"[{op}] expected JSON in the {what}, got: {str(error)[:200]}") from error
    if not isinstance(content, dict):
        raise ArtifactError(f"[{op}] expected a JSON object in the {what}, got {type(content).__name__}")
    return content


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key that stands twice in one object")
    return content


def _refuse_constant(name: str) -> float:
    raise ValueError(f"the number {name}")


def _checksum(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()

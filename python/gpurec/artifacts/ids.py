"""External ids as tensors: integers as int64, text as UTF-8 with offsets, mixed kinds as typed JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import ArtifactError
from ..types import IdMap

__all__ = ["ids_from_tensors", "ids_to_tensors", "texts_from_tensors", "texts_to_tensors"]

_MAX_DEPTH = 16


def ids_to_tensors(name: str, ids: IdMap) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and settings to pass to `write_artifact`, from which the same ids come back.

    Parameters
    ----------
    name : str
        Prefix of the tensor names and key of the settings, such as "item_ids".
    ids : IdMap
        int, str, float, bool, None, bytes, and tuples of those; NumPy scalars become Python's.

    Returns
    -------
    tensors : dict of str to array
        `<name>.int64` if every id is an integer of 64 bits; else `<name>.text` (uint8) and
        `<name>.offsets` (int64, n_ids + 1), id i being the bytes from offset i to offset i + 1.
    meta : dict
        `{name: {"encoding": "int64" | "str" | "typed"}}`.

    Raises
    ------
    ArtifactError
        If an id is of any other type; the text names the id.

    Notes
    -----
    Types are kept exactly: 1, 1.0, True and "1" stay four ids. Text with lone surrogates survives too.

    Examples
    --------
    >>> tensors, meta = ids_to_tensors("item_ids", IdMap(["alien", "brazil"]))
    >>> meta, tensors["item_ids.offsets"].tolist()
    ({'item_ids': {'encoding': 'str'}}, [0, 5, 11])
    """
    found = ids.ids()
    if found.dtype == np.int64 or not len(found):
        return {f"{name}.int64": found.astype(np.int64)}, {name: {"encoding": "int64"}}
    plain = found.tolist()
    if all(type(i) is str for i in plain):
        encoding, texts = "str", plain
    else:
        encoding = "typed"
        texts = [
            json.dumps(_typed(i, i, _MAX_DEPTH), ensure_ascii=False, separators=(",", ":")) for i in plain
        ]
    return texts_to_tensors(name, texts), {name: {"encoding": encoding}}


def ids_from_tensors(name: str, tensors: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> IdMap:
    """The ids that `ids_to_tensors` turned into tensors under this name.

    Parameters
    ----------
    name : str
    tensors, meta : mapping
        Those of the `Artifact`.

    Raises
    ------
    ArtifactError
        If they are missing, do not fit each other, do not decode, or hold an id twice.

    Examples
    --------
    >>> tensors, meta = ids_to_tensors("item_ids", IdMap([7, "7", (7, None)]))
    >>> list(ids_from_tensors("item_ids", tensors, meta))
    [7, '7', (7, None)]
    """
    entry = meta.get(name)
    encoding = entry.get("encoding") if isinstance(entry, dict) else None
    try:
        if encoding == "int64":
            return IdMap(_vector(tensors, f"{name}.int64", np.int64))
        if encoding in ("str", "typed"):
            texts = _texts(name, tensors)
            return IdMap(texts if encoding == "str" else [_untyped(json.loads(t), _MAX_DEPTH) for t in texts])
    except (ValueError, RecursionError) as error:  # ArtifactError among them, and an id that stands twice
        raise ArtifactError(
            f"[load] expected the ids {name!r} as they were saved, got: {error!s:.200}"
        ) from error
    raise ArtifactError(
        f"[load] expected an encoding of int64, str, typed for ids {name!r}, got {encoding!r:.60}"
    )


def texts_to_tensors(name: str, texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Any texts, also one that stands twice, as the tensors `<name>.text` and `<name>.offsets`.

    Examples
    --------
    >>> texts_to_tensors("words", ["a", "bc"])["words.offsets"].tolist()
    [0, 1, 3]
    """
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    offsets = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return {f"{name}.text": np.frombuffer(b"".join(parts), dtype=np.uint8), f"{name}.offsets": offsets}


def texts_from_tensors(name: str, tensors: Mapping[str, np.ndarray]) -> list[str]:
    """The texts that `texts_to_tensors` turned into tensors under this name.

    Raises
    ------
    ArtifactError
        If they are missing, do not fit each other, or do not decode.

    Examples
    --------
    >>> texts_from_tensors("words", texts_to_tensors("words", ["a", "bc"]))
    ['a', 'bc']
    """
    try:
        return _texts(name, tensors)
    except ValueError as error:  # ArtifactError among them
        raise ArtifactError(
            f"[load] expected the texts {name!r} as they were saved, got: {error!s:.200}"
        ) from error


def _vector(tensors: Mapping[str, np.ndarray], name: str, dtype: Any) -> np.ndarray:
    found = tensors.get(name)
    if found is None or found.ndim != 1 or found.dtype != dtype:
        raise ArtifactError(f"a vector {name!r} of {np.dtype(dtype)} is missing")
    return found


def _texts(name: str, tensors: Mapping[str, np.ndarray]) -> list[str]:
    text = _vector(tensors, f"{name}.text", np.uint8)
    bounds = _vector(tensors, f"{name}.offsets", np.int64).tolist()
    if not bounds or bounds[0] != 0 or bounds[-1] != len(text) or any(a > b for a, b in pairwise(bounds)):
        raise ArtifactError("offsets that do not ascend from the start of the text to its end")
    whole = text.tobytes()
    return [whole[a:b].decode("utf-8", "surrogatepass") for a, b in pairwise(bounds)]


def _typed(value: Any, whole: Any, depth: int) -> list[Any]:
    kind = type(value)
    if value is None:
        return ["none"]
    if kind is bool or kind is str:
        return [kind.__name__, value]
    if kind is int or kind is float:
        return [kind.__name__, hex(value) if kind is int else value.hex()]  # decimal has a length limit
    if kind is bytes:
        return ["bytes", value.hex()]
    if kind is tuple and depth:
        return ["tuple", [_typed(part, whole, depth - 1) for part in value]]
    raise ArtifactError(
        "[save] expected ids of int, str, float, bool, None, bytes or tuples of those, "
        f"got {whole!r:.100} with a part of type {kind.__name__}; do: map your ids to one of them"
    )


def _untyped(entry: Any, depth: int) -> Any:
    if not isinstance(entry, list) or not entry or depth < 0:
        raise ArtifactError("an id without a type")
    kind, *rest = entry
    if kind == "none" and not rest:
        return None
    if len(rest) == 1:
        value = rest[0]
        if kind == "tuple" and isinstance(value, list):
            return tuple(_untyped(part, depth - 1) for part in value)
        if kind == "bool" and isinstance(value, bool):
            return value
        if isinstance(value, str):
            if kind == "str":
                return value
            if kind == "int":
                return int(value, 16)
            if kind == "float":
                return float.fromhex(value)
            if kind == "bytes":
                return bytes.fromhex(value)
    raise ArtifactError(f"an id of unknown type {kind!r:.40}")

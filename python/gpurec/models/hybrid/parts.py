"""Models inside of a model: how they are named, scored by rows, saved and restored."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...artifacts import Artifact
from ...backends import select
from ...errors import ArtifactError
from ..recommender import Recommender, ScoreRowModel, VectorModel

__all__ = ["has_vectors", "named", "new_part", "part_rows", "part_state", "restore_part"]


def new_part(op: str, given: Any, refused: Sequence[str], random_state: int = 0) -> Recommender:
    """A model given as itself, by its name, or as a pair of its name and its settings.

    Parameters
    ----------
    op : str
        Who asks, for errors.
    given : Recommender, str, or (str, dict)
    refused : sequence of str
        Names that cannot be inside.
    random_state : int
        Of a model given by name whose settings do not say one, if it takes one.

    Raises
    ------
    TypeError, ValueError
        If it is none of these, is no model, or has other settings.
    """
    from ..registry import MODELS

    if isinstance(given, Recommender):
        part = given
    else:
        name, settings = (given, {}) if isinstance(given, str) else _pair(op, given)
        if name not in MODELS:
            raise ValueError(
                f"[{op}] expected one of {', '.join(sorted(MODELS))}, got {name!r:.60}; choose one"
            )
        if name in refused:
            raise ValueError(
                f"[{op}] expected parts other than {' and '.join(refused)}, got {name}; change it"
            )
        settings = dict(settings)
        known = inspect.signature(MODELS[name]).parameters
        if "random_state" in known:
            settings.setdefault("random_state", random_state)
        part = MODELS[name](**settings)
    if part.name in refused:
        raise ValueError(
            f"[{op}] expected parts other than {' and '.join(refused)}, got {part.name}; change it"
        )
    if not isinstance(part, (VectorModel, ScoreRowModel)):
        raise TypeError(f"[{op}] expected a model of vectors or of rows of scores, got {part!r:.60}")
    return part


def _pair(op: str, given: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(given, (list, tuple)) and len(given) == 2:
        name, settings = given
        if (
            isinstance(name, str)
            and isinstance(settings, dict)
            and all(isinstance(key, str) for key in settings)
        ):
            return name, settings
    raise TypeError(
        f"[{op}] expected a model, a name, or a pair of name and settings, got {given!r:.80}; "
        'do: ("mf", {"n_factors": 20})'
    )


def named(part: Recommender) -> list[Any]:
    """Name and settings of a model, as JSON holds them."""
    return [part.name, part.settings]


def has_vectors(part: Recommender) -> bool:
    """Whether scores are dot products of vectors, biases being coordinates."""
    return isinstance(part, VectorModel) and part._by_vectors


def part_rows(part: Recommender, user_rows: np.ndarray, item_vectors: np.ndarray | None) -> np.ndarray:
    """Scores of all items for some users, float32 (n, n_items); -inf where nothing speaks for an item.

    Of a model of vectors they are float32 sums in the order of components, the same on every backend.
    """
    if item_vectors is None:
        return part._score_rows(user_rows)  # type: ignore[attr-defined]
    queries = np.ascontiguousarray(part._user_vectors(user_rows))  # type: ignore[attr-defined]
    scores = np.empty((len(queries), len(item_vectors)), np.float32)
    select().score_in_order(queries, item_vectors, scores)
    return scores


def part_state(prefix: str, part: Recommender) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What a model saves beyond the training part, its tensors under a prefix."""
    tensors, meta = part._state()
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}, meta


def restore_part(prefix: str, part: Recommender, artifact: Artifact, meta: Any, whole: Recommender) -> None:
    """Take back what `part_state` gave; the training part is that of the model around it."""
    if not isinstance(meta, dict):
        raise ArtifactError(f"[load] expected an object of {prefix}, got {meta!r:.60}")
    start = f"{prefix}."
    own = {name[len(start) :]: tensor for name, tensor in artifact.tensors.items() if name.startswith(start)}
    part._training = whole.training
    part._indexes.clear()
    part._restore(replace(artifact, tensors=own, meta=meta))

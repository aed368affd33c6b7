"""A chain that was stopped, as tensors, so that it goes on as if it had not been."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....artifacts import Artifact
from ....errors import ArtifactError
from .draws import Draws
from .gibbs_chain import GibbsChain

__all__ = ["restored_chain", "saved_chain"]

_OF_SIDE = ("own", "vectors", "weights", "precisions", "prior_means", "prior_precisions")
_ABOVE_0 = ("precisions", "prior_precisions")
_KEPT = ("users", "items")
_SUMS = ("user_biases", "item_biases", "user_samples", "item_samples")


def saved_chain(chain: GibbsChain, draws: Draws) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and settings to save."""
    tensors = {f"chain.{side}.{name}": table for side, name, table in _tables(chain)}
    tensors |= {f"draws.{name}": np.ascontiguousarray(getattr(draws, name)[:, : draws.n]) for name in _KEPT}
    tensors |= {f"draws.{name}": getattr(draws, name) for name in _SUMS}
    meta = {"chain.noise_precision": chain.noise_precision, "draws.noise": draws.noise}
    return tensors | {"chain.user_errors": chain.user_errors}, meta


def restored_chain(artifact: Artifact, chain: GibbsChain, draws: Draws, n_sweeps: int, n_kept: int) -> None:
    """Put what was saved in the place of a chain's first tables.

    Raises
    ------
    ArtifactError
        If tensors are missing, of another shape, or not what a chain may hold.
    """
    for side, name, table in _tables(chain):
        table[:] = _finite(artifact, f"chain.{side}.{name}", table)
        if name in _ABOVE_0 and not (table > 0).all():
            raise ArtifactError(f"[load] expected {name} of the {side} above 0, got others; fit again")
    chain.user_errors = np.array(_finite(artifact, "chain.user_errors", chain.user_errors))
    if (chain.user_errors < 0).any():
        raise ArtifactError("[load] expected squared errors of 0 or more, got others; fit again")
    for name in _KEPT:
        table = getattr(draws, name)[:, :n_kept]
        table[:] = _finite(artifact, f"draws.{name}", table)
    for name in _SUMS:
        table = getattr(draws, name)
        table[:] = _finite(artifact, f"draws.{name}", table)
    numbers: list[Any] = [artifact.meta.get(name) for name in ("chain.noise_precision", "draws.noise")]
    if not all(type(number) is float and math.isfinite(number) and number >= 0 for number in numbers):
        raise ArtifactError(f"[load] expected numbers of a chain, got {numbers!r:.60}; fit again")
    if numbers[0] == 0:
        raise ArtifactError("[load] expected a precision of the noise above 0, got 0; fit again")
    chain.noise_precision, draws.noise = numbers
    chain.sweep, draws.n = n_sweeps, n_kept


def _tables(chain: GibbsChain) -> list[tuple[str, str, np.ndarray]]:
    sides = (("users", chain.users), ("items", chain.items))
    return [(side, name, getattr(tables, name)) for side, tables in sides for name in _OF_SIDE]


def _finite(artifact: Artifact, name: str, like: np.ndarray) -> np.ndarray:
    tensor = artifact.tensor(name, like.dtype.type, like.shape)
    if not np.isfinite(tensor).all():
        raise ArtifactError(f"[load] expected finite numbers in {name}, got others; fit and save again")
    return tensor

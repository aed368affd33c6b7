"""A chain that was stopped, as tensors, so that it goes on as if it had not been."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .....artifacts import Artifact
from .....backends import SparseRows
from .....errors import ArtifactError
from .....ops.sparse_arguments import as_sparse_rows
from ..moments import Moments
from .draws import Draws
from .gibbs_chain import GibbsChain

__all__ = ["restored_chain", "saved_chain"]

_OF_SIDE = ("own", "vectors", "weights", "precisions", "prior_means", "prior_precisions")
_ABOVE_0 = ("precisions", "prior_precisions")
_KEPT = ("users", "items")
_OF_ROWS = ("indptr", "columns", "values")
_SUMS = ("user_biases", "item_biases", "user_samples", "item_samples")


def saved_chain(chain: GibbsChain, draws: Draws) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and settings to save."""
    tensors = {f"chain.{side}.{name}": table for side, name, table in _tables(chain)}
    tensors |= {f"draws.{name}": np.ascontiguousarray(getattr(draws, name)[:, : draws.n]) for name in _KEPT}
    tensors |= {f"draws.{name}": getattr(draws, name) for name in _SUMS}
    tensors["chain.user_errors"] = chain.user_errors
    parts = {"ratings": chain.by_users}
    for name, side in (("users", chain.users), ("items", chain.items)):
        tensors[f"chain.{name}.groups"] = side.groups
        parts[f"{name}.features"] = side.features
    for name, rows in parts.items():
        tensors |= {f"chain.{name}.{part}": getattr(rows, part) for part in _OF_ROWS}
    return tensors, {"chain.noise_precision": chain.noise_precision, "draws.noise": draws.noise}


def restored_chain(
    artifact: Artifact, settings: dict[str, Any], user_rows: Moments, item_rows: Moments, n_sweeps: int
) -> tuple[GibbsChain, Draws]:
    """What was saved after some sweeps.

    Parameters
    ----------
    settings : dict
        Of `BayesianMF`.

    Raises
    ------
    ArtifactError
        If tensors are missing, of another shape, or not what a chain may hold.
    """
    by_users = _sparse(artifact, "chain.ratings", user_rows.n_rows, item_rows.n_rows)
    features = []
    for side, rows in (("users", user_rows), ("items", item_rows)):
        of_side = _sparse(artifact, f"chain.{side}.features", None, rows.n)
        groups = artifact.tensor(f"chain.{side}.groups", np.int32, (of_side.n_rows,))
        if len(groups) and not 1 <= groups.min() <= groups.max() <= len(groups):
            raise ArtifactError(f"[load] expected groups of the {side}' features, got others; fit again")
        features.append((of_side, groups))
    chain = GibbsChain.of_settings(settings, by_users, user_rows, item_rows, *features)
    draws, n_kept = Draws.of_settings(settings, chain), max(n_sweeps - settings["burn_in"], 0)
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
    return chain, draws


def _sparse(artifact: Artifact, name: str, n_rows: int | None, n_columns: int) -> SparseRows:
    from scipy.sparse import csr_array

    ends = None if n_rows is None else n_rows + 1
    indptr = artifact.tensor(f"{name}.indptr", np.int64, (ends,))
    columns = artifact.tensor(f"{name}.columns", np.int32, (None,))
    values = artifact.tensor(f"{name}.values", np.float32, columns.shape)
    try:
        rows = csr_array((values, columns, indptr), (len(indptr) - 1, n_columns))
        found = as_sparse_rows(rows, name, "load")
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"[load] expected {name} as a sparse matrix, got: {error!s:.100}") from error
    if len(found.columns) != len(columns):
        raise ArtifactError(f"[load] expected {name} as a sparse matrix of distinct entries, got others")
    return found


def _tables(chain: GibbsChain) -> list[tuple[str, str, np.ndarray]]:
    sides = (("users", chain.users), ("items", chain.items))
    return [(side, name, getattr(tables, name)) for side, tables in sides for name in _OF_SIDE]


def _finite(artifact: Artifact, name: str, like: np.ndarray) -> np.ndarray:
    tensor = artifact.tensor(name, like.dtype.type, like.shape)
    if not np.isfinite(tensor).all():
        raise ArtifactError(f"[load] expected finite numbers in {name}, got others; fit and save again")
    return tensor

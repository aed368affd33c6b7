"""A saved index: one artefact that any backend can load, mapped where its layout is the backend's own."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .. import artifacts
from ..backends import Backend
from ..errors import ArtifactError
from ..ops.arguments import as_metric, as_precision, as_pruning
from ..types import IdMap
from .versions import IndexVersion, scanned_metric

__all__ = ["read_index", "write_index"]

_KIND = "gpurec.item_index"


def write_index(
    path: str | os.PathLike[str],
    version: IndexVersion,
    precision: str,
    pruning: str | tuple[str, ...],
    ids: IdMap | None,
) -> None:
    """Write one version of an index, replacing an older artefact at once or not at all."""
    tensors = dict(version.index.tensors())
    meta: dict[str, Any] = {
        "metric": version.metric,
        "precision": precision,
        "pruning": pruning,
        "version": version.number,
        "n_rows": version.n_rows,
        "boosted": version.boosted,
    }
    if ids is not None:
        id_tensors, meta["ids"] = artifacts.ids_to_tensors("ids", ids)
        tensors.update(id_tensors)
    artifacts.write_artifact(path, _KIND, tensors, meta)


def read_index(
    path: str | os.PathLike[str], backend: Backend, mmap: bool
) -> tuple[IndexVersion, str, str | tuple[str, ...], IdMap | None]:
    """The saved version, its precision, its pruning and its ids.

    Raises
    ------
    ArtifactError
        If the artefact is damaged, not an index, or from a newer version.
    """
    artifact = artifacts.read_artifact(path, _KIND, mmap=mmap, verify=not mmap)
    try:
        meta, tensors = artifact.meta, artifact.tensors
        metric, precision = as_metric(meta["metric"], "load"), as_precision(meta["precision"], "load")
        pruning = as_pruning(meta.get("pruning", "auto"), "load")
        n_rows, number, boosted = meta["n_rows"], meta["version"], meta["boosted"]
        if type(n_rows) is not int or type(number) is not int or type(boosted) is not bool or number < 0:
            raise ValueError("its n_rows, version or boosted is not one")
        row_of = artifact.tensor("row_of", np.uint32, (None,))
        if not len(row_of) <= n_rows < 2**32 - 1:
            raise ValueError(f"{len(row_of)} items in {n_rows} rows")
        floats = [
            name
            for name in tensors
            if name in ("items", "panels", "norms", "scales", "errors", "scales4", "errors4", "directions")
            or name in ("leading_scales", "leading_errors", "leading_norms")
        ]
        if any(tensors[name].dtype != np.float32 for name in floats):
            raise ValueError("its items are not float32")
        if any(
            tensors[name].dtype != np.uint8
            for name in ("codes", "codes4", "leading_codes")
            if name in tensors
        ):
            raise ValueError("its codes are not bytes")
        # Items that come with codes are searched where they lie: what is not finite is never returned.
        if "items" in tensors and "codes" not in tensors and not np.isfinite(tensors["items"]).all():
            raise ValueError("items that are not finite")
        if boosted and metric == "euclidean":
            raise ValueError("boosts with euclidean")
        if "items" not in tensors or "codes" in tensors:
            artifact.tensor("norms", np.float32, row_of.shape)
        width = tensors["items" if "items" in tensors else "panels"].shape[1:2]
        if not width or width[0] <= boosted:
            raise ValueError("its items have no components")
        how = {"precision": precision, "pruning": pruning}
        index = backend.index_of_tensors(tensors, scanned_metric(metric), n_rows, **how)
        encoding = meta.get("ids", {})
        if not isinstance(encoding, dict):
            raise ValueError("ids without an encoding")
        ids = artifacts.ids_from_tensors("ids", tensors, encoding) if "ids" in meta else None
        if ids is not None and len(ids) != n_rows:
            raise ValueError(f"{len(ids)} ids for {n_rows} rows")
    except (KeyError, TypeError, ValueError, IndexError, MemoryError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"[load] expected an index at {os.fspath(path)}, got: {error}") from error
    return IndexVersion(backend, metric, index, n_rows, len(row_of), number, boosted), precision, pruning, ids

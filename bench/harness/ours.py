"""What a contender is, and gpurec as one, in each precision."""

from __future__ import annotations

from importlib import metadata
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix

__all__ = [
    "Contender",
    "Found",
    "Gpurec",
    "GpurecFloat32",
    "GpurecInt8",
    "GpurecOneShot",
    "GpurecReference",
    "Setting",
]

# So many queries are everyone's, and are asked block by block.
_EVERYONE = 10_000

Setting = dict[str, Any]
Found = tuple[np.ndarray, np.ndarray]


class Contender:
    """One library's exact search for the largest inner products.

    A method of the name of a job does that job: `search` finds the best of all items; `exclude` all but those
    that `seen` stores for a query; `allow_rows` the best of `rows`. All return rows and scores, both
    (n_queries, k), best first.

    `settings` lists the ways worth trying for a batch size; before a cell is measured each is tried and the
    fastest is kept, so that a rival is measured at its best.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    own_environment: ClassVar[bool] = True  # lives in build/rivals rather than beside gpurec
    processes: ClassVar[int] = 1  # of several equal processes the fastest counts
    variables: ClassVar[dict[str, str]] = {}

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads

    def build(self, items: np.ndarray) -> None:
        raise NotImplementedError

    def n_bytes(self) -> int | None:
        """Memory that the index holds; None where the contender does not tell."""
        return None

    def settings(self, n_queries: int, job: str) -> list[Setting]:
        return [{}]

    @classmethod
    def version(cls) -> str:
        return metadata.version(cls.package)


class Gpurec(Contender):
    """Ours, an index made once; the scan's precision is its own choice."""

    name, package, own_environment = "gpurec", "gpurec", False
    options: ClassVar[dict[str, str]] = {}

    def build(self, items: np.ndarray) -> None:
        import gpurec

        self.index = gpurec.ItemIndex(items, **self.options)

    def n_bytes(self) -> int:
        return self.index.nbytes

    def search(self, queries: np.ndarray, k: int) -> Found:
        return self._search(queries, k)

    def settings(self, n_queries: int, job: str) -> list[Setting]:
        return [{"batch": "auto"} if job == "exclude" and n_queries >= _EVERYONE else {}]

    def exclude(self, queries: np.ndarray, k: int, seen: csr_matrix, batch: str | None = None) -> Found:
        if batch is None:
            return self._search(queries, k, exclude=seen)
        parts = [found for _, found in self.index.search_all(queries, k, exclude=seen, batch=batch)]
        return np.concatenate([part.rows for part in parts]), np.concatenate([part.scores for part in parts])

    def allow_rows(self, queries: np.ndarray, k: int, rows: np.ndarray) -> Found:
        return self._search(queries, k, allow=rows)

    def allow_mask(self, queries: np.ndarray, k: int, mask: np.ndarray) -> Found:
        return self._search(queries, k, allow=mask)

    def deny_rows(self, queries: np.ndarray, k: int, rows: np.ndarray) -> Found:
        return self._search(queries, k, deny=rows)

    def allow_each(self, queries: np.ndarray, k: int, allowed: csr_matrix) -> Found:
        return self._search(queries, k, allow=allowed)

    def allow_sets(self, queries: np.ndarray, k: int, sets: list[np.ndarray], which: np.ndarray) -> Found:
        return self._search(queries, k, allow=(sets, which))

    def _search(self, queries: np.ndarray, k: int, **filters: Any) -> Found:
        found = self.index.search(queries, k, **filters)
        return found.rows, found.scores


class GpurecFloat32(Gpurec):
    """Ours, an index that is scanned in float32."""

    name = "gpurec-fp32"
    options: ClassVar[dict[str, str]] = {"precision": "fp32"}


class GpurecInt8(Gpurec):
    """Ours, an index that is scanned in int8."""

    name = "gpurec-int8"
    options: ClassVar[dict[str, str]] = {"precision": "int8"}


class GpurecReference(Gpurec):
    """What the contract says, in float64 and without a scan: for answers, not for times."""

    name = "gpurec-reference"
    options: ClassVar[dict[str, str]] = {"backend": "reference"}


class GpurecOneShot(Contender):
    """Ours without an index: checks, preparation and search in each call."""

    name, package, own_environment = "gpurec-one-shot", "gpurec", False

    def build(self, items: np.ndarray) -> None:
        self.items = items

    def search(self, queries: np.ndarray, k: int) -> Found:
        import gpurec

        found = gpurec.score_top_k(queries, self.items, k)
        return found.rows, found.scores

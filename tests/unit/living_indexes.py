"""Indexes with a past, for the tests of how they are saved."""

from __future__ import annotations

import numpy as np

import gpurec
from gpurec.backends import available

BACKENDS = [name for name in ("cpu", "reference") if available()[name] is None]
METRICS = ("dot", "cosine", "pearson", "euclidean")


def living_index(
    backend: str, metric: str = "dot", n: int = 700, *, ids: bool = False, precision: str = "auto"
) -> gpurec.ItemIndex:
    """An index that has been changed: two segments, removed rows, a revived one, boosts where they may be."""
    rng = np.random.default_rng(5)
    index = gpurec.ItemIndex(
        rng.standard_normal((n, 6)) * 10.0 ** rng.integers(-2, 3, (n, 1)),
        metric=metric,
        ids=[f"item {i}" for i in range(n)] if ids else None,
        precision=precision,
        backend=backend,
    )
    more = rng.standard_normal((n // 9, 6))
    index.append(more, ids=range(len(more)) if ids else None)
    index.remove([0, 3, n - 1, n])
    index.update([3, 5], np.ones((2, 6)))
    if metric != "euclidean":
        index.set_boost([3, 7], [0.5, -2.0])
    return index


def queries(n: int = 5) -> np.ndarray:
    return np.random.default_rng(6).standard_normal((n, 6)).astype(np.float32)

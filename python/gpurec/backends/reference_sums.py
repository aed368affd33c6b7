"""Float32 sums in a fixed order, in NumPy: the bits of `spmm` and `score_in_order` on every backend."""

from __future__ import annotations

import numpy as np

from .base import SparseRows
from .environment import strict_floats
from .reference_als import als, als_shared
from .reference_elastic_net import elastic_net
from .reference_sgd import sgd_epoch

__all__ = ["InFixedOrder", "score_in_order", "spmm"]


def spmm(
    matrix: SparseRows, dense: np.ndarray, add: np.ndarray | None, weight: float, out: np.ndarray
) -> None:
    """Write matrix @ dense + weight * add into `out`; see `gpurec.ops.spmm`."""
    out[:] = 0
    lengths = np.diff(matrix.indptr)
    rows = np.arange(len(lengths))
    for place in range(int(lengths.max(initial=0))):  # the place-th stored entry of every row that has one
        rows = rows[lengths[rows] > place]
        entries = matrix.indptr[rows] + place
        out[rows] += matrix.values[entries, np.newaxis] * dense[matrix.columns[entries]]
    if add is not None:
        out += np.float32(weight) * add


def score_in_order(queries: np.ndarray, items: np.ndarray, out: np.ndarray) -> None:
    """Write all dot products into `out`, terms in the order of components; see `gpurec.ops.score`."""
    out[:] = 0
    for component in range(queries.shape[1]):
        out += queries[:, component, np.newaxis] * items[:, component]


class InFixedOrder:
    """Part of a backend: the ops of which every operation stands in the contract, in NumPy."""

    als = staticmethod(als)
    als_shared = staticmethod(als_shared)
    elastic_net = staticmethod(strict_floats()(elastic_net))
    sgd_epoch = staticmethod(sgd_epoch)
    spmm = staticmethod(strict_floats()(spmm))
    score_in_order = staticmethod(strict_floats()(score_in_order))

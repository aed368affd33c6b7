"""Ops that a device backend leaves to the host: the native module's, or NumPy's where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._native import cpu as native
from ..config import n_threads
from .base import SparseRows
from .environment import strict_floats
from .host_als import als, als_shared
from .host_bpr import bpr_epochs
from .host_elastic_net import elastic_net
from .host_gibbs import gibbs_half_sweep
from .host_gram import gram_top_k
from .reference_sgd import sgd_epoch
from .reference_sums import score_in_order, spmm

__all__ = ["OnHost"]


class OnHost:
    """Part of a backend: what has no kernel for its device."""

    als = staticmethod(als)
    als_shared = staticmethod(als_shared)
    bpr_epochs = staticmethod(strict_floats()(bpr_epochs))
    elastic_net = staticmethod(strict_floats()(elastic_net))
    gibbs_half_sweep = staticmethod(strict_floats()(gibbs_half_sweep))
    gram_top_k = staticmethod(gram_top_k)

    def sgd_epoch(self, *arrays: Any, **rates: Any) -> float:
        # Each step reads what the step before wrote: work for one thread of the host.
        return sgd_epoch(*arrays, **rates) if native is None else native.sgd_epoch(*arrays, **rates, isa="")

    @strict_floats()
    def score_in_order(self, queries: np.ndarray, items: np.ndarray, out: np.ndarray) -> None:
        if native is None:
            score_in_order(queries, items, out)
        else:
            native.score_in_order(queries, items, out, "", n_threads())

    @strict_floats()
    def spmm(
        self, matrix: SparseRows, dense: np.ndarray, add: np.ndarray | None, weight: float, out: np.ndarray
    ) -> None:
        if native is None:
            spmm(matrix, dense, add, weight, out)
        else:
            matrix.native.times(dense, add, weight, out, "", n_threads())

"""implicit's factory function of `BayesianPersonalizedRanking`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .cpu import bpr

__all__ = ["BayesianPersonalizedRanking"]


def BayesianPersonalizedRanking(
    factors: int = 100,
    learning_rate: float = 0.01,
    regularization: float = 0.01,
    dtype: Any = np.float32,
    iterations: int = 100,
    use_gpu: bool = False,
    num_threads: int = 0,
    verify_negative_samples: bool = True,
    random_state: Any = None,
) -> bpr.BayesianPersonalizedRanking:
    """A `cpu.bpr.BayesianPersonalizedRanking`, which see.

    Raises
    ------
    NotImplementedError
        With `use_gpu`: fits run on the CPU, searches where `gpurec.use_backend` says.
    """
    if use_gpu:
        raise NotImplementedError("[bpr] expected use_gpu=False; do: gpurec.use_backend('cuda') for searches")
    return bpr.BayesianPersonalizedRanking(
        factors,
        learning_rate,
        regularization,
        dtype,
        iterations,
        num_threads,
        verify_negative_samples,
        random_state,
    )

"""implicit's factory function of `LogisticMatrixFactorization`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .cpu import lmf

__all__ = ["LogisticMatrixFactorization"]


def LogisticMatrixFactorization(
    factors: int = 30,
    learning_rate: float = 1.0,
    regularization: float = 0.6,
    dtype: Any = np.float32,
    iterations: int = 30,
    neg_prop: int = 30,
    use_gpu: bool = False,
    num_threads: int = 0,
    random_state: Any = None,
) -> lmf.LogisticMatrixFactorization:
    """A `cpu.lmf.LogisticMatrixFactorization`, which see.

    Raises
    ------
    NotImplementedError
        With `use_gpu`, as in implicit.
    """
    if use_gpu:
        raise NotImplementedError("[lmf] expected use_gpu=False; do: gpurec.use_backend('cuda') for searches")
    return lmf.LogisticMatrixFactorization(
        factors, learning_rate, regularization, dtype, iterations, neg_prop, num_threads, random_state
    )

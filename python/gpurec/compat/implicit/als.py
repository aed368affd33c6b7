"""implicit's factory function of `AlternatingLeastSquares`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .cpu import als

__all__ = ["AlternatingLeastSquares"]


def AlternatingLeastSquares(
    factors: int = 100,
    regularization: float = 0.01,
    alpha: float = 1.0,
    dtype: Any = np.float32,
    use_native: bool = True,
    use_cg: bool = True,
    use_gpu: bool = False,
    iterations: int = 15,
    calculate_training_loss: bool = False,
    num_threads: int = 0,
    random_state: Any = None,
) -> als.AlternatingLeastSquares:
    """A `cpu.als.AlternatingLeastSquares`, which see.

    Raises
    ------
    NotImplementedError
        With `use_gpu`: fits run on the CPU, searches where `gpurec.use_backend` says.
    """
    if use_gpu:
        raise NotImplementedError("[als] expected use_gpu=False; do: gpurec.use_backend('cuda') for searches")
    return als.AlternatingLeastSquares(
        factors,
        regularization,
        alpha,
        dtype,
        use_native,
        use_cg,
        iterations,
        calculate_training_loss,
        num_threads,
        random_state,
    )

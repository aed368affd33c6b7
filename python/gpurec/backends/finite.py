"""Looking for values that no search may meet."""

from __future__ import annotations

import numpy as np

from .. import config
from .._native import cpu as native

__all__ = ["first_invalid_row", "require_finite"]


def first_invalid_row(matrix: np.ndarray) -> int | None:
    """First row of a float32 matrix in C order that holds NaN or infinity, None where all are finite.

    Examples
    --------
    >>> first_invalid_row(np.float32([[1, 2], [3, float("nan")]]))
    1
    """
    if native is not None:
        # Threads cost more than a small matrix is worth.
        row: int = native.first_invalid_row(matrix, config.n_threads() if matrix.size > 1 << 16 else 1)
        return row if row < len(matrix) else None
    finite = np.isfinite(matrix).all(axis=1)
    return None if finite.all() else int(np.argmin(finite))


def require_finite(items: np.ndarray) -> None:
    """Raise FloatingPointError where an item is not finite, as `Backend.score_top_k` does."""
    if first_invalid_row(items) is not None:
        raise FloatingPointError("an item is not finite")

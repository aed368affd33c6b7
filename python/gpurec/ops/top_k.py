"""Op `top_k`: the best k of each row of given scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import as_numpy, for_caller
from ..backends import Backend, select, strict_floats
from ..device_arrays import device_number, is_on_device, plain_matrix
from ..types import TopK
from .arguments import as_float32, as_k, check_result_size
from .on_device import device_backend

__all__ = ["top_k"]


@strict_floats()
def top_k(scores: Any, k: int, *, backend: str | Backend | None = None) -> TopK:
    """Best k scores of each row, higher first, equal ones by smaller row.

    Parameters
    ----------
    scores : float32 or float16 array, shape (n_queries, n_items) or (n_items,)
        Taken as they are; NaN and infinities are never returned, so -inf masks.
    k : int
        At least 1; there is no upper limit.
    backend : str or Backend, optional

    Returns
    -------
    TopK
        `rows` int64 and `scores` float32, both (n_queries, k); missing places are row -1, score -inf.
        Arrays of the library that `scores` came in.

    Raises
    ------
    ValueError
        If k < 1, the shape does not fit, or the result would exceed the byte limit.
    TypeError
        If the dtype is not float32 or narrower: rounding would merge scores that differ; or if they lie on
        a device where the backend takes none.

    Examples
    --------
    >>> import numpy as np
    >>> rows, scores = top_k(np.float32([[1, 3, 3, float("nan")]]), 2)
    >>> rows.tolist(), scores.tolist()
    ([[1, 2]], [[3.0, 3.0]])
    """
    k = as_k(k, "top_k")
    if is_on_device(scores):
        return _of_device(scores, k, backend)
    given = as_numpy(scores, "scores", "top_k")
    if given.dtype.name not in ("float32", "float16", "bfloat16"):
        raise TypeError(
            f"[top_k] expected scores of float32 or float16, got {given.dtype}; round them yourself"
        )
    matrix = np.ascontiguousarray(as_float32(given, "scores", "top_k"))
    if matrix.ndim == 1:
        matrix = matrix.reshape(1, -1)
    if matrix.ndim != 2:
        raise ValueError(
            f"[top_k] expected scores of shape (n_queries, n_items), got {matrix.ndim} dimensions"
        )
    check_result_size(len(matrix), k, "top_k")
    rows, best = select(backend).top_k(matrix, k)
    return TopK(*for_caller(scores, rows, best))


def _of_device(scores: Any, k: int, backend: str | Backend | None) -> TopK:
    chosen = device_backend(select(backend, device=device_number(scores)), scores, "scores", "top_k")
    kind = str(scores.dtype).rpartition(".")[2]
    if kind not in ("float32", "float16", "bfloat16"):
        raise TypeError(f"[top_k] expected scores of float32 or float16, got {kind}; round them yourself")
    matrix = plain_matrix(scores, "scores", "top_k")
    check_result_size(matrix.shape[0], k, "top_k")
    return TopK(*chosen.top_k_on_device(matrix, k, "top_k"))

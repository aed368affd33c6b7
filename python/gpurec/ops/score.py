"""Op `score`: whole matrices of dot products."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import as_numpy, for_caller, is_foreign
from ..backends import Backend, select, strict_floats
from ..device_arrays import is_on_device
from .arguments import as_matrix
from .on_device import similarity_on_device

__all__ = ["score"]


@strict_floats()
def score(
    queries: Any,
    items: Any,
    *,
    out: Any = None,
    in_order: bool = False,
    backend: str | Backend | None = None,
) -> Any:
    """Dot product of every query with every item.

    Parameters
    ----------
    queries : array, shape (n_queries, d) or (d,)
        Floats or integers; finite.
    items : array, shape (n_items, d)
    out : float32 array, shape (n_queries, n_items), optional
        Written in place and returned instead of a new array, which would cost the system's zeroing of its
        pages. In C order, writeable, no memory shared with the rows; of NumPy (a mapped file too), of a
        library that shares memory with it, or on the device where the rows are.
    in_order : bool
        Add terms in the order of components, each product and each sum rounded to float32, so that every
        backend gives the same bits, whichever other rows there are. Some processors take up to twice as long.
    backend : str or Backend, optional
        See `gpurec.backends.select`.

    Returns
    -------
    float32 array, shape (n_queries, n_items)
        Of the library that `queries` came in.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite, or `out` cannot be written in place.
    TypeError
        If a dtype is not one of numbers, `out` is not float32, only some of the arrays lie on a device, or
        the backend takes none there (none does with `in_order`).

    Notes
    -----
    Accumulates in float32 or wider: |result - exact| <= gamma_d * sum_i |q_i x_i| + d * 2**-149 with
    gamma_d = d * 2**-24 / (1 - d * 2**-24), as long as no partial sum leaves float32's range. Unlike the ops
    that choose items, the last bits may differ between backends unless `in_order`.
    Memory: the result and 1 MB a thread.

    On a device nothing is waited for, and so nothing raised: a row with NaN or infinity has NaN as each of
    its scores.

    Source: Higham, Accuracy and Stability of Numerical Algorithms, section 3.1.

    Examples
    --------
    >>> score([[1.0, 2.0]], [[3.0, 4.0], [0.0, 1.0]]).tolist()
    [[11.0, 2.0]]
    """
    if is_on_device(queries) or is_on_device(items) or is_on_device(out):
        if in_order:
            raise TypeError("[score] expected host arrays with in_order, got arrays on a device; copy them")
        return similarity_on_device(queries, items, "dot", out, backend, "score", ("queries", "items"))
    x = as_matrix(items, "items", "score")
    q = as_matrix(queries, "queries", "score", n_columns=x.shape[1])
    result = as_out(out, (len(q), len(x)), "score", q, x)
    chosen = select(backend)
    (chosen.score_in_order if in_order else chosen.score)(q, x, result)
    return for_caller(queries, result)[0] if out is None else out


def as_out(out: Any, shape: tuple[int, int], op: str, *inputs: np.ndarray) -> np.ndarray:
    """The caller's result array as NumPy's, checked, or a new one."""
    if out is None:
        return np.empty(shape, np.float32)
    if is_foreign(out):
        out = as_numpy(out, "out", op, shared=True)
    if not isinstance(out, np.ndarray) or out.dtype != np.float32:
        got = out.dtype if isinstance(out, np.ndarray) else type(out).__name__
        raise TypeError(
            f"[{op}] expected out as a float32 array that shares its memory with NumPy, got {got}"
        )
    if out.shape != shape:
        raise ValueError(f"[{op}] expected out of shape {shape}, got {out.shape}")
    if not out.flags.carray:
        lacking = [name for name in ("WRITEABLE", "C_CONTIGUOUS", "ALIGNED") if not out.flags[name]]
        raise ValueError(
            f"[{op}] expected a writeable, aligned out in C order, got one that is not {lacking[0]}; "
            "make it with np.empty"
        )
    if any(np.may_share_memory(out, rows) for rows in inputs):  # rows are contiguous: this is exact
        raise ValueError(
            f"[{op}] expected out apart from the rows that are scored, got memory of theirs; copy them"
        )
    return out

"""Op `similarity`: whole matrices of similarities between rows."""

from __future__ import annotations

from typing import Any

from ..arrays import for_caller
from ..backends import Backend, select, strict_floats
from ..device_arrays import is_on_device
from .arguments import as_matrix, as_metric
from .on_device import similarity_on_device
from .score import as_out

__all__ = ["similarity"]


@strict_floats()
def similarity(
    a: Any,
    b: Any = None,
    *,
    metric: str = "cosine",
    out: Any = None,
    backend: str | Backend | None = None,
) -> Any:
    """Similarity of every row of `a` with every row of `b` (of `a` itself where `b` is None).

    Parameters
    ----------
    a : array, shape (n, d)
        Floats or integers; finite.
    b : array, shape (m, d), optional
    metric : {"dot", "cosine", "pearson", "euclidean"}
        "euclidean" is the negative squared distance. A zero row has cosine 0 and a constant row Pearson 0
        with everything.
    out : float32 array, shape (n, m), optional
        As in `score`: written in place and returned instead of a new array.
    backend : str or Backend, optional

    Returns
    -------
    float32 array, shape (n, m)
        Of the library that `a` came in.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite, or `out` cannot be written in place.
    TypeError
        If a dtype is not one of numbers, `out` is not float32, only some of the arrays lie on a device, or
        the backend takes none there.

    Notes
    -----
    The dot of prepared rows (`score`'s error bound, on rows of length one for cosine and Pearson).

    A negative squared distance errs by at most g / (1 - g) of itself, g = 8 gamma_{d+4} (3.3e-5 at d = 64),
    and 2**-149: it is computed from a float32 dot, and anew in float64 where that would leave less than an
    eighth of |a|^2 + |b|^2. So equal rows have distance 0, none is above 0, and near ones keep their digits;
    a table whose rows nearly all lie so close together costs as much as float64.

    On a device, as in `score`, a row with NaN or infinity has NaN as each of its similarities.

    Examples
    --------
    >>> similarity([[1.0, 0.0], [1.0, 1.0]]).round(3).tolist()
    [[1.0, 0.7070000171661377], [0.7070000171661377, 1.0]]
    """
    metric = as_metric(metric, "similarity")
    if is_on_device(a) or is_on_device(b) or is_on_device(out):
        return similarity_on_device(a, b, metric, out, backend, "similarity", ("a", "b"))
    left = as_matrix(a, "a", "similarity")
    right = left if b is None else as_matrix(b, "b", "similarity", n_columns=left.shape[1])
    result = as_out(out, (len(left), len(right)), "similarity", left, right)
    select(backend).similarity(left, right, metric, result)
    return for_caller(a, result)[0] if out is None else out

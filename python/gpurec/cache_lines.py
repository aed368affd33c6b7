"""Arrays that begin at a cache line, as NumPy's do by chance alone.

A vector load that crosses from one line into the next takes two reads, and only whole lines are written past
the caches.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["CACHE_LINE", "empty_on_lines", "on_lines"]

CACHE_LINE = 64  # bytes


def empty_on_lines(shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    """An array without values that begins at a cache line.

    Examples
    --------
    >>> empty_on_lines((3, 5)).ctypes.data % CACHE_LINE
    0
    """
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.empty(n_bytes + CACHE_LINE, np.uint8)
    first = -room.ctypes.data % CACHE_LINE
    return room[first : first + n_bytes].view(dtype).reshape(shape)


def on_lines(array: np.ndarray) -> np.ndarray:
    """The array, or a copy where it does not begin at a cache line.

    Examples
    --------
    >>> on_lines(np.arange(6.0)[1:]).tolist()
    [1.0, 2.0, 3.0, 4.0, 5.0]
    """
    if array.ctypes.data % CACHE_LINE == 0:
        return array
    copy = empty_on_lines(array.shape, array.dtype)
    copy[...] = array
    return copy

"""Sectors and wavefronts of accesses for which they are known."""

from __future__ import annotations

import numpy as np
import pytest

from .devices import open_device
from .traffic import by_line, chosen, global_bytes, total

# mode, what it is, sectors of global memory or wavefronts of shared memory
GLOBAL = [
    (0, "side by side", 4),
    (1, "every second", 8),
    (2, "a sector each", 32),
    (3, "off by 4 bytes", 5),
    (4, "16 bytes each", 16),
    (5, "all the same", 1),
    (6, "half of the lanes", 16),
    (7, "read-only, side by side", 4),
]
SHARED = [
    (8, "side by side", 1),
    (9, "every second", 2),
    (10, "all in one bank", 32),
    (11, "a bank each", 1),
    (12, "all the same", 1),
    (13, "16 bytes each", 4),
    (14, "16 bytes each, all in the same banks", 32),
]


@pytest.mark.parametrize(("mode", "what", "expected"), GLOBAL + SHARED)
def test_traffic(mode: int, what: str, expected: int) -> None:
    with open_device("_cuda_traced") as s:
        out, counter = s.put(np.zeros(32, np.uint32)), s.put(np.zeros(4, np.uint32))
        s.launch("traffic", 1, 32, 8192, mode, 0, out, s.put(np.zeros(2048, np.uint32)), counter)
        trace = s.native.trace()
        lines = by_line(s.native, trace)
    loads = chosen(trace, shared=mode >= 8, write=False)
    assert total(loads, "requests") == 1
    if mode < 8:
        assert total(loads, "sectors") == expected
        assert global_bytes(trace, write=True) == 128
    else:
        assert total(loads, "wavefronts") == expected
        assert total(loads, "ideal_wavefronts") == (4 if mode >= 13 else 1)
    known = [line for line in lines if line]  # none where the module is stripped
    assert not known or any(line.startswith("defects.cu:") for line in known)

"""What kernels are told, as the backend packs it; a rule test holds it together with their header."""

from __future__ import annotations

import ctypes
from typing import Any

from gpurec.backends.cuda import params
from gpurec.backends.cuda.params import COUNTERS, N_COUNTERS, NO_ROW
from gpurec.backends.cuda.params import METRIC_NUMBERS as METRICS
from gpurec.backends.cuda.params import TILE_ITEMS as TILE

__all__ = ["COUNTERS", "METRICS", "NO_ROW", "N_COUNTERS", "STRUCTS", "TILE"]

STRUCTS: dict[str, Any] = {
    name: kind
    for name, kind in vars(params).items()
    if isinstance(kind, type) and issubclass(kind, ctypes.Structure)
}

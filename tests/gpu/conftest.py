"""Backends that take arrays on a device, and streams of the library whose arrays they are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gpurec.backends.base import Backend
from gpurec.backends.cuda import EmulatedCudaBackend
from gpurec.backends.cupy import CupyBackend

from . import device_library as library


@pytest.fixture(scope="module")
def backend() -> EmulatedCudaBackend:
    return EmulatedCudaBackend()


@pytest.fixture(scope="module", params=["cuda_emulated", "cupy-numpy"])
def taking(request, backend) -> Backend:
    """Backends that take arrays on a device; an emulated one is memory of the host, which NumPy reads too."""
    return backend if request.param == "cuda_emulated" else CupyBackend(np, pairs_at_once=1 << 12)


@pytest.fixture
def stream() -> Iterator[int]:
    handle = library.device.create_stream()
    library.cuda.stream.ptr = handle
    yield handle
    library.cuda.stream.ptr = 0

"""Kernels compiled by NVRTC as the package compiles them: with neither a driver nor a host compiler."""

from __future__ import annotations

from pathlib import Path

from gpurec.backends.cuda.ways.nvrtc import Nvrtc, compile_source, find_nvrtc
from gpurec.errors import DeviceError

from .nvcc import CSRC

# The wheel of each major version, and the architectures for which it compiles.
VERSIONS = {
    12: ("nvidia-cuda-nvrtc-cu12", (75, 80, 86, 89, 90)),
    13: ("nvidia-cuda-nvrtc", (75, 80, 86, 89, 90, 100)),
}


def library(major: int) -> Nvrtc | None:
    """NVRTC of a major version; None where it is not installed."""
    try:
        found = find_nvrtc(major)
    except DeviceError:
        return None
    return found if found.version[0] == major else None


def compile_kernels(compiler: Nvrtc, source: Path, arch: int) -> bytes:
    """The code of one of `nvcc.sources()`, of which an installed package has those that it needs."""
    return compile_source(compiler, CSRC, source, f"sm_{arch}")

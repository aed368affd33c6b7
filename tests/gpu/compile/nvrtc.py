"""Kernels compiled by NVRTC, which needs neither a driver nor a host compiler."""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path

from .nvcc import CSRC

# Where the wheel of each major version lies, what it is called and for which architectures it compiles.
VERSIONS = {
    12: ("nvidia.cuda_nvrtc", "nvidia-cuda-nvrtc-cu12", (75, 80, 86, 89, 90)),
    13: ("nvidia.cu13", "nvidia-cuda-nvrtc", (75, 80, 86, 89, 90, 100)),
}


def library(major: int) -> Path | None:
    """NVRTC of a wheel; None where it is not installed."""
    try:
        spec = importlib.util.find_spec(VERSIONS[major][0])
    except ModuleNotFoundError:
        return None
    folders = spec.submodule_search_locations if spec else None
    return next(
        (path for folder in folders or () for path in Path(folder).glob(f"lib/libnvrtc.so.{major}")), None
    )


class Nvrtc:
    """The few calls that compiling takes."""

    def __init__(self, path: Path) -> None:
        for builtins in path.parent.glob("libnvrtc-builtins.so.*"):
            ctypes.CDLL(str(builtins))  # the library itself does not look beside it
        self._library = ctypes.CDLL(str(path))

    def version(self) -> str:
        """Such as 12.9."""
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
        return f"{major.value}.{minor.value}"

    def compile(self, source: Path, arch: int) -> bytes:
        """The code of one file for one architecture; RuntimeError with the compiler's words."""
        program = ctypes.c_void_p()
        name = str(source.relative_to(CSRC)).encode()
        status = self._library.nvrtcCreateProgram(
            ctypes.byref(program), source.read_bytes(), name, 0, None, None
        )
        assert status == 0, status
        try:
            folders = (CSRC, CSRC / "include", CSRC / "cuda")
            options = [f"--gpu-architecture=sm_{arch}", "--std=c++17", "-fmad=false"]
            options += [f"--include-path={folder}" for folder in folders]
            packed = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
            status = self._library.nvrtcCompileProgram(program, len(options), packed)
            if status != 0:
                raise RuntimeError(
                    f"{source.name} for sm_{arch}: {self._read(program, 'ProgramLog').decode()}"
                )
            return self._read(program, "CUBIN")
        finally:
            self._library.nvrtcDestroyProgram(ctypes.byref(program))

    def _read(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        assert getattr(self._library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)) == 0
        text = ctypes.create_string_buffer(size.value)
        assert getattr(self._library, f"nvrtcGet{what}")(program, text) == 0
        return text.raw

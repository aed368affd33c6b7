"""Kernels compiled at run time: NVRTC from pip's wheels or the system, through ctypes, and what it made.

NVRTC needs neither a driver nor a compiler on the machine. What it made is kept under a name made of the
sources, the options and its version, so that a process compiles only what none has compiled before.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .... import config
from ....errors import DeviceError

__all__ = ["Nvrtc", "compile_source", "compiled", "find_nvrtc", "kernel_sources"]

_MAJORS = (13, 12)  # best first
_OPTIONS = ("--std=c++17", "--fmad=false", "--device-as-default-execution-space")


@dataclass(frozen=True)
class Nvrtc:
    """One NVRTC library.

    Attributes
    ----------
    library : ctypes.CDLL
    version : (int, int)
    path : str
    """

    library: ctypes.CDLL
    version: tuple[int, int]
    path: str

    def architectures(self) -> list[int]:
        """Architectures that it compiles for, 90 for sm_90."""
        n = ctypes.c_int()
        self._check(self.library.nvrtcGetNumSupportedArchs(ctypes.byref(n)), "nvrtcGetNumSupportedArchs")
        archs = (ctypes.c_int * n.value)()
        self._check(self.library.nvrtcGetSupportedArchs(archs), "nvrtcGetSupportedArchs")
        return list(archs)

    def compile(self, source: str, name: str, options: list[str]) -> bytes:
        """The code object of a source; DeviceError with the compiler's log where it does not compile."""
        lib = self.library
        program = ctypes.c_void_p()
        made = lib.nvrtcCreateProgram(ctypes.byref(program), source.encode(), name.encode(), 0, None, None)
        self._check(made, "nvrtcCreateProgram")
        try:
            texts = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
            if lib.nvrtcCompileProgram(program, len(options), texts):
                raise DeviceError(f"[nvrtc] {name} does not compile:\n{self._log(program)}")
            size = ctypes.c_size_t()
            real = any("=sm_" in option for option in options)
            kind = "CUBIN" if real else "PTX"
            self._check(getattr(lib, f"nvrtcGet{kind}Size")(program, ctypes.byref(size)), "size")
            code = ctypes.create_string_buffer(size.value)
            self._check(getattr(lib, f"nvrtcGet{kind}")(program, code), kind)
            return code.raw
        finally:
            lib.nvrtcDestroyProgram(ctypes.byref(program))

    def _log(self, program: ctypes.c_void_p) -> str:
        size = ctypes.c_size_t()
        self.library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(max(size.value, 1))
        self.library.nvrtcGetProgramLog(program, log)
        return log.value.decode(errors="replace").strip()

    def _check(self, result: int, what: str) -> None:
        if result:
            self.library.nvrtcGetErrorString.restype = ctypes.c_char_p
            raise DeviceError(f"[nvrtc] {what}: {self.library.nvrtcGetErrorString(result).decode()}")


def find_nvrtc(newest: int = _MAJORS[0]) -> Nvrtc:
    """The newest NVRTC here whose major version is at most `newest`, which is the driver's.

    Raises
    ------
    DeviceError
        If there is none; the text says which pip line brings one.
    """
    found_too_new = []
    for major in _MAJORS:
        for path in _places(major):
            try:
                for builtins in Path(path).parent.glob(f"libnvrtc-builtins.so.{major}.*"):
                    ctypes.CDLL(str(builtins))  # of a wheel, where the library itself does not look
                library = ctypes.CDLL(path)
            except OSError:
                continue
            numbers = ctypes.c_int(), ctypes.c_int()
            if library.nvrtcVersion(*map(ctypes.byref, numbers)):
                continue
            version = numbers[0].value, numbers[1].value
            if version[0] <= newest:
                return Nvrtc(library, version, path)
            found_too_new.append(f"{version[0]}.{version[1]}")
    too_new = f", and the driver is too old for {', '.join(found_too_new)}" if found_too_new else ""
    raise DeviceError(
        f"[nvrtc] found no NVRTC of version {' or '.join(map(str, _MAJORS))}{too_new}; "
        "do: pip install 'gpurec[cuda12]'"
    )


def _places(major: int) -> Iterator[str]:
    name = f"libnvrtc.so.{major}"
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        for inner in (f"cu{major}", "cuda_nvrtc"):
            path = Path(folder, inner, "lib", name)
            if path.is_file():
                yield str(path)
    yield name  # where the system looks
    for root in (os.environ.get("CUDA_PATH"), os.environ.get("CUDA_HOME"), "/usr/local/cuda"):
        if root:
            yield str(Path(root, "lib64", name))


def kernel_sources() -> Path:
    """The folder with cuda/, simt/ and include/: packaged, or of a checkout.

    Raises
    ------
    DeviceError
        If this installation has none.
    """
    here = Path(__file__)
    for folder in (here.parents[3] / "_sources", here.parents[5] / "csrc"):
        if (folder / "cuda").is_dir():
            return folder
    raise DeviceError("[nvrtc] found no sources of kernels in this installation; do: install gpurec again")


def compiled(nvrtc: Nvrtc, architecture: int) -> list[bytes]:
    """Code objects of all kernels for an architecture (90 for sm_90), one a source file.

    Where NVRTC does not know the architecture it is PTX of the newest older one, which the driver finishes.
    """
    folder = kernel_sources()
    known = nvrtc.architectures()
    if architecture in known:
        target = f"sm_{architecture}"
    else:
        older = [known_one for known_one in known if known_one < architecture]
        if not older:
            raise DeviceError(
                f"[nvrtc] expected an architecture of {min(known)} or newer, got {architecture}"
            )
        target = f"compute_{max(older)}"
    about = [*_OPTIONS, target, *map(str, nvrtc.version), _digest(folder)]
    sources = sorted(folder.glob("cuda/*.cu"))
    with ThreadPoolExecutor(max_workers=max(1, min(8, len(sources)))) as threads:
        return list(threads.map(lambda source: _compiled(nvrtc, source, target, about), sources))


def compile_source(nvrtc: Nvrtc, folder: Path, source: Path, target: str) -> bytes:
    """The code object of a file in a folder such as `kernel_sources()` for a target such as sm_90."""
    options = [*_OPTIONS, f"--gpu-architecture={target}", f"-I{folder}", f"-I{folder / 'include'}"]
    # By way of the include path, so that its own includes are found from where it lies.
    text = f'#include "{source.relative_to(folder).as_posix()}"\n'
    return nvrtc.compile(text, source.stem, options)


def _compiled(nvrtc: Nvrtc, source: Path, target: str, about: list[str]) -> bytes:
    name = hashlib.sha256("\0".join([source.name, *about]).encode()).hexdigest()
    path = config.cache_folder() / "kernels" / name
    try:
        code = path.read_bytes()
        if len(code) > 32 and hashlib.sha256(code[32:]).digest() == code[:32]:
            return code[32:]
    except OSError:
        pass
    code = compile_source(nvrtc, kernel_sources(), source, target)
    _write(path, hashlib.sha256(code).digest() + code)
    return code


def _digest(folder: Path) -> str:
    """Of all that a kernel may include."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("**/*")):
        if path.suffix in (".hpp", ".cuh", ".cu"):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _write(path: Path, code: bytes) -> None:
    """Replaces the file as a whole; a folder that cannot be written does no harm."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            file.write(code)
        try:
            os.replace(file.name, path)
        except OSError:
            os.unlink(file.name)
    except OSError:
        pass

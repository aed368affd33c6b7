"""Compiles every kernel for every architecture and compares with the committed table.

PYTHONPATH=tests python -m gpu.compile.kernel_table            # what .ci/full cuda-compile does
PYTHONPATH=tests python -m gpu.compile.kernel_table --write    # after a change of kernels
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import nvcc, nvrtc
from .nvcc import ARCHITECTURES, ROOT, Compiled

TABLE = ROOT / "docs" / "design" / "kernels.md"
SHOWN = 90  # whose instructions the table counts
COLUMNS = {
    "all": r".",
    "LDG.128": r"LDG\..*128",
    "LDG": r"LDG\b(?!.*128)",
    "LDGSTS": r"LDGSTS",
    "LDS": r"LDS",
    "STG": r"STG",
    "IMMA": r"IMMA",
    "DFMA": r"D(FMA|ADD|MUL)",
    "MEMBAR": r"MEMBAR",
    "BAR": r"BAR",
}
# Instructions a kernel must have, by a pattern of its name; on sm_75 copies are plain and tiles smaller.
MUST_HAVE = {
    r"check_words": [r"LDG\..*128", r"LDS", r"IMMA", r"ATOM|RED"],
    r"quantise_tiles": [r"LDG", r"ATOMS|RED", r"BAR"],
    r"scan_gemv": [r"LDG\..*128"],
    r"scan_mma.*i8": [r"IMMA", r"LDS"],
}
MUST_NOT_HAVE = [r"LDL", r"STL"]  # local memory


def compile_all(architectures: tuple[int, ...], folder: Path, disassemble: bool) -> list[Compiled]:
    """All kernels of all files."""
    tasks = [(source, arch) for arch in architectures for source in nvcc.sources()]
    with ThreadPoolExecutor(2) as pool:
        parts = pool.map(lambda task: nvcc.compile_kernels(*task, folder, disassemble), tasks)
        return [kernel for part in parts for kernel in part]


def faults(kernels: list[Compiled]) -> list[str]:
    """What may not be: spills, local or static shared memory, instructions that are missing or forbidden."""
    found = []
    for kernel in kernels:
        where = f"{kernel.name} on sm_{kernel.arch}"
        for what in ("spilled", "stack", "shared"):
            if getattr(kernel, what):
                found.append(f"{where}: {getattr(kernel, what)} bytes {what}")
        if not kernel.instructions:
            continue
        for pattern in MUST_NOT_HAVE:
            if kernel.count(pattern):
                found.append(f"{where}: {kernel.count(pattern)} instructions {pattern}")
        for names, patterns in MUST_HAVE.items():
            if not re.fullmatch(names, kernel.name):
                continue
            found += [
                f"{where}: no instruction {pattern}" for pattern in patterns if not kernel.count(pattern)
            ]
    return found


def resident_warps(registers: int, n_threads: int) -> int:
    """Warps of a multiprocessor with 65,536 registers and room for 64, as far as registers limit them."""
    warps = -(-n_threads // 32)
    a_warp = -(-registers * 32 // 256) * 256
    return min(65536 // (a_warp * warps), 64 // warps) * warps


def table(kernels: list[Compiled], limits: dict[str, tuple[int, int]]) -> str:
    """The page."""
    of = {(kernel.name, kernel.arch): kernel for kernel in kernels}
    names = sorted(limits)
    lines = [
        "# What compilers make of the kernels",
        "",
        f"By nvcc {nvcc.version()}; no kernel spills, uses local memory or static shared memory.",
        "Written by `PYTHONPATH=tests python -m gpu.compile.kernel_table --write`, compared by",
        "`.ci/full cuda-compile`.",
        "None of it was measured on a device.",
        "",
        "Registers of a thread; resident warps of sm_90, of 64, as registers limit them.",
        "",
        "| kernel | threads | " + " | ".join(f"sm_{arch}" for arch in ARCHITECTURES) + " | warps |",
        "| --- |" + " ---: |" * (len(ARCHITECTURES) + 2),
    ]
    for name in names:
        registers = [of[name, arch].registers for arch in ARCHITECTURES]
        warps = resident_warps(of[name, SHOWN].registers, limits[name][0])
        lines.append(f"| {name} | {limits[name][0]} | " + " | ".join(map(str, registers)) + f" | {warps} |")
    lines += ["", f"Instructions in the code for sm_{SHOWN}.", ""]
    lines += ["| kernel | " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * len(COLUMNS)]
    for name in names:
        counts = [of[name, SHOWN].count(pattern) for pattern in COLUMNS.values()]
        lines.append(f"| {name} | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(lines) + "\n"


def check_nvrtc(names: set[str]) -> list[str]:
    """Compiles every file with NVRTC 12 and looks for every kernel in the code."""
    path = nvrtc.library()
    if path is None:
        return ["NVRTC 12 is not installed; do: pip install nvidia-cuda-nvrtc-cu12"]
    compiler, found = nvrtc.Nvrtc(path), []
    for arch in nvrtc.ARCHITECTURES:
        code = b"".join(compiler.compile(source, arch) for source in nvcc.sources())
        found += [
            f"NVRTC, sm_{arch}: no {name}" for name in sorted(names) if f".text.{name}".encode() not in code
        ]
    print(
        f"NVRTC {compiler.version()}: {len(names)} kernels for sm_{', '.join(map(str, nvrtc.ARCHITECTURES))}"
    )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--write", action="store_true")
    write: bool = parser.parse_args().write
    for needed in ("nvcc", "nvdisasm"):
        if nvcc.tool(needed) is None:
            print(f"{needed} was not found on the path or in the wheels of CUDA 13")
            return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kernels = compile_all(ARCHITECTURES, folder, disassemble=True)
        limits = {k: v for source in nvcc.sources() for k, v in nvcc.compile_ptx(source, folder).items()}
    problems = faults(kernels) + check_nvrtc(set(limits))
    text = table(kernels, limits)
    if write:
        TABLE.write_text(text)
    elif not TABLE.is_file() or TABLE.read_text() != text:
        problems.append(
            f"{TABLE.relative_to(ROOT)} differs from what was compiled; do: --write, and read the diff"
        )
    for problem in problems:
        print(problem)
    print(f"{len(limits)} kernels for {len(ARCHITECTURES)} architectures and PTX: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

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
# Instructions that a kernel must have, and how often at least, by a pattern of its name; each matches some.
# A hand-over between blocks has a fence on both sides of its atomic.
_VECTOR, _FLOAT64 = r"LDG\..*128", r"D(FMA|ADD|MUL)"
MUST_HAVE = {
    r"check_words": {_VECTOR: 2, r"LDS": 1, r"IMMA": 1, r"ATOM|RED": 1},
    r"(scan|sample)_gemv_\w+": {_VECTOR: 8, r"LDS\..*128": 1, r"MEMBAR": 2, r"ATOM": 1, r"BAR": 1},
    r"(scan|sample)_gemv_i8": {r"IDP": 16},
    r"(scan|sample)_gemv_f32": {r"FFMA": 16},
    r"(scan|sample)_mma_\w+|score_tile": {r"LDS\..*128": 8, r"BAR": 2},
    r"(scan|sample)_mma_i8\w*": {r"IMMA": 32},
    r"(scan|sample)_mma_f32\w*|score_tile": {r"FFMA": 256},
    r"scan_\w+": {r"ATOM": 1},
    r"finish|exact_units|score_pairs": {r"LDG": 16, _FLOAT64: 32},
    r"finish|find_threshold|merge_\w+|exact_units|top_k_scores": {r"LDS": 8, r"ATOMS": 1, r"BAR": 8},
    r"exact_units|top_k_scores": {r"ATOM": 1},
    r"quantise_tiles": {r"LDG": 8, r"LDS": 1, r"BAR": 1},
    r"prepare_\w+|gather_rows|tile_norms": {r"LDG": 4, _FLOAT64: 8},
    r"permit|check_sets": {r"LDG": 4, r"VOTE": 1},
    r"als_\w+": {r"LDS": 2, r"BAR": 2},  # als_gram: 16 bytes of each side
    r"als_rows": {r"LDS\..*128": 8, r"FFMA": 128, r"ATOM": 1},
    r"als_gram|als_rows_f64": {_FLOAT64: 32},
    r"als_rotate": {_FLOAT64: 8},
    r"als_gradients": {_FLOAT64: 8, r"SHFL": 10},
    r"bpr_draws": {r"LDG": 8, r"STG": 1},
    r"bpr_round": {r"LDG": 8, r"FMUL": 8, r"SHFL": 4, r"STG": 4},
}
# The same where copies into shared memory are asynchronous, which sm_75 does not know.
MUST_HAVE_FROM_80 = {r"(scan|sample)_mma_\w+|score_tile|als_(rows\w*|gra\w+)": {r"LDGSTS\..*128": 1}}
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
        wanted = [*MUST_HAVE.items(), *(MUST_HAVE_FROM_80.items() if kernel.arch >= 80 else ())]
        matching = [patterns for names, patterns in wanted if re.fullmatch(names, kernel.name)]
        if not matching:
            found.append(f"{where}: MUST_HAVE says nothing of it")
        for pattern, least in ((pattern, least) for some in matching for pattern, least in some.items()):
            if kernel.count(pattern) < least:
                found.append(f"{where}: {kernel.count(pattern)} instructions {pattern}, expected {least}")
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


def check_nvrtc(major: int, names: set[str]) -> list[str]:
    """Compiles every file with one NVRTC and looks for every kernel in the code."""
    compiler, (package, architectures) = nvrtc.library(major), nvrtc.VERSIONS[major]
    if compiler is None:
        return [f"NVRTC {major} is not installed; do: pip install {package}"]
    found = []
    for arch in architectures:
        code = b"".join(nvrtc.compile_kernels(compiler, source, arch) for source in nvcc.sources())
        found += [
            f"NVRTC {major}, sm_{arch}: no {name}"
            for name in sorted(names)
            if f".text.{name}".encode() not in code
        ]
    told = ".".join(map(str, compiler.version))
    print(f"NVRTC {told}: {len(names)} kernels for sm_{', '.join(map(str, architectures))}")
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
    problems = faults(kernels)
    for major in nvrtc.VERSIONS:
        problems += check_nvrtc(major, set(limits))
    text = table(kernels, limits)
    if write and not problems:
        TABLE.write_text(text)
    elif not write and (not TABLE.is_file() or TABLE.read_text() != text):
        problems.append(
            f"{TABLE.relative_to(ROOT)} differs from what was compiled; do: --write, and read the diff"
        )
    for problem in problems:
        print(problem)
    print(f"{len(limits)} kernels for {len(ARCHITECTURES)} architectures and PTX: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""Hot loops keep their tiles in registers: gcc spills them silently, to half the speed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

CSRC = Path(__file__).parents[2] / "csrc"
FLAGS = ["-O3", "-std=c++17", "-ffp-contract=off", "-fPIC", "-fvisibility=hidden", "-S", "-o", "-"]


needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on the path")


def assembly(kernel: str) -> str:
    command = ["g++", *FLAGS, f"-I{CSRC / 'include'}", f"-I{CSRC / 'cpu'}", str(CSRC / "cpu" / kernel)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "aarch64" in text:
        pytest.skip("the kernel is for x86-64")
    return text


def innermost_loops(text: str) -> Iterator[list[str]]:
    """The lines from each label to a jump back to it, without another label between."""
    lines = text.splitlines()
    labels = [n for n, line in enumerate(lines) if line.startswith(".L")]
    for begin, end in zip(labels, [*labels[1:], len(lines)]):
        name = lines[begin].rstrip(":")
        for n in range(begin, end):
            if re.fullmatch(rf"\s+j\w+\s+{re.escape(name)}", lines[n]):
                yield lines[begin:n]


@needs_compiler
@pytest.mark.parametrize(
    ("kernel", "register", "multiply_adds"),
    # 4 vectors (AVX-512) or 2 (AVX2) for each of 1 + 2 + ... + 6 queries
    [
        ("scan/avx512.cpp", "zmm", 4 * 21),
        ("scan/avx2.cpp", "ymm", 2 * 21),
        ("scan_bf16/avx512bf16.cpp", "zmm", 4 * 21),
        ("multiply/avx512.cpp", "zmm", 2 * 4 * 21),
        ("multiply/avx2.cpp", "ymm", 2 * 2 * 21),
    ],
)
def test_tiles_stay_in_registers(kernel: str, register: str, multiply_adds: int) -> None:
    text = assembly(kernel)
    lines = text.splitlines()
    found = [line for line in lines if re.search(rf"(vfn?madd.*ps|vdpbf16ps).*%{register}", line)]
    assert len(found) >= multiply_adds, "the tile's multiply-adds are not where they are expected"
    spills = [line for line in lines if register in line and "(%rsp" in line]
    assert not spills, spills[:5]


@needs_compiler
@pytest.mark.parametrize(
    ("kernel", "register", "multiply", "sums"),
    # of 1, 2, ... queries: vectors, and twice as many where groups of components take turns or are halved
    [
        ("scan_i8/avx512vnni.cpp", "zmm", "vpdpbusd", [8, 16, 12, 16, 20, 24]),
        ("scan_i4/avx512vnni.cpp", "zmm", "vpdpbusd", [8, 16]),
        ("scan_i4/avx2.cpp", "ymm", "vpmaddubsw", [8]),
        ("scan_i8/avxvnni.cpp", "ymm", "vpdpbusd", [8, 8, 6, 8, 10, 12]),
        ("scan_i8/avx2.cpp", "ymm", "vpmaddubsw", [4, 8, 12, *range(8, 21, 2)]),
    ],
)
def test_int8_tiles_stay_in_registers(kernel: str, register: str, multiply: str, sums: list[int]) -> None:
    loops = [loop for loop in innermost_loops(assembly(kernel)) if any(multiply in line for line in loop)]
    assert sorted(sum(multiply in line for line in loop) for loop in loops) == sorted(sums)
    for loop in loops:
        # The codes of a query may come from the stack, each once.
        rest = [line for line in loop if register in line and "vpbroadcastd" not in line]
        spills = [line for line in rest if "(%rsp" in line or "(%rbp" in line]
        assert not spills, spills[:5]

"""Hot loops keep their tiles in registers: gcc spills them silently, to half the speed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).parents[2] / "csrc"
FLAGS = ["-O3", "-std=c++17", "-ffp-contract=off", "-fPIC", "-fvisibility=hidden", "-S", "-o", "-"]


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on the path")
@pytest.mark.parametrize(
    ("kernel", "register", "multiply_adds"),
    # 4 vectors (AVX-512) or 2 (AVX2) for each of 1 + 2 + ... + 6 queries
    [
        ("scan/avx512.cpp", "zmm", 4 * 21),
        ("scan/avx2.cpp", "ymm", 2 * 21),
        ("multiply/avx512.cpp", "zmm", 2 * 4 * 21),
        ("multiply/avx2.cpp", "ymm", 2 * 2 * 21),
    ],
)
def test_tiles_stay_in_registers(kernel: str, register: str, multiply_adds: int) -> None:
    source = CSRC / "cpu" / kernel
    command = ["g++", *FLAGS, f"-I{CSRC / 'include'}", f"-I{CSRC / 'cpu'}", str(source)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "aarch64" in text:
        pytest.skip("the kernel is for x86-64")
    lines = text.splitlines()
    found = [line for line in lines if re.search(rf"vfn?madd.*ps.*%{register}", line)]
    assert len(found) >= multiply_adds, "the tile's multiply-adds are not where they are expected"
    spills = [line for line in lines if register in line and "(%rsp" in line]
    assert not spills, spills[:5]

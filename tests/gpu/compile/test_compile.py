"""A sample of `.ci/full cuda-compile`: one architecture by nvcc, one by NVRTC."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from . import nvcc, nvrtc
from .kernel_table import SHOWN, TABLE, compile_all, faults

needs_nvcc = pytest.mark.skipif(nvcc.tool("nvcc") is None, reason="no nvcc on the path or in its wheels")


@needs_nvcc
def test_kernels_compile_without_spills(tmp_path: Path) -> None:
    kernels = compile_all((SHOWN,), tmp_path, disassemble=nvcc.tool("nvdisasm") is not None)
    assert kernels
    assert not faults(kernels)
    text = TABLE.read_text()
    if f"nvcc {nvcc.version()};" not in text:
        pytest.skip(f"the committed table is of another compiler than nvcc {nvcc.version()}")
    columns = next(line for line in text.splitlines() if line.startswith("| kernel | threads")).split(" | ")
    for kernel in kernels:
        row = re.search(rf"^\| {kernel.name} \| (.*)$", text, re.MULTILINE)
        assert row, f"{kernel.name} is missing in {TABLE.name}; do: kernel_table.py --write"
        assert int(row[0].split(" | ")[columns.index(f"sm_{SHOWN}")]) == kernel.registers, kernel.name


@pytest.mark.parametrize("source", nvcc.sources(), ids=lambda path: path.stem)
@pytest.mark.parametrize("major", nvrtc.VERSIONS)
def test_nvrtc_compiles(major: int, source: Path) -> None:
    compiler = nvrtc.library(major)
    if compiler is None:
        pytest.skip(f"NVRTC {major} is not installed ({nvrtc.VERSIONS[major][0]})")
    assert len(nvrtc.compile_kernels(compiler, source, 75)) > 1000

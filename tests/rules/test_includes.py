"""Which C++ file may include what."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .tree import ROOT, code, name

CSRC = ROOT / "csrc"
STD = r"<[a-z_0-9]+>"
OWN = r'"gpurec/[a-z_0-9]+\.hpp"'
INTRINSICS = r"<(immintrin|xmmintrin|emmintrin|x86intrin|cpuid|arm_neon|arm_sve|sys/auxv|asm/hwcap)\.h>"
POSIX = r"<(pthread|sched|unistd|dlfcn|link|sys/mman)\.h>"
HERE = r'"([a-z_0-9]+/)?[a-z_0-9]+\.(hpp|cuh)"'  # a header of the same part of the tree
ALLOWED = {
    "include": [STD, OWN],
    "cpu": [STD, OWN, HERE, INTRINSICS, POSIX],
    "cuda": [STD, OWN, HERE, r"<cuda[a-z_0-9/]*(\.h(pp)?)?>", r"<cub/.*>", r'"simt/[a-z_0-9]+\.hpp"'],
    "simt": [STD, OWN, r'"(\.\./|simt/)?([a-z_0-9]+/)?[a-z_0-9]+\.hpp"', POSIX, r"<sanitizer/[a-z_]+\.h>"],
    "bindings": [
        STD,
        OWN,
        HERE,
        r"<pybind11/[a-z_0-9]+\.h>",
        r'"\.\./[a-z_]+\.hpp"',
        r'"(\.\./)+(cpu|simt)/([a-z_0-9]+/)*[a-z_0-9]+\.hpp"',
    ],
}
# What kernels are compiled from: NVRTC has no other headers, and g++ no CUDA.
KERNEL_SIDE = [OWN, r'"params\.hpp"', r'"simt/simt\.hpp"', r'"(device/)?[a-z_0-9]+\.cuh"']
EMULATOR = re.compile(r'#include "[./a-z]*emulator/')
KERNELS = {"scan", "rescore", "select", "quantise", "merge"}


@pytest.mark.parametrize("path", code(CSRC), ids=name)
def test_includes(path: Path) -> None:
    part = path.relative_to(CSRC).parts[0]
    includes = re.findall(r"^\s*#\s*include\s+(\S+)", path.read_text(), re.MULTILINE)
    for include in includes:
        assert any(re.fullmatch(pattern, include) for pattern in ALLOWED[part]), include
        if include.startswith('"gpurec/'):
            assert (CSRC / "include" / include.strip('"')).is_file(), f"{include} does not exist"
        if part == "bindings":
            assert not KERNELS & set(re.split(r"[/.]", include.strip('"'))), f"{include} is a kernel's header"
    if path.suffix in (".cu", ".cuh"):
        foreign = [i for i in includes if not any(re.fullmatch(pattern, i) for pattern in KERNEL_SIDE)]
        assert not foreign, "kernels see nothing else, so that every compiler can compile them"


def test_only_simt_sees_the_emulator() -> None:
    found = {name(path) for path in code(CSRC) if EMULATOR.search(path.read_text())}
    assert found == {"csrc/simt/simt.hpp", "csrc/bindings/device/cuda_emulated_module.cpp"}


KERNEL_SOURCES = [path for path in code(CSRC) if path.suffix in (".cu", ".cuh")]


@pytest.mark.parametrize("path", KERNEL_SOURCES, ids=name)
def test_kernels_use_words_alone(path: Path) -> None:
    text = re.sub(r"//.*", "", path.read_text())
    foreign = r"__(shared|global|device)__|__\w+_sync\b|__sync\w+"
    foreign += r"|__ldg|__threadfence|atomic[A-Z]|\basm\b|threadIdx|blockIdx"
    assert re.findall(foreign, text) == []


@pytest.mark.parametrize("path", KERNEL_SOURCES, ids=name)
def test_hand_overs_between_blocks_are_fenced(path: Path) -> None:
    """Who counts arrivals fences before it tells and after it has learned."""
    lines = re.sub(r"//.*", "", path.read_text()).splitlines()
    for n, line in enumerate(lines):
        if re.search(r"atomic_\w+\(\s*&?p?\.?\w*arriv", line):
            around = "\n".join(lines[max(0, n - 6) : n]), "\n".join(lines[n + 1 : n + 7])
            assert all("fence_device()" in part for part in around), f"line {n + 1}"

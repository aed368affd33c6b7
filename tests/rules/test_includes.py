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
POSIX = r"<(pthread|sched|unistd|sys/mman)\.h>"
HERE = r'"([a-z_0-9]+/)?[a-z_0-9]+\.(hpp|cuh)"'  # a header of the same part of the tree
ALLOWED = {
    "include": [STD, OWN],
    "cpu": [STD, OWN, HERE, INTRINSICS, POSIX],
    "cuda": [STD, OWN, HERE, r"<cuda[a-z_0-9/]*(\.h(pp)?)?>", r"<cub/.*>", r'"simt/[a-z_0-9]+\.hpp"'],
    "simt": [STD, OWN, HERE, r"<cuda[a-z_0-9/]*(\.h(pp)?)?>", POSIX],
    "bindings": [
        STD,
        OWN,
        HERE,
        r"<pybind11/[a-z_0-9]+\.h>",
        r'"\.\./(cpu|cuda)/([a-z_0-9]+/)?[a-z_0-9]+\.hpp"',
    ],
}
KERNELS = {"scan", "rescore", "select", "quantise", "merge"}


@pytest.mark.parametrize("path", code(CSRC), ids=name)
def test_includes(path: Path) -> None:
    part = path.relative_to(CSRC).parts[0]
    for include in re.findall(r"^\s*#\s*include\s+(\S+)", path.read_text(), re.MULTILINE):
        assert any(re.fullmatch(pattern, include) for pattern in ALLOWED[part]), include
        if include.startswith('"gpurec/'):
            assert (CSRC / "include" / include.strip('"')).is_file(), f"{include} does not exist"
        if part == "bindings":
            assert not KERNELS & set(re.split(r"[/.]", include.strip('"'))), f"{include} is a kernel's header"

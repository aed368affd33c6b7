"""Kernels compiled by nvcc: registers, spills, shared memory, and the instructions of the disassembly."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]
CSRC = ROOT / "csrc"
ARCHITECTURES = (75, 80, 86, 89, 90, 100)
NEWEST = 100
FLAGS = ["-std=c++17", "-fmad=false", "--expt-relaxed-constexpr", f"-I{CSRC}", f"-I{CSRC / 'include'}"]
INSTRUCTION = re.compile(r"^\s+/\*[0-9a-f]{4,}\*/\s+\{?\s*(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)")


def sources() -> list[Path]:
    """The files that hold kernels."""
    return [*sorted((CSRC / "cuda").glob("*.cu")), CSRC / "simt" / "checks" / "words.cu"]


def tool(name: str) -> str | None:
    """nvcc or nvdisasm: on the path, or in the wheels of CUDA 13 beside this Python."""
    wheels = Path(sys.prefix).glob(f"lib/python*/site-packages/nvidia/cu13/bin/{name}")
    return shutil.which(name) or next((str(path) for path in wheels), None)


@dataclass
class Compiled:
    """One kernel on one architecture; bytes are of a thread, of shared memory of a block."""

    name: str
    arch: int
    registers: int = 0
    spilled: int = 0
    stack: int = 0
    shared: int = 0
    instructions: Counter[str] = field(
        default_factory=Counter
    )  # by name with modifiers; empty: not looked at

    def count(self, pattern: str) -> int:
        """How many instructions match, modifiers included."""
        return sum(n for name, n in self.instructions.items() if re.match(pattern, name))


def version() -> str:
    """The release of nvcc, such as 13.0.88."""
    nvcc = tool("nvcc")
    assert nvcc
    told = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"V([\d.]+)", told)
    return found[1] if found else "unknown"


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout + done.stderr


def compile_kernels(source: Path, arch: int, folder: Path, disassemble: bool) -> list[Compiled]:
    """Compiles one file for one architecture."""
    nvcc, cubin = tool("nvcc"), folder / f"{source.stem}-{arch}.cubin"
    assert nvcc
    log = _run(
        [nvcc, *FLAGS, f"-arch=sm_{arch}", "-cubin", "-Xptxas=-v", str(source), "-o", str(cubin)],
    )
    kernels = []
    for part in re.split(r"Compiling entry function", log)[1:]:
        name = re.match(r" '(\w+)'", part)
        assert name, part
        kernel = Compiled(name[1], arch)
        numbers = {
            "registers": r"Used (\d+) registers",
            "stack": r"(\d+) bytes stack frame",
            "shared": r"(\d+) bytes smem",
        }
        for what, pattern in numbers.items():
            found = re.search(pattern, part)
            setattr(kernel, what, int(found[1]) if found else 0)
        kernel.spilled = sum(int(n) for n in re.findall(r"(\d+) bytes spill", part))
        kernels.append(kernel)
    if disassemble:
        _count_instructions(kernels, cubin)
    return kernels


def _count_instructions(kernels: list[Compiled], cubin: Path) -> None:
    nvdisasm = tool("nvdisasm")
    assert nvdisasm
    parts = re.split(r"^\.text\.(\w+):$", _run([nvdisasm, "-c", str(cubin)]), flags=re.MULTILINE)
    of_kernel = dict(zip(parts[1::2], parts[2::2]))
    for kernel in kernels:
        lines = of_kernel[kernel.name].splitlines()
        kernel.instructions = Counter(found[1] for line in lines if (found := INSTRUCTION.match(line)))


def compile_ptx(source: Path, folder: Path) -> dict[str, tuple[int, int]]:
    """PTX of the newest architecture: the most threads and least resident blocks that each kernel states."""
    nvcc, ptx = tool("nvcc"), folder / f"{source.stem}.ptx"
    assert nvcc
    _run([nvcc, *FLAGS, f"-arch=compute_{NEWEST}", "-ptx", str(source), "-o", str(ptx)])
    told = {}
    for entry in ptx.read_text().split(".entry ")[1:]:
        head = entry.split("{")[0]
        threads = re.search(r"\.maxntid (\d+)", head)
        blocks = re.search(r"\.minnctapersm (\d+)", head)
        name = entry[: entry.index("(")].strip()
        told[name] = tuple(int(found[1]) if found else 0 for found in (threads, blocks))
    return told

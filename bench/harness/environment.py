"""Where a contender's process runs: which interpreter, and which variables steer its threads."""

from __future__ import annotations

import os
from pathlib import Path

from .ours import Contender

__all__ = ["BENCH", "RIVALS_FOLDER", "ROOT", "environment_python", "environment_variables"]

BENCH = Path(__file__).resolve().parents[1]
ROOT = BENCH.parent
RIVALS_FOLDER = ROOT / "build" / "rivals"


def environment_python() -> Path:
    """The interpreter of the rivals' environment.

    Raises
    ------
    RuntimeError
        If the environment has not been made.
    """
    python = RIVALS_FOLDER / "bin" / "python"
    if not python.exists():
        raise RuntimeError(
            f"[rivals] expected the rivals' environment in {RIVALS_FOLDER.relative_to(ROOT)}; "
            "run python bench/rivals.py --setup"
        )
    return python


def environment_variables(kind: type[Contender], n_threads: int) -> dict[str, str]:
    """Variables of a contender's process: the caller's without any that steers BLAS or OpenMP, plus its own.

    OpenBLAS is held to its AVX-512 kernels where the processor has AVX-512.
    """
    steering = ("OPENBLAS_", "GOTO_", "OMP_", "GOMP_", "KMP_", "MKL_", "BLIS_", "NVPL_", "GPUREC_")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "GPUREC_NUM_THREADS"):
        variables[name] = str(n_threads)
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and " avx512dq " in cpuinfo.read_text():
        variables["OPENBLAS_CORETYPE"] = "SkylakeX"
    variables["PYTHONPATH"] = str(BENCH)  # where the contender finds this package
    return {**variables, **kind.variables}

"""Settings read from the environment, each named, checked and with its default."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = [
    "LEAST_RESULT_BYTES",
    "cache_folder",
    "data_folder",
    "max_result_bytes",
    "may_calibrate",
    "n_threads",
]


def _positive_integer(name: str, default: int) -> int:
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise ValueError(f"[config] expected {name} to be a positive integer, got {text!r}")
    return value


def n_threads() -> int:
    """Threads of the `cpu` backend: `GPUREC_NUM_THREADS`, else the cores this process may use."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    return min(_positive_integer("GPUREC_NUM_THREADS", cores), 1024)


# A search of one query takes microseconds, and asking the environment about its result would take one more.
LEAST_RESULT_BYTES = 1 << 16


def max_result_bytes() -> int:
    """Largest result that a search may allocate: `GPUREC_MAX_RESULT_BYTES`, else 8 GB; 64 KB always may."""
    return _positive_integer("GPUREC_MAX_RESULT_BYTES", 8_000_000_000)


def cache_folder() -> Path:
    """Folder of files that may be deleted at any time: gpurec in `XDG_CACHE_HOME`, else in ~/.cache."""
    folder = os.environ.get("XDG_CACHE_HOME", "").strip()
    return (Path(folder) if folder else Path("~/.cache").expanduser()) / "gpurec"


def may_calibrate() -> bool:
    """Whether costs may be measured and kept in a file: not where `GPUREC_CALIBRATION` is "off"."""
    setting = os.environ.get("GPUREC_CALIBRATION", "").strip() or "on"
    if setting not in ("on", "off"):
        raise ValueError(f"[config] expected GPUREC_CALIBRATION to be 'on' or 'off', got {setting!r}")
    return setting == "on"


def data_folder() -> Path:
    """Folder of the real data sets for tests and benchmarks: `GPUREC_DATA`, else ../shared/data."""
    return Path(os.environ.get("GPUREC_DATA", "../shared/data"))

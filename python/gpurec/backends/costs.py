"""What a scan costs in each precision, measured once a machine, so that "auto" may choose the cheapest.

Costs change the speed of a search and never its answer; without a measurement those of `TYPICAL` hold.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import config
from .._native import cpu as native

__all__ = ["TYPICAL", "Costs", "cheapest", "costs_of_machine"]


class Costs(NamedTuple):
    """Seconds in one precision, of one thread."""

    per_pass: float
    """Of the items' way through the caches, for each component of an item and each pass over the items."""
    per_query: float
    """Of the arithmetic, for each component of an item and each query."""
    per_place: float
    """Of candidates and scores, for each place of each query's answer, at 64 components."""


# A Xeon with AVX-512 and VNNI. Its bfloat16 instructions do half the work of float32's a second and are
# left out: others are known only once they are measured.
TYPICAL = {"int8": Costs(18e-12, 6.4e-12, 50e-9), "fp32": Costs(180e-12, 14e-12, 30e-9)}

# Queries that pass over the items together.
_QUERIES_PER_PASS = 512
# Multiply-adds from which a search takes so much longer than a measurement saves that it may wait for one.
_WORTH_MEASURING = 1 << 30
# The searches that are measured: a table that leaves the second cache, on one thread.
_ITEMS, _D, _QUERIES, _PLACES = 16_384, 64, 64, 1024
_REPEATS, _REPEAT_SECONDS = 9, 0.05
# Time of the thread alone, which other work on the machine hardly disturbs, where its clock is fine enough.
_now = time.thread_time if time.get_clock_info("thread_time").resolution < 1e-5 else time.perf_counter
# What a file may say: others were not measured.
_LEAST, _MOST = 1e-15, 1e-4
_MOST_BYTES = 1 << 14

_known: dict[str, dict[str, Costs]] = {}
_measuring = threading.Lock()


def cheapest(costs: dict[str, Costs], n_items: int, d: int, n_queries: int, k: int) -> str:
    """The precision whose search is predicted to take least time; threads share all parts of it alike.

    Examples
    --------
    >>> [cheapest(TYPICAL, 100_000, 64, n, 10_000) for n in (1, 256)]
    ['int8', 'fp32']
    """
    passes = -(-n_queries // _QUERIES_PER_PASS)
    places = n_queries * min(k, n_items) * (0.5 + d / 128)

    def seconds(precision: str) -> float:
        of = costs[precision]
        scanned = n_items * d * (of.per_pass * passes + of.per_query * n_queries)
        return scanned + places * of.per_place

    return min(costs, key=seconds)


def costs_of_machine(isa: str, work: int) -> dict[str, Costs]:
    """Costs in the precisions of an ISA: from the cache file, else measured, else `TYPICAL`.

    Parameters
    ----------
    isa : str
    work : int
        Multiply-adds of the search that asks; a small one does not wait for a file or a measurement.

    Returns
    -------
    dict of precision to Costs

    Notes
    -----
    A process reads the file or measures once an ISA; `GPUREC_CALIBRATION=off` forbids both. The file, one for
    each processor, ISA and version in `config.cache_folder()`, may be deleted or damaged.
    """
    known = _known.get(isa)
    if known is not None:
        return known
    if work < _WORTH_MEASURING or not config.may_calibrate() or not _measuring.acquire(blocking=False):
        return TYPICAL  # also beside a thread that measures
    try:
        if isa not in _known:
            machine = _machine(isa)
            found = _read(machine)
            if found is None:
                found = measured_costs(isa)
                _write(machine, found)
            _known[isa] = found
        return _known[isa]
    finally:
        _measuring.release()


def _machine(isa: str) -> dict[str, str]:
    """What a measurement holds for."""
    model = platform.processor()
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            model = next(
                (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model
            )
    except OSError:
        pass  # not Linux
    version = sys.modules[__package__.partition(".")[0]].__version__
    return {"cpu": model, "architecture": platform.machine(), "isa": isa, "version": version}


def _path(machine: dict[str, str]) -> Path:
    name = hashlib.sha256(json.dumps(machine, sort_keys=True).encode()).hexdigest()[:16]
    return config.cache_folder() / "costs" / f"{name}.json"


def _read(machine: dict[str, str]) -> dict[str, Costs] | None:
    """What the file says, if it is of this machine and everything in it may be."""
    try:
        with open(_path(machine), "rb") as file:
            text = file.read(_MOST_BYTES + 1)
        said = json.loads(text) if len(text) <= _MOST_BYTES else None
        if not isinstance(said, dict) or said.get("machine") != machine:
            return None
        costs = {str(name): Costs(*map(float, numbers)) for name, numbers in said["costs"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    numbers = [number for of in costs.values() for number in of]
    if not costs.keys() >= {"int8", "fp32"} or not all(_LEAST <= number <= _MOST for number in numbers):
        return None
    return costs


def _write(machine: dict[str, str], costs: dict[str, Costs]) -> None:
    """Replaces the file as a whole; a folder that cannot be written does no harm."""
    path = _path(machine)
    text = json.dumps({"machine": machine, "costs": {name: list(of) for name, of in costs.items()}}, indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False) as file:
            file.write(text + "\n")
        try:
            os.replace(file.name, path)
        except OSError:
            os.unlink(file.name)
    except OSError:
        pass


def measured_costs(isa: str) -> dict[str, Costs]:
    """Costs of an ISA's precisions, from searches of a table made for it."""
    rng = np.random.default_rng(0)
    items, queries = (rng.standard_normal((n, _D), dtype=np.float32) for n in (_ITEMS, _QUERIES))
    rows = np.arange(_ITEMS, dtype=np.uint32)
    table = native.empty_table(_D, "dot", True).with_items(items, rows, _ITEMS, isa, 1)

    def seconds(precision: str, n_queries: int, k: int) -> float:
        best, spent = float("inf"), 0.0
        for _ in range(_REPEATS):
            begin = _now()
            native.search(table, queries[:n_queries], k, None, None, [], None, precision, False, isa, 1)
            took = _now() - begin
            best, spent = min(best, took), spent + took
            if spent > _REPEAT_SECONDS:
                break
        return best

    def costs(precision: str) -> Costs:
        alone, together = seconds(precision, 1, 1), seconds(precision, _QUERIES, 1)
        deep = seconds(precision, _QUERIES, _PLACES)
        per_query = (together - alone) / ((_QUERIES - 1) * _ITEMS * _D)
        per_place = (deep - together) / (_QUERIES * _PLACES)
        found = (alone / (_ITEMS * _D) - per_query, per_query, per_place)
        return Costs(*(min(max(number, _LEAST), _MOST) for number in found))

    # The plain form of the bfloat16 arithmetic is there for tests alone.
    bf16 = ["bf16"] if native.has_bf16(isa) and isa != "serial" else []
    return {precision: costs(precision) for precision in ("int8", "fp32", *bf16)}

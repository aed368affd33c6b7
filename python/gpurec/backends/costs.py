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
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from .. import config
from .._native import cpu as native

__all__ = ["TYPICAL", "Costs", "Machine", "cheapest", "costs_of_machine"]


class Costs(NamedTuple):
    """Seconds in one precision, of one thread, for items that lie in the last cache."""

    per_pass: float
    """Of the items' way to the arithmetic, for each component of an item and each pass over the items."""
    per_query: float
    """Of the arithmetic, for each component of an item and each query."""
    per_place: float
    """Of candidates and scores at 64 components, for each place of each query's answer, whatever scanned;
    in 4-bit codes for each item that comes near."""


class Machine(NamedTuple):
    """What scans cost on a machine."""

    costs: dict[str, Costs]
    per_byte_alone: float
    """Seconds of reading a byte from memory, by one thread."""
    per_byte: float
    """The same, by all threads together: each has arithmetic of its own, but there is one memory."""
    cache_bytes: float
    """Of the last cache."""


# A Xeon with AVX-512 and VNNI. Its bfloat16 instructions do half the work of float32's a second and are
# left out: others are known only once they are measured.
TYPICAL = Machine(
    {
        "int8": Costs(18e-12, 6.4e-12, 50e-9),
        "int4": Costs(10e-12, 9e-12, 60e-9),
        "fp32": Costs(180e-12, 14e-12, 50e-9),
    },
    per_byte_alone=80e-12,
    per_byte=30e-12,
    cache_bytes=32e6,
)

# Bytes of an item's component that a scan reads; bfloat16 is rounded on the way.
_BYTES = {"int4": 0.5, "int8": 1, "fp32": 4, "bf16": 4}
# Queries that pass over the items together.
_QUERIES_PER_PASS = 512
# Multiply-adds from which a search takes longer than looking for a file, and so much longer than a
# measurement saves that it may wait for one.
_WORTH_READING, _WORTH_MEASURING = 1 << 20, 1 << 30
# Where the kernel of 4-bit codes is the plain one.
_PLAIN_IN_INT4 = ("neon", "serial")
_TYPICAL_WITHOUT_INT4 = TYPICAL._replace(
    costs={name: costs for name, costs in TYPICAL.costs.items() if name != "int4"}
)
# By how many standard deviations of a normal table's scores the bound of 4-bit codes exceeds a score, for
# the root of each component (docs/design/0008-int8-scan.md).
_REACH_OF_INT4 = 0.122
_NORMAL = NormalDist()
# Its rows lie anywhere and its thresholds take a while to rise: it has to promise more than others.
_RISK_OF_INT4 = 1.3
# The searches that are measured: a table that leaves the second cache, on one thread.
_ITEMS, _D, _QUERIES, _PLACES, _PLACES_IN_INT4 = 16_384, 64, 64, 1024, 32
_REPEATS, _REPEAT_SECONDS = 9, 0.05
# What is read from memory: beyond the caches of most machines.
_BYTES_READ = 80 << 20
# Time of the thread alone, which other work on the machine hardly disturbs, where its clock is fine enough.
_now = time.thread_time if time.get_clock_info("thread_time").resolution < 1e-5 else time.perf_counter
# What a file may say: others were not measured.
_LEAST, _MOST = 1e-15, 1e-4
_LEAST_CACHE, _MOST_CACHE = 1e4, 1e12
_MOST_BYTES = 1 << 14
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")

_known: dict[str, Machine] = {}
_without_file: set[str] = set()
_measuring = threading.Lock()


def cheapest(machine: Machine, n_items: int, d: int, n_queries: int, k: int, n_threads: int = 1) -> str:
    """The precision whose search is predicted to take least time.

    Examples
    --------
    >>> [cheapest(TYPICAL, 100_000, 64, n, 10_000) for n in (1, 256)]
    ['int8', 'int8']
    >>> [cheapest(TYPICAL, n, 128, 1, 10, n_threads=2) for n in (10_000, 1_000_000)]
    ['int8', 'int4']
    """
    passes = -(-n_queries // _QUERIES_PER_PASS)
    width = 0.5 + d / 128  # of what a score costs, at 64 components
    per_byte = max(machine.per_byte_alone / n_threads, machine.per_byte)

    def seconds(precision: str) -> float:
        of = machine.costs[precision]
        n_places = min(k, n_items) if precision != "int4" else near_in_int4(n_items, d, k)
        scanned = n_items * d * (of.per_pass * passes + of.per_query * n_queries)
        n_bytes = n_items * d * _BYTES[precision]
        # Threads share the arithmetic; what does not fit in the cache is waited for besides.
        from_memory = n_bytes * passes * per_byte * _share_beyond(n_bytes, machine.cache_bytes)
        chosen = n_queries * n_places * width * of.per_place / n_threads
        return (max(scanned / n_threads, from_memory) + chosen) * (
            _RISK_OF_INT4 if precision == "int4" else 1.0
        )

    return min(machine.costs, key=seconds)


def near_in_int4(n_items: int, d: int, k: int) -> float:
    """How many items of a normal table come near a query in 4-bit codes, by its best k."""
    if n_items <= 2 * k:
        return n_items
    above = -_NORMAL.inv_cdf(k / n_items)
    return n_items * _NORMAL.cdf(_REACH_OF_INT4 * d**0.5 - above)


def _share_beyond(n_bytes: float, cache_bytes: float) -> float:
    """The share of bytes, read again and again, that comes from memory; a cache holds other things too."""
    return min(max(2 * n_bytes / cache_bytes - 1, 0.0), 1.0)


def costs_of_machine(isa: str, work: int) -> Machine:
    """Costs in the precisions of an ISA: from the cache file, else measured, else `TYPICAL`.

    Parameters
    ----------
    isa : str
    work : int
        Multiply-adds of the search that asks; a small one does not wait for a measurement, nor a very small
        one for a file.

    Returns
    -------
    Machine

    Notes
    -----
    A process reads the file or measures once an ISA; `GPUREC_CALIBRATION=off` forbids both. The file, one for
    each processor, ISA and version in `config.cache_folder()`, may be deleted or damaged.
    """
    known = _known.get(isa)
    if known is not None:
        return known
    least = _WORTH_MEASURING if isa in _without_file else _WORTH_READING
    if work < least or not config.may_calibrate() or not _measuring.acquire(blocking=False):
        return _typical(isa)  # also beside a thread that measures
    try:
        if isa not in _known:
            machine = _machine(isa)
            found = _read(machine)
            if found is None and work < _WORTH_MEASURING:
                _without_file.add(isa)
                return _typical(isa)
            if found is None:
                found = measured_costs(isa)
                _write(machine, found)
            _known[isa] = found
        return _known[isa]
    finally:
        _measuring.release()


def _typical(isa: str) -> Machine:
    return TYPICAL if isa not in _PLAIN_IN_INT4 else _TYPICAL_WITHOUT_INT4


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


def _read(machine: dict[str, str]) -> Machine | None:
    """What the file says, if it is of this machine and everything in it may be."""
    try:
        with open(_path(machine), "rb") as file:
            text = file.read(_MOST_BYTES + 1)
        said = json.loads(text) if len(text) <= _MOST_BYTES else None
        if not isinstance(said, dict) or said.get("machine") != machine:
            return None
        costs = {str(name): Costs(*map(float, numbers)) for name, numbers in said["costs"].items()}
        found = Machine(costs, *map(float, said["memory"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    numbers = [number for of in costs.values() for number in of] + [found.per_byte_alone, found.per_byte]
    if not costs.keys() >= {"int8", "fp32"} or not costs.keys() <= _BYTES.keys():
        return None
    may_be = all(_LEAST <= number <= _MOST for number in numbers)
    return found if may_be and _LEAST_CACHE <= found.cache_bytes <= _MOST_CACHE else None


def _write(machine: dict[str, str], found: Machine) -> None:
    """Replaces the file as a whole; a folder that cannot be written does no harm."""
    path = _path(machine)
    costs = {name: list(of) for name, of in found.costs.items()}
    text = json.dumps({"machine": machine, "costs": costs, "memory": list(found[1:])}, indent=1)
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


def measured_costs(isa: str) -> Machine:
    """Costs of an ISA's precisions, from searches of tables made for it."""
    rng = np.random.default_rng(0)
    items, queries = (rng.standard_normal((n, _D), dtype=np.float32) for n in (_ITEMS, _QUERIES))
    rows = np.arange(_ITEMS, dtype=np.uint32)
    table = native.empty_table(_D, "dot", True, ["head", "norms"]).with_items(items, rows, _ITEMS, isa, 1)

    def seconds(precision: str, n_queries: int, k: int) -> float:
        def search() -> None:
            native.search(table, queries[:n_queries], k, None, None, [], None, precision, False, isa, 1)

        return _least_seconds(search, _now)

    def costs(precision: str) -> Costs:
        alone, together = seconds(precision, 1, 1), seconds(precision, _QUERIES, 1)
        per_query = (together - alone) / ((_QUERIES - 1) * _ITEMS * _D)
        per_place = of_places
        if precision == "int4":
            few, many = (near_in_int4(_ITEMS, _D, k) for k in (1, _PLACES_IN_INT4))
            per_place = (seconds(precision, 1, _PLACES_IN_INT4) - alone) / (many - few)
            alone -= few * per_place
            per_query -= few * per_place / (_ITEMS * _D)
        found = (alone / (_ITEMS * _D) - per_query, per_query, per_place)
        return Costs(*(min(max(number, _LEAST), _MOST) for number in found))

    of_places = (seconds("int8", _QUERIES, _PLACES) - seconds("int8", _QUERIES, 1)) / (_QUERIES * _PLACES)
    # The plain forms of the bfloat16 arithmetic and of 4-bit codes are there for tests alone.
    bf16 = ["bf16"] if native.has_bf16(isa) and isa != "serial" else []
    int4 = [] if isa in _PLAIN_IN_INT4 else ["int4"]
    alone, together = (_seconds_per_byte(n_threads) for n_threads in (1, config.n_threads()))
    found = {name: costs(name) for name in ("int8", "fp32", *bf16, *int4)}
    return Machine(found, alone, together, _last_cache_bytes())


def _seconds_per_byte(n_threads: int) -> float:
    """Of reading an array from memory, its parts by so many threads at the same time."""
    parts = np.array_split(np.full(_BYTES_READ // 8, 1, np.uint64), n_threads)

    def read() -> None:
        readers = [threading.Thread(target=np.bitwise_xor.reduce, args=(part,)) for part in parts[1:]]
        for reader in readers:
            reader.start()
        np.bitwise_xor.reduce(parts[0])
        for reader in readers:
            reader.join()

    seconds = _least_seconds(read, time.process_time) / n_threads
    return min(max(seconds / _BYTES_READ, _LEAST), _MOST)


def _least_seconds(search: Callable[[], None], now: Callable[[], float]) -> float:
    best, spent = float("inf"), 0.0
    for _ in range(_REPEATS):
        begin = now()
        search()
        took = now() - begin
        best, spent = min(best, took), spent + took
        if spent > _REPEAT_SECONDS:
            break
    return best


def _last_cache_bytes() -> float:
    """Size of the largest cache that the system tells of, else a typical one."""
    units = {"K": 1 << 10, "M": 1 << 20}
    sizes = [TYPICAL.cache_bytes]
    try:
        texts = [path.read_text().strip() for path in _CACHES.glob("index*/size")]
        sizes = [float(text[:-1]) * units[text[-1]] for text in texts] or sizes
    except (OSError, ValueError, KeyError, IndexError):
        pass  # not Linux
    return min(max(*sizes, _LEAST_CACHE), _MOST_CACHE)

"""The sizes of a search, chosen before anything is allocated: sample, lists, units of the exact path."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .params import N_COUNTERS, TILE_ITEMS

__all__ = ["Limits", "Plan", "Sample", "choose_sample", "plan_search", "workspace_sizes"]

MOST_ENTERED = 256  # keys that a unit of the exact path enters before it makes room again
CODED_QUERIES = 128  # the codes of so many queries are scanned together


@dataclass(frozen=True)
class Limits:
    """Sizes that change the speed of a search and never its answer.

    Attributes
    ----------
    least_capacity : int
        Entries of a query's list, at least.
    least_sampled : int
        Tiles of a sample, at least; tables of fewer than twice as many are not sampled.
    most_bytes : int
        Of the workspace of one block of queries, where more than one query would take more.
    units : int
        Parts that the exact path splits a query into, at most.
    capacity_factor : float
        Entries of a list for each item that is expected to reach the threshold.
    """

    least_capacity: int = 4096
    least_sampled: int = 16
    most_bytes: int = 1 << 30
    units: int = 256
    capacity_factor: float = 4.0


@dataclass(frozen=True)
class Sample:
    """Every so-many-th tile, a value for each `group` items of it; the threshold is the rank-th largest.

    Tiles lie by falling norm, and the best items often in the first ones. So that the sample is no better
    than what it stands for, it begins amid the first `every` tiles.
    """

    first: int
    every: int
    group: int
    rank: int
    n_sampled: int
    n_expected: int


@dataclass(frozen=True)
class Plan:
    """What a search of so many queries is made with.

    Attributes
    ----------
    n_queries, k : int
        k is at most the number of items.
    with_codes : bool
    sample : Sample or None
    capacity : int
        Entries of a query's list.
    n_units, unit_capacity : int
    """

    n_queries: int
    k: int
    with_codes: bool
    sample: Sample | None
    capacity: int
    n_units: int
    unit_capacity: int


def choose_sample(n_tiles: int, k: int, limits: Limits) -> Sample | None:
    """The coarsest sample that tells the threshold of the best k; None where scanning all is as cheap.

    The share of the answer that lies in the sample spreads like a Poisson number; 3.5 standard deviations and
    two above its mean hardly ever are too few, and the exact path answers where they are.

    Examples
    --------
    >>> choose_sample(15_625, 10, Limits())
    Sample(first=32, every=64, group=8, rank=4, n_sampled=244, n_expected=256)
    """
    for every in (64, 32, 16, 8, 4, 2):
        first = every // 2
        n_sampled = max(0, -(-(n_tiles - first) // every))
        mean = k / every
        rank = math.ceil(mean + 3.5 * math.sqrt(mean)) + 2
        if n_sampled < limits.least_sampled or 8 * rank > n_sampled * TILE_ITEMS:
            continue
        group = 8 if 4 * rank <= n_sampled * (TILE_ITEMS // 8) else 1
        return Sample(first, every, group, rank, n_sampled, rank * every)
    return None


def plan_search(n_queries: int, n_tiles: int, n_items: int, k: int, with_codes: bool, limits: Limits) -> Plan:
    """Sizes for a search of `n_queries` queries among items in `n_tiles` tiles."""
    k = max(1, min(k, n_items))
    positions = max(n_tiles, 1) * TILE_ITEMS
    sample = choose_sample(n_tiles, k, limits)
    capacity = positions
    if sample is not None:
        wanted = int(limits.capacity_factor * max(sample.n_expected, k))
        capacity = min(positions, 1 << (max(wanted, limits.least_capacity) - 1).bit_length())
    # Few queries need many parts each to fill the device.
    n_units = max(1, min(limits.units, 1024 // n_queries if n_queries < 128 else 8, n_tiles))
    unit_capacity = min(k + MOST_ENTERED, positions)
    return Plan(n_queries, k, with_codes, sample, capacity, n_units, unit_capacity)


def workspace_sizes(plan: Plan, d: int, row_stride: int, code_stride: int) -> dict[str, int]:
    """Bytes of each piece that kernels work in, filters and what host arrays need not counted."""
    m = plan.n_queries
    units = m * plan.n_units
    per_query = 0 if plan.sample is None else plan.sample.n_sampled * TILE_ITEMS // plan.sample.group
    return {
        "query_rows": m * row_stride * 4,
        "query_codes": -(-m // CODED_QUERIES) * CODED_QUERIES * code_stride if plan.with_codes else 0,
        **dict.fromkeys(("squares", "lengths", "query_errors"), m * 8),
        **dict.fromkeys(("query_scales", "taus", "counts", "status"), m * 4),
        "samples": m * per_query * 4,
        "entries": m * plan.capacity * 8,
        "keys": m * plan.capacity * 8,
        "flagged": (1 + m) * 4,
        "unit_keys": units * plan.unit_capacity * 8,
        "unit_counts": units * 4,
        "merged_keys": units * plan.unit_capacity * 8,
        "counters": m * N_COUNTERS * 8,
    }

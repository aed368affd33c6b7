"""The workloads of a GPU box, how far they shrink where the device is small, and their floors."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

__all__ = ["PEAKS", "WORKLOADS", "Workload", "floors", "tiny", "to_fit"]

# Dense int8 and bfloat16 operations a second that a data sheet promises, by a part of the device's name.
PEAKS = {
    "H200": (1979e12, 989e12),
    "H100": (1979e12, 989e12),
    "A100": (624e12, 312e12),
    "L40S": (733e12, 362e12),
    "L4": (242e12, 121e12),
    "T4": (130e12, 65e12),
}
KS = (10, 100, 1_000, 10_000)
LEAST_ITEMS = 100_000


@dataclass(frozen=True)
class Workload:
    """Some queries among many items.

    Attributes
    ----------
    name : str
    n_queries, n_items, d : int
    ks : tuple of int
    pairs : bool
        Queries are the items themselves, block by block; `n_queries` is one block.
    scaled : int
        How many times the items were halved so that the device holds them.
    """

    name: str
    n_queries: int
    n_items: int
    d: int
    ks: tuple[int, ...]
    pairs: bool = False
    scaled: int = 0

    @property
    def item_bytes(self) -> int:
        """On a device, in float32 and in codes, with what goes with them."""
        return self.n_items * (4 * self.d + -(-self.d // 64) * 64 + 16)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


WORKLOADS = {
    "A": Workload("A", 1, 1_000_000, 128, KS),
    "B": Workload("B", 32, 10_000_000, 128, KS),
    "C": Workload("C", 4096, 1_000_000, 128, KS),
    "D": Workload("D", 4096, 1_000_000, 64, (100,), pairs=True),
    "E": Workload("E", 1, 100_000_000, 64, KS),
}


def to_fit(workload: Workload, free_bytes: int) -> Workload:
    """The workload with so few items that they take half of the free memory at most.

    Examples
    --------
    >>> to_fit(WORKLOADS["E"], 24 << 30).scaled
    2
    """
    while workload.item_bytes > free_bytes // 2 and workload.n_items > LEAST_ITEMS:
        workload = replace(workload, n_items=workload.n_items // 2, scaled=workload.scaled + 1)
    ks = tuple(k for k in workload.ks if k <= workload.n_items)
    return replace(workload, ks=ks)


def tiny(workload: Workload) -> Workload:
    """The same shape of a size that an emulator answers in a second."""
    n_queries = {1: 1, 32: 3, 4096: 9}[workload.n_queries]
    return replace(workload, n_queries=n_queries, n_items=700, d=min(workload.d, 24), ks=(10, 100))


def floors(workload: Workload, bandwidth: float | None, device: str) -> dict[str, float | None]:
    """Milliseconds below which no scan of all items can be, by what has to be read and what multiplied.

    Parameters
    ----------
    workload : Workload
    bandwidth : float or None
        Bytes a second, as measured.
    device : str
        Name, for the peaks of data sheets.

    Returns
    -------
    dict
        "fp32" and "int8"; None where the bandwidth was not measured.
    """
    peak = next((peaks for part, peaks in PEAKS.items() if part in device), None)
    operations = 2.0 * workload.n_queries * workload.n_items * workload.d
    found: dict[str, float | None] = {}
    for arithmetic, n_bytes, rate in (("fp32", 4, peak and peak[1]), ("int8", 1, peak and peak[0])):
        if bandwidth is None:
            found[arithmetic] = None
            continue
        seconds = workload.n_items * workload.d * n_bytes / bandwidth
        found[arithmetic] = 1e3 * max(seconds, operations / rate if rate else 0.0)
    return found

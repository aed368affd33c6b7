"""What a traced launch moved, in all and by line."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from types import ModuleType
from typing import Any

SECTOR = 32  # bytes


def chosen(trace: dict[str, Any], shared: bool, write: bool | None = None) -> list[dict[str, Any]]:
    """The loads, the stores or both of one kind of memory."""
    return [s for s in trace["sites"] if s["shared"] == shared and write in (None, s["write"])]


def total(sites: Iterable[dict[str, Any]], what: str) -> int:
    """A figure summed over sites."""
    return sum(site[what] for site in sites)


def global_bytes(trace: dict[str, Any], write: bool | None = None) -> int:
    """Bytes of the sectors that went to or from global memory."""
    return SECTOR * total(chosen(trace, False, write), "sectors")


def lines_of(native: ModuleType, offsets: list[int]) -> list[str]:
    """File and line of instructions; "" where there is no addr2line, or the module is stripped."""
    if shutil.which("addr2line") is None:
        return [""] * len(offsets)
    command = ["addr2line", "-e", str(native.__file__), *map(hex, offsets)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return ["" if line.startswith("??") else line.split(" ")[0].rsplit("/", 1)[-1] for line in told]


def by_line(native: ModuleType, trace: dict[str, Any]) -> dict[str, dict[str, int]]:
    """The figures of each source line; a module built with `-C install.strip=false` knows all."""
    sites = trace["sites"]
    lines: dict[str, dict[str, int]] = {}
    for site, line in zip(sites, lines_of(native, [site["offset"] for site in sites])):
        of_line = lines.setdefault(site["where"] or line, {})
        for what, value in site.items():
            if isinstance(value, int):
                of_line[what] = of_line.get(what, 0) + value
    return lines


def readable(native: ModuleType, reports: list[str]) -> list[str]:
    """Reports with lines for the offsets of instructions."""
    offsets = sorted(
        {int(offset, 16) for report in reports for offset in re.findall(r"\+(0x[0-9a-f]+)", report)}
    )
    lines = dict(zip(offsets, lines_of(native, offsets)))

    def told(found: re.Match[str]) -> str:
        return lines[int(found[1], 16)] or found[0]

    return [re.sub(r"\+(0x[0-9a-f]+)", told, report) for report in reports]

"""What a GPU box measured, as Markdown and as a picture."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ..tables import number, table

__all__ = ["markdown", "picture"]

NOT_MEASURED = "not measured"


def markdown(found: dict[str, Any]) -> str:
    """The report; a time of a dry run is no time and reads "not measured"."""
    dry = found["dry_run"]
    lines = ["# GPU box", ""]
    if dry:
        lines += [
            "A dry run on the emulated device: every step ran, and nothing below is a time of a GPU.",
            "",
        ]
    device = found["device"]
    lines += [
        f"- device: {device['name']}, {device['free_memory'] >> 20} MB free, way: {device['way']}",
        f"- bandwidth of a copy on the device: {_bandwidth(device['bandwidth'])}",
        f"- conformance: {found['conformance']['summary']}",
        f"- doctor: {found['doctor']}",
        "",
    ]
    for workload in found["workloads"]:
        lines += _workload(workload, dry)
    return "\n".join(lines) + "\n"


def _bandwidth(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value / 1e9:.0f} GB/s"


def _workload(found: dict[str, Any], dry: bool) -> list[str]:
    about = found["workload"]
    text = f"{about['n_queries']} queries x {about['n_items']} items x {about['d']}"
    if about["pairs"]:
        text += ", a block of all pairs"
    if about["scaled"]:
        text += f", items halved {about['scaled']} times to fit the device"
    floors = ", ".join(
        f"{name} {NOT_MEASURED if value is None else number(value) + ' ms'}"
        for name, value in found["floors"].items()
    )
    names = list(found["contenders"])
    rows = []
    for k in about["ks"]:
        for filters in (False, True):
            cells = [_cell(found["contenders"][name], k, filters, dry) for name in names]
            if any(cell != "" for cell in cells):
                rows.append([f"k = {k}{', exclusions' if filters else ''}", *cells])
    notes = [f"- {name}: {one['why_not']}" for name, one in found["contenders"].items() if "why_not" in one]
    head = ["ms a search", *names]
    return [f"## {about['name']}: {text}", "", f"Floors: {floors}.", "", table(head, rows), "", *notes, ""]


def _cell(one: dict[str, Any], k: int, filters: bool, dry: bool) -> str:
    for cell in one.get("cells", ()):
        if cell["k"] == k and cell["filters"] == filters:
            if "why_not" in cell:
                return "-"
            agreement = "" if cell["agreement"] == 1 else f" ({100 * cell['agreement']:.1f} % equal)"
            return (NOT_MEASURED if dry else number(cell["milliseconds"])) + agreement
    return ""


def picture(found: dict[str, Any], path: Path) -> str | None:
    """Bars of each workload at its smallest k beside the floor; None, or why there is no picture."""
    try:
        matplotlib = importlib.import_module("matplotlib")
        matplotlib.use("Agg")
        pyplot = importlib.import_module("matplotlib.pyplot")
    except ImportError:
        return "matplotlib is not installed"
    workloads = found["workloads"]
    figure, axes = pyplot.subplots(1, max(len(workloads), 1), figsize=(4 * max(len(workloads), 1), 4))
    for axis, one in zip([axes] if len(workloads) == 1 else list(axes), workloads):
        times = {
            name: contender["cells"][0].get("milliseconds", 0.0)
            for name, contender in one["contenders"].items()
            if contender.get("cells")
        }
        axis.barh(list(times), list(times.values()))
        axis.set_xscale("log")
        axis.set_title(f"{one['workload']['name']}, k = {one['workload']['ks'][0]}")
        axis.set_xlabel("ms, of the emulator: no time of a GPU" if found["dry_run"] else "ms")
        floor = one["floors"]["int8"]
        if floor is not None:
            axis.axvline(floor, linestyle="--", label="int8 floor")
            axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    return None

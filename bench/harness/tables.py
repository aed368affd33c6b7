"""Figures as Markdown, and where results are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import BENCH

__all__ = ["RESULTS", "keep", "number", "rounds_text", "spread_text", "table", "where_measured"]

RESULTS = BENCH / "results"


def keep(folder: Path | None, name: str, result: dict[str, Any], text: str) -> None:
    """Write a result as JSON and as Markdown; nothing without a folder."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
        (folder / f"{name}.md").write_text(text)


def where_measured(machine: dict[str, Any]) -> str:
    """One sentence of what `timing.machine` told."""
    changed = " and changes not committed" if machine["uncommitted_changes"] else ""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads; {machine['date']}; "
        f"commit {machine['commit']}{changed}; load before the run {machine['load_before']}."
    )


def rounds_text(n_rounds: int) -> str:
    """How the figures of a table are to be read."""
    return f"Medians of {n_rounds} interleaved rounds, smallest and largest in brackets."


def number(value: float) -> str:
    """Three digits that matter.

    Examples
    --------
    >>> [number(x) for x in (0.012345, 1.5, 12.345, 1234.5)]
    ['0.0123', '1.50', '12.3', '1234']
    """
    for bound, digits in ((0.1, 4), (1, 3), (10, 2), (100, 1)):
        if value < bound:
            return f"{value:.{digits}f}"
    return f"{value:.0f}"


def spread_text(figures: dict[str, float]) -> str:
    return f"{number(figures['median'])} [{number(figures['low'])}-{number(figures['high'])}]"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

"""Results of bench_score_top_k.py as Markdown."""

from __future__ import annotations

from typing import Any

from .tables import number, rounds_text, spread_text, table, where_measured

__all__ = ["markdown"]

_OURS = ("gpurec", "gpurec-one-shot")


def markdown(result: dict[str, Any]) -> str:
    """Tables of a result: times beside limits, ratios to rivals, and what was measured where."""
    cells = [cell for part in result["tables"] for cell in part["cells"]]
    rivals = [name for name in cells[0]["contenders"] if name not in _OURS]
    parts = [
        "# Exact top k beside other libraries",
        f"{where_measured(result['machine'])} {rounds_text(result['rounds'])} Normal random items and "
        "queries, float32. `bench/README.md` says how it is measured. A ratio below 1 means that gpurec is "
        "faster.",
    ]
    for part in result["tables"]:
        parts.append(f"## {part['n_items']:,} items x {part['d']}")
        parts.append(_limits_table(part["cells"]))
        parts.append(_times_table(part["cells"], rivals))
        builds = ", ".join(f"{name} {seconds:.2f}" for name, seconds in part["build_seconds"].items())
        parts.append(f"Seconds to build: {builds}.")
    parts.append(_verdict(cells, rivals))
    parts.append("Versions: " + ", ".join(f"{name} {v}" for name, v in result["versions"].items()) + ".")
    return "\n\n".join(parts) + "\n"


def _limits_table(cells: list[dict[str, Any]]) -> str:
    head = ["k", "queries", "gpurec, ms", "floor, ms", "set by", "fraction of it reached"]
    rows = [
        [
            str(cell["k"]),
            str(cell["n_queries"]),
            spread_text(cell["contenders"]["gpurec"]["ms"]),
            number(cell["limits"]["floor_ms"]["median"]),
            f"{cell['limits']['bound_by']} ({_rate(cell)})",
            spread_text(cell["limits"]["fraction"]),
        ]
        for cell in cells
    ]
    return table(head, rows)


def _rate(cell: dict[str, Any]) -> str:
    limits = cell["limits"]
    if limits["bound_by"] == "reads":
        return f"{limits['read_gb_per_s']['median']:.0f} GB/s"
    return f"{limits['gflops']['median']:.0f} GFLOP/s"


def _times_table(cells: list[dict[str, Any]], rivals: list[str]) -> str:
    head = ["k", "queries", *(f"{name}, ms" for name in (*_OURS, *rivals))]
    head += ["best rival", "gpurec / best", "gpurec / numpy", "one shot / numpy"]
    rows = []
    for cell in cells:
        found = cell["contenders"]
        best = min(rivals, key=lambda name: found[name]["ms"]["median"])
        rows.append(
            [
                str(cell["k"]),
                str(cell["n_queries"]),
                *(number(found[name]["ms"]["median"]) for name in (*_OURS, *rivals)),
                best,
                spread_text(found[best]["ours_to_it"]),
                spread_text(found[_numpy(rivals)]["ours_to_it"]),
                spread_text(found[_numpy(rivals)]["one_shot_to_it"]),
            ]
        )
    return table(head, rows)


def _verdict(cells: list[dict[str, Any]], rivals: list[str]) -> str:
    slower = [
        f"{cell['n_items']:,} x {cell['d']}, k={cell['k']}, {cell['n_queries']} queries ({way})"
        for cell in cells
        for way, key in (("index", "ours_to_it"), ("one shot", "one_shot_to_it"))
        if cell["contenders"][_numpy(rivals)][key]["median"] > 1
    ]
    return f"Cells slower than NumPy: {'; '.join(slower) or 'none'}."


def _numpy(rivals: list[str]) -> str:
    return next(name for name in rivals if name.startswith("numpy"))

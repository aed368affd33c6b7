"""Results of bench_score_top_k.py as Markdown."""

from __future__ import annotations

from typing import Any

__all__ = ["markdown"]

_OURS = ("gpurec", "gpurec-one-shot")


def markdown(result: dict[str, Any]) -> str:
    """Tables of a result: times beside limits, ratios to rivals, and what was measured where."""
    where = result["machine"]
    cells = [cell for table in result["tables"] for cell in table["cells"]]
    rivals = [name for name in cells[0]["contenders"] if name not in _OURS]
    parts = [
        "# Exact top k beside other libraries",
        f"{where['cpu']}, {where['cores']} cores, {where['threads']} threads; {where['date']}; commit "
        f"{where['commit']}{' and changes not committed' if where['uncommitted_changes'] else ''}; load "
        f"before the run {where['load_before']}. Medians of {result['rounds']} interleaved rounds, smallest "
        "and largest in brackets. Normal random items and queries, float32. `bench/README.md` says how it is "
        "measured. A ratio below 1 means that gpurec is faster.",
    ]
    for table in result["tables"]:
        parts.append(f"## {table['n_items']:,} items x {table['d']}")
        parts.append(_limits_table(table["cells"]))
        parts.append(_times_table(table["cells"], rivals))
        builds = ", ".join(f"{name} {seconds:.2f}" for name, seconds in table["build_seconds"].items())
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
            _range(cell["contenders"]["gpurec"]["ms"]),
            _number(cell["limits"]["floor_ms"]["median"]),
            f"{cell['limits']['bound_by']} ({_rate(cell)})",
            _range(cell["limits"]["fraction"]),
        ]
        for cell in cells
    ]
    return _table(head, rows)


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
                *(_number(found[name]["ms"]["median"]) for name in (*_OURS, *rivals)),
                best,
                _range(found[best]["ours_to_it"]),
                _range(found[_numpy(rivals)]["ours_to_it"]),
                _range(found[_numpy(rivals)]["one_shot_to_it"]),
            ]
        )
    return _table(head, rows)


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


def _number(value: float) -> str:
    """Three digits that matter.

    Examples
    --------
    >>> [_number(x) for x in (0.012345, 1.5, 12.345, 1234.5)]
    ['0.0123', '1.50', '12.3', '1234']
    """
    for bound, digits in ((0.1, 4), (1, 3), (10, 2), (100, 1)):
        if value < bound:
            return f"{value:.{digits}f}"
    return f"{value:.0f}"


def _range(figures: dict[str, float]) -> str:
    return f"{_number(figures['median'])} [{_number(figures['low'])}-{_number(figures['high'])}]"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

"""One page of what was measured beside other libraries: bench/results/README.md.

python bench/page.py             from the results that lie there
python bench/page.py --measure   measures everything first; takes hours, and an idle machine
python bench/page.py --measure --quick --out FOLDER    small, beside NumPy alone: a check that it runs
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness import BENCH
from harness.contenders import OURS
from harness.tables import RESULTS, number, spread_text, table, where_measured

FLOAT32 = "gpurec-fp32"
GRIDS = ("score_top_k", "large_k", "gowalla", "gowalla_bpr", "item_kinds")
_FILTER_JOBS = {"exclude": "50 seen items a query excluded", "allow_rows": "1 % of the items allowed"}


def measure(folder: Path, options: list[str]) -> None:
    """Run every benchmark of the page, each in a process of its own."""
    grids = [["bench_score_top_k.py", "--grid", grid] for grid in GRIDS]
    for script, *arguments in [*grids, ["bench_filters.py"], ["bench_recommend.py"], ["bench_overhead.py"]]:
        command = [sys.executable, BENCH / script, *arguments, *options, "--out", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def page(folder: Path) -> str:
    """The page of the results in a folder.

    Raises
    ------
    SystemExit
        If one is missing or was measured by an earlier form of its benchmark.
    """
    try:
        found = {name: json.loads((folder / f"{name}.json").read_text()) for name in _PARTS}
        parts = [text for name, part in _PARTS.items() for text in part(name, found[name])]
        summary = _summary(found)
    except (FileNotFoundError, KeyError) as error:
        sys.exit(f"[page] expected all results in their present form, got no {error}; run with --measure")
    return "\n\n".join(["# What was measured", _HOW_TO_READ, summary, *parts]) + "\n"


_HOW_TO_READ = """\
Exact top k on a CPU beside the best exact rival of the same run, a row a cell. The name of a part leads
to all its figures; `bench/README.md` tells how they are taken. Made by `python bench/page.py`.

- **gpurec / rival**: below 1, gpurec is faster. Median of the rounds, smallest and largest in brackets.
- **of the limit**: the time in which this machine could read the codes of all items or multiply them, the
  longer one, over ours. It can pass 1 where norms rule out items, which then need not be scanned.
- **int8 / float32**: the two ways to scan, both forced; **auto / better**: the way that gpurec chooses by
  itself over the better one.
- **recall**: share of places with the row and the bits of the score that the reference backend gives, checked
  on 16 queries of each cell before it is timed.
- **bytes an item**: what the index holds, its float32 items included."""


def _summary(found: dict[str, Any]) -> str:
    """Where gpurec loses: to a rival, and int8 to float32."""
    cells = {
        _name(part, cell): cell for grid in GRIDS for part in found[grid]["tables"] for cell in part["cells"]
    }
    jobs = {text: found["filters"]["jobs"][job] for job, text in _FILTER_JOBS.items()}
    jobs["seen items of everyone excluded"] = found["recommend"]
    contenders = {name: measured["contenders"] for name, measured in {**cells, **jobs}.items()}
    to_rival = {name: _best_rival(those)[1][f"{OURS}_to_it"] for name, those in contenders.items()}
    to_float32 = {name: cell["int8_to_float32"] for name, cell in cells.items()}
    recall = min(map(_recall, contenders.values()))
    return "\n".join(
        [
            f"- Smallest recall of all: {recall:.3f}.",
            _lost("a rival is faster", to_rival),
            _lost("the int8 scan is slower than the float32 scan", to_float32),
        ]
    )


def _lost(what: str, ratios: dict[str, dict[str, float]]) -> str:
    above = [f"{name}: {number(ratio['median'])}" for name, ratio in ratios.items() if ratio["median"] > 1]
    return f"- Where {what}, {len(above)} of {len(ratios)}: {'; '.join(above) or 'none'}."


def _grid(name: str, result: dict[str, Any]) -> list[str]:
    head = ["items", "k", "queries", "gpurec, ms", "best rival", "its ms", "gpurec / rival", "of the limit"]
    head += ["int8 / float32", "auto / better", "recall", "bytes an item"]
    rows = []
    for part in result["tables"]:
        for cell in part["cells"]:
            rival, figures = _best_rival(cell["contenders"])
            rows.append(
                [
                    _table_name(part),
                    f"{cell['k']:,}",
                    f"{cell['n_queries']:,}",
                    number(cell["contenders"][OURS]["ms"]["median"]),
                    rival,
                    number(figures["ms"]["median"]),
                    spread_text(figures[f"{OURS}_to_it"]),
                    number(cell["limits"][OURS]["fraction"]["median"]),
                    number(cell["int8_to_float32"]["median"]),
                    number(cell["auto_to_better"]["median"]),
                    f"{_recall(cell['contenders']):.3f}",
                    number(part["n_bytes"][OURS] / part["n_items"]),
                ]
            )
    return [f"## [{name}]({name}.md)", where_measured(result["machine"]), table(head, rows)]


def _filters(name: str, result: dict[str, Any]) -> list[str]:
    what = f"{result['n_items']:,} items x {result['d']}, {result['n_queries']} queries, k={result['k']}"
    rows = [_job(f"{text}; {what}", result["jobs"][job]["contenders"]) for job, text in _FILTER_JOBS.items()]
    return [f"## [{name}]({name}.md)", where_measured(result["machine"]), table(_JOB_HEAD, rows)]


def _recommend(name: str, result: dict[str, Any]) -> list[str]:
    what = f"gowalla, {result['n_users']:,} users, {result['n_items']:,} items, seen ones excluded"
    row = _job(f"{what}, k={result['k']}", result["contenders"])
    return [f"## [{name}]({name}.md)", where_measured(result["machine"]), table(_JOB_HEAD, [row])]


_JOB_HEAD = ["job", "gpurec, ms", "gpurec-fp32, ms", "best rival", "its ms", "gpurec / rival", "recall"]


def _job(what: str, contenders: dict[str, Any]) -> list[str]:
    rival, figures = _best_rival(contenders)
    ours = [number(contenders[name]["ms"]["median"]) for name in (OURS, FLOAT32)]
    theirs = [rival, number(figures["ms"]["median"]), spread_text(figures[f"{OURS}_to_it"])]
    return [what, *ours, *theirs, f"{_recall(contenders):.3f}"]


_PARTS = {**dict.fromkeys(GRIDS, _grid), "filters": _filters, "recommend": _recommend}


def _best_rival(contenders: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    rivals = {name: found for name, found in contenders.items() if "recall" not in found}
    return min(rivals.items(), key=lambda rival: rival[1]["ms"]["median"])


def _recall(contenders: dict[str, Any]) -> float:
    return min(found["recall"] for found in contenders.values() if "recall" in found)


def _table_name(part: dict[str, Any]) -> str:
    return f"{part['kind']} {part['n_items']:,} x {part['d']}"


def _name(part: dict[str, Any], cell: dict[str, Any]) -> str:
    asked = "1 query" if cell["n_queries"] == 1 else f"{cell['n_queries']:,} queries"
    return f"{_table_name(part)}, k={cell['k']:,}, {asked}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="run the benchmarks first")
    parser.add_argument("--quick", action="store_true", help="their small forms; needs --out")
    parser.add_argument("--rounds", type=int, help="rounds of each; without it each has its own number")
    parser.add_argument("--out", type=Path, help="folder of the results and the page; else bench/results")
    arguments = parser.parse_args()
    if arguments.quick and arguments.out is None:
        parser.error("--quick needs --out")
    folder: Path = arguments.out or RESULTS
    if arguments.measure:
        options = ["--quick"] if arguments.quick else []
        options += [] if arguments.rounds is None else ["--rounds", str(arguments.rounds)]
        measure(folder, options)
    (folder / "README.md").write_text(page(folder))


if __name__ == "__main__":
    main()

"""Models on gowalla: how good their lists are beside published figures, and what they cost.

    python bench/bench_models.py            every model but ease; writes bench/results/models.*
    python bench/bench_models.py --ease     ease too: its weights alone are 6.7 GB; not measured yet
    python bench/bench_models.py --models als    these alone; what is written of others stays
    python bench/bench_models.py --quick    a few users of it; writes nothing

Needs gowalla in the folder of the data sets (GPUREC_DATA, else ../shared/data). Each model runs in a process
of its own, as `gpurec evaluate` does; settings are the defaults, none is chosen by the test part.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness.tables import RESULTS, keep, table, where_measured
from harness.timing import machine

from gpurec.config import data_folder

_K = 20
# Of each model: recall@20 and ndcg@20 on this split, and where they are published.
_PUBLISHED = {
    "popularity": None,
    "item-knn": (0.1570, 0.1214, "BARS, ItemCF"),
    "user-knn": None,
    "p3alpha": None,
    "rp3beta": None,
    "slim": (0.1699, 0.1382, "BARS"),
    "als": None,
    "bpr": (0.1627, 0.1378, "BARS, MF-BPR"),
    "gf-cf": (0.1849, 0.1518, "BARS"),
    "bspm": (0.1920, 0.1597, "arXiv 2211.09324"),
    "ease": (0.1765, 0.1467, "BARS"),
}


def run(models: list[str], n_users: int | None) -> dict[str, Any]:
    """Fit and judge each model once, on all users or the first n_users."""
    n_threads = len(os.sched_getaffinity(0))
    result: dict[str, Any] = {"machine": machine(n_threads), "k": _K, "n_users": n_users, "models": {}}
    with tempfile.TemporaryDirectory() as name:
        files = []
        for part in ("train.txt", "test.txt"):
            lines = (data_folder() / "gowalla" / part).read_text().splitlines()[:n_users]
            files.append(Path(name) / part)
            files[-1].write_text("\n".join(lines) + "\n")
        for model in models:
            command = [sys.executable, "-m", "gpurec.cli", "evaluate", files[0], "--test", files[1], "--json"]
            command += ["--format", "adjacency", "--model", model, "-k", str(_K)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            result["models"][model] = json.loads(done.stdout)
    return result


def markdown(result: dict[str, Any]) -> str:
    """The table of a result."""
    rows = []
    for model, found in result["models"].items():
        published = _PUBLISHED[model]
        rows.append(
            [
                f"`{model}`",
                f"{found['recall@20']:.4f}",
                f"{found['ndcg@20']:.4f}",
                "-" if published is None else "{:.4f} / {:.4f} ({})".format(*published),
                f"{found['fit_seconds']:.1f}",
                f"{found['recommend_seconds']:.1f}",
                f"{found['peak_memory_bytes'] / 1e9:.1f}",
            ]
        )
    later: dict[str, list[str]] = {}
    for model, found in result["models"].items():
        if "machine" in found:
            later.setdefault(where_measured(found["machine"]), []).append(f"`{model}`")
    notes = [f"Measured by themselves: {', '.join(models)}: {where}" for where, models in later.items()]
    who = "all users" if result["n_users"] is None else f"the first {result['n_users']} users"
    head = ["model", "recall@20", "ndcg@20", "published", "fit s", "recommend s", "peak GB"]
    return "\n\n".join(
        [
            "# Models on gowalla",
            where_measured(result["machine"]),
            *notes,
            f"Top {result['k']} unseen items of {who}, by `gpurec evaluate` with default settings, one run "
            "of each. Recall is hits / test items of the user, ndcg has binary gains. The test part is no "
            "random split of the training part.",
            table(head, rows) + "\n",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small; writes nothing")
    parser.add_argument("--ease", action="store_true", help="with ease")
    parser.add_argument("--models", nargs="+", choices=_PUBLISHED, help="measure these and keep the others")
    parser.add_argument("--out", type=Path, help="folder of the results; bench/results, with --quick none")
    arguments = parser.parse_args()
    models = arguments.models or [model for model in _PUBLISHED if model != "ease" or arguments.ease]
    folder = arguments.out or (None if arguments.quick else RESULTS)
    result = run(models, 60 if arguments.quick else None)
    if arguments.models and folder is not None and (folder / "models.json").exists():
        before = json.loads((folder / "models.json").read_text())
        for found in result["models"].values():
            found["machine"] = result["machine"]
        result = before | {"models": before["models"] | result["models"]}
    text = markdown(result)
    keep(folder, "models", result, text)
    print(text)


if __name__ == "__main__":
    main()

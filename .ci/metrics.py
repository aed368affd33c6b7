"""Root mean square error of the command's default `mf` on the five published folds of ml-100k.

python .ci/metrics.py GPUREC_COMMAND DATA_FOLDER
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

MOST = 0.908


def main(command: str, data: str) -> int:
    folder = Path(data) / "ml-100k"
    found = []
    for fold in range(1, 6):
        arguments = [folder / f"u{fold}.base", "--test", folder / f"u{fold}.test", "--model", "mf", "--json"]
        metrics = json.loads(subprocess.check_output([command, "evaluate", *arguments]))
        rmse, mae, seconds = metrics["rmse"], metrics["mae"], metrics["fit_seconds"]
        found.append(rmse)
        print(f"u{fold}: rmse {rmse:.4f} mae {mae:.4f} in {seconds:.1f} s", flush=True)
    mean = statistics.fmean(found)
    print(f"mf on ml-100k u1..u5: mean rmse {mean:.4f} (at most {MOST})")
    return 0 if mean <= MOST else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

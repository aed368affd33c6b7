"""One contender answers one workload, in a process: python -m harness.gpu.worker JOB.json RESULT.json."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from .contenders import CONTENDERS, STAND_INS
from .workloads import Workload

EXCLUDED = 50  # rows a query where filters are on
BLOCKS = 3  # of the workload whose queries are the items themselves


def tables(workload: Workload) -> tuple[np.ndarray, np.ndarray]:
    """Queries and items whose norms spread as those of factors do."""
    rng = np.random.default_rng(0)
    items = np.empty((workload.n_items, workload.d), np.float32)
    for first in range(0, len(items), 1 << 20):
        part = items[first : first + (1 << 20)]
        rng.standard_normal(part.shape, np.float32, part)
        part *= np.exp(rng.normal(0, 0.5, (len(part), 1)).astype(np.float32))
    if workload.pairs:
        return items[: BLOCKS * workload.n_queries], items
    return rng.standard_normal((workload.n_queries, workload.d), np.float32), items


def exclusions(workload: Workload, queries: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    n = min(EXCLUDED, workload.n_items // 4)
    rows = np.sort(rng.integers(0, workload.n_items, (queries, n)), axis=1)
    return np.arange(queries + 1) * n, np.ascontiguousarray(rows.ravel())


def seconds_of(run: Any, budget: float) -> list[float]:
    """Seconds of single searches, after two that are not counted."""
    run(False), run(False)
    taken: list[float] = []
    begin = time.perf_counter()
    while len(taken) < 3 or (len(taken) < 200 and time.perf_counter() - begin < budget):
        start = time.perf_counter()
        run(False)
        taken.append(time.perf_counter() - start)
    return taken


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Cells by k and filters: milliseconds of a search, or why there are none; rows of the first queries."""
    workload = Workload(**{**job["workload"], "ks": tuple(job["workload"]["ks"])})
    queries, items = tables(workload)
    contender = (STAND_INS if job["dry_run"] else CONTENDERS)[job["contender"]]
    start = time.perf_counter()
    ask = contender(items)
    ready = time.perf_counter() - start
    cells = []
    block = queries[: workload.n_queries]
    for filtered in (False, True) if not workload.pairs else (False,):
        exclude = exclusions(workload, len(block)) if filtered else None
        for k in workload.ks:
            cell: dict[str, Any] = {"k": k, "filters": filtered}
            try:
                run = ask(block, k, exclude)
                rows = run(True)
                cell["rows"] = np.asarray(rows)[:4, :1000].tolist()
                taken = seconds_of(run, job["seconds"])
                cell["milliseconds"] = 1e3 * median(taken)
                cell["least"] = 1e3 * min(taken)
                cell["n"] = len(taken)
            except Exception as error:  # a rival that cannot do one thing may do the next
                cell["why_not"] = f"{type(error).__name__}: {error}"[:300]
            cells.append(cell)
    return {"ready_seconds": ready, "cells": cells}


if __name__ == "__main__":
    job, result = map(Path, sys.argv[1:])
    result.write_text(json.dumps(work(json.loads(job.read_text()))))

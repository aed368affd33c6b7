"""A thinned suite, for runs in which every test is slow."""

from __future__ import annotations

import os
from collections import Counter

import pytest

# Of a test with more parameters than these every n-th is kept, where GPUREC_CONFORMANCE_THIN says n. A prime
# number meets every member, width and family in turn.
MOST = 40
N_TH = int(os.environ.get("GPUREC_CONFORMANCE_THIN", "1"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    of_test = [item.nodeid.partition("[")[0] for item in items]
    n_parameters, met = Counter(of_test), Counter[str]()
    kept, left_out = [], []
    for item, test in zip(items, of_test):
        is_kept = n_parameters[test] <= MOST or met[test] % N_TH == 0
        (kept if is_kept else left_out).append(item)
        met[test] += 1
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept

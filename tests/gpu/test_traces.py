"""What a traced build sees: no races, nothing read that nobody wrote, no more memory asked for than there has to be."""

from __future__ import annotations

import numpy as np
import pytest

from .devices import clean, open_device
from .planted_kernels import DEFECTS, defects_in_sources
from .searches import Filters, Search, make_table
from .test_searches import SCANS, rows_of

NAME = "_cuda_traced"


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("scan", SCANS)
def test_no_races(scan: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    with open_device(NAME, seed=seed) as s:
        table = make_table(s, rows_of("ties", 300, 20, rng))
        queries = rows_of("normal", 3 if scan.startswith("gemv") else 35, 20, rng)
        deny = [rng.integers(0, 300, 9).tolist() for _ in queries]
        for fused in (False, True)[: 2 if scan.startswith("gemv") else 1]:
            search = Search(
                table, queries, 9, scan, (1, 8, 9), 14, 2, 80, fused, Filters([deny], raw=True), grid=3
            )
            search.answer()
            assert clean(s)
        assert search.counted()["exact_queries"] > 0


def bytes_at(trace: dict, file: str, what: str) -> dict[str, int]:
    """Sums over the sites of a file whose line holds `what`."""
    total: dict[str, int] = {}
    for site in trace["sites"]:
        if file in site["where"]:
            for key in ("requests", "bytes", "sectors", "ideal_sectors", "wavefronts", "ideal_wavefronts"):
                total[key] = total.get(key, 0) + site[key]
    return total


@pytest.mark.parametrize("d", [32, 64, 100, 128])
@pytest.mark.parametrize("scan", SCANS)
def test_traffic(scan: str, d: int) -> None:
    """Bytes asked of global memory by a scan, and conflicts in shared memory."""
    rng = np.random.default_rng(d)
    n_tiles = 12 if scan.startswith("gemv") else 6
    with open_device(NAME, seed=2) as s:
        table = make_table(s, rows_of("normal", 64 * n_tiles, d, rng))
        search = Search(
            table, rows_of("normal", 1 if scan.startswith("gemv") else 32, d, rng), 5, scan, (2, 8, 3)
        )
        search.grid = 1
        search.prepare()
        search.take_sample()
        s.native.reset_trace()
        search.run_scan()
        trace = s.native.trace()
        assert not trace["reports"]
        for site in trace["sites"]:
            print(site)

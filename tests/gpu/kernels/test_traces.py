"""What a traced build sees: no races, nothing read that nobody wrote, no more bytes than there have to be."""

from __future__ import annotations

import numpy as np
import pytest

from ..devices import clean, open_device
from .searches import Filters, Search, make_table
from .test_searches import SCANS, rows_of

NAME = "_cuda_traced"


@pytest.mark.parametrize("seed", range(1, 6))  # 20 with the four seeds of `.ci/full emulate`
@pytest.mark.parametrize("scan", SCANS)
def test_no_races(scan: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    with open_device(NAME, seed=seed) as s:
        table = make_table(s, rows_of("ties", 300, 20, rng))
        queries = rows_of("normal", 3 if scan.startswith("gemv") else 35, 20, rng)
        room = 8 if scan.startswith("gemv") else 14
        deny = [rng.integers(0, 300, 9).tolist() for _ in queries]
        for fused in (False, True)[: 2 if scan.startswith("gemv") else 1]:
            search = Search(
                table, queries, 9, scan, (1, 8, 9), room, 2, 80, fused, Filters([deny], raw=True), grid=3
            )
            search.answer()
            assert clean(s)
        assert search.counted()["exact_queries"] > 0


def total(sites: list[dict], key: str) -> int:
    return sum(site[key] for site in sites)


@pytest.mark.parametrize("d", [32, 64, 128])
@pytest.mark.parametrize("scan", SCANS)
def test_traffic(scan: str, d: int) -> None:
    """What a scan asks of global memory, and that nothing that counts conflicts in shared memory."""
    rng = np.random.default_rng(d)
    few = scan.startswith("gemv")
    n_tiles, n = (24, 1) if few else (16 if "i8" in scan else 6, 32)
    with open_device(NAME, seed=2) as s:
        table = make_table(s, rows_of("normal", 64 * n_tiles, d, rng))
        search = Search(table, rows_of("normal", n, d, rng), 1, scan, (2, 8, 1), grid=1)
        search.prepare()
        search.take_sample()
        s.native.reset_trace()
        search.run_scan()
        trace = s.native.trace()
    assert not trace["reports"]
    of_global = [site for site in trace["sites"] if not site["shared"]]
    of_shared = [site for site in trace["sites"] if site["shared"]]
    row = 4 * d if "f32" in scan else d if few else -(-d // 64) * 64
    items, queries = 64 * n_tiles * row, n * row
    if not few:
        items *= -(-n // search.tile_queries(scan))
        queries = (n if "f32" in scan else search.tile_queries(scan)) * row * -(-n_tiles // 2)
    asked = sum(min(site["bytes"], 32 * site["sectors"]) for site in of_global if not site["write"])
    assert items <= asked <= 1.1 * (items + queries)
    main = [site for site in of_global if site["bytes"] >= 0.05 * asked]
    assert total(main, "sectors") <= 1.05 * total(main, "ideal_sectors")
    busy = [site for site in of_shared if site["requests"] >= 0.05 * total(of_shared, "requests")]
    assert total(busy, "wavefronts") == total(busy, "ideal_wavefronts")
    assert total(busy, "requests") >= 0.5 * total(of_shared, "requests")

"""Searches by kernels, each scan with its sample and the exact path: bit for bit what the contract says."""

from __future__ import annotations

import numpy as np
import pytest

from ..devices import OpenDevice, open_device
from .searches import Filters, Search, assert_right, expected, make_table

NAME = "_cuda_emulated"
FEW = ["gemv_f32", "gemv_i8"]
MANY = ["mma_i8", "mma_i8_narrow", "mma_f32", "mma_f32_narrow"]
SCANS = [*FEW, *MANY]
KINDS = ["normal", "ties", "spread", "huge", "tiny", "zeros"]
METRICS = ["dot", "cosine", "pearson", "euclidean"]


def rows_of(kind: str, n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    x = rng.standard_normal((n, d))
    if kind == "ties":
        x = rng.integers(-2, 3, (n, d)).astype(float)
    if kind == "spread":
        x *= 10.0 ** rng.uniform(-3, 3, (n, 1))
    if kind == "huge":
        x *= 10.0 ** rng.choice([0.0, 18.0, 19.0, 37.0], (n, 1))
    if kind == "tiny":
        x *= 10.0 ** rng.choice([0.0, -20.0, -38.0, -44.0], (n, 1))
    if kind == "zeros":
        x[rng.random(n) < 0.4] = 0
    return x.astype(np.float32)


def n_queries_of(scan: str, rng: np.random.Generator) -> int:
    return int(rng.integers(1, 11 if scan in FEW else 45))


def search_of(
    s: OpenDevice, scan: str, kind: str, seed: int, n: int = 0, d: int = 0, **options: object
) -> Search:
    rng = np.random.default_rng(seed)
    n = n or int(rng.choice([1, 63, 64, 65, 200, 500]))
    d = d or int(rng.choice([1, 3, 16, 33, 64, 100]))
    metric = str(options.pop("metric", rng.choice(METRICS)))
    table = make_table(s, rows_of(kind, n, d, rng), metric)
    queries = rows_of(kind if rng.random() < 0.5 else "normal", n_queries_of(scan, rng), d, rng)
    sample = (int(rng.integers(1, 4)), int(rng.choice([1, 8, 64])), int(rng.integers(1, 9)))
    options = {"k": int(rng.choice([1, 3, 10, 70])), "sample": sample} | options
    return Search(table, queries, scan=scan, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("scan", SCANS)
def test_plain(scan: str) -> None:
    """An odd number of tiles, and lists that hold everything: the exact path is not asked."""
    rng = np.random.default_rng(8)
    for seed in range(3):
        with open_device(NAME, seed=seed) as s:
            table = make_table(s, rows_of("normal", 440, 16, rng), "cosine")
            search = Search(table, rows_of("normal", n_queries_of(scan, rng), 16, rng), 70, scan)
            assert_right(search)
            assert search.counted()["exact_queries"] == 0
            assert not search.status().any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scan", SCANS)
def test_any(scan: str, kind: str) -> None:
    for seed in range(4):
        with open_device(NAME, seed=seed) as s:
            assert_right(search_of(s, scan, kind, seed))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scan", ["mma_tf32", "mma_bf16"])
def test_float_tiles(scan: str, kind: str) -> None:
    """Off in every build until a device has shown how its matrix units round."""
    for seed in range(4):
        with open_device(NAME, seed=seed) as s:
            if f"scan_{scan}" not in s.native.kernel_names():
                pytest.skip("built without GPUREC_FLOAT_TILES")
            assert_right(search_of(s, scan, kind, seed))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scan", SCANS)
def test_a_scan_lets_nothing_through(scan: str, metric: str) -> None:
    """What reaches the threshold is in the list, once; what norms rule out is not scanned."""
    rng = np.random.default_rng(7)
    with open_device(NAME, seed=3) as s:
        table = make_table(s, rows_of("spread", 500, 33, rng), metric)
        search = Search(table, rows_of("normal", 8 if scan in FEW else 40, 33, rng), 20, scan, (2, 8, 12))
        search.prepare()
        search.take_sample()
        search.run_scan()
        taus, counts = s.get(search.params.queries.taus), s.get(search.params.counts)
        entries = s.get(search.params.entries)
        everything = Search(table, search.queries, 500, scan)
        rows, scores = expected(everything)
        positions = np.empty(500, np.int64)
        positions[table.order[table.order < 500]] = np.flatnonzero(table.order < 500)
        for i, tau in enumerate(taus):
            found = (entries[i, : counts[i]] >> np.uint64(32)).astype(np.int64)
            assert len(set(found.tolist())) == counts[i]
            assert set(positions[rows[i][scores[i] >= tau]].tolist()) <= set(found.tolist())
            assert counts[i] < 250
        counted = search.counted()
        assert counted["tiles_scanned"] + counted["tiles_skipped"] == 8 * search.n
        if metric in ("dot", "euclidean") and scan in FEW:
            assert counted["tiles_skipped"] > 0


@pytest.mark.parametrize("scan", SCANS)
def test_bad_queries_are_padding(scan: str) -> None:
    rng = np.random.default_rng(1)
    with open_device(NAME, seed=1) as s:
        table = make_table(s, rows_of("normal", 200, 33, rng))
        queries = rows_of("normal", 7, 33, rng)
        queries[2, 5], queries[4, 0], queries[6] = np.nan, np.inf, 0
        search = Search(table, queries, 5, scan, (1, 8, 4))
        assert_right(search)
        np.testing.assert_array_equal(search.status(), [0, 0, 1, 0, 1, 0, 0])


@pytest.mark.parametrize("scan", SCANS)
def test_a_full_list_is_not_an_answer(scan: str) -> None:
    """Overflows, refuted suppositions and full buffers of units all end in the right answer."""
    rng = np.random.default_rng(2)
    with open_device(NAME, seed=2) as s:
        table = make_table(s, rows_of("ties", 500, 16, rng), shuffle=1)
        options = {"n_units": 2, "unit_capacity": 80, "k": 12}
        queries = rows_of("normal", 6, 16, rng)
        full = Search(table, queries, scan=scan, capacity=16, **options)  # type: ignore[arg-type]
        assert_right(full)
        counted = full.counted()
        assert counted["overflows"] == counted["exact_queries"] == 6
        assert counted["compressions"] > 0
        refuted = Search(table, queries, scan=scan, sample=(1, 1, 3), **options)  # type: ignore[arg-type]
        assert_right(refuted)
        assert refuted.counted()["suppositions_refuted"] == 6


@pytest.mark.parametrize("k", [1, 63, 64, 65, 200, 600])
def test_any_k(k: int) -> None:
    """More places than are sorted together make several chunks, more than there are items padding."""
    rng = np.random.default_rng(k)
    with open_device(NAME, seed=k) as s:
        table = make_table(s, rows_of("ties", 500, 5, rng))
        queries = rows_of("ties", 3, 5, rng)
        assert_right(Search(table, queries, k))
        assert_right(Search(table, queries, k, capacity=8, unit_capacity=k + 64))


@pytest.mark.parametrize("scan", FEW)
def test_fused(scan: str) -> None:
    rng = np.random.default_rng(4)
    for seed in range(5):
        with open_device(NAME, seed=seed) as s:
            table = make_table(s, rows_of("normal", 400, 20, rng))
            search = Search(table, rows_of("normal", 5, 20, rng), 7, scan, (2, 8, 5), fused=True, grid=3)
            assert_right(search)
            assert_right(search)  # arrivals are zero again
            assert not s.get(search.params.arrivals).any()


@pytest.mark.parametrize("scan", SCANS)
def test_only_scores_from_a_threshold_on(scan: str) -> None:
    rng = np.random.default_rng(5)
    with open_device(NAME, seed=5) as s:
        table = make_table(s, rows_of("normal", 300, 16, rng))
        queries = rows_of("normal", 6, 16, rng)
        search = Search(table, queries, 300, scan, threshold=float(np.float32(5.5)))
        assert_right(search)
        assert search.counted()["exact_queries"] == 0


def lists_of(n_lists: int, n: int, most: int, rng: np.random.Generator, raw: bool) -> list[list[int]]:
    lists = [rng.integers(0, n, rng.integers(0, most)).tolist() for _ in range(n_lists)]
    return [[-1, *one, *one[:2], -1] for one in lists] if raw else lists


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("scan", SCANS)
def test_filters(scan: str, raw: bool) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        with open_device(NAME, seed=seed) as s:
            mask = rng.random(500) < 0.8
            table = make_table(s, rows_of("normal", 500, 12, rng), mask=mask)
            n = 6
            deny = [lists_of(n, 500, 60, rng, raw), lists_of(2, 500, 90, rng, raw)]
            which = rng.integers(0, 2, n).tolist()
            queries = rows_of("normal", n, 12, rng)
            search = Search(table, queries, 15, scan, (1, 8, 14), filters=Filters(deny, None, which, raw))
            assert_right(search, mask)
            assert search.counted()["denied"] > 0
            allow = lists_of(n, 500, 200, rng, raw)
            allow[0] = []
            search = Search(
                table, queries, 15, scan, filters=Filters(deny[:1], allow, None, raw), unit_capacity=80
            )
            assert_right(search, mask)
            nobody = Search(table, queries, 4, scan, (1, 8, 2), filters=Filters([[list(range(500))] * n]))
            assert_right(nobody, mask)
            assert nobody.counted()["suppositions_refuted"] == 0  # what is denied is in no sample


def test_what_is_denied_raises_no_threshold() -> None:
    """The best are denied, lists are too short, and buffers of units are cut."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        with open_device(NAME, seed=seed) as s:
            table = make_table(s, rows_of("normal", 500, 12, rng))
            queries = rows_of("normal", 4, 12, rng)
            best = np.argsort(-(queries @ table.raw.T), axis=1)[:, :150].tolist()
            filters = Filters([best])
            search = Search(table, queries, 10, capacity=8, unit_capacity=74, n_units=2, filters=filters)
            assert_right(search)
            assert search.counted()["compressions"] > 0


def test_a_row_that_is_none_is_told() -> None:
    rng = np.random.default_rng(6)
    with open_device(NAME, seed=6) as s:
        table = make_table(s, rows_of("normal", 100, 8, rng))
        lists = [[5, 4], [100], [-2], [-1, 99]]
        search = Search(table, rows_of("normal", 4, 8, rng), 3, filters=Filters([lists], raw=True))
        rows, _ = search.answer()
        np.testing.assert_array_equal(search.status(), [0, 2, 2, 0])
        assert (rows[1:3] == -1).all()
        assert (rows[[0, 3]] >= 0).all()

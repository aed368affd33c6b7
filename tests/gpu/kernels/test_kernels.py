"""Kernels by themselves, against NumPy and the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gpurec._native import cpu
from gpurec.backends.reference import best_rows, canonical_scores, prepare_rows, sum_lanes

from ..devices import OpenDevice, open_device
from ..planted_kernels import DEFECTS, defects_in_sources
from .searches import EXACT, FINISH, Search, launch, make_table, up
from .structs import METRICS, NO_ROW, STRUCTS
from .test_searches import KINDS, SCANS, rows_of

NAME = "_cuda_emulated"
WIDTHS = [1, 3, 32, 33, 64, 100]


@pytest.mark.parametrize("metric", list(METRICS))
@pytest.mark.parametrize("kind", KINDS)
def test_a_table_is_what_numpy_makes(kind: str, metric: str) -> None:
    for seed, d in enumerate(WIDTHS):
        rng = np.random.default_rng(seed)
        raw = rows_of(kind, 130, d, rng)
        raw[5] = raw[5, 0]  # constant
        with open_device(NAME, seed=seed) as s:
            mask = rng.random(130) < 0.5
            table = make_table(s, raw, metric, mask=mask)
            prepared = prepare_rows(raw, metric)
            np.testing.assert_array_equal(table.prepared[:, :d].view("u4"), prepared.view("u4"))
            assert not table.prepared[:, d:].any()
            squares = sum_lanes(prepared.astype(np.float64) ** 2)
            np.testing.assert_array_equal(table.get("squares"), squares)
            order = table.order
            at = np.flatnonzero(order != NO_ROW)
            rows, norms = table.get("rows"), table.get("norms")
            np.testing.assert_array_equal(rows[at, :d].view("u4"), prepared[order[at]].view("u4"))
            assert not np.delete(rows, at, axis=0).any()
            assert (norms[at].astype(np.longdouble) ** 2 >= squares[order[at]]).all()
            assert (norms[at] <= np.sqrt(squares[order[at]]) * (1 + 2.0**-22) + 2.0**-148).all()
            tiles = np.where(order != NO_ROW, norms, np.nan).reshape(-1, 64)
            np.testing.assert_array_equal(table.get("smallest"), np.nanmin(tiles, axis=1))
            np.testing.assert_array_equal(table.get("largest"), np.nanmax(tiles, axis=1))
            may = np.zeros(len(order), bool)
            may[at] = mask[order[at]]
            bits = np.packbits(may.reshape(-1, 64), axis=1, bitorder="little").view(np.uint64)[:, 0]
            np.testing.assert_array_equal(table.get("permits"), bits)


@pytest.mark.parametrize("kind", KINDS)
def test_codes_are_the_cpus(kind: str) -> None:
    for seed, d in enumerate(WIDTHS):
        rng = np.random.default_rng(seed)
        raw = rows_of(kind, 128, d, rng)
        queries = rows_of(kind, 5, d, rng)
        with open_device(NAME, seed=seed) as s:
            table = make_table(s, raw)
            search = Search(table, queries, 1, "gemv_i8")
            search.prepare()
            q = search.params.queries
            codes, scales, errors = table.get("codes"), table.get("scales"), table.get("errors")
            query_codes = s.get(q.codes)
            assert not query_codes[len(queries) :].any()
            for t in range(2):
                items = np.ascontiguousarray(raw[table.order[64 * t : 64 * t + 64]])
                for i, query in enumerate(queries):
                    expected = cpu.int8_codes(query, items, "serial")
                    if expected is None:
                        assert scales[t] == 0 or s.get(q.scales)[i] == 0
                        continue
                    of_query, of_items, (scale, length, error), (tile_scale, tile_error, _, _) = expected
                    np.testing.assert_array_equal(query_codes[i, :d], of_query[:d])
                    np.testing.assert_array_equal(codes[64 * t : 64 * t + 64, :d], of_items)
                    assert (s.get(q.scales)[i], s.get(q.lengths)[i], s.get(q.errors)[i]) == (
                        scale,
                        length,
                        error,
                    )
                    assert (scales[t], errors[t]) == (tile_scale, tile_error)
            assert not codes[:, d:].any()
            assert not query_codes[:, d:].any()


@pytest.mark.parametrize("d", [1, 16, 64, 65, 200])
@pytest.mark.parametrize("scan", [scan for scan in SCANS if "i8" in scan])
def test_scan_values_are_integer_dots(scan: str, d: int) -> None:
    """Whatever the fragments of the matrix units hold: with no threshold every sum comes out."""
    rng = np.random.default_rng(d)
    with open_device(NAME, seed=d) as s:
        table = make_table(s, rows_of("normal", 192, d, rng), shuffle=2)
        n = 3 if scan.startswith("gemv") else 35
        search = Search(table, rows_of("normal", n, d, rng), 1, scan)
        search.prepare()
        search.run_scan()
        q = search.params.queries
        sums = s.get(q.codes)[:n].astype(np.int64) @ table.get("codes").astype(np.int64).T
        scales = s.get(q.scales)[:n, None] * np.repeat(table.get("scales"), 64)[None]
        values = sums.astype(np.float32) * scales
        assert (s.get(search.params.counts) == 192).all()
        for i, entries in enumerate(s.get(search.params.entries)[:, :192]):
            entries = np.sort(entries)
            np.testing.assert_array_equal(entries >> np.uint64(32), np.arange(192))
            np.testing.assert_array_equal(entries.astype(np.uint32).view(np.float32), values[i])


@pytest.mark.parametrize("d", [1, 16, 17, 64, 100])
@pytest.mark.parametrize("scan", [scan for scan in SCANS if "f32" in scan])
def test_scan_values_are_near_dots(scan: str, d: int) -> None:
    rng = np.random.default_rng(d)
    with open_device(NAME, seed=d) as s:
        table = make_table(s, rows_of("normal", 192, d, rng), codes=False)
        n = 8 if scan.startswith("gemv") else 67
        search = Search(table, rows_of("normal", n, d, rng), 1, scan)
        search.prepare()
        search.run_scan()
        values = search.queries.astype(float) @ table.raw[table.order].astype(float).T
        for i, entries in enumerate(s.get(search.params.entries)[:, :192]):
            entries = np.sort(entries)
            np.testing.assert_array_equal(entries >> np.uint64(32), np.arange(192))
            np.testing.assert_allclose(entries.astype(np.uint32).view(np.float32), values[i], atol=d * 1e-5)


@pytest.mark.parametrize("group", [1, 8, 64])
@pytest.mark.parametrize("scan", ["gemv_f32", "gemv_i8", "mma_f32", "mma_i8"])
def test_samples_and_thresholds(scan: str, group: int) -> None:
    """The best scan value of each group that may be given, and the rank-th best of those."""
    for metric in ("dot", "euclidean"):
        rng = np.random.default_rng(group)
        with open_device(NAME, seed=group) as s:
            mask = rng.random(300) < 0.7
            table = make_table(s, rows_of("spread", 300, 20, rng), metric, mask=mask)
            n = 7 if scan.startswith("gemv") else 40
            search = Search(table, rows_of("normal", n, 20, rng), 1, scan, sample=(2, group, 2))
            search.prepare()
            search.take_sample()
            samples, taus = s.get(search.params.samples), s.get(search.params.queries.taus)
            items = table.get("rows")[:, :20].astype(float)
            values = search.queries.astype(float) @ items.T
            if metric == "euclidean":
                values -= 0.5 * (items**2).sum(axis=1)
            may = np.zeros(len(table.order), bool)
            at = table.order != NO_ROW
            may[at] = mask[table.order[at]]
            values[:, ~may] = -np.inf
            best = values.reshape(n, -1, 64)[:, 1::2].reshape(n, -1, group).max(axis=2)
            finite = np.isfinite(best)
            np.testing.assert_array_equal(np.isfinite(samples), finite)
            scale = np.abs(best[finite]).max()
            near = 0.05 if scan.endswith("i8") else 1e-5
            np.testing.assert_allclose(samples[finite], best[finite], atol=near * scale)
            second = np.sort(samples, axis=1)[:, -2]
            if metric == "euclidean":
                second = 2.0 * second.astype(float) - s.get(search.params.queries.squares)
            np.testing.assert_array_equal(taus, second.astype(np.float32))


def score_params(s: OpenDevice, a: np.ndarray, b: np.ndarray, metric: str) -> tuple[object, int]:
    d = a.shape[1]
    p = STRUCTS["ScoreParams"]()
    stride = up(d, 4)
    for name, x in (("a", a), ("b", b)):
        rows = np.zeros((len(x), stride), np.float32)
        rows[:, :d] = x
        setattr(p, name, s.put(rows))
        setattr(p, f"{name}_squares", s.put(sum_lanes(x.astype(np.float64) ** 2)))
        setattr(p, f"n_{name}", len(x))
        setattr(p, f"{name}_stride", stride)
    p.d, p.euclidean = d, int(metric == "euclidean")
    return p, stride


@pytest.mark.parametrize("metric", ["dot", "euclidean"])
@pytest.mark.parametrize("kind", KINDS)
def test_score_tile(kind: str, metric: str) -> None:
    for seed, (n_a, n_b, d) in enumerate([(1, 1, 1), (70, 129, 33), (3, 300, 64), (65, 128, 17)]):
        rng = np.random.default_rng(seed)
        a, b = rows_of(kind, n_a, d, rng), rows_of(kind, n_b, d, rng)
        b[: min(n_a, n_b)] = a[: min(n_a, n_b)]  # distances of zero
        with open_device(NAME, seed=seed) as s:
            p, _ = score_params(s, a, b, metric)
            p.out, p.out_stride = s.empty((n_a, n_b + 3), "f4"), n_b + 3  # type: ignore[attr-defined]
            launch(s, "score_tile", p, (2, -(-n_a // 64)), 3 * 192 * 64 + 192 * 4)
            got = s.get(p.out)[:, :n_b]  # type: ignore[attr-defined]
            want = np.stack([canonical_scores(np.repeat(q[None], n_b, axis=0), b, metric) for q in a])
            if metric == "euclidean":
                finite = np.isfinite(want)
                np.testing.assert_allclose(got[finite], want[finite], rtol=1e-4, atol=0)
                np.testing.assert_array_equal(np.isfinite(got), finite)
                continue
            size = np.abs(a.astype(float)) @ np.abs(b.astype(float)).T
            fits = size < 1e37
            assert (np.abs(got.astype(float)[fits] - want[fits]) <= 1e-5 * size[fits] + 1e-40).all()


@pytest.mark.parametrize("metric", ["dot", "euclidean"])
@pytest.mark.parametrize("kind", KINDS)
def test_score_pairs(kind: str, metric: str) -> None:
    for seed, d in enumerate(WIDTHS):
        rng = np.random.default_rng(seed)
        n = [1, 7, 8, 9, 100, 33][seed]
        a, b = rows_of(kind, n, d, rng), rows_of(kind, n, d, rng)
        if kind == "spread" and d > 3:  # large terms cancel, so that the order of the sum is seen
            half = d // 2 - 1
            a[:, :half] *= 10.0 ** rng.uniform(0, 7, (n, half))
            a[:, half : 2 * half], b[:, half : 2 * half] = a[:, :half], -b[:, :half]
        with open_device(NAME, seed=seed) as s:
            p, _ = score_params(s, a, b, metric)
            p.out = s.empty(n, "f4")  # type: ignore[attr-defined]
            launch(s, "score_pairs", p, 2)
            got = s.get(p.out)  # type: ignore[attr-defined]
            np.testing.assert_array_equal(got.view("u4"), canonical_scores(a, b, metric).view("u4"))


@pytest.mark.parametrize("k", [1, 10, 100, 700])
def test_top_k_of_given_scores(k: int) -> None:
    for seed, n in enumerate([1, 64, 600, 3000]):
        rng = np.random.default_rng(seed)
        scores = np.round(rng.standard_normal((3, n)), 1).astype(np.float32)
        scores[0, rng.random(n) < 0.3] = -np.inf
        scores[1, rng.random(n) < 0.1] = np.nan
        scores[1, rng.random(n) < 0.1] = np.inf
        scores[2] *= 0
        scores[2, rng.random(n) < 0.5] = -0.0
        with open_device(NAME, seed=seed) as s:
            some = make_table(s, np.ones((1, 1), np.float32))
            search = Search(some, np.ones((3, 1), np.float32), k, unit_capacity=k + 256).params
            search.counts = s.put(np.zeros(3, np.uint32))
            p = STRUCTS["TopKParams"]()
            p.search, p.scores, p.n_rows, p.n_columns, p.row_stride = search, s.put(scores), 3, n, n
            launch(s, "top_k_scores", p, 4, EXACT)
            launch(s, "merge_units", search, 2, FINISH)
            rows, values = s.get(search.out_rows), s.get(search.out_scores)
            for i in range(3):
                want = best_rows(scores[i] + np.float32(0), np.arange(n), k)
                np.testing.assert_array_equal(rows[i], want[0])
                np.testing.assert_array_equal(values[i].view("u4"), want[1].view("u4"))


@pytest.mark.parametrize("k", [1, 10, 300])
def test_answers_of_parts_are_merged(k: int) -> None:
    rng = np.random.default_rng(k)
    n_parts, n, k_part = 4, 5, 40
    rows = np.stack([rng.permutation(n_parts * k_part) for _ in range(n)])
    rows = rows.reshape(n, n_parts, k_part).transpose(1, 0, 2).copy()
    scores = rng.integers(-9, 9, rows.shape).astype(np.float32)
    rows[rng.random(rows.shape) < 0.2] = -1
    with open_device(NAME, seed=k) as s:
        p = STRUCTS["MergeParams"]()
        p.rows, p.scores = s.put(rows), s.put(scores)
        p.n_parts, p.n_queries, p.k_part, p.k = n_parts, n, k_part, k
        p.out_rows, p.out_scores = s.empty((n, k), "i8"), s.empty((n, k), "f4")
        launch(s, "merge_answers", p, 2, FINISH)
        for i in range(n):
            keep = rows[:, i] >= 0
            want = best_rows(scores[:, i][keep], rows[:, i][keep], k)
            np.testing.assert_array_equal(s.get(p.out_rows)[i], want[0])
            np.testing.assert_array_equal(s.get(p.out_scores)[i], want[1])


def test_every_planted_defect_has_a_test_that_finds_it() -> None:
    assert defects_in_sources() == set(DEFECTS)
    tests = {test.split("::")[1] for _, test in DEFECTS.values()}
    sources = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert {name for name in tests if f"def {name}(" not in sources} == set()

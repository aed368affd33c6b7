"""Searches that look at leading directions first: no item is lost, however the directions lie.

The bound holds for any directions, so it is met where it is tight: with directions that are not orthonormal,
with rows whose codes are exact, with tails that are small beside the rounding of what leads. Each item's own
score is asked for as a threshold that it reaches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpurec
from gpurec.backends.cpu import CpuBackend
from gpurec.backends.reference import ReferenceBackend

from .members import ISAS

HEAD = 512  # items that are scanned in all components
ALL = ("head", "norms", "directions")


def index_in(directions: np.ndarray, items: np.ndarray, metric: str, isa: str) -> gpurec.ItemIndex:
    """An index whose items are looked at in these directions."""
    index = gpurec.ItemIndex(
        items, metric=metric, precision="int8", pruning=ALL, backend=CpuBackend(isa, n_threads=1)
    )
    of_backend: Any = index._now.index
    of_backend.table = of_backend.table.with_directions(directions, isa, 1)
    assert of_backend.table.n_directions == len(directions)
    return index


def orthonormal(rng: np.random.Generator, m: int, d: int) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((d, m)))[0].T


def stretched(rng: np.random.Generator, n: int, d: int) -> tuple[np.ndarray, ...]:
    """Directions shorter or longer than 1, and rows of all kinds."""
    directions = orthonormal(rng, 3, d) * rng.choice([0.87, 0.95, 1.05, 1.12])
    items = rng.standard_normal((n, d))
    items[::3] = rng.standard_normal((len(items[::3]), 3)) @ directions
    queries = np.concatenate(
        [rng.standard_normal((2, d)), rng.standard_normal((2, 3)) @ directions, directions]
    )
    return directions, items, queries


def skew(rng: np.random.Generator, n: int, d: int) -> tuple[np.ndarray, ...]:
    """Directions with a common part."""
    directions = orthonormal(rng, 3, d) + rng.standard_normal(d) * 0.1 / np.sqrt(d)
    return directions, *stretched(rng, n, d)[1:]


def small_tails(rng: np.random.Generator, n: int, d: int) -> tuple[np.ndarray, ...]:
    """Of items: 1e-4 of what leads, along a query that hardly leads. Codes of what leads are exact."""
    directions = np.eye(3, d)
    items = np.zeros((n, d))
    items[:, :3] = rng.integers(-127, 128, (n, 3)) * np.float32(1 + 2**-12 + 2**-23)
    items[:, 0] = items[:, 0].max()
    items[:, 3] = rng.choice([-0.02, 0.01, 0.02], n)
    queries = np.zeros((3, d))
    queries[:, 0], queries[:, 3] = 1, [1, 127, 63]
    return directions, items, queries


def small_tails_turned(rng: np.random.Generator, n: int, d: int) -> tuple[np.ndarray, ...]:
    """Rows in a few directions that float32 cannot hold, and a little beside them."""
    turn = orthonormal(rng, d, d)
    items = np.zeros((n, d))
    items[:, 0] = 127
    items[:, 1] = rng.choice([-0.03, 0.01, 0.02], n)
    queries = np.zeros((2, d))
    queries[:, 0], queries[:, 1] = [0, 1], 127
    return turn[:1], items @ turn, queries @ turn


def along_one(rng: np.random.Generator, n: int, d: int) -> tuple[np.ndarray, ...]:
    """All rows along the one direction: the codes' error is all the error there is."""
    directions = np.eye(1, d)
    return directions, rng.uniform(0.5, 1, (n, 1)) * directions, directions * [[1], [127]]


KINDS = {made.__name__: made for made in (stretched, skew, small_tails, small_tails_turned, along_one)}


@pytest.mark.parametrize("metric", ["dot", "euclidean"])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_item_reaches_its_own_score(kind, isa, metric):
    for seed in range(6):
        rng = np.random.default_rng([seed, len(kind)])
        directions, items, queries = (
            np.float32(part) for part in KINDS[kind](rng, HEAD + 200, int(rng.choice([4, 9, 40])))
        )
        index = index_in(directions, items, metric, isa)
        some = np.argsort(-np.linalg.norm(items.astype(np.float64), axis=1), kind="stable")[HEAD::10]
        for query in queries:
            scores = gpurec.score_pairs(
                np.repeat(query[np.newaxis], len(items), 0), items, metric=metric, backend="reference"
            )
            for row in some:
                found = index.search_above(query, threshold=scores[row])
                assert np.array_equal(np.sort(found.rows), np.flatnonzero(scores >= scores[row])), (
                    f"{kind}, seed {seed}, item {row} that scores {scores[row]!r}"
                )


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_best_are_found(kind, isa):
    reference = ReferenceBackend()
    for seed in range(4):
        rng = np.random.default_rng([seed, 1, len(kind)])
        directions, items, queries = (np.float32(part) for part in KINDS[kind](rng, 3000, 12))
        index = index_in(directions, items, "dot", isa)
        whole = gpurec.ItemIndex(items, backend=reference)
        for asked in (queries, queries[:1]):
            got, expected = index.explain_search(asked, 7), whole.search(asked, 7)
            assert np.array_equal(got.answer.rows, expected.rows)
            assert np.array_equal(got.answer.scores, expected.scores)
            assert set(got.choices["pruning"]) == {"head, norms, directions"}


def steep(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([n, d])
    spectrum = np.float32(1 / np.arange(1, d + 1))
    return rng.standard_normal((n, d), np.float32) * spectrum, rng.standard_normal(
        (8, d), np.float32
    ) * spectrum


@pytest.mark.parametrize("isa", ISAS)
def test_directions_are_taken_where_they_pay(isa):
    items, queries = steep(70_000, 64)
    backend = CpuBackend(isa, n_threads=1)
    tables = {
        pruning: gpurec.ItemIndex(items, precision="int8", pruning=pruning, backend=backend)._now.index.table
        for pruning in ("auto", ("head", "norms"), ())
    }
    assert [table.n_directions > 0 for table in tables.values()] == [True, False, False]
    normal = gpurec.ItemIndex(
        np.random.default_rng(0).standard_normal((70_000, 64), np.float32), precision="int8", backend=backend
    )
    assert normal._now.index.table.n_directions == 0
    for precision in ("fp32", "bf16"):
        floats = gpurec.ItemIndex(items[:3000], precision=precision, pruning=ALL, backend=backend)
        assert floats._now.index.table.n_directions == 0
    with_them = gpurec.ItemIndex(items, precision="int8", backend=backend)
    without = gpurec.ItemIndex(items, precision="int8", pruning=(), backend=backend)
    for asked in (queries, queries[:1]):
        got, expected = with_them.explain_search(asked, 10), without.explain_search(asked, 10)
        assert np.array_equal(got.answer.rows, expected.answer.rows)
        assert np.array_equal(got.answer.scores, expected.answer.scores)
        assert got.counts["tiles_scanned"].sum() < expected.counts["tiles_scanned"].sum()


@pytest.mark.parametrize("isa", ISAS)
def test_directions_of_rows_that_are_wider_than_a_sample(isa):
    items, queries = steep(3000, 1500)  # of which 256 are looked at
    backend = CpuBackend(isa, n_threads=1)
    with_them = gpurec.ItemIndex(items, precision="int8", backend=backend)
    without = gpurec.ItemIndex(items, precision="int8", pruning=(), backend=backend)
    assert with_them._now.index.table.n_directions > 0
    got, expected = with_them.search(queries, 10), without.search(queries, 10)
    assert np.array_equal(got.rows, expected.rows) and np.array_equal(got.scores, expected.scores)


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("isa", ISAS)
def test_an_index_that_changes_keeps_its_directions(isa, mmap, tmp_path):
    items, queries = steep(4000, 24)
    backend = CpuBackend(isa, n_threads=1)
    index = gpurec.ItemIndex(items[:3000], precision="int8", pruning=ALL, backend=backend)
    index.append(items[3000:3300])
    index.remove(np.arange(0, 3000, 7))
    index.update([5, 3100], items[3900:3902])
    whole = gpurec.ItemIndex(items[:3000], backend="reference")
    whole.append(items[3000:3300])
    whole.remove(np.arange(0, 3000, 7))
    whole.update([5, 3100], items[3900:3902])
    index.save(tmp_path / "index")
    loaded = gpurec.ItemIndex.load(tmp_path / "index", mmap=mmap, backend=backend)
    assert loaded.pruning == ALL
    expected = whole.search(queries, 9)
    for changed in (index, loaded):
        got = changed.explain_search(queries, 9)
        assert np.array_equal(got.answer.rows, expected.rows)
        assert np.array_equal(got.answer.scores, expected.scores)
        assert got.counts["leading_tiles"].any()


def test_names_of_what_is_left_out():
    items = np.ones((3, 2), np.float32)
    assert gpurec.ItemIndex(items, pruning="norms").pruning == ("norms",)
    assert gpurec.ItemIndex(items, pruning=["directions", "head", "head"]).pruning == ("head", "directions")
    with pytest.raises(ValueError, match="expected pruning to be 'auto' or some of head, norms, directions"):
        gpurec.ItemIndex(items, pruning=["balls"])

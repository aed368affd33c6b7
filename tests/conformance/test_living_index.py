"""An index under any sequence of changes, searches, saves and loads against a dictionary of rows.

The sequences are hypothesis's: `GPUREC_STATEFUL_RUNS` of `GPUREC_STATEFUL_STEPS` steps for each member.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import gpurec
from gpurec.backends.base import METRICS
from gpurec.errors import UnknownIdError

from .cases.disguises import disguise_sets
from .cases.living_inputs import make_items, random_filters, wrong_calls
from .cases.living_model import LivingModel, Snapshot
from .cases.search_case import PER_QUERY_FORMS
from .members import COUNTS, MEMBERS, assert_same_answer, assert_same_bits, member_backend

RUNS = int(os.environ.get("GPUREC_STATEFUL_RUNS", "25"))
STEPS = int(os.environ.get("GPUREC_STATEFUL_STEPS", "40"))
MOST_ROWS = 5000

# What the machines of each member did: nothing is proved by a machine that never came to a merge.
DONE: dict[str, Counter[str]] = defaultdict(Counter)
MUST_HAPPEN = ("revivals", "removals", "loads", "mapped_loads", "refused")
MUST_HAPPEN_IN_MANY_RUNS = ("first_boosts", "old_versions")
MUST_HAPPEN_NATIVE = ("merges", "segmented_searches", "dead_searches", "block_searches")

sizes = st.lists(st.sampled_from([1, 3, 20, 64, 130]), min_size=3, max_size=9)
seeds = st.integers(0, 2**32 - 1)
some = st.sampled_from([0, 1, 2, 7, 40, 64, 300, 700])
kinds = st.sampled_from(["normal", "decades", "ties", "copies", "zero"])


class LivingIndex(RuleBasedStateMachine):
    member: str

    def __init__(self) -> None:
        super().__init__()
        self.done = DONE[self.member]
        self.backend = member_backend(self.member)
        self.old: tuple[gpurec.ItemIndex, Snapshot] | None = None
        self.clean = True  # no position of the index is known or suspected to be dead
        self.dead = False  # one certainly is

    @initialize(
        metric=st.sampled_from(METRICS),
        d=st.sampled_from([1, 2, 8, 33]),
        n=st.sampled_from([0, 1, 5, 300, 900]),
        kind=kinds,
        ids=st.sampled_from([None, "int", "str"]),
        boosted=st.booleans(),
        dropped=st.booleans(),
        seed=seeds,
    )
    def start(self, metric, d, n, kind, ids, boosted, dropped, seed):
        rng = np.random.default_rng(seed)
        self.kind_of_ids = ids
        self.ids: list[Any] | None = None if ids is None else self.new_ids(0, n)
        items = make_items(rng, kind, n, d, None)
        self.model = LivingModel(metric, d)
        boost = rng.standard_normal(n).astype(np.float32) if boosted and metric != "euclidean" else None
        if boost is not None:
            self.model.boosts = {}
        self.model.append(items, boost)
        given = items.copy()
        if dropped and n:
            bad = rng.choice(n, n // 5 + 1, replace=False)
            given[bad, rng.integers(0, d)] = np.nan
            self.model.remove(bad)
        self.model.version = 0
        precision = ("int8", "bf16", "fp32", "int4")[n % 4]
        pruning = ("auto", ("head", "norms", "directions"), ("directions",), ())[d % 4]
        how = {"precision": precision, "pruning": pruning, "on_invalid": "drop" if dropped else "raise"}
        self.index = gpurec.ItemIndex(
            given, metric=metric, ids=self.ids, boost=boost, backend=self.backend, **how
        )

    # --- changes -----------------------------------------------------------------------------------------

    @rule(n=some, kind=kinds, boost=st.booleans(), seed=seeds)
    def append(self, n, kind, boost, seed):
        rng = np.random.default_rng(seed)
        if self.model.n_rows > MOST_ROWS:
            n = min(n, 7)
        items = make_items(rng, kind, n, self.model.d, self.model.snapshot())
        values = self.boosts_for(rng, n, boost)
        new = None if self.ids is None else self.new_ids(self.model.n_rows, n)
        split = self.segmented()
        got = self.index.append(items, ids=new, boost=values)
        assert got.dtype == np.int64 and got.tolist() == self.model.append(items, values).tolist()
        if new is not None:
            self.ids += new
        self.after_items(split)

    @rule(
        sizes=st.lists(st.sampled_from([1, 3, 20, 64, 130]), min_size=3, max_size=9), kind=kinds, seed=seeds
    )
    def append_often(self, sizes, kind, seed):
        """One segment after another, so that they are merged again and again."""
        for i, n in enumerate(sizes):
            self.append(n, kind, False, seed + i)

    @rule(n=some, kind=kinds, boost=st.booleans(), revive=st.booleans(), seed=seeds)
    def update(self, n, kind, boost, revive, seed):
        rng = np.random.default_rng(seed)
        rows = np.arange(self.model.n_rows)
        if revive:
            rows = np.setdiff1d(rows, self.model.active)
        rows = rng.permutation(rows)[:n]
        items = make_items(rng, kind, len(rows), self.model.d, self.model.snapshot())
        values = self.boosts_for(rng, len(rows), boost)
        self.done["revivals"] += int(np.isin(rows, self.model.active, invert=True).sum())
        if np.isin(rows, self.model.active).any():
            self.clean = False
        split = self.segmented()
        self.index.update(rows, items, boost=values)
        self.model.update(rows, items, values)
        self.after_items(split)

    @rule(n=some, seed=seeds)
    def remove(self, n, seed):
        """Any rows, those without an item and repeated ones among them."""
        if self.model.n_rows:
            rng = np.random.default_rng(seed)
            self.remove_rows(rng.integers(0, self.model.n_rows, min(n, self.model.n_rows // 3 + 1)))

    @rule(k=st.sampled_from([1, 10, 64]), seed=seeds)
    def remove_best(self, k, seed):
        if self.model.n_rows:
            query = make_items(np.random.default_rng(seed), "normal", 1, self.model.d, None)
            best = self.index.search(query, k).rows[0]
            self.remove_rows(best[best >= 0])

    @precondition(lambda self: self.model.n_rows < 200)
    @rule()
    def remove_all(self):
        self.remove_rows(np.arange(self.model.n_rows))

    def remove_rows(self, rows: np.ndarray) -> None:
        gone = int(np.isin(np.unique(rows), self.model.active).sum())
        self.done["removals"] += gone
        self.index.remove(rows)
        self.model.remove(rows)
        if gone:
            self.clean, self.dead = False, True

    @precondition(lambda self: self.model.metric != "euclidean")
    @rule(n=some, one=st.booleans(), seed=seeds)
    def set_boost(self, n, one, seed):
        rng = np.random.default_rng(seed)
        rows = rng.permutation(self.model.active)[:n]
        boost = rng.choice([-3.0, 0.0, 0.5, 1e3, 1e-20], len(rows)).astype(np.float32)
        if one:
            boost[:] = 2.0
        self.done["first_boosts"] += self.model.boosts is None
        self.clean = self.dead = False  # a first boost builds anew
        self.index.set_boost(rows, 2.0 if one else boost)
        self.model.set_boost(rows, boost)

    @rule()
    def compact(self):
        self.index.compact()
        self.clean, self.dead = True, False

    @rule(mmap=st.booleans())
    def save_and_load(self, mmap):
        with tempfile.TemporaryDirectory() as folder:
            self.index.save(folder)
            self.index = gpurec.ItemIndex.load(folder, mmap=mmap, backend=self.backend)
        self.clean, self.dead = True, False
        self.done["mapped_loads" if mmap else "loads"] += 1

    # --- answers -----------------------------------------------------------------------------------------

    @rule(
        n_queries=st.sampled_from([1, 2, 7, 50]),
        k=st.sampled_from([1, 3, 10, 100, "active", "beyond"]),
        filtered=st.booleans(),
        hinted=st.booleans(),
        kind=kinds,
        seed=seeds,
    )
    def search(self, n_queries, k, filtered, hinted, kind, seed):
        rng = np.random.default_rng(seed)
        snapshot = self.model.snapshot()
        k = {"active": max(len(snapshot.rows), 1), "beyond": self.model.n_rows + 3}.get(k, k)
        queries = make_items(rng, kind, n_queries, self.model.d, snapshot)
        filters, allowed = random_filters(rng, n_queries, self.model.n_rows) if filtered else ({}, None)
        expected = snapshot.search(queries, k, allowed)
        if hinted:
            hints = [
                np.unique(np.append(rows[rows >= 0], rng.integers(-1, self.model.n_rows, 3)))
                for rows in expected[0]
            ]
            hints = [rows[rows >= 0] for rows in hints]
            filters["hint"] = disguise_sets(rng, hints, self.model.n_rows, which=None, forms=PER_QUERY_FORMS)
        self.count_search()
        got = self.index.search(queries, k, **filters)
        self.check(got, expected, f"k={k}, {n_queries} queries, filters {sorted(filters)}")

    @rule(
        n_queries=st.sampled_from([1, 2, 7]),
        place=st.sampled_from(["all", "none", "at", "above", "below"]),
        max_results=st.sampled_from([None, 1, 5, 10_000]),
        filtered=st.booleans(),
        kind=kinds,
        seed=seeds,
    )
    def search_above(self, n_queries, place, max_results, filtered, kind, seed):
        rng = np.random.default_rng(seed)
        snapshot = self.model.snapshot()
        queries = make_items(rng, kind, n_queries, self.model.d, snapshot)
        threshold = {"all": -np.inf, "none": np.inf}.get(place)
        if threshold is None:
            known = np.append(snapshot.scores(queries[:1])[0], np.float32(0))
            known = known[np.isfinite(known)]
            score = known[rng.integers(0, len(known))]
            towards = {"at": score, "above": np.float32(np.inf), "below": np.float32(-np.inf)}[place]
            threshold = float(np.nextafter(score, towards))
        filters, allowed = random_filters(rng, n_queries, self.model.n_rows) if filtered else ({}, None)
        indptr, rows, scores = snapshot.above(queries, threshold, max_results, allowed)
        self.count_search()
        got = self.index.search_above(queries, threshold, max_results=max_results, **filters)
        context = f"{self.index}, threshold {threshold!r}, at most {max_results}, filters {sorted(filters)}"
        assert got.indptr.tolist() == indptr.tolist(), context
        assert got.rows.tolist() == rows.tolist(), context
        assert_same_bits(got.scores, scores, context)
        assert got.version == self.model.version
        self.check_ids(got.ids, got.rows)

    @rule(n=st.sampled_from([1, 3, 9]), k=st.sampled_from([1, 5, 70]), include_self=st.booleans(), seed=seeds)
    def search_ids(self, n, k, include_self, seed):
        snapshot = self.model.snapshot()
        if not len(snapshot.rows):
            return
        rng = np.random.default_rng(seed)
        at = rng.integers(0, len(snapshot.rows), n)
        rows = snapshot.rows[at]
        allowed = np.ones((n, self.model.n_rows), bool)
        if not include_self:
            allowed[np.arange(n), rows] = False
        expected = snapshot.search(snapshot.items[at], k, allowed, prepared=True)
        named = rows if self.ids is None else [self.ids[row] for row in rows]
        self.check(self.index.search_ids(named, k, include_self=include_self), expected, f"search_ids, k={k}")
        gone = np.setdiff1d(np.arange(self.model.n_rows), snapshot.rows)
        if len(gone):
            with pytest.raises(UnknownIdError):
                self.index.search_ids(gone[:1] if self.ids is None else [self.ids[gone[0]]], k)

    @rule(n=some, seed=seeds)
    def get(self, n, seed):
        snapshot = self.model.snapshot()
        at = np.random.default_rng(seed).permutation(len(snapshot.rows))[:n]
        assert_same_bits(self.index.get(snapshot.rows[at]), snapshot.items[at], "get")

    @precondition(lambda self: self.old is None or self.old[1].version < self.model.version)
    @rule()
    def keep_this_version(self):
        """A search that began now would read this to its end, whatever changes meanwhile."""
        reader = gpurec.ItemIndex.__new__(gpurec.ItemIndex)
        reader._start(self.index._now, "auto", "auto", None)
        self.old = reader, self.model.snapshot()

    @precondition(lambda self: self.old is not None)
    @rule(k=st.sampled_from([1, 10, 700]), kind=kinds, seed=seeds)
    def search_the_version_kept(self, k, kind, seed):
        index, snapshot = self.old
        queries = make_items(np.random.default_rng(seed), kind, 3, self.model.d, snapshot)
        got = index.search(queries, k)
        assert_same_answer(got, snapshot.search(queries, k), f"version {snapshot.version} of {self.index}")
        assert got.version == snapshot.version
        rows = snapshot.rows[::7]
        assert_same_bits(index.get(rows), snapshot.items[::7], f"rows of version {snapshot.version}")
        allowed = np.zeros((3, snapshot.n_rows), bool)
        allowed[:, rows] = True
        few = index.search(queries, k, allow=rows, hint=rows)
        assert_same_answer(
            few, snapshot.search(queries, k, allowed), f"some rows of version {snapshot.version}"
        )
        self.done["old_versions"] += snapshot.version < self.model.version

    @rule(data=st.data())
    def refuse(self, data):
        """What is wrong raises, and the index is as it was."""
        new = None if self.ids is None else self.new_ids(self.model.n_rows, 2)
        calls = wrong_calls(self.index, self.model, self.ids, new)
        name = data.draw(st.sampled_from(sorted(calls)), label="wrong call")
        with pytest.raises((ValueError, TypeError), match=r"^\["):
            calls[name]()
        self.done["refused"] += 1

    @invariant()
    def numbers_agree(self):
        if hasattr(self, "model"):
            assert self.index.version == self.model.version
            assert len(self.index) == self.index.n_items == self.model.n_rows
            assert self.index.n_active == len(self.model.items)
            assert self.index.d == self.model.d and self.index.metric == self.model.metric
            if self.ids is not None:
                assert len(self.index.ids) == len(self.ids)

    @invariant()
    def answers_agree(self):
        """A small search after every step."""
        if hasattr(self, "model"):
            queries = make_items(np.random.default_rng(self.model.version), "normal", 2, self.model.d, None)
            self.count_search()
            self.check(self.index.search(queries, 5), self.model.snapshot().search(queries, 5), "two queries")

    # --- helpers -----------------------------------------------------------------------------------------

    def new_ids(self, first: int, n: int) -> list[Any]:
        numbers = range(1000 + first, 1000 + first + n)
        return list(numbers) if self.kind_of_ids == "int" else [f"item {number}" for number in numbers]

    def boosts_for(self, rng: np.random.Generator, n: int, wanted: bool) -> np.ndarray | None:
        if not wanted or self.model.boosts is None:
            return None
        return rng.choice([0.0, 0.25, -7.0], n).astype(np.float32)

    def check(self, got: gpurec.TopK, expected: tuple[np.ndarray, np.ndarray], what: str) -> None:
        assert_same_answer(got, expected, f"{self.member}: {self.index}, {what}")
        assert got.version == self.model.version
        self.check_ids(got.ids, got.rows)

    def check_ids(self, got: Any, rows: np.ndarray) -> None:
        if self.ids is None:
            assert got is None
        else:
            want = [self.ids[row] if row >= 0 else None for row in rows.ravel().tolist()]
            assert np.asarray(got).ravel().tolist() == want

    def segmented(self) -> bool:
        """Whether the index lies in more than one segment or has dead positions; the reference never does."""
        table = getattr(self.index._now.index, "table", None)
        if table is None or table.n_active == 0:
            return False
        try:
            table.arrays()
        except ValueError:
            return True
        return False

    def after_items(self, was_segmented: bool) -> None:
        """An index in pieces is whole after a change that adds items only if they were merged."""
        self.dead = False
        if not self.segmented():
            self.done["merges"] += was_segmented
            self.clean = True

    def count_search(self) -> None:
        if self.segmented():
            self.done["segmented_searches"] += self.clean
            self.done["dead_searches"] += self.dead
            self.done["block_searches"] += len(self.model.items) > 1024


@pytest.mark.parametrize("member", MEMBERS)
def test_an_index_lives_as_its_model_does(member):
    machine = type("LivingIndex", (LivingIndex,), {"member": member})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            database=None,
            # Where a defect is planted it is enough to see it: no search for the smallest example.
            phases=[Phase.generate] if os.environ.get("GPUREC_PLANTED_DEFECT") else list(Phase),
            suppress_health_check=list(HealthCheck),
        ),
    )
    must = [*MUST_HAPPEN] if RUNS >= 25 else []
    if must and member.startswith("cpu-"):
        must += MUST_HAPPEN_NATIVE
    if RUNS >= 100:
        must += MUST_HAPPEN_IN_MANY_RUNS
    print(f"{member}: {dict(DONE[member])}, {dict(COUNTS[member])}")
    assert all(DONE[member][name] for name in must), f"{member} never came to all of {must}: {DONE[member]}"

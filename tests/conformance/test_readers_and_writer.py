"""Threads that search an index while another changes it: each answer is that of the version it names.

`GPUREC_READERS_SECONDS` says for how long, for each member.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections import Counter

import numpy as np
import pytest

import gpurec

from .cases.living_inputs import make_items
from .cases.living_model import LivingModel, Snapshot
from .members import MEMBERS, assert_same_answer, assert_same_bits, member_backend

SECONDS = float(os.environ.get("GPUREC_READERS_SECONDS", "2"))
N_READERS = 8
D = 6
KEPT = 8  # the first rows, which the writer changes and never removes
MOST_ROWS = 2500
KINDS = ("normal", "ties", "copies", "decades")


class History:
    """The model of each version that a reader may still meet.

    The writer records a version before the index has it, and forgets those that came before every search that
    is under way.
    """

    def __init__(self, n_readers: int) -> None:
        self.snapshots: dict[int, Snapshot] = {}
        self.oldest_in_use = [0] * n_readers

    def record(self, snapshot: Snapshot) -> None:
        self.snapshots[snapshot.version] = snapshot
        needed = min(self.oldest_in_use)
        for version in [v for v in list(self.snapshots) if v < needed]:
            del self.snapshots[version]


class Run:
    """One index with its writer and its readers, until the time is over or one of them fails."""

    def __init__(self, member: str, metric: str, seconds: float) -> None:
        rng = np.random.default_rng(1)
        items = make_items(rng, "normal", 900, D, None)
        self.member = member
        self.ids = [f"item {row}" for row in range(len(items))]
        self.index = gpurec.ItemIndex(items, metric=metric, ids=self.ids, backend=member_backend(member))
        self.model = LivingModel(metric, D)
        self.model.append(items)
        self.model.version = 0
        self.history = History(N_READERS)
        self.history.record(self.model.snapshot())
        self.failures: list[BaseException] = []
        self.done: Counter[str] = Counter()
        self.versions_seen: list[set[int]] = [set() for _ in range(N_READERS)]
        self.deadline = time.monotonic() + seconds

    def under_way(self) -> bool:
        return not self.failures and time.monotonic() < self.deadline

    def threads(self) -> list[threading.Thread]:
        return [
            threading.Thread(target=self.guarded, args=(self.write, 0)),
            *(threading.Thread(target=self.guarded, args=(self.read, i)) for i in range(N_READERS)),
        ]

    def guarded(self, work, number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            self.failures.append(error)

    # --- the writer --------------------------------------------------------------------------------------

    def write(self, _: int) -> None:
        rng = np.random.default_rng(2)
        changes = {"append": 4, "update": 4, "remove": 3, "revive": 2, "boost": 2, "compact": 1, "save": 0.3}
        if self.model.metric == "euclidean":
            del changes["boost"]
        odds = np.array(list(changes.values())) / sum(changes.values())
        while self.under_way():
            change = str(rng.choice(list(changes), p=odds))
            getattr(self, change)(rng)
            self.done[change] += 1

    def items(self, rng: np.random.Generator, n: int) -> np.ndarray:
        return make_items(rng, str(rng.choice(KINDS)), n, D, self.model.snapshot())

    def append(self, rng: np.random.Generator) -> None:
        n = int(rng.choice([1, 2, 20, 300]))
        if self.model.n_rows + n > MOST_ROWS:
            return self.revive(rng)
        items = self.items(rng, n)
        new = [f"item {row}" for row in range(self.model.n_rows, self.model.n_rows + n)]
        self.ids += new
        self.model.append(items)
        self.history.record(self.model.snapshot())
        self.index.append(items, ids=new)

    def update_rows(self, rng: np.random.Generator, rows: np.ndarray) -> None:
        items = self.items(rng, len(rows))
        self.model.update(rows, items)
        self.history.record(self.model.snapshot())
        self.index.update(rows, items)

    def update(self, rng: np.random.Generator) -> None:
        rows = rng.permutation(self.model.n_rows)[: int(rng.choice([1, 10, 200]))]
        self.update_rows(rng, np.union1d(rows, np.arange(KEPT)))

    def revive(self, rng: np.random.Generator) -> None:
        gone = np.setdiff1d(np.arange(self.model.n_rows), self.model.active)
        self.update_rows(rng, rng.permutation(gone)[:150])

    def remove(self, rng: np.random.Generator) -> None:
        rows = KEPT + rng.permutation(self.model.n_rows - KEPT)[: int(rng.choice([1, 30, 200]))]
        self.model.remove(rows)
        self.history.record(self.model.snapshot())
        self.index.remove(rows)

    def boost(self, rng: np.random.Generator) -> None:
        rows = rng.permutation(self.model.active)[:50]
        boost = rng.standard_normal(len(rows)).astype(np.float32)
        self.model.set_boost(rows, boost)
        self.history.record(self.model.snapshot())
        self.index.set_boost(rows, boost)

    def compact(self, _: np.random.Generator) -> None:
        self.index.compact()

    def save(self, _: np.random.Generator) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.index.save(folder)
            saved = gpurec.ItemIndex.load(folder, mmap=True, backend=self.index._now.backend)
        query = np.ones((1, D), np.float32)
        assert_same_answer(saved.search(query, 20), self.model.snapshot().search(query, 20), "saved")

    # --- a reader ----------------------------------------------------------------------------------------

    def read(self, reader: int) -> None:
        rng = np.random.default_rng([3, reader])
        asks = (self.search, self.search_filtered, self.search_above, self.search_by_id, self.get)
        while self.under_way():
            before = self.index.version
            self.history.oldest_in_use[reader] = before
            ask = asks[int(rng.integers(0, len(asks)))]
            version = ask(rng, before)
            self.versions_seen[reader].add(version)
            self.done[ask.__name__] += 1

    def snapshot_of(self, version: int | None, before: int) -> Snapshot:
        assert version is not None and before <= version <= self.index.version
        return self.history.snapshots[version]

    def check(self, got: gpurec.TopK, snapshot: Snapshot, expected: tuple[np.ndarray, np.ndarray]) -> int:
        assert_same_answer(got, expected, f"{self.member}: version {snapshot.version}")
        named = [None if row < 0 else f"item {row}" for row in got.rows.ravel().tolist()]
        assert np.asarray(got.ids).ravel().tolist() == named
        return snapshot.version

    def search(self, rng: np.random.Generator, before: int) -> int:
        n_queries = int(
            rng.choice([1, 3, 50], p=[0.6, 0.38, 0.02])
        )  # many are split between threads otherwise
        queries = make_items(rng, "normal", n_queries, D, None)
        k = int(rng.choice([1, 10, 300]))
        got = self.index.search(queries, k)
        snapshot = self.snapshot_of(got.version, before)
        return self.check(got, snapshot, snapshot.search(queries, k))

    def search_filtered(self, rng: np.random.Generator, before: int) -> int:
        queries = make_items(rng, "ties", 3, D, None)
        rows = np.flatnonzero(rng.random(900) < rng.choice([0.02, 0.9]))
        name = str(rng.choice(["allow", "deny"]))
        got = self.index.search(queries, 10, **{name: rows}, hint=rng.integers(0, 900, 20))
        snapshot = self.snapshot_of(got.version, before)
        allowed = np.full((3, snapshot.n_rows), name == "deny")
        allowed[:, rows] = name == "allow"
        return self.check(got, snapshot, snapshot.search(queries, 10, allowed))

    def search_above(self, rng: np.random.Generator, before: int) -> int:
        queries = make_items(rng, "ties", 2, D, None)
        got = self.index.search_above(queries, 1.0, max_results=500)
        snapshot = self.snapshot_of(got.version, before)
        indptr, rows, scores = snapshot.above(queries, 1.0, 500)
        assert got.indptr.tolist() == indptr.tolist() and got.rows.tolist() == rows.tolist()
        assert_same_bits(got.scores, scores, f"{self.member}: version {snapshot.version}")
        return snapshot.version

    def search_by_id(self, rng: np.random.Generator, before: int) -> int:
        rows = rng.integers(0, KEPT, 2)
        got = self.index.search_ids([f"item {row}" for row in rows], 10, include_self=True)
        snapshot = self.snapshot_of(got.version, before)
        items = snapshot.items[np.searchsorted(snapshot.rows, rows)]
        return self.check(got, snapshot, snapshot.search(items, 10, prepared=True))

    def get(self, rng: np.random.Generator, before: int) -> int:
        """Rows that never go; all of one answer are of one version."""
        got = self.index.get(np.arange(KEPT))
        for version in range(before, self.index.version + 1):
            snapshot = self.history.snapshots[version]
            if np.array_equal(got, snapshot.items[:KEPT]):
                return version
        raise AssertionError(f"{self.member}: rows of no version from {before} on")


@pytest.fixture
def frequent_switches():
    """Threads take the interpreter from one another after 0.1 ms instead of 5, for more interleavings."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("frequent_switches")
@pytest.mark.parametrize("metric", ["dot", "euclidean"])
@pytest.mark.parametrize("member", MEMBERS)
def test_each_answer_is_that_of_its_version(member, metric):
    run = Run(member, metric, SECONDS / 2)
    threads = run.threads()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS + 300)
    assert not any(thread.is_alive() for thread in threads), "a thread waits for ever"
    if run.failures:
        raise run.failures[0]
    seen = set().union(*run.versions_seen)
    print(f"{member}, {metric}: {dict(run.done)}, {run.index.version} versions, {len(seen)} of them seen")
    assert all(run.versions_seen), "a reader never got an answer"
    fewest = 1 if member == "cuda_emulated" else 3  # an emulator takes its time
    assert run.index.version >= fewest and len(seen) >= fewest
    query = np.ones((1, D), np.float32)
    assert_same_answer(
        run.index.search(query, 3000), run.model.snapshot().search(query, 3000), "the last version"
    )

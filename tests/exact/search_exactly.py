"""Compares a million random searches of mixed kinds with the reference, bit for bit.

    python tests/exact/search_exactly.py [--searches 1000000] [--part 2/4] [--seed 0] [--jobs 2]

A round makes indices of one table on several instruction sets, precisions and numbers of threads, changes
them alike, and asks them batches of queries. The reference scores each version of the table once; what a
filtered search must answer is read from that. A query counts as a search, so a batch of 13 counts 13; the
last lines say how many there were of each kind. Parts share no round.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import gpurec
from gpurec.backends.base import METRICS
from gpurec.backends.cpu import CpuBackend, available_isas
from gpurec.config import n_threads

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from conformance.cases.living_inputs import make_items, random_filters
from conformance.cases.living_model import LivingModel
from conformance.cases.tables import TABLES

PRECISIONS = ("int8", "bf16", "fp32", "auto", "int4")
PRUNING = ("auto", "head norms directions", "norms directions", "directions", "norms", "head", "")
CHANGES = ("append", "update", "remove", "compact", "load", "map")
VERSIONS = 3  # of a round's index
SEARCHES = 8  # batches for each of them
ITEM_KINDS = ("normal", "decades", "ties", "copies", "zero")
MOST_SHOWN = 20
Kind = tuple[str, str]


@dataclass
class Round:
    """What one round did: searches by kind, in how many batches, and descriptions of those that differ."""

    kinds: Counter[Kind]
    batches: int
    differences: list[str]

    @property
    def searches(self) -> int:
        return sum(count for (dimension, _), count in self.kinds.items() if dimension == "metric")


class Reference:
    """Every query's finite scores of one version, best first, from which any filtered answer is read."""

    def __init__(self, model: LivingModel, queries: np.ndarray) -> None:
        snapshot = model.snapshot()
        self.n_rows = snapshot.n_rows
        self.ranked = []
        for scores in snapshot.scores(queries):
            finite = np.isfinite(scores)
            rows, scores = snapshot.rows[finite], scores[finite]
            order = np.lexsort((rows, -scores))
            self.ranked.append((rows[order], scores[order]))

    def best(self, k: int, allowed: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        rows = np.full((len(self.ranked), k), -1, np.int64)
        scores = np.full((len(self.ranked), k), -np.inf, np.float32)
        for i, (all_rows, all_scores) in enumerate(self.ranked):
            keep = slice(None) if allowed is None else allowed[i, all_rows]
            best = all_rows[keep][:k]
            rows[i, : len(best)], scores[i, : len(best)] = best, all_scores[keep][:k]
        return rows, scores

    def score_that_occurs(self, rng: np.random.Generator) -> float:
        known = [scores[: 1 + len(scores) // 8] for _, scores in self.ranked if len(scores)]
        return float(rng.choice(np.concatenate(known))) if known else 0.0


class Member:
    """One index of a round's items: an instruction set, a precision, pruning, a number of threads."""

    def __init__(self, rng: np.random.Generator, items: np.ndarray, metric: str, boost: Any) -> None:
        self.isa, self.precision = str(rng.choice(available_isas())), str(rng.choice(PRECISIONS))
        self.threads, self.pruning = int(rng.choice([1, 2, 3, 7])), str(rng.choice(PRUNING))
        names = self.pruning if self.pruning == "auto" else self.pruning.split()
        self.backend = CpuBackend(self.isa, self.threads)
        self.index = gpurec.ItemIndex(
            items,
            metric=metric,
            boost=boost,
            precision=self.precision,
            pruning=names,
            backend=self.backend,
        )

    def reload(self, mmap: bool) -> None:
        with tempfile.TemporaryDirectory() as folder, gpurec.use_backend(self.backend):
            self.index.save(Path(folder) / "index")
            self.index = gpurec.ItemIndex.load(Path(folder) / "index", mmap=mmap)


def change(rng: np.random.Generator, model: LivingModel, members: list[Member], like: np.ndarray) -> str:
    """The same change of all members and of the model; `like` are items of the round's kind."""
    name = str(rng.choice(CHANGES))
    if name == "append" or (name in ("update", "remove") and not model.n_rows):
        items = like[rng.integers(0, len(like), int(rng.choice([1, 40, 300])))]
        model.append(items)
        for member in members:
            member.index.append(items)
        return "append"
    if name == "update":
        rows = rng.permutation(model.n_rows)[: int(rng.choice([1, 30, 200]))]
        items = make_items(rng, str(rng.choice(ITEM_KINDS)), len(rows), model.d, None)
        if rng.random() < 0.6:  # of the kind, some beyond what their tiles' scales were made for
            with np.errstate(over="ignore"):
                items = like[rng.integers(0, len(like), len(rows))] * np.float32(rng.choice([1, 1, 0.5, 16]))
        items = np.nan_to_num(items)
        model.update(rows, items)
        for member in members:
            member.index.update(rows, items)
    elif name == "remove":
        rows = rng.permutation(model.n_rows)[: int(rng.integers(1, 2 + model.n_rows // 3))]
        model.remove(rows)
        for member in members:
            member.index.remove(rows)
    for member in members:
        if name == "compact":
            member.index.compact()
        elif name in ("load", "map"):
            member.reload(name == "map")
    return name


def is_same(got: Any, rows: np.ndarray, scores: np.ndarray) -> bool:
    """Whether rows and the bits of float32 scores are equal."""
    same = np.array_equal(got.rows, rows) and got.scores.dtype == np.float32
    return same and np.array_equal(got.scores.view(np.uint32), scores.view(np.uint32))


def run_round(seed: int, number: int) -> Round:
    """Round `number`: the kinds of tables take turns, one further on each time, and all else is drawn."""
    rng = np.random.default_rng([seed, number])
    table = list(TABLES)[(number + number // len(TABLES)) % len(TABLES)]
    metric = str(rng.choice(METRICS, p=[0.4, 0.2, 0.15, 0.25]))
    n = int(rng.choice([1, 40, 130, 600, 1300, 2600], p=[0.03, 0.07, 0.2, 0.3, 0.3, 0.1]))
    d, n_queries = int(rng.choice([1, 2, 5, 8, 16, 31, 33, 64])), int(rng.choice([1, 2, 6, 7, 13, 40]))
    queries, items = TABLES[table](rng, n, d, n_queries)
    model, boost = LivingModel(metric, queries.shape[1]), None
    if metric != "euclidean" and rng.random() < 0.2:
        model.boosts, boost = {}, rng.standard_normal(n).astype(np.float32)
    model.append(items, boost)
    members = [Member(rng, items, metric, boost) for _ in range(3)]
    done = Round(Counter(), 0, [])
    last = "build"
    for version in range(VERSIONS):
        if version > 0:
            last = change(rng, model, members, items)
        reference = Reference(model, queries)
        for _ in range(SEARCHES):
            member = members[rng.integers(0, len(members))]
            given = items if version == 0 and boost is None and rng.random() < 0.25 else None
            same, kinds = ask(rng, member, queries, given, metric, reference)
            kinds += [("table", table), ("metric", metric), ("after", last)]
            done.kinds.update(dict.fromkeys(kinds, len(queries)))
            done.batches += 1
            if not same:
                done.differences.append(f"round {number} of seed {seed}, batch {done.batches}: {kinds}")
    return done


def ask(
    rng: np.random.Generator,
    member: Member,
    queries: np.ndarray,
    items: np.ndarray | None,
    metric: str,
    reference: Reference,
) -> tuple[bool, list[Kind]]:
    """One batch, of the index or of the items where they are given: is the answer right, and its kinds."""
    filters, allowed, hint = draw_filters(rng, reference)
    n = reference.n_rows
    k = int(rng.choice([1, 2, 10, 37, 100, max(1, n // 4), n, n + 5]))
    kinds = [("isa", member.isa), ("threads", str(member.threads))]
    kinds += [("filter", name) for name in filters] or [("filter", "none")]
    kinds += [("k", "1" if k == 1 else "all" if k >= n else "some"), ("hint", str(hint is not None))]
    rows, scores = reference.best(k, allowed)
    if items is not None:
        got = gpurec.score_top_k(
            queries, items, k, metric=metric, hint=hint, backend=member.backend, **filters
        )
        return is_same(got, rows, scores), [*kinds, ("way", "score_top_k")]
    kinds += [("precision", member.precision), ("pruning", member.pruning.replace(" ", "_") or "none")]
    if rng.random() < 0.15:
        threshold = reference.score_that_occurs(rng)
        reaches = (rows >= 0) & (scores >= threshold)
        above = member.index.search_above(queries, threshold, max_results=k, **filters)
        return is_same(above, rows[reaches], scores[reaches]), [*kinds, ("way", "search_above")]
    got = member.index.search(queries, k, hint=hint, **filters)
    return is_same(got, rows, scores), [*kinds, ("way", "search")]


def draw_filters(
    rng: np.random.Generator, reference: Reference
) -> tuple[dict[str, Any], np.ndarray | None, np.ndarray | None]:
    """Filters in any form with what they leave, or none, and now and then a hint of best and other rows."""
    filters: dict[str, Any] = {}
    allowed = None
    if rng.random() < 0.5:
        filters, allowed = random_filters(rng, len(reference.ranked), reference.n_rows)
    if rng.random() < 0.8:
        return filters, allowed, None
    rows = [best[: int(rng.choice([3, 20, 200]))] for best, _ in reference.ranked]
    others = rng.integers(0, reference.n_rows, 9) if reference.n_rows else np.empty(0, np.int64)
    return filters, allowed, rng.permutation(np.concatenate([*rows, others, [-1]]).astype(np.int64))


def run(searches: int, part: int, n_parts: int, seed: int, jobs: int) -> Round:
    """Rounds part, part + n_parts, ... until they make so many searches."""
    total = Round(Counter(), 0, [])
    numbers = itertools.count(part, n_parts)
    waiting: set[Future[Round]] = set()
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        while total.searches < searches:
            waiting |= {pool.submit(run_round, seed, next(numbers)) for _ in range(2 * jobs - len(waiting))}
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in finished:
                one = future.result()
                total.kinds += one.kinds
                total.batches += one.batches
                total.differences += one.differences
                for difference in one.differences[:MOST_SHOWN]:
                    print(f"DIFFERENT: {difference}", flush=True)
        for future in waiting:
            future.cancel()
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--searches", type=int, default=1_000_000, help="of all parts together")
    parser.add_argument("--part", default="1/1", help="i/n: the i-th of n shares")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=n_threads(), help="processes")
    chosen = parser.parse_args()
    part, _, n_parts = chosen.part.partition("/")
    if not (part.isdigit() and n_parts.isdigit() and 1 <= int(part) <= int(n_parts)):
        parser.error(f"expected --part i/n with 1 <= i <= n, got {chosen.part}")
    started = time.perf_counter()
    share = -(-chosen.searches // int(n_parts))
    total = run(share, int(part) - 1, int(n_parts), chosen.seed, chosen.jobs)
    for dimension, kinds in itertools.groupby(sorted(total.kinds.items()), key=lambda item: item[0][0]):
        print(f"{dimension}: " + ", ".join(f"{value} {count}" for (_, value), count in kinds))
    print(f"{time.perf_counter() - started:.0f} s with {chosen.jobs} processes")
    print(
        f"{total.searches} searches in {total.batches} batches, each query one search "
        f"(part {chosen.part}, seed {chosen.seed}): {len(total.differences)} differences"
    )
    return 1 if total.differences else 0


if __name__ == "__main__":
    sys.exit(main())

"""Cases of a search: table, k, metric, filters and hint, with the answer the reference gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import numpy as np

from gpurec.backends.base import METRICS, Filters, RowSets
from gpurec.backends.reference import ReferenceBackend

from .disguises import RowSet, disguise_one_set, disguise_sets, disguise_table
from .tables import TABLES

SEED = 20240607
BLOCK = 64  # items in a panel of the scan

PER_QUERY_FORMS = ("list", "pair", "csr", "csc", "coo")


@dataclass
class SearchCase:
    """One call of `score_top_k`.

    `queries`, `items` and the filters are what the op is given; `plain_queries` and `plain_items` are the
    same tables as float32 in C order, and `allowed[i]` the rows that query i may be given: both are made
    before the disguise, so the expected answer rests on none of the code that undoes it.
    """

    number: int
    kind: str
    plain_queries: np.ndarray
    plain_items: np.ndarray
    k: int
    metric: str
    queries: np.ndarray = field(init=False)
    items: np.ndarray = field(init=False)
    allowed: list[RowSet] = field(init=False)
    filters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.queries, self.items = self.plain_queries, self.plain_items
        self.allowed = [np.arange(self.n_items) for _ in range(self.n_queries)]

    @property
    def n_queries(self) -> int:
        return len(self.plain_queries)

    @property
    def n_items(self) -> int:
        return len(self.plain_items)

    @property
    def is_big(self) -> bool:
        """At least 20 blocks of items and k at most a fiftieth of them: a scan must leave items out."""
        return self.n_items >= 20 * BLOCK and self.k <= self.n_items / 50

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of `score_top_k`."""
        return dict(queries=self.queries, items=self.items, k=self.k, metric=self.metric, **self.filters)

    def __str__(self) -> str:
        shapes = (
            f"queries {self.queries.shape} {self.queries.dtype}, items {self.items.shape} {self.items.dtype}"
        )
        return (
            f"search_case({self.number}) of kind {self.kind}: {shapes}, k={self.k}, metric={self.metric}, "
            f"filters: {', '.join(f'{name} {type(value).__name__}' for name, value in self.filters.items())}"
        )

    # --- building blocks; each narrows `allowed` by what it passes to the op -----------------------------

    def set_exclude(self, rng: np.random.Generator, sets: list[RowSet]) -> None:
        self.filters["exclude"] = disguise_sets(rng, sets, self.n_items, which=None, forms=PER_QUERY_FORMS)
        self._remove(sets)

    def set_shared(self, rng: np.random.Generator, name: str, rows: RowSet) -> None:
        self.filters[name] = disguise_one_set(rng, rows, self.n_items)
        self._narrow(name, [rows] * self.n_queries)

    def set_per_query(self, rng: np.random.Generator, name: str, sets: list[RowSet]) -> None:
        self.filters[name] = disguise_sets(rng, sets, self.n_items, which=None, forms=PER_QUERY_FORMS)
        self._narrow(name, sets)

    def set_chosen(self, rng: np.random.Generator, name: str, sets: list[RowSet], which: np.ndarray) -> None:
        self.filters[name] = disguise_sets(rng, sets, self.n_items, which=which, forms=("list",))
        self._narrow(name, [sets[w] for w in which])

    def set_hint(self, rng: np.random.Generator, sets: list[RowSet]) -> None:
        """A hint changes no answer, so nothing is narrowed."""
        if rng.random() < 0.4:
            self.filters["hint"] = rng.permutation(np.concatenate([*sets, *sets, [-1]]).astype(np.int64))
        else:
            self.filters["hint"] = disguise_sets(rng, sets, self.n_items, which=None, forms=PER_QUERY_FORMS)

    def _narrow(self, name: str, sets: list[RowSet]) -> None:
        if name == "deny":
            self._remove(sets)
        else:
            self.allowed = [np.intersect1d(a, s) for a, s in zip(self.allowed, sets)]

    def _remove(self, sets: list[RowSet]) -> None:
        self.allowed = [np.setdiff1d(a, s) for a, s in zip(self.allowed, sets)]


def _some_rows(rng: np.random.Generator, n: int, share: float) -> RowSet:
    return np.flatnonzero(rng.random(n) < share)


def _per_query(rng: np.random.Generator, case: SearchCase, shares: list[float]) -> list[RowSet]:
    return [_some_rows(rng, case.n_items, float(rng.choice(shares))) for _ in range(case.n_queries)]


def _best_rows(case: SearchCase, count: int) -> list[RowSet]:
    """About the best rows of each query by dot product: good enough to exclude or to hint."""
    scores = case.plain_queries.astype(np.float64) @ case.plain_items.astype(np.float64).T
    return [np.sort(np.argsort(-row, kind="stable")[:count]) for row in scores]


def add_filters(rng: np.random.Generator, case: SearchCase) -> None:
    """Any mixture of the filters, each in any of its forms, from empty to almost everything."""
    shares = [0.0, 0.01, 0.3, 0.97]
    if rng.random() < 0.6:
        case.set_exclude(rng, _per_query(rng, case, shares))
    for name in ("allow", "deny"):
        form = rng.choice(["none", "shared", "per_query", "chosen"])
        shares = [0.0, 0.005, 0.1, 0.9, 1.0] if name == "allow" else [0.0, 0.01, 0.5, 0.95]
        if form == "shared":
            case.set_shared(rng, name, _some_rows(rng, case.n_items, float(rng.choice(shares))))
        elif form == "per_query":
            case.set_per_query(rng, name, _per_query(rng, case, shares))
        elif form == "chosen":
            sets = [_some_rows(rng, case.n_items, s) for s in rng.choice(shares, int(rng.integers(1, 4)))]
            case.set_chosen(rng, name, sets, rng.integers(0, len(sets), case.n_queries))


def add_best_excluded(rng: np.random.Generator, case: SearchCase) -> None:
    """The best items are out for each query, by any one of the filters."""
    best = _best_rows(case, int(rng.integers(case.k, case.n_items // 2 + 1)))
    way = rng.choice(["exclude", "deny", "allow", "chosen", "mask"])
    if way == "exclude":
        case.set_exclude(rng, best)
    elif way == "deny":
        case.set_per_query(rng, "deny", best)
    elif way == "allow":
        case.set_per_query(rng, "allow", [np.setdiff1d(np.arange(case.n_items), rows) for rows in best])
    elif way == "chosen":
        case.set_chosen(rng, "deny", best[::-1], np.arange(case.n_queries)[::-1].copy())
    else:
        case.set_shared(rng, "allow", np.setdiff1d(np.arange(case.n_items), best[0]))


def add_hint(rng: np.random.Generator, case: SearchCase, fewest: int = 1, excluded: float = 0.6) -> None:
    """Best rows, random rows and filtered rows as hint, repeated."""
    best = _best_rows(case, int(rng.integers(fewest, 3 * case.k + 2)))
    hinted = [np.union1d(rows, rng.integers(0, case.n_items, 5)) for rows in best]
    case.set_hint(rng, hinted if case.n_items else [np.empty(0, dtype=np.int64)] * case.n_queries)
    # Half of the hinted rows may not be returned.
    if rng.random() < excluded and "exclude" not in case.filters:
        case.set_exclude(rng, [rows[rng.random(len(rows)) < 0.5] for rows in hinted])


def _big(kind: str, rng: np.random.Generator, number: int, table: str | None = None) -> SearchCase:
    n = int(
        rng.integers(20 * BLOCK, 28 * BLOCK) if rng.random() < 0.8 else rng.integers(28 * BLOCK, 90 * BLOCK)
    )
    d = int(rng.choice([1, 2, 3, 5, 8, 16, 17, 31, 32, 33, 40, 63, 64, 65]))
    n_queries = int(rng.choice([1, 2, 3, 5, 6, 7, 13]))
    queries, items = TABLES[table or kind](rng, n, d, n_queries)
    k = int(rng.choice([1, 2, 10, n // 50, int(rng.integers(1, n // 50 + 1))]))
    metric = str(rng.choice(METRICS, p=[0.55, 0.15, 0.1, 0.2]))
    if kind == "distances_at_midpoints":
        metric = "euclidean"
    return SearchCase(number, kind, queries, items, k, metric)


def _of_table(kind: str, rng: np.random.Generator, number: int) -> SearchCase:
    case = _big(kind, rng, number)
    if rng.random() < 0.3:
        add_filters(rng, case)
    if rng.random() < 0.2:
        add_hint(rng, case)
    return case


def _best_excluded(kind: str, rng: np.random.Generator, number: int) -> SearchCase:
    case = _big(kind, rng, number, str(rng.choice(["random_factors", "long_tail", "ascending_scores"])))
    add_best_excluded(rng, case)
    if rng.random() < 0.3:
        add_hint(rng, case)
    return case


def _hinted(kind: str, rng: np.random.Generator, number: int) -> SearchCase:
    tables = ["random_factors", "long_tail", "equal_by_thousands", "beyond_float32_range"]
    case = _big(kind, rng, number, str(rng.choice(tables)))
    add_hint(rng, case, fewest=case.k, excluded=1.0)  # the rows would prove too much, were they all counted
    return case


def _tied_hint(kind: str, rng: np.random.Generator, number: int) -> SearchCase:
    """Ties at the norm bound; the last of them, as hint, prove their score a threshold from the start."""
    case = _big(kind, rng, number, "ties_at_norm_bound")
    scores = case.plain_queries.astype(np.float64) @ case.plain_items.astype(np.float64).T
    last = [np.flatnonzero(row == row.max())[-case.k - 2 :] for row in scores]
    case.set_hint(rng, last)
    if rng.random() < 0.2:
        add_filters(rng, case)
    return case


def _filter_forms(kind: str, rng: np.random.Generator, number: int) -> SearchCase:
    case = _big(kind, rng, number, str(rng.choice(["random_factors", "long_tail", "equal_by_thousands"])))
    add_filters(rng, case)
    return case


def _other_inputs(kind: str, rng: np.random.Generator, number: int) -> SearchCase:
    tables = [
        "random_factors",
        "integers_beyond_24_bits",
        "rank_deficient",
        "below_normal_range",
        "zero_rows",
    ]
    case = _big(kind, rng, number, str(rng.choice(tables)))
    case.queries = disguise_table(rng, case.plain_queries)
    case.items = disguise_table(rng, case.plain_items)
    return case


def _long(kind: str, rng: np.random.Generator, number: int) -> SearchCase:
    """Narrow and long: buffers fill and are thinned again and again."""
    n = int(rng.integers(6000, 12000))
    table = str(
        rng.choice(["ascending_scores", "equal_by_thousands", "random_factors", "copies_an_ulp_apart"])
    )
    queries, items = TABLES[table](rng, n, int(rng.choice([2, 3, 8])), int(rng.choice([1, 3, 8])))
    case = SearchCase(number, kind, queries, items, int(rng.choice([1, 10, 100, n // 50])), "dot")
    if rng.random() < 0.3:
        add_filters(rng, case)
    return case


def _deep(kind: str, rng: np.random.Generator, number: int) -> SearchCase:
    """So many places that a sample tells where the threshold will lie, rightly or not."""
    n = int(rng.integers(1000, 4000))
    k = int(rng.integers(int(2 * np.sqrt(8 * n)), n // 3))
    table = str(rng.choice(["neighbours_together", "random_factors", "long_tail", "equal_by_thousands"]))
    queries, items = TABLES[table](rng, n, int(rng.choice([3, 16])), int(rng.choice([1, 7, 60])))
    case = SearchCase(number, kind, queries, items, k, str(rng.choice(METRICS, p=[0.6, 0.1, 0.1, 0.2])))
    if rng.random() < 0.4:
        add_filters(rng, case)
    return case


def _many_queries(kind: str, rng: np.random.Generator, number: int) -> SearchCase:
    """Enough queries for several tiles, blocks and threads."""
    n, n_queries = int(rng.integers(20 * BLOCK, 22 * BLOCK)), int(rng.integers(60, 200))
    table = str(rng.choice(["random_factors", "long_tail", "rank_deficient", "norms_over_16_decades"]))
    queries, items = TABLES[table](rng, n, int(rng.choice([3, 16, 33])), n_queries)
    case = SearchCase(number, kind, queries, items, int(rng.choice([1, 10, 25])), str(rng.choice(METRICS)))
    if rng.random() < 0.5:
        case.set_exclude(rng, _per_query(rng, case, [0.0, 0.01, 0.1]))
    return case


def _small(kind: str, rng: np.random.Generator, number: int) -> SearchCase:
    """Sizes around those of a panel and a tile, k of the order of n or above it, empty tables."""
    n = int(rng.choice([0, 1, 2, 7, 31, 32, 33, 63, 64, 65, 127, 128, 129, 200]))
    d = int(rng.choice([1, 2, 3, 7, 8, 9, 16, 31, 32, 33, 64]))
    n_queries = int(rng.choice([0, 1, 2, 5, 6, 7, 12, 13, 65]))
    names = ["random_factors", "equal_by_thousands", "zero_rows", "negative_scores", "beyond_float32_range"]
    if n and n_queries:
        queries, items = TABLES[str(rng.choice(names))](rng, n, d, n_queries)
    else:
        queries, items = np.zeros((n_queries, d), np.float32), np.zeros((n, d), np.float32)
    k = int(rng.choice([1, 2, max(n - 1, 1), max(n, 1), n + 1, n + 70, 300]))
    case = SearchCase(number, kind, queries, items, k, str(rng.choice(METRICS)))
    if n and n_queries:
        if rng.random() < 0.5:
            add_filters(rng, case)
        if rng.random() < 0.3:
            add_hint(rng, case)
        if rng.random() < 0.3:
            case.items = disguise_table(rng, case.plain_items)
    if n_queries == 1 and rng.random() < 0.5:
        case.queries = case.plain_queries[0]
    return case


BIG_KINDS: dict[str, Callable[[str, np.random.Generator, int], SearchCase]] = {
    **dict.fromkeys(TABLES, _of_table),
    "best_items_excluded": _best_excluded,
    "hinted": _hinted,
    "ties_hinted": _tied_hint,
    "filter_forms": _filter_forms,
    "other_inputs": _other_inputs,
}
KINDS = {
    **BIG_KINDS,
    "many_queries": _many_queries,
    "long": _long,
    "deep": _deep,
    "small": _small,
    "small_again": _small,
}


def numbers_of(kind: str, count: int) -> list[int]:
    """Numbers of the first cases of a kind."""
    first = list(KINDS).index(kind)
    return list(range(first, first + count * len(KINDS), len(KINDS)))


@lru_cache(maxsize=64)
def search_case(number: int) -> SearchCase:
    """The case of this number; the kinds take turns."""
    kind = list(KINDS)[number % len(KINDS)]
    return KINDS[kind](kind, np.random.default_rng([SEED, number]), number)


@cache
def expected_answer(number: int) -> tuple[np.ndarray, np.ndarray]:
    """What the reference returns for a case: rows and scores."""
    case = search_case(number)
    indptr = np.cumsum([0, *map(len, case.allowed)], dtype=np.int64)
    rows = np.concatenate([*case.allowed, np.empty(0, dtype=np.int64)]).astype(np.int64)
    reference = ReferenceBackend()
    index = reference.build_index(case.plain_items, case.metric)
    return reference.search(index, case.plain_queries, case.k, Filters(allow=RowSets(indptr, rows)))

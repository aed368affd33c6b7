"""What a changing index is given: items that are hard to tell apart, filters in any form, and wrong calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import gpurec

from .disguises import disguise_one_set, disguise_sets
from .living_model import LivingModel, Snapshot
from .search_case import PER_QUERY_FORMS


def make_items(rng: np.random.Generator, kind: str, n: int, d: int, snapshot: Snapshot | None) -> np.ndarray:
    """Items of norms over many decades, of equal scores by the dozen, or equal to some that are there."""
    items = rng.standard_normal((n, d)).astype(np.float32)
    if kind == "decades":
        items *= (10.0 ** rng.uniform(-18, 19, (n, 1))).astype(np.float32)
    elif kind == "ties":
        items = rng.integers(-1, 2, (n, d)).astype(np.float32)
    elif kind == "copies" and snapshot is not None and len(snapshot.rows):
        items = snapshot.items[rng.integers(0, len(snapshot.rows), n)].copy()
    elif kind == "zero":
        items[rng.random(n) < 0.5] *= np.float32(0)
    return items


def random_filters(rng: np.random.Generator, n_queries: int, n: int) -> tuple[dict[str, Any], np.ndarray]:
    """Filters over n rows in any form, and what they leave: allowed[i, row]."""
    allowed = np.ones((n_queries, n), bool)
    filters: dict[str, Any] = {}

    def sets(count: int, shares: list[float]) -> list[np.ndarray]:
        return [np.flatnonzero(rng.random(n) < share) for share in rng.choice(shares, count)]

    for name, shares in (("allow", [0.0, 0.01, 0.5, 1.0]), ("deny", [0.0, 0.3, 0.97])):
        form = rng.choice(["none", "shared", "per_query", "chosen"])
        if form == "shared":
            (rows,) = sets(1, shares)
            filters[name] = disguise_one_set(rng, rows, n)
            each = [rows] * n_queries
        elif form == "per_query":
            each = sets(n_queries, shares)
            filters[name] = disguise_sets(rng, each, n, which=None, forms=PER_QUERY_FORMS)
        elif form == "chosen":
            few, which = sets(3, shares), rng.integers(0, 3, n_queries)
            filters[name] = disguise_sets(rng, few, n, which=which, forms=("list",))
            each = [few[w] for w in which]
        else:
            continue
        inside = np.zeros_like(allowed)
        for i, rows in enumerate(each):
            inside[i, rows] = True
        allowed &= inside if name == "allow" else ~inside
    if rng.random() < 0.5:
        seen = sets(n_queries, [0.0, 0.1, 0.9])
        filters["exclude"] = disguise_sets(rng, seen, n, which=None, forms=PER_QUERY_FORMS)
        for i, rows in enumerate(seen):
            allowed[i, rows] = False
    return filters, allowed


def wrong_calls(
    index: gpurec.ItemIndex, model: LivingModel, ids: list[Any] | None, new: list[Any] | None
) -> dict[str, Callable[[], Any]]:
    """Calls that must raise and change nothing, by what is wrong with them.

    `ids` are those of the index, `new` two that it lacks; both None for an index without ids.
    """
    d, n = model.d, model.n_rows
    one, nan, wide = np.ones((1, d)), np.full((1, d), np.nan), np.ones((1, d + 1))
    first = None if new is None else new[:1]
    calls = {
        "append NaN": lambda: index.append(nan, ids=first),
        "append infinity": lambda: index.append(one * 1e39, ids=first),
        "append of another width": lambda: index.append(wide, ids=first),
        "append booleans": lambda: index.append(np.ones((1, d), bool), ids=first),
        "append ids of another kind": lambda: index.append(one, ids=["x"] if new is None else None),
        "append a boost of another length": lambda: index.append(one, ids=first, boost=[1.0, 2.0]),
        "append a boost of NaN": lambda: index.append(one, ids=first, boost=[np.nan]),
        "update beyond the rows": lambda: index.update([n], one),
        "update below the rows": lambda: index.update([-1], one),
        "update by floats": lambda: index.update([0.0], one),
        "remove beyond the rows": lambda: index.remove([n]),
        "remove below the rows": lambda: index.remove([-1]),
        "search of another width": lambda: index.search(wide, 1),
        "search NaN": lambda: index.search(nan, 1),
        "search for none": lambda: index.search(one, 0),
        "search without rows": lambda: index.search(one, 1, deny=[n]),
        "search above NaN": lambda: index.search_above(one, np.nan),
        "get beyond the rows": lambda: index.get([n]),
    }
    if n:
        calls |= {
            "update NaN": lambda: index.update([n - 1], nan),
            "update of another width": lambda: index.update([n - 1], wide),
            "update a row twice": lambda: index.update([n - 1, n - 1], np.ones((2, d))),
            "update by too many items": lambda: index.update([n - 1], np.ones((2, d))),
            "update, the last row wrong": lambda: index.update([n - 1, n], np.ones((2, d))),
        }
    if new is not None:
        calls["append an id twice"] = lambda: index.append(np.ones((2, d)), ids=[new[0], new[0]])
        calls["append too few ids"] = lambda: index.append(np.ones((2, d)), ids=first)
        if n:
            calls["append a known id"] = lambda: index.append(np.ones((2, d)), ids=[new[0], ids[0]])
    active = model.active
    if model.metric == "euclidean" or len(active):
        row = active[:1]
        calls["boost of NaN, or with euclidean"] = lambda: index.set_boost(
            row, 1.0 if model.metric == "euclidean" else np.nan
        )
        calls["boost beyond the rows"] = lambda: index.set_boost([n], 1.0)
    gone = np.setdiff1d(np.arange(n), active)[:1]
    if len(gone):
        calls["get a row without an item"] = lambda: index.get(gone)
        calls["boost of a row without an item"] = lambda: index.set_boost(gone, 1.0)
    return calls

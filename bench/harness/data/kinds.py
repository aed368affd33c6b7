"""Kinds of items, each with the queries asked of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gpurec.config import data_folder

from .gowalla import factors, few_factors, read, training_file

__all__ = ["KINDS", "Items"]

_N_QUERIES = 4096
_N_DISTINCT = 1000


@dataclass(frozen=True)
class Items:
    """Items to be searched: a kind and, where they are drawn, how many.

    Parameters
    ----------
    kind : str
        A name of `KINDS`.
    n_items, d : int
        Of factors that were fitted to data both are what they are.
    """

    kind: str = "normal"
    n_items: int = 100_000
    d: int = 64

    def make(self) -> tuple[np.ndarray, np.ndarray]:
        """Items and queries, float32, equal in every run."""
        items, queries = KINDS[self.kind](self.n_items, self.d)
        if items.shape != (self.n_items, self.d):
            raise ValueError(f"[bench] expected {self.kind} of {(self.n_items, self.d)}, got {items.shape}")
        return items, queries


_Made = tuple[np.ndarray, np.ndarray]


def _normal(n_items: int, d: int) -> _Made:
    rng = np.random.default_rng([n_items, d])
    items = rng.standard_normal((n_items, d), dtype=np.float32)
    return items, rng.standard_normal((_N_QUERIES, d), dtype=np.float32)


def _steep(n_items: int, d: int) -> _Made:
    """The spectrum falls as 1 / j, as in a singular value decomposition: the first component leads."""
    items, queries = _normal(n_items, d)
    spectrum = 1 / np.arange(1, d + 1, dtype=np.float32)
    return items * spectrum, queries * spectrum


def _flat(n_items: int, d: int) -> _Made:
    """All items have the norm 1, so that norms tell nothing."""
    items, queries = _normal(n_items, d)
    return items / np.linalg.norm(items, axis=1, keepdims=True), queries


def _skewed(n_items: int, d: int) -> _Made:
    """Norms with a heavy tail (Pareto, shape 2): few items are hundreds of times as long as most."""
    items, queries = _flat(n_items, d)
    lengths = 1 + np.random.default_rng([d, n_items]).pareto(2, (n_items, 1))
    return items * lengths.astype(np.float32), queries


def _tied(n_items: int, d: int) -> _Made:
    """A thousand different items, each of which stands in very many rows."""
    items, queries = _normal(n_items, d)
    return items[np.random.default_rng([d, n_items]).integers(0, _N_DISTINCT, n_items)], queries


def _gowalla(model: str) -> Callable[[int, int], _Made]:
    def make(n_items: int, d: int) -> _Made:
        train = training_file(data_folder())
        if model == "svd":
            users, items = few_factors(read(train)[:2000], d)
        else:
            users, items = factors(model, train)
        return items, np.random.default_rng(0).permutation(users)

    return make


KINDS: dict[str, Callable[[int, int], _Made]] = {
    "normal": _normal,
    "steep": _steep,
    "flat": _flat,
    "skewed": _skewed,
    "tied": _tied,
    "gowalla als": _gowalla("als"),
    "gowalla bpr": _gowalla("bpr"),
    "gowalla bpr mild": _gowalla("bpr-mild"),
    "gowalla bpr ours": _gowalla("bpr-ours"),
    "gowalla svd": _gowalla("svd"),
}

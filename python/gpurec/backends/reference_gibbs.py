"""Half a sweep of Gibbs sampling in NumPy float64: the bits that every backend must give."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .gibbs_side import GibbsSide
from .reference_normals import normals
from .sparse_rows import SparseRows

__all__ = ["gibbs_half_sweep"]

LANES, FEATURE_LANES = 8, 4


@dataclass
class _Row:
    """Sums of a row over its ratings, each by its precision; d is an other's vector with 1 for its bias."""

    gram: np.ndarray  # of d d'
    sums: np.ndarray  # of d times the error, before features move the row
    errors: float = 0.0  # squared


def gibbs_half_sweep(
    ratings: SparseRows,
    others: GibbsSide,
    side: GibbsSide,
    *,
    seed: int,
    sweep: int,
    number: int,
    random: bool,
) -> np.ndarray:
    """Draw one side's tables anew, in place; see `gpurec.ops.gibbs.gibbs_half_sweep`."""
    width = others.vectors.shape[1]

    def drawn(n: int, stream: int) -> np.ndarray:
        rows = np.arange(n)
        return normals(seed, rows, 2 * number + stream, sweep, width) if random else np.zeros((n, width))

    rows = [_sums(ratings, others, side, r) for r in range(ratings.n_rows)]
    of_features = drawn(len(side.weights), 1)
    whose = np.arange(len(rows)) if side.owners is None else side.owners
    owners = _added_up(rows, whose, side.features.n_columns, width)
    moved = np.zeros((len(owners), width))
    for component in range(width if len(of_features) else 0):
        _draw_component(owners, moved, side, of_features[:, component], component)
    for r, (row, of_row) in enumerate(zip(rows, drawn(len(rows), 0))):
        _draw_row(row, side, r, moved[whose[r]], of_row)
    return np.array([row.errors for row in rows])


def _sums(ratings: SparseRows, others: GibbsSide, side: GibbsSide, r: int) -> _Row:
    chosen, values = ratings.of(r)
    vectors, roots = others.vectors[chosen], np.sqrt(others.precisions[chosen])
    designs = roots[:, np.newaxis] * vectors
    designs[:, 0] = roots
    errors = roots * (values.astype(np.float64) - vectors[:, 0]) - _dots(designs, side.vectors[r])
    gram = side.precisions[r] * _in_order(designs[:, :, np.newaxis] * designs[:, np.newaxis, :])
    sums = side.precisions[r] * _in_order(errors[:, np.newaxis] * designs)
    squared = float(_in_order((errors * errors)[:, np.newaxis])[0])
    return _Row(gram, sums, squared)


def _added_up(rows: list[_Row], whose: np.ndarray, n_owners: int, width: int) -> list[_Row]:
    """For each owner the sums of its first row, and those of its other rows added in turn."""
    found: list[_Row | None] = [None] * n_owners
    for row, owner in zip(rows, whose):
        so_far = found[owner]
        found[owner] = row if so_far is None else _Row(so_far.gram + row.gram, so_far.sums + row.sums)
    return [_Row(np.zeros((width, width)), np.zeros(width)) if one is None else one for one in found]


def _in_order(terms: np.ndarray) -> np.ndarray:
    """Sums over the first axis from +0.0, first to last; NumPy's own may add in pairs."""
    return (
        np.add.accumulate(np.concatenate([np.zeros_like(terms[:1]), terms]))[-1]
        if len(terms)
        else (np.zeros(terms.shape[1:]))
    )


def _dots(designs: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Lane l adds products l, l + 8, ...; then halves of the lanes are added (4, 2, 1)."""
    lanes = np.zeros((len(designs), LANES))
    for first in range(0, len(vector), LANES):
        products = designs[:, first : first + LANES] * vector[first : first + LANES]
        lanes[:, : products.shape[1]] += products
    half = LANES // 2
    while half:
        lanes = lanes[:, :half] + lanes[:, half:]
        half //= 2
    return lanes[:, 0]


def _feature_lanes(terms: np.ndarray) -> float:
    lanes = np.zeros((-(-len(terms) // FEATURE_LANES), FEATURE_LANES))
    lanes.flat[: len(terms)] = terms
    first, second, third, fourth = _in_order(lanes)
    return float((first + third) + (second + fourth))


def _draw_component(
    owners: list[_Row], all_moved: np.ndarray, side: GibbsSide, drawn: np.ndarray, f: int
) -> None:
    """Component f of every feature, one after another: each moves what the next one sees."""
    squares = np.array([owner.gram[f, f] for owner in owners])
    sums = np.array([owner.sums[f] for owner in owners])
    for g in range(f):
        sums -= np.array([owner.gram[f, g] for owner in owners]) * all_moved[:, g]
    moved = all_moved[:, f]
    for j in range(len(side.weights)):
        having, values = side.features.of(j)
        x, group = values.astype(np.float64), int(side.groups[j])
        a = _feature_lanes((x * x) * squares[having])
        b = _feature_lanes(x * sums[having])
        weight, prior = side.weights[j, f], side.prior_precisions[group, f]
        precision = a + prior
        mean = ((b + a * weight) + prior * side.prior_means[group, f]) / precision
        new = mean + drawn[j] / math.sqrt(precision)
        step = x * (new - weight)
        side.weights[j, f] = new
        sums[having] -= step * squares[having]
        moved[having] += step


def _times(gram: np.ndarray, x: np.ndarray) -> np.ndarray:
    return _in_order(gram * x[:, np.newaxis])


def _draw_row(row: _Row, side: GibbsSide, r: int, moved: np.ndarray, drawn: np.ndarray) -> None:
    width, before = len(drawn), side.own[r].copy()
    precision, prior_mean = side.prior_precisions[0], side.prior_means[0]
    target = (row.sums + _times(row.gram, before - moved)) + precision * prior_mean
    lower = np.zeros((width, width))
    for f in range(width):
        for g in range(f + 1):
            left = row.gram[f, g]
            if g == f:
                left += precision[f]
            for k in range(g):
                left -= lower[f, k] * lower[g, k]
            lower[f, g] = math.sqrt(left) if g == f else left / lower[g, g]
    for f in range(width):
        for k in range(f):
            target[f] -= lower[f, k] * target[k]
        target[f] /= lower[f, f]
    both = np.stack([target, target + drawn], axis=1)  # the mean and the draw, solved alike
    for f in range(width - 1, -1, -1):
        both[f] /= lower[f, f]
        both[:f] -= lower[f, :f, np.newaxis] * both[f]
    mean, new = both[:, 0], both[:, 1]
    from_features = side.vectors[r] - before + moved
    change = moved + (new - before)
    side.means[r] = from_features + mean
    side.vectors[r] = from_features + new
    side.own[r] = new
    terms = change * (2 * row.sums - _times(row.gram, change))
    row.errors -= float(_in_order(terms[:, np.newaxis])[0] / side.precisions[r])

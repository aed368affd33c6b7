"""Tables of queries and items, each built to be hard for a scan in one particular way.

Every generator takes a random generator, the number of items n, the width d and the number of queries, and
gives float32 `(queries, items)`; it may choose another width, never another n.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Table = tuple[np.ndarray, np.ndarray]
Generator = Callable[[np.random.Generator, int, int, int], Table]

TABLES: dict[str, Generator] = {}
_LARGEST = float(np.finfo(np.float32).max)


def _table(generator: Generator) -> Generator:
    TABLES[generator.__name__] = generator
    return generator


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def _to_float32(values: np.ndarray) -> np.ndarray:
    return np.clip(values, -_LARGEST, _LARGEST).astype(np.float32)


@_table
def random_factors(rng, n, d, n_queries):
    """Nothing special: what a scan prunes when nothing is against it."""
    return _normal(rng, n_queries, d), _normal(rng, n, d)


@_table
def long_tail(rng, n, d, n_queries):
    """Norms fall steeply and rows share directions, as learned factors do: whole panels can be skipped."""
    norms = rng.permutation(np.arange(1, n + 1) ** -rng.uniform(0.3, 1.5))
    centre = _normal(rng, 1, d)
    return centre + _normal(rng, n_queries, d), _to_float32(
        norms[:, np.newaxis] * (centre + _normal(rng, n, d))
    )


@_table
def equal_by_thousands(rng, n, d, n_queries):
    """A handful of distinct rows, or components of -1, 0 and 1: masses of equal scores."""
    if rng.random() < 0.5:
        base = _normal(rng, int(rng.integers(1, 6)), d)
        return _normal(rng, n_queries, d), base[rng.integers(0, len(base), n)]
    return rng.integers(-1, 2, (n_queries, d)).astype(np.float32), rng.integers(-1, 2, (n, d)).astype(
        np.float32
    )


@_table
def integers_beyond_24_bits(rng, n, d, n_queries):
    """Scores 16256^2 + j: the float64 sums differ, their float32 values mostly do not."""
    d = max(d, 2)
    queries = np.zeros((n_queries, d), dtype=np.float32)
    items = np.zeros((n, d), dtype=np.float32)
    queries[:, 0], items[:, 0] = 16256, 16256
    queries[:, 1] = rng.choice([1, -1, 3], n_queries)
    items[:, 1] = rng.integers(-60, 61, n)
    return queries, items


@_table
def parallel_to_query(rng, n, d, n_queries):
    """Items that are multiples of a query by factors a few float32 units apart: score equals |q| |x|."""
    queries = _normal(rng, n_queries, d)
    factors = np.float32(1) + rng.integers(-8, 9, n).astype(np.float32) * np.float32(2.0**-23)
    factors *= rng.choice(np.float32([1, 1, 1, -1, 0.5]), n)
    return queries, queries[rng.integers(0, n_queries, n)] * factors[:, np.newaxis]


@_table
def copies_an_ulp_apart(rng, n, d, n_queries):
    """A few rows, copied with one to three components moved to a neighbouring float32."""
    base = _normal(rng, int(rng.integers(1, 5)), d)
    items = base[rng.integers(0, len(base), n)]
    for _ in range(int(rng.integers(1, 4))):
        row, column = np.arange(n), rng.integers(0, d, n)
        toward = rng.choice(np.float32([-np.inf, np.inf]), n)
        items[row, column] = np.nextafter(items[row, column], toward)
    return _normal(rng, n_queries, d), items


@_table
def rank_deficient(rng, n, d, n_queries):
    """Rows in a space of one or two dimensions."""
    rank = int(rng.integers(1, 3))
    basis = rng.integers(-3, 4, (rank, d)) if rng.random() < 0.5 else rng.standard_normal((rank, d))
    return _normal(rng, n_queries, d), _to_float32(rng.integers(-20, 21, (n, rank)) @ basis)


@_table
def beyond_float32_range(rng, n, d, n_queries):
    """Scores, squares and partial sums above 2^128 beside ordinary ones."""
    items = _normal(rng, n, d) * 10.0 ** rng.uniform(-5, 38, (n, 1))
    queries = _normal(rng, n_queries, d) * 10.0 ** rng.choice([-2, 0, 1, 15, 30], (n_queries, 1))
    return _to_float32(queries), _to_float32(items)


@_table
def below_normal_range(rng, n, d, n_queries):
    """Products, scores and components below 2^-126, many of them close to half the smallest float32."""
    items = _normal(rng, n, d) * 2.0 ** -rng.integers(60, 150, (n, 1)).astype(np.float64)
    queries = _normal(rng, n_queries, d) * 2.0 ** -rng.choice([0, 10, 60, 75, 85], (n_queries, 1)).astype(
        float
    )
    if rng.random() < 0.3:  # products of exactly 2^-150 and its neighbours, which float32 loses one by one
        items = rng.choice([2.0**-75, 2.0**-74, -(2.0**-75), 0.0], (n, d))
        queries = np.full((n_queries, d), 2.0**-75)
    return _to_float32(queries), _to_float32(items)


@_table
def ascending_scores(rng, n, d, n_queries):
    """Each item is better than all before it, in the order of rows or in the order of falling norms."""
    d = max(d, 2)
    items = np.zeros((n, d))
    queries = np.zeros((n_queries, d))
    queries[:, 0] = rng.uniform(0.5, 2, n_queries)
    items[:, 0] = np.sort(rng.uniform(0, 1, n))
    if rng.random() < 0.5:  # a second component that no query looks at makes the norms fall
        items[:, 1] = np.linspace(30, 2, n)
    else:
        queries[:, 1:] = 0.001 * rng.standard_normal((n_queries, d - 1))
    return _to_float32(queries), _to_float32(items)


@_table
def norms_over_16_decades(rng, n, d, n_queries):
    """Norms from 1e-8 to 1e8, drawn evenly in the exponent or in the order of rows."""
    exponents = rng.uniform(-8, 8, n)
    if rng.random() < 0.3:
        exponents.sort()
    return _normal(rng, n_queries, d), _to_float32(_normal(rng, n, d) * 10.0 ** exponents[:, np.newaxis])


@_table
def float32_midpoints(rng, n, d, n_queries):
    """Float64 sums within their last bits of a float32 midpoint, so each rounding of the sum is seen.

    m + 2^-24 is a midpoint for a float32 m in [1, 2). A few units of 2^-53 are added, and pairs of terms
    that cancel exactly but shift the rounding of every partial sum they take part in.
    """
    d = max(d, 40)
    place = rng.permutation(d)
    queries = np.zeros((n_queries, d))
    items = np.zeros((n, d))
    queries[:, place[:3]] = 1.0, 2.0**-12, 2.0**-26
    items[:, place[0]] = rng.choice(1 + rng.integers(0, 2**23, 3) * 2.0**-23, n)
    items[:, place[1]] = 2.0**-12
    items[:, place[2]] = rng.integers(-3, 4, n) * 2.0**-27
    for a, b in place[3 : 3 + 2 * int(rng.integers(1, 8))].reshape(-1, 2):
        queries[:, [a, b]] = np.float32(rng.standard_normal())
        items[:, a] = np.float32(rng.standard_normal(n))
        items[:, b] = -items[:, a]
    queries *= 2.0 ** rng.integers(-3, 4, (n_queries, 1)).astype(np.float64)
    return _to_float32(queries), _to_float32(items)


@_table
def distances_at_midpoints(rng, n, d, n_queries):
    """Squared distances within their last bits of a float32 midpoint; each square is inexact in float64.

    All differences lie in one lane, where a fused multiply-add would show. The last two, zero in every
    query, fill what an item's distance to one of the queries lacks to the next midpoint: the first to 2^-46
    of it, the second to 2^-69.
    """
    n_queries = min(n_queries, 3)
    columns = int(rng.integers(0, 32)) + 32 * np.arange(6)
    queries, items = np.zeros((n_queries, 192), dtype=np.float32), np.zeros((n, 192), dtype=np.float32)
    queries[:, columns[:4]] = _normal(rng, n_queries, 4)
    items[:, columns[:4]] = _normal(rng, n, 4) * np.float32(2.0) ** rng.integers(-20, 0, (n, 4)).astype(
        np.float32
    )
    differences = queries[rng.integers(0, n_queries, n)].astype(np.float64) - items
    distance = np.square(differences).sum(axis=1)
    unit = np.spacing(distance.astype(np.float32)).astype(np.float64)
    midpoint = (np.floor(distance / unit) + 1.5) * unit
    missing = midpoint + rng.integers(-2, 3, n) * np.spacing(midpoint) - distance
    items[:, columns[4]] = np.sqrt(missing) * (1 - 2.0**-22)  # from below, so that something is left
    items[:, columns[5]] = np.sqrt(missing - np.square(items[:, columns[4]].astype(np.float64)))
    return queries, items


@_table
def cancelling_terms(rng, n, d, n_queries):
    """Huge terms that cancel; what is left is swallowed by a float32 sum."""
    d = max(d, 4)
    queries, items = _normal(rng, n_queries, d), _normal(rng, n, d)
    a, b = rng.permutation(d)[:2]
    queries[:, [a, b]] = np.float32(10.0 ** rng.integers(3, 7))
    items[:, a] = _normal(rng, n) * np.float32(1e5)
    items[:, b] = -items[:, a]
    return queries, items


@_table
def infinity_minus_infinity(rng, n, d, n_queries):
    """Float32 partial sums of +inf and -inf whose float64 sum is finite, among ordinary items."""
    d = max(d, 34)
    queries, items = _normal(rng, n_queries, d), _normal(rng, n, d)
    lane = int(rng.integers(0, 16))
    pair = [lane, lane + 16]
    some = rng.random(n_queries) < 0.7
    queries[:, pair] = np.where(some[:, np.newaxis], np.float32(1e20), queries[:, pair])
    items[:, pair] = 0
    huge = np.flatnonzero(rng.random(n) < rng.choice([0.02, 0.5]))
    items[huge, lane] = np.float32(10.0 ** rng.uniform(19, 30, len(huge)))
    items[huge, lane + 16] = -items[huge, lane]
    return queries, items


@_table
def zero_rows(rng, n, d, n_queries):
    """Zero and constant rows among others, zero queries, and negative zeros."""
    queries, items = _normal(rng, n_queries, d), _normal(rng, n, d)
    items[rng.random(n) < rng.choice([0.3, 0.99, 1.0])] *= np.float32(0.0)
    items[rng.random(n) < 0.2] = np.float32(rng.choice([0.1, -0.1]))
    queries[rng.random(n_queries) < 0.3] = 0
    return queries, items


@_table
def negative_scores(rng, n, d, n_queries):
    """All scores below zero, some of them close to it; the padding of the last panel would win."""
    queries = np.abs(_normal(rng, n_queries, d)) + np.float32(0.01)
    return queries, -np.abs(_normal(rng, n, d)) * np.float32(10.0 ** rng.integers(-30, 1))


@_table
def neighbours_together(rng, n, d, n_queries):
    """Runs of 64 rows share a direction, and norms fall slowly by row: a sample of runs misleads."""
    d = max(d, 3)
    directions = np.repeat(_normal(rng, -(-n // 64), d), 64, axis=0)[:n]
    items = directions + np.float32(rng.choice([0.01, 0.2])) * _normal(rng, n, d)
    items *= (np.linspace(1, 0.9, n) / np.linalg.norm(items, axis=1))[:, np.newaxis].astype(np.float32)
    near = directions[rng.integers(0, n, n_queries)]
    return near + np.float32(0.1) * _normal(rng, n_queries, d), _to_float32(items)


@_table
def odd_widths(rng, n, d, n_queries):
    """Widths just beside the groups of 32, and wide ones."""
    d = int(rng.choice([31, 33, 1056, 4099], p=[0.4, 0.4, 0.14, 0.06]))
    items = _normal(rng, n, d)
    if rng.random() < 0.5:  # the last component alone decides
        items[:, :-1] *= np.float32(1e-3)
    return _normal(rng, min(n_queries, 2 if d > 100 else 9), d), items


# --- where the bounds of an int8 scan are reached ----------------------------------------------------------


def _half_codes_off(rng: np.random.Generator, n: int, signs: np.ndarray) -> np.ndarray:
    """Rows that codes miss by as much as they can, all toward `signs` or all away from them.

    In units of the scale: the first component is 127, the others lie 0.499 beside a code. The codes' own
    sum along `signs` makes up for that, so that rows of both sides score alike.
    """
    d = len(signs)
    side = rng.choice([-1.0, 1.0], (n, 1))
    codes = rng.integers(-100, 101, (n, d)).astype(np.float64)
    surplus = np.rint((codes * signs)[:, 1:].sum(axis=1, keepdims=True) + 0.499 * (d - 1) * side)
    each, more = np.divmod(surplus, d - 1)
    codes -= signs * (each + (np.arange(d) <= more))
    rows = np.clip(codes, -126, 126) + 0.499 * side * signs
    rows[:, 0] = 127
    return rows


@_table
def item_errors_along_query(rng, n, d, n_queries):
    """What codes leave out of an item is parallel to the queries, of which they leave out nothing.

    Scores lie together, and scan values miss them by all that the bound allows, one way or the other.
    """
    signs = rng.choice([-1.0, 1.0], max(d, 2))
    queries = signs * 2.0 ** rng.integers(-3, 4, (n_queries, 1))
    return _to_float32(queries), _to_float32(_half_codes_off(rng, n, signs) * 2.0**-7)


@_table
def query_errors_along_items(rng, n, d, n_queries):
    """The same for queries: what codes leave out of them is parallel to the items."""
    signs = rng.choice([-1.0, 1.0], max(d, 2))
    items = signs * rng.choice([-1.0, 1.0], (n, 1)) * rng.integers(125, 128, (n, len(signs)))
    items[:, 0] = rng.choice([126.0, 127.0], n)
    return _to_float32(_half_codes_off(rng, n_queries, signs) * 2.0**-3), _to_float32(items * 2.0**-4)


@_table
def ties_at_norm_bound(rng, n, d, n_queries):
    """Equal items along all queries: their score is the product of the norms, the most a block allows.

    Products and squares are exact, so norms and scores are, too. In front of them lie items of larger norm,
    away from the queries or at a right angle to them, behind them others that fall short by a unit.
    """
    d = max(d, 4)
    direction = np.zeros(d)
    direction[rng.permutation(d)[:4]] = rng.choice([-1.0, 1.0], 4) * rng.choice(
        [1.0, 3.0]
    )  # a norm of 2 or 6
    queries = direction * 2.0 ** rng.integers(-2, 3, (n_queries, 1))
    items = np.tile(direction * float(rng.choice([1, 5, 1.25])), (n, 1))
    kind = rng.choice(4, n, p=[0.5, 0.15, 0.2, 0.15])
    items[kind == 1] *= -2
    items[kind == 2] *= 1 - 2.0**-23
    others = rng.integers(-9, 10, (n, d)) * (direction == 0)
    items[kind == 3] = others[kind == 3]
    return _to_float32(queries), _to_float32(items)

"""The certificate of the bfloat16 scan: L <= score <= U, and an item that reaches the threshold comes near.

Scores are the canonical ones, and the exact ones in rational arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gpurec._native import cpu as _cpu
from gpurec.backends.reference import canonical_scores

from . import test_bounds_i8
from .cases import SEED
from .test_bounds_i8 import Tile, exact_score
from .test_scan_bf16 import ISAS_WITH_BF16

WIDTHS = (1, 2, 3, 16, 33, 64, 130, 1056)
TILES = 2  # of each family and width


def halfway(rng, shape):
    """Numbers that lie nearly halfway between two that bfloat16 has, on either side of that."""
    below = 1 + rng.integers(0, 127, shape) * 2.0**-7
    return below + 2.0**-8 * (1 + rng.choice([-1, 1], shape) * 2.0**-14)


def item_errors_parallel(rng, d):
    q = rng.choice([-1.0, 1.0], d) * (1 + rng.integers(0, 128, d) * 2.0**-7)
    below = 1 + rng.integers(0, 127, (64, d)) * 2.0**-7
    return q, np.sign(q) * rng.choice([-1, 1], (64, 1)) * (below + 2.0**-8 * (1 - 2.0**-14))


def query_errors_parallel(rng, d):
    signs = rng.choice([-1.0, 1.0], d)
    q = signs * (1 + rng.integers(0, 127, d) * 2.0**-7 + 2.0**-8 * (1 + rng.choice([-1, 1]) * 2.0**-14))
    return q, signs * np.exp2(rng.integers(-1, 2, (64, 1)))


def both_round_up(rng, d):
    return halfway(rng, d), halfway(rng, (64, d)) * rng.choice([-1, 1], (64, 1))


def swallowed_terms(rng, d):
    """Numbers that bfloat16 has, of which a float32 sum that begins with the second loses all others."""
    q = np.full(d, 2.0**-12 * (1 - 2.0**-8))
    q[min(d - 1, 1)] = 1
    return q, np.sign(rng.standard_normal((64, 1))) * q


def flushed_sums(rng, d):
    """Sums that lie below the normal range, some just."""
    sizes = np.exp2(rng.uniform(-65, -62.9, (65, 1)))
    x = (1 + rng.integers(0, 128, (65, d)) * 2.0**-7) * sizes
    return x[0], x[1:]


def flushed_numbers(rng, d):
    x = rng.standard_normal((64, d)) * np.exp2(rng.integers(-148, -124, (64, 1)).astype(np.float64))
    return rng.standard_normal(d) * 2.0**57, x


def near_the_guard(rng, d):
    q, x = rng.standard_normal(d), rng.standard_normal((64, d))
    q *= 2.0 ** rng.uniform(60, 61.9) / np.linalg.norm(q)
    return q, x * 2.0 ** rng.uniform(60, 61.4) / np.linalg.norm(x, axis=1, keepdims=True)


OWN = (
    item_errors_parallel,
    query_errors_parallel,
    both_round_up,
    swallowed_terms,
    flushed_sums,
    flushed_numbers,
    near_the_guard,
)
FAMILIES = (*OWN, *(f for f in test_bounds_i8.FAMILIES if f.__name__ not in {own.__name__ for own in OWN}))
each_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)


def tiles_of(family: Callable[..., Tile], d: int) -> list[Tile]:
    rng = np.random.default_rng([SEED, d, FAMILIES.index(family)])
    tiles = [family(rng, d) for _ in range(TILES)]
    return [(np.float32(q), np.float32(x[: rng.integers(1, 65)])) for q, x in tiles]


def scores_of(q: np.ndarray, x: np.ndarray, metric: str) -> np.ndarray:
    return np.array([canonical_scores(q[np.newaxis], row[np.newaxis], metric)[0] for row in x], np.float32)


@pytest.mark.parametrize("isa", ISAS_WITH_BF16)
@pytest.mark.parametrize("metric", ["dot", "euclidean"])
@each_family
@pytest.mark.parametrize("d", WIDTHS)
def test_no_item_is_lost(d, family, metric, isa):
    for q, x in tiles_of(family, d):
        scores = scores_of(q, x, metric)
        # The first threshold lets all through; then each item's own score, where equality must be kept.
        found = _cpu.bf16_tile(metric, q, x, np.append(np.float32(-np.inf), scores), isa)
        assert found is not None
        _, lowers, uppers, near = found
        assert (np.float32(lowers) <= scores).all() and (scores <= np.float32(uppers)).all()
        near = np.array(near)
        assert near[0].all()
        for j, score in enumerate(scores):
            assert near[1 + j][scores >= score].all(), f"threshold {score!r}"


@pytest.mark.parametrize("metric", ["dot", "euclidean"])
@each_family
@pytest.mark.parametrize("d", [1, 3, 16, 33, 64])
def test_exact_scores_lie_within(d, family, metric):
    for q, x in tiles_of(family, d):
        _, lowers, uppers, _ = _cpu.bf16_tile(metric, q, x, np.float32([-np.inf]), ISAS_WITH_BF16[0])
        for row, lower, upper in zip(x, lowers, uppers):
            assert lower <= exact_score(q, row, metric) <= upper


@pytest.mark.parametrize("d", [16, 64, 130])
def test_the_scan_tells_items_apart(d):
    """A bound that always says "anything" would pass the tests above."""
    rng = np.random.default_rng(d)
    q, x = np.float32(rng.standard_normal(d)), np.float32(rng.standard_normal((64, d)))
    scores = scores_of(q, x, "dot")
    taus = np.float32([-np.inf, np.sort(scores)[-4]])
    _, lowers, uppers, near = _cpu.bf16_tile("dot", q, x, taus, ISAS_WITH_BF16[0])
    assert max(np.subtract(uppers, lowers)) < 0.2 * scores.std()
    assert np.count_nonzero(near[1]) <= 10


def test_what_could_overflow_is_told():
    rng = np.random.default_rng(0)
    q, x = np.float32(rng.standard_normal(5)), np.float32(rng.standard_normal((7, 5)))
    taus, isa = np.float32([0.0]), ISAS_WITH_BF16[0]
    assert _cpu.bf16_tile("dot", q, x, taus, isa) is not None
    assert _cpu.bf16_tile("dot", q * np.float32(2.0**126), x, taus, isa) is None
    assert _cpu.bf16_tile("dot", q * np.float32(2.0**-60), x * np.float32(2.0**63), taus, isa) is None
    assert _cpu.bf16_tile("dot", q * np.float32(2.0**63), x * np.float32(2.0**62), taus, isa) is None
    assert _cpu.bf16_tile("euclidean", q * np.float32(2.0**63), x, taus, isa) is None

"""Pairwise ranking and sampled softmax in NumPy, visit by visit: the bits of op `bpr` on every backend.

Factors of float32 give those bits. Given float64, they make the same visits with the same draws in
float64, for comparisons with gradients.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .base import SparseRows
from .ranking import BLOCKS, DRAWS, GOLDEN, RankingJob, epoch_key, mix, user_bounds, weights_among

__all__ = ["bpr_epochs"]

_LANES = 16
_LOG2_E = np.float32(1.4426950408889634)
_EXP2 = np.array(
    [
        1.0,
        0.6931470036506653,
        0.24022242426872253,
        0.05550733953714371,
        0.009671513922512531,
        0.0013264714507386088,
    ],
    np.float32,
)


def bpr_epochs(
    positives: SparseRows,
    visited: np.ndarray | None,
    keys: np.ndarray | None,
    user_factors: np.ndarray,
    item_factors: np.ndarray,
    item_biases: np.ndarray,
    weights: np.ndarray | None,
    among: np.ndarray | None,
    job: RankingJob,
) -> tuple[float, int, int, int]:
    """Make epochs of visits, changing factors and biases in place; see `gpurec.ops.bpr.bpr_epochs`."""
    model = _Model(user_factors, item_factors, item_biases, job)
    visited = np.ones(len(positives.columns), bool) if visited is None else visited
    keys = np.arange(positives.n_rows) if keys is None else keys
    weights = weights_among(weights, among, positives.n_columns)
    weights = np.ones(positives.n_columns, np.uint32) if weights is None else weights
    # What of a task is added first does not show in the reference's sums, which no test compares bit for bit.
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for epoch in range(job.first_epoch, job.first_epoch + job.n_epochs):
            draw_key = epoch_key(job.seed, epoch, DRAWS)
            for user, places, block in _meetings(positives, weights, job, epoch):
                row = positives.columns[places]
                draws = _Draws(block, weights[block].tolist(), row.tolist())
                for place, item in zip(places.tolist(), row.tolist()):
                    if not visited[place]:
                        continue
                    if draws.left == 0:
                        model.n_skipped += 1
                        continue
                    pair = (int(keys[user]) << 32) + item
                    drawn = draws.take(mix(draw_key + GOLDEN * pair), job.n_negatives * job.n_candidates)
                    model.visit(user, item, drawn)
    terms = job.n_negatives if job.loss == "bpr" else 1
    return model.loss / terms, model.n_visits, model.n_pairs_right, model.n_skipped


def _meetings(
    positives: SparseRows, weights: np.ndarray, job: RankingJob, epoch: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Each user with places of its positives in one block of items, and that block's drawable items."""
    n_items, indptr = positives.n_columns, positives.indptr
    n_item_blocks, n_user_blocks = job.n_item_blocks, job.n_user_blocks
    key = epoch_key(job.seed, epoch, BLOCKS)
    block_of = np.zeros(n_items, np.int64)
    if n_item_blocks > 1:
        block_of[:] = [(mix(key + GOLDEN * item) * n_item_blocks) >> 64 for item in range(n_items)]
    bounds = user_bounds(indptr, n_user_blocks)
    drawable = [np.flatnonzero((block_of == block) & (weights > 0)) for block in range(n_item_blocks)]
    for turn in range(n_item_blocks):
        for user_block in range(n_user_blocks):
            item_block = (user_block + turn) % n_item_blocks
            for user in range(bounds[user_block], bounds[user_block + 1]):
                places = np.arange(indptr[user], indptr[user + 1])
                here = places[block_of[positives.columns[places]] == item_block]
                yield user, here, drawable[item_block]


class _Draws:
    """Draws among the items of a block that are no positives of a user, each as likely as its weight says."""

    def __init__(self, block: np.ndarray, weights: list[int], positives: list[int]) -> None:
        taken = set(positives)
        self._rows = block.tolist()
        free = [0 if row in taken else weight for row, weight in zip(self._rows, weights)]
        self._ends = np.cumsum(np.array(free, np.uint64))
        self.left = sum(free)

    def take(self, stream: int, n: int) -> list[int]:
        numbers = [(mix(stream + GOLDEN * (t + 1)) * self.left) >> 64 for t in range(n)]
        found = np.searchsorted(self._ends, np.array(numbers, np.uint64), side="right")
        return [self._rows[place] for place in found.tolist()]


@dataclass
class _Model:
    """Factors that visits move, and what they add up to."""

    users: np.ndarray
    items: np.ndarray
    biases: np.ndarray
    job: RankingJob
    loss: float = 0.0
    n_visits: int = 0
    n_pairs_right: int = 0
    n_skipped: int = 0
    keep: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        job, self.of = self.job, self.users.dtype.type
        one, n = self.of(1), self.of(job.n_negatives)
        self.rate, self.bias_rate = self.of(job.learning_rate), self.of(job.bias_learning_rate)
        decay = self.rate * self.of(job.regularisation)
        bias_decay = self.bias_rate * self.of(job.bias_regularisation)
        self.keep = {"one": one - decay, "each": one - decay / n}
        self.keep |= {"bias": one - bias_decay, "each_bias": one - bias_decay / n}

    def visit(self, user: int, item: int, drawn: list[int]) -> None:
        job, keep = self.job, self.keep
        p, q, bias = self.users[user].copy(), self.items[item].copy(), self.biases[item]

        rows, margins = [], []
        for first in range(0, len(drawn), job.n_candidates):
            row = drawn[first]
            if job.n_candidates > 1:
                row = self._hardest(p, drawn[first : first + job.n_candidates])
            rows.append(row)
            margins.append((bias - self.biases[row]) + _sum_in_lanes(p * (q - self.items[row])))
        x = np.array(margins, self.users.dtype)
        self.n_visits += 1
        self.n_pairs_right += int((x > 0).sum())
        x *= self.of(job.sharpness)
        pulls, pull = self._pulls(x)
        pulled = np.zeros_like(p)
        for row, strength in zip(rows, pulls):
            step = self.rate * strength
            old = self.items[row].copy()
            pulled = pulled + step * (q - old)
            if job.move_negatives:
                self.items[row] = keep["each"] * old - step * p
        if job.move_users:
            self.users[user] = keep["one"] * p + pulled
        if job.move_positives:
            self.items[item] = keep["one"] * q + (self.rate * pull) * p
            self.biases[item] = keep["bias"] * bias + self.bias_rate * pull
        if job.unit:
            to_unit = [(self.users, user)] * job.move_users + [(self.items, item)] * job.move_positives
            for table, row in to_unit + [(self.items, row) for row in rows if job.move_negatives]:
                squares = _sum_in_lanes(table[row] * table[row])
                if squares > 0:
                    table[row] *= self.of(1) / np.sqrt(squares)
        if job.move_negatives:
            for row, strength in zip(rows, pulls):
                self.biases[row] = keep["each_bias"] * self.biases[row] - self.bias_rate * strength

    def _hardest(self, p: np.ndarray, drawn: list[int]) -> int:
        """The row that scores highest, of equal ones the first."""
        scores = [self.biases[row] + _sum_in_lanes(p * self.items[row]) for row in drawn]
        best = 0
        for i in range(1, len(scores)):
            best = i if scores[i] > scores[best] else best
        return drawn[best]

    def _pulls(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        """How strongly each negative pulls, and their sum; adds to the loss."""
        one, zero = self.of(1), self.of(0)
        if self.job.loss == "bpr" or len(x) == 1:
            pulls = []
            for margin in x:
                small = _exp(-margin if margin > 0 else margin)
                z = one + small
                self.loss += float(zero if margin > 0 else -margin) + math.log(float(z))
                pulls.append(((small if margin > 0 else one) / z) / self.of(len(x)))
            pull = np.array(pulls, x.dtype)
            return pull, (pull[0] if len(x) == 1 else _sum_in_lanes(pull))
        shift = zero
        for margin in x:
            shift = -margin if -margin > shift else shift
        e = np.array([_exp(-margin - shift) for margin in x], x.dtype)
        z = _exp(-shift) + _sum_in_lanes(e)
        self.loss += float(shift) + math.log(float(z))
        return e / z, _sum_in_lanes(e / z)


def _exp(y: Any) -> Any:
    """e^y for y <= 0: in float32 one fixed sequence of operations, in float64 exact."""
    if isinstance(y, np.float64):
        return np.exp(y)
    t = (y if y > np.float32(-80) else np.float32(-80)) * _LOG2_E
    magic = np.float32(12582912)
    whole = (t + magic) - magic
    f = t - whole
    power = _EXP2[5]
    for coefficient in _EXP2[4::-1]:
        power = power * f + coefficient
    return np.ldexp(power, int(whole))


def _sum_in_lanes(terms: np.ndarray) -> Any:
    """Lane l adds the terms l, l + 16, ... in that order from +0; then halves are added."""
    lanes = np.zeros(_LANES, terms.dtype)
    for first in range(0, len(terms), _LANES):
        part = terms[first : first + _LANES]
        lanes[: len(part)] += part
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = lanes[:half] + lanes[half:]
    return lanes[0]

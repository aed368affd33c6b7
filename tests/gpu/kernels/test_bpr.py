"""Kernels of pairwise ranking against the contract of the op, visit by visit and bit for bit."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ..devices import clean, open_device
from .searches import launch
from .structs import STRUCTS

WORD, GOLDEN = (1 << 64) - 1, 0x9E3779B97F4A7C15
F32 = np.float32
EXP2 = F32([1.0, 0.6931470036506653, 0.24022242426872253, 0.05550733953714371])
EXP2 = np.append(EXP2, F32([0.009671513922512531, 0.0013264714507386088]))


def mix(z: int) -> int:
    z &= WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return z ^ (z >> 31)


def lanes(terms: np.ndarray) -> np.float32:
    sums = np.zeros(16, F32)
    for first in range(0, len(terms), 16):
        sums[: len(terms[first : first + 16])] += terms[first : first + 16]
    while len(sums) > 1:
        sums = sums[: len(sums) // 2] + sums[len(sums) // 2 :]
    return sums[0]


def exp(y: np.float32) -> np.float32:
    t = max(y, F32(-80)) * F32(1.4426950408889634)
    whole = (t + F32(12582912)) - F32(12582912)
    power = EXP2[5]
    for coefficient in EXP2[4::-1]:
        power = power * (t - whole) + coefficient
    return np.ldexp(power, int(whole))


class Epoch:
    """One epoch's arrays, and its visits in NumPy."""

    def __init__(
        self,
        seed: int,
        d: int,
        *,
        weighted: bool,
        n_negatives: int,
        n_candidates: int,
        loss: str,
        sharpness: float,
        unit: bool,
    ):
        rng = np.random.default_rng([seed, d])
        self.n_users, self.n_items, self.n_blocks, self.d = 20, 40, 3, d
        self.n, self.n_candidates, self.loss = n_negatives, n_candidates, loss
        self.sharpness, self.unit = F32(sharpness), unit
        self.moves = [True, True, True] if seed % 3 else rng.permutation([True, False, True]).tolist()
        self.rates = F32([0.3, 0.05, 0.2, 0.1]).tolist()
        self.users = rng.standard_normal((self.n_users, d), dtype=F32)
        self.items = rng.standard_normal((self.n_items, d), dtype=F32)
        self.biases = rng.standard_normal(self.n_items, dtype=F32)
        self.weights = rng.integers(0, 9, self.n_items).astype(np.uint32) if weighted else None
        self.keys = rng.integers(0, 1 << 40, self.n_users) if seed % 2 else None
        self.draw_key = int(rng.integers(0, 1 << 63)) * 2 + 1
        drawable = np.ones(self.n_items, bool) if self.weights is None else self.weights > 0
        block = rng.integers(0, self.n_blocks, self.n_items)
        self.item_of = np.lexsort((np.arange(self.n_items), ~drawable, block)).astype(np.int32)
        self.block_of = block[self.item_of].astype(np.int32)
        self.first_place = np.searchsorted(self.block_of, np.arange(self.n_blocks + 1))
        self.n_drawable = np.bincount(block[drawable], minlength=self.n_blocks)
        has = rng.random((self.n_users, self.n_items)) < rng.random((self.n_users, 1))
        has[0], has[1] = True, False  # nothing is left to draw; nothing to visit
        users, items = np.nonzero(has)
        self.user_block = np.sort(rng.integers(0, self.n_blocks, self.n_users))
        place_of = np.argsort(self.item_of)
        order = np.lexsort((items, users, block[items], self.user_block[users]))
        self.users_of = users[order].astype(np.int32)
        self.places = place_of[items[order]].astype(np.int32)
        runs = self.user_block[self.users_of] * self.n_blocks + block[items[order]]
        ends = np.searchsorted(runs, np.arange(self.n_blocks**2 + 1))
        self.first_visit = np.stack(
            [ends[self.n_blocks * b :][: self.n_blocks + 1] for b in range(self.n_blocks)]
        )
        self.visited = rng.random(len(runs)) < 0.9

    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights before each place of its block, and of each block."""
        before, totals = np.zeros(self.n_items, np.uint64), np.zeros(self.n_blocks, np.uint64)
        for place, item in enumerate(self.item_of):
            block = self.block_of[place]
            before[place] = totals[block]
            totals[block] += self.weights[item]
        return before, totals

    def draws(self, t: int) -> list[int]:
        """Rows drawn for a positive."""
        user, place = int(self.users_of[t]), self.places[t]
        block = self.block_of[place]
        first = self.first_place[block]
        free = self.item_of[first : first + self.n_drawable[block]].tolist()
        taken = set(self.item_of[self.places[self.users_of == user]].tolist())
        weight = [
            0 if item in taken else 1 if self.weights is None else int(self.weights[item]) for item in free
        ]
        ends = np.cumsum(weight, dtype=np.int64)
        if sum(weight) == 0:
            return []
        key = user if self.keys is None else int(self.keys[user])
        stream = mix(self.draw_key + GOLDEN * ((key << 32) + int(self.item_of[place])))
        numbers = [
            mix(stream + GOLDEN * (i + 1)) * sum(weight) >> 64 for i in range(self.n * self.n_candidates)
        ]
        return [free[np.searchsorted(ends, number, side="right")] for number in numbers]

    def visit_all(self) -> tuple[float, int, int, int]:
        """Moves the arrays; the loss, visits, pairs right and skipped."""
        self.found = [0.0, 0, 0, 0]
        for turn in range(self.n_blocks):
            for b in range(self.n_blocks):
                first = self.first_visit[b, (b + turn) % self.n_blocks :]
                for t in range(first[0], first[1]):
                    if self.visited[t]:
                        self.visit(t)
        return tuple(self.found)

    def visit(self, t: int) -> None:
        drawn = self.draws(t)
        if not drawn:
            self.found[3] += 1
            return
        rate, penalty, bias_rate, bias_penalty = F32(self.rates)
        user, item, n = self.users_of[t], self.item_of[self.places[t]], F32(self.n)
        p, q, bias = self.users[user].copy(), self.items[item].copy(), self.biases[item]
        scores = [self.biases[row] + lanes(p * self.items[row]) for row in drawn]
        groups = [range(i, i + self.n_candidates) for i in range(0, len(drawn), self.n_candidates)]
        rows = [drawn[max(group, key=lambda i: scores[i])] for group in groups]
        x = F32([(bias - self.biases[row]) + lanes(p * (q - self.items[row])) for row in rows])
        self.found[1] += 1
        self.found[2] += int((x > 0).sum())
        pulls = self.pulls(x * self.sharpness)
        pull = pulls[0] if len(x) == 1 else lanes(pulls)
        decay, bias_decay, one = rate * penalty, bias_rate * bias_penalty, F32(1)
        pulled = np.zeros_like(p)
        for row, strength in zip(rows, pulls):
            old = self.items[row].copy()
            pulled = pulled + (rate * strength) * (q - old)
            if self.moves[2]:
                self.items[row] = (one - decay / n) * old - (rate * strength) * p
        if self.moves[0]:
            self.users[user] = (one - decay) * p + pulled
        if self.moves[1]:
            self.items[item] = (one - decay) * q + (rate * pull) * p
            self.biases[item] = (one - bias_decay) * bias + bias_rate * pull
        for row, strength in zip(rows, pulls):
            if self.moves[2]:
                old = self.biases[row]
                self.biases[row] = (one - bias_decay / n) * old - bias_rate * strength
        if self.unit:
            moved = [(self.users, user)] * self.moves[0] + [(self.items, item)] * self.moves[1]
            for table, row in moved + [(self.items, row) for row in rows] * self.moves[2]:
                squares = lanes(table[row] * table[row])
                if squares > 0:
                    table[row] *= one / np.sqrt(squares)

    def pulls(self, x: np.ndarray) -> np.ndarray:
        one, zero = F32(1), F32(0)
        if self.loss == "bpr" or len(x) == 1:
            small = F32([exp(-margin if margin > 0 else margin) for margin in x])
            for margin, z in zip(x, one + small):
                self.found[0] += float(zero if margin > 0 else -margin) + math.log(float(z))
            return (np.where(x > 0, small, one) / (one + small)) / F32(len(x))
        shift = max([zero, *(-x)])
        e = F32([exp(-margin - shift) for margin in x])
        z = exp(-shift) + lanes(e)
        self.found[0] += float(shift) + math.log(float(z))
        return e / z

    def run(
        self, name: str, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[float, int, int, int]]:
        """The same by kernels: users, items, biases and what `visit_all` says."""
        n_tasks = (self.n_blocks, self.n_blocks)
        n_draws = self.n * self.n_candidates
        with open_device(name, seed) as s:
            p = STRUCTS["RankingParams"]()
            for field in ("users", "items", "biases", "users_of", "item_of", "block_of", "first_visit"):
                setattr(p, field, s.put(getattr(self, field)))
            p.places = s.put(np.where(self.visited, self.places, self.places | np.int32(-(1 << 31))))
            p.first_place, p.n_drawable = (
                s.put(a.astype(np.int64)) for a in (self.first_place, self.n_drawable)
            )
            p.keys = 0 if self.keys is None else s.put(self.keys)
            if self.weights is not None:
                p.weights, (p.before, p.totals) = s.put(self.weights), map(s.put, self.sums())
            p.negatives = s.empty((len(self.places), n_draws), np.int32)
            p.shifts, p.fractions = s.empty(n_tasks, np.float64), s.empty(n_tasks, np.float64)
            p.counts = s.empty((*n_tasks, 4), np.int64)
            p.draw_key = self.draw_key - (1 << 64 if self.draw_key >> 63 else 0)
            p.rate, p.penalty, p.bias_rate, p.bias_penalty = self.rates
            p.sharpness, p.unit = self.sharpness, self.unit
            p.n_positives, p.n_user_blocks, p.n_item_blocks = len(self.places), self.n_blocks, self.n_blocks
            p.n_negatives, p.n_draws, p.d = self.n, n_draws, self.d
            p.user_stride = p.item_stride = self.d
            p.softmax = self.loss == "softmax"
            p.move_users, p.move_positives, p.move_negatives = self.moves
            launch(s, "bpr_draws", p, 2)
            for p.round in range(self.n_blocks):
                launch(s, "bpr_round", p, 2, 2 * 4 * -(-self.n // 4) * 4 * 4)
            assert clean(s)
            counts = s.get(p.counts)
            loss = s.get(p.shifts) + np.log(s.get(p.fractions)) + counts[..., 0] * math.log(2)
            totals = float(loss.sum()), *counts[..., 1:].sum(axis=(0, 1)).tolist()
            return [s.get(address) for address in (p.users, p.items, p.biases)], totals


HOW = [(1, 1, "bpr", 1, False), (3, 1, "bpr", 0.3, False), (2, 3, "bpr", 1, False), (2, 16, "bpr", 7, True)]
HOW += [(1, 1, "bpr", 5, True), (5, 1, "softmax", 1, False), (20, 2, "softmax", 6, True)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n_negatives", "n_candidates", "loss", "sharpness", "unit"), HOW)
@pytest.mark.parametrize("name", ["_cuda_emulated", "_cuda_traced"])
def test_an_epoch_has_the_bits_of_its_contract(
    name, n_negatives, n_candidates, loss, sharpness, unit, weighted
) -> None:
    for seed, d in enumerate([1, 7, 16, 33, 64] if name == "_cuda_emulated" else [7, 33]):
        how = {"n_negatives": n_negatives, "n_candidates": n_candidates, "loss": loss}
        how |= {"sharpness": sharpness, "unit": unit}
        epoch = Epoch(seed, d, weighted=weighted, **how)
        moved, totals = epoch.run(name, seed)
        want = epoch.visit_all()
        for got, expected in zip(moved, (epoch.users, epoch.items, epoch.biases)):
            np.testing.assert_array_equal(got.view("u4"), expected.view("u4"))
        assert totals[1:] == want[1:]
        assert want[1] > 100 and want[3] > 0
        assert abs(totals[0] - want[0]) <= 1e-12 * abs(want[0])

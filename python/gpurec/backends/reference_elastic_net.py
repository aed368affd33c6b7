"""Coordinate descent in NumPy float64: the bits of `elastic_net` on every backend."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .base import SparseRows

__all__ = ["elastic_net"]

LANES = 4


def elastic_net(
    columns: SparseRows,
    targets: np.ndarray,
    candidates: SparseRows,
    *,
    l1: float,
    l2: float,
    tolerance: float,
    most_sweeps: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Weights of candidates and sweeps of each target; see `gpurec.ops.elastic_net`."""
    weights, n_sweeps = np.zeros(len(candidates.columns), np.float32), np.zeros(len(targets), np.int32)
    for i, target in enumerate(targets.tolist()):
        descent = _Descent(columns, target, candidates.of(i)[0].tolist(), l1, l2)
        sweeps, settled = 0, False
        while sweeps < most_sweeps and not settled:
            sweeps += 1
            settled = descent.sweep(range(len(descent.weights))) <= tolerance
            active, calm = np.flatnonzero(descent.weights > 0), settled
            while sweeps < most_sweeps and not calm:
                sweeps += 1
                calm = descent.sweep(active) <= tolerance
        weights[candidates.indptr[i] : candidates.indptr[i + 1]] = descent.weights
        n_sweeps[i] = sweeps
    return weights, n_sweeps


class _Descent:
    """Weights of one target's candidates, and what they leave of it."""

    def __init__(self, columns: SparseRows, target: int, candidates: list[int], l1: float, l2: float) -> None:
        self.columns = [_of(columns, candidate) for candidate in candidates]
        self.squares = [_in_order(values * values) for _, values in self.columns]
        self.weights = np.zeros(len(candidates))
        self.l1, self.l2 = l1, l2
        self.residual = np.zeros(columns.n_columns)
        rows, values = _of(columns, target)
        self.residual[rows] += values

    def sweep(self, places: Iterable[int]) -> float:
        """Settle each of some weights in turn; the farthest that one moved."""
        return max((self.settle(place) for place in places), default=0.0)

    def settle(self, place: int) -> float:
        """Put a weight where the objective is least along it; how far it moved."""
        (rows, values), square, weight = self.columns[place], self.squares[place], self.weights[place]
        pull = _in_lanes(values * self.residual[rows]) + square * weight - self.l1
        best = pull / (square + self.l2) if pull > 0 else 0.0
        step = best - weight
        if step == 0 or square == 0:
            return 0.0
        self.weights[place] = best
        self.residual[rows] += -step * values
        return abs(step)


def _of(columns: SparseRows, column: int) -> tuple[np.ndarray, np.ndarray]:
    rows, values = columns.of(column)
    return rows, values.astype(np.float64)


def _in_order(terms: np.ndarray) -> float:
    """The sum from first to last; NumPy's own adds in pairs."""
    return float(np.add.accumulate(terms)[-1]) if len(terms) else 0.0


def _in_lanes(terms: np.ndarray) -> float:
    lanes = np.zeros((-(-len(terms) // LANES) + 1, LANES))
    lanes[1:].flat[: len(terms)] = terms
    first, second, third, fourth = np.add.accumulate(lanes)[-1]
    return float((first + third) + (second + fourth))

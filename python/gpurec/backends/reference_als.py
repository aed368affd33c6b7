"""Alternating least squares in NumPy float64, row by row: what every backend comes near."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .factor_ops import AlsRates
from .sparse_rows import SparseRows

__all__ = ["AlsShared", "als", "als_shared"]


@dataclass(frozen=True)
class AlsShared:
    """Factors of all columns in the eigenvectors of their Gram matrix, largest eigenvalue first; float64."""

    gram: np.ndarray
    unobserved_weight: float
    curvature: np.ndarray
    vectors: np.ndarray
    rotated: np.ndarray


def als_shared(factors: np.ndarray, unobserved_weight: float) -> AlsShared:
    """What the equations of all rows share."""
    wide = factors.astype(np.float64)
    gram = wide.T @ wide
    values, vectors = np.linalg.eigh(gram)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    return AlsShared(gram, unobserved_weight, unobserved_weight * values, vectors, wide @ vectors)


def als(
    shared: AlsShared,
    weights: SparseRows,
    pulls: np.ndarray,
    l2: np.ndarray,
    start: np.ndarray | None,
    rates: AlsRates,
    many: bool,
    out: np.ndarray,
) -> float:
    """Factors of rows and their loss; see `gpurec.ops.als`."""
    loss = 0.0
    for i in range(weights.n_rows):
        columns, of_entries = weights.of(i)
        if len(columns) == 0:
            out[i] = 0
            continue
        pull = pulls[weights.indptr[i] : weights.indptr[i + 1]].astype(np.float64)
        w, z = of_entries.astype(np.float64), shared.rotated[columns]
        row = _Row(w - shared.unobserved_weight, z, shared.curvature + l2[i], z.T @ pull)
        x = np.zeros(z.shape[1]) if start is None else start[i].astype(np.float64) @ shared.vectors
        if rates.solver == "cholesky":
            x = np.linalg.solve(row.matrix(), row.right)
        elif rates.solver == "cg":
            x = row.conjugate_gradients(x, rates.steps)
        else:
            x = row.blocks(x, rates.steps, rates.block_size)
        out[i] = shared.vectors @ x
        constant = np.divide(pull * pull, w, out=np.zeros(len(w)), where=w > 0).sum()
        loss += constant - 2 * (row.right @ x) + x @ row.times(x)
    return float(loss)


@dataclass(frozen=True)
class _Row:
    """The equations (D + Z' diag(extra) Z) x = right of one row."""

    extra: np.ndarray
    z: np.ndarray
    diagonal: np.ndarray
    right: np.ndarray

    def matrix(self) -> np.ndarray:
        return np.diag(self.diagonal) + self.z.T @ (self.extra[:, np.newaxis] * self.z)

    def times(self, x: np.ndarray) -> np.ndarray:
        return self.diagonal * x + self.z.T @ (self.extra * (self.z @ x))

    def conjugate_gradients(self, x: np.ndarray, steps: int) -> np.ndarray:
        left = self.right - self.times(x)
        scaled = left / self.diagonal
        towards, size = scaled, left @ scaled
        for _ in range(steps):
            moved = self.times(towards)
            curvature = towards @ moved
            if size <= 0 or curvature <= 0:
                break
            x = x + (size / curvature) * towards
            left = left - (size / curvature) * moved
            scaled = left / self.diagonal
            before, size = size, left @ scaled
            towards = scaled + (size / before) * towards
        return x

    def blocks(self, x: np.ndarray, passes: int, block_size: int) -> np.ndarray:
        x, said = x.copy(), self.z @ x
        for _ in range(passes):
            for first in range(0, len(x), block_size):
                part = slice(first, first + block_size)
                z = self.z[:, part]
                slope = self.right[part] - self.diagonal[part] * x[part] - z.T @ (self.extra * said)
                step = np.linalg.solve(
                    np.diag(self.diagonal[part]) + z.T @ (self.extra[:, np.newaxis] * z), slope
                )
                x[part] += step
                said += z @ step
        return x

"""The largest singular values of a sparse matrix and their right vectors, by block Krylov iteration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...backends import SparseRows
from ...ops import spmm

__all__ = ["SingularVectors", "singular_vectors"]

# Vectors of a block, and how many times the wanted number the space holds in the end.
_BLOCK, _SPACE = 32, 3
# Share of the largest squared length; a square in float32 is not known below it.
_NEGLIGIBLE = 1e-5


@dataclass(frozen=True)
class SingularVectors:
    """What was found.

    Attributes
    ----------
    values : float64 array, shape (rank,)
        Largest first.
    vectors : float32 array, shape (n_columns, rank)
        Right singular vectors, orthonormal to float32's precision.
    relative_error : float
        Each value v has a singular value of the matrix within relative_error * v.
    """

    values: np.ndarray
    vectors: np.ndarray
    relative_error: float


def singular_vectors(
    matrix: SparseRows, columns: SparseRows, rank: int, random_state: int
) -> SingularVectors:
    """The `rank` largest singular values of a matrix.

    Parameters
    ----------
    matrix, columns : SparseRows
        The matrix by rows, and by columns.
    rank : int
        At most the smaller side of the matrix.
    random_state : int
        Of the first block.

    Notes
    -----
    The Krylov space of A'A from a random block is made orthonormal block by block; Rayleigh-Ritz in it gives
    the values. An eigenvalue of A'A lies within |A'A v - s^2 v| of each s^2, which is measured.

    Source: Musco and Musco 2015, "Randomized block Krylov methods for stronger and faster approximate
    singular value decomposition"; Parlett, The Symmetric Eigenvalue Problem, section 4.5.
    """
    n_columns = matrix.shape[1]
    width = min(_BLOCK, n_columns)
    wanted = min(_SPACE * rank, n_columns)
    rng = np.random.default_rng(random_state)
    block = _orthonormal(rng.standard_normal((n_columns, width), dtype=np.float32))
    space = np.empty((n_columns, wanted + width), np.float32, order="F")  # so that a part of it is one piece
    size = 0
    while True:
        space[:, size : size + block.shape[1]] = block
        size += block.shape[1]
        if size >= wanted or block.shape[1] == 0:
            break
        known = space[:, :size]
        block = spmm(columns, spmm(matrix, block))
        for _ in range(2):  # once is not enough where the block lies almost within the space
            block = _orthonormal(block - known @ (known.T @ block))
    space = space[:, :size]
    image = spmm(matrix, space)
    squares, turns = np.linalg.eigh((image.T @ image).astype(np.float64))
    chosen = slice(-1, -rank - 1, -1)
    squares = np.maximum(squares[chosen], 0)
    vectors = np.ascontiguousarray(space @ turns[:, chosen].astype(np.float32))
    residual = spmm(columns, spmm(matrix, vectors)) - vectors * squares.astype(np.float32)
    lengths = np.linalg.norm(residual.astype(np.float64), axis=0)
    # |t - s| = |t^2 - s^2| / (t + s) <= |t^2 - s^2| / s.
    within = np.divide(lengths, squares, out=np.zeros_like(lengths), where=squares > 0)
    return SingularVectors(np.sqrt(squares), vectors, float(within.max(initial=0)))


def _orthonormal(block: np.ndarray) -> np.ndarray:
    """An orthonormal basis of what the columns span, negligible directions left out."""
    for _ in range(2):  # the first leaves an error that grows with the ratio of lengths
        squares, turns = np.linalg.eigh((block.T @ block).astype(np.float64))
        kept = squares > _NEGLIGIBLE * squares[-1:].max(initial=0)
        block = block @ (turns[:, kept] / np.sqrt(squares[kept])).astype(np.float32)
    return block

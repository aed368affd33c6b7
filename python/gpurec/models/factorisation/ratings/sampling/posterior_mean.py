"""The mean of products of two tables over many draws, as one product of two tables of few columns."""

from __future__ import annotations

import numpy as np

__all__ = ["mean_of_products"]

# Directions beyond the wanted ones, and passes over both tables: more of either changes no prediction.
_MORE, _PASSES = 8, 2


def mean_of_products(
    a: np.ndarray, b: np.ndarray, n: int, rank: int, random_state: int
) -> tuple[np.ndarray, np.ndarray]:
    """Tables p and q of `rank` columns with p q' about a b' / n, the best such in squares but for little.

    Parameters
    ----------
    a, b : float32 arrays, shape (n_a, d) and (n_b, d)
        The tables of n draws beside each other.
    n : int
    rank : int
        Columns that are not needed are zero.
    random_state : int
        Of the first directions.

    Returns
    -------
    (p, q) : float32 arrays, shape (n_a, rank) and (n_b, rank)

    Notes
    -----
    Each column of p is as long as that of q. Time: 8 (n_a + n_b) d rank products.

    Source: Halko, Martinsson and Tropp 2011, "Finding structure with randomness", algorithms 4.4 and 5.1.
    """
    p, q = np.zeros((len(a), rank), np.float32), np.zeros((len(b), rank), np.float32)
    width = min(rank + _MORE, len(a), len(b), a.shape[1])
    rng = np.random.default_rng(random_state)
    directions = rng.standard_normal((len(b), width), dtype=np.float32)
    for _ in range(_PASSES):
        of_a = np.linalg.qr(a @ (b.T @ directions))[0]
        directions = np.linalg.qr(b @ (a.T @ of_a))[0]
    u, s, v = np.linalg.svd((a @ (b.T @ directions)) / np.float32(n), full_matrices=False)
    kept = min(rank, width)
    roots = np.sqrt(s[:kept])
    p[:, :kept] = u[:, :kept] * roots
    q[:, :kept] = (directions @ v[:kept].T) * roots
    return p, q

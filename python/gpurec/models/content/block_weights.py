"""Weights of blocks, learnt from pairs that the training part lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from .blocks import Blocks

__all__ = ["learnt_weights"]

_MOST_PAIRS = 2048
_N_OTHERS = 256
# Of the natural logarithm of a weight, against the mean of all: blocks that say the same share their weight.
_PULL = 1e-3


def learnt_weights(
    blocks: Blocks,
    units: np.ndarray,
    histories: csr_array,
    user_rows: np.ndarray,
    item_rows: np.ndarray,
    random_state: int,
) -> np.ndarray:
    """The weights under which held-out items are most likely picked before random others.

    Parameters
    ----------
    blocks : Blocks
        With the weights to begin with.
    units : float32 array, shape (n_items, d)
        Unit vectors of all blocks.
    histories : scipy CSR, shape (n_users, n_items)
        How much each item counts for its user.
    user_rows, item_rows : int64 array, shape (n,)
        Held-out pairs.

    Returns
    -------
    float64 array, shape (n_blocks,)

    Notes
    -----
    Minimises the mean of -log softmax of the pair's score among 256 random items, by L-BFGS-B over the
    logarithms of the weights; their sum plays the temperature. At most 2048 pairs, drawn by random_state.
    Vectors of what users had are brought to length one with the weights of the round before; two rounds.
    """
    from scipy.optimize import minimize

    rng = np.random.default_rng(random_state)
    chosen = rng.permutation(len(user_rows))[:_MOST_PAIRS]
    users, items = user_rows[chosen], item_rows[chosen]
    others = rng.integers(0, len(units), (len(users), _N_OTHERS))
    candidates = np.column_stack([items, others])
    parts = blocks.slices()
    there = np.column_stack([(units[:, part] != 0).any(axis=1) for part in parts]).astype(np.float64)
    had = histories[users].astype(np.float64)
    # A candidate that is the item itself, or one that the user had, says nothing.
    not_asked = (others == items[:, np.newaxis]) | _holds(had, others)
    hidden = np.column_stack([np.zeros(len(users), bool), not_asked])
    sums = np.maximum(np.asarray(abs(had).sum(axis=1)).ravel(), 1e-12)
    weights = blocks.weights
    for _ in range(2):
        lengths = np.sqrt(np.maximum(there @ weights, 1e-300))
        scores = np.empty((len(parts), *candidates.shape))
        for part, block_scores in zip(parts, scores):
            scaled = units[:, part].astype(np.float64) / lengths[:, np.newaxis]
            profiles = (had @ scaled) / sums[:, np.newaxis]
            for row, (profile, asked) in enumerate(zip(profiles, candidates)):
                block_scores[row] = units[asked, part] @ profile

        def loss(logs: np.ndarray, scores: np.ndarray = scores) -> float:
            sizes = np.exp(logs)
            shown = np.tensordot(sizes, scores, 1) / np.sqrt(np.maximum(there[candidates] @ sizes, 1e-300))
            shown[hidden] = -np.inf
            most = shown.max(axis=1)
            surprise = np.log(np.exp(shown - most[:, np.newaxis]).sum(axis=1)) + most - shown[:, 0]
            return float(surprise.mean() + _PULL * np.square(logs - logs.mean()).sum())

        start = np.log(np.maximum(weights, 1e-4)) + np.log(100.0)
        found = minimize(loss, start, method="L-BFGS-B", bounds=[(-7.0, 14.0)] * len(start))
        weights = np.exp(found.x - found.x.max())
        weights /= weights.sum()
    return weights


def _holds(matrix: csr_array, columns: np.ndarray) -> np.ndarray:
    """Whether each row has an entry in its own columns, bool (n, n_columns)."""
    found = np.zeros(columns.shape, bool)
    for row, asked in enumerate(columns):
        found[row] = np.isin(asked, matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]])
    return found

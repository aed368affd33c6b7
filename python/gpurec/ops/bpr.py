"""Op `bpr`: stochastic gradient descent for ranking a user's items above others, pairwise or by softmax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends import Backend, select, strict_floats
from ..backends.ranking import RankingJob
from .sparse_arguments import as_sparse_rows

__all__ = ["RankingEpochs", "RankingRates", "bpr_epochs", "n_ranking_blocks"]

LOSSES = ("bpr", "softmax")
MOVABLE = ("users", "positives", "negatives")
_MOST_DRAWS = 65_536
# Rows of a block of items that the second cache of most processors holds beside what else is read.
_BLOCK_BYTES = 1 << 19
# Threads that should find a task each, and visits of an item in a task that make up for fetching it.
_FEWEST_TASKS, _VISITS_OF_ITEM = 8, 4
# A negative is as good as drawn from all items where its block is one of so many of them.
_LEAST_ITEMS = 256
_MOST_BLOCKS = 4096
# As Python's numbers: with its own, NumPy would compare in float32, and warn of what is infinite there.
_LEAST_FLOAT, _MOST_FLOAT = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class RankingRates:
    """Step sizes and penalties of `bpr_epochs`, each rounded once to float32; all >= 0 and finite.

    Attributes
    ----------
    learning_rate, bias_learning_rate : float
        Step sizes of factors and of item biases.
    regularisation, bias_regularisation : float
        Pulls to zero at each visit, of rows that it moves.

    Examples
    --------
    >>> RankingRates(0.05, 0.01, 0.05, 0.01).learning_rate
    0.05
    """

    learning_rate: float
    regularisation: float
    bias_learning_rate: float
    bias_regularisation: float


@dataclass(frozen=True)
class RankingEpochs:
    """What `bpr_epochs` did.

    Attributes
    ----------
    loss : float
        Mean loss of a visit, without penalties, each before its own update.
    n_visits : int
        Positives that were visited.
    n_skipped : int
        Positives for which no negative could be drawn.
    right : float
        Share of the negatives that scored less than their positive, as they were met.

    Examples
    --------
    >>> RankingEpochs(0.25, 10, 0, 0.9).right
    0.9
    """

    loss: float
    n_visits: int
    n_skipped: int
    right: float


def n_ranking_blocks(n_users: int, n_items: int, n_factors: int, n_positives: int) -> int:
    """Blocks of users and of items in which `bpr_epochs` goes through an epoch, by sizes alone.

    Parameters
    ----------
    n_users, n_items, n_factors, n_positives : int

    Returns
    -------
    int
        As many as make a block's rows half a megabyte, which the second cache holds, and 16 at least, but
        more than 8 only where a task still visits each of its items four times; of 256 items at least, so
        that negatives are many.

    Examples
    --------
    >>> n_ranking_blocks(943, 1682, 64, 100_000), n_ranking_blocks(29_858, 40_981, 64, 810_128)
    (6, 8)
    """
    wanted = max(16, -(-n_items * (n_factors + 1) * 4 // _BLOCK_BYTES))
    worth = max(_FEWEST_TASKS, n_positives // (_VISITS_OF_ITEM * max(n_items, 1)))
    return max(1, min(wanted, worth, n_items // _LEAST_ITEMS, n_users, _MOST_BLOCKS))


@strict_floats()
def bpr_epochs(
    positives: Any,
    user_factors: np.ndarray,
    item_factors: np.ndarray,
    item_biases: np.ndarray,
    rates: RankingRates,
    *,
    loss: str = "bpr",
    sharpness: float = 1.0,
    unit: bool = False,
    n_negatives: int = 1,
    n_candidates: int = 1,
    weights: np.ndarray | None = None,
    among: np.ndarray | None = None,
    seed: int = 0,
    first_epoch: int = 0,
    n_epochs: int = 1,
    n_blocks: int | None = None,
    visited: np.ndarray | None = None,
    keys: np.ndarray | None = None,
    moves: Sequence[str] = MOVABLE,
    backend: str | Backend | None = None,
) -> RankingEpochs:
    """Visit every positive once an epoch, beside drawn items that its user lacks, and move their factors.

    A visit of user u and item i with n negatives j has the margins x_j = (b_i - b_j + p_u . (q_i - q_j)) *
    sharpness and the loss mean of -log sigmoid(x_j) ("bpr"), or -log(1 / (1 + sum of exp(-x_j)))
    ("softmax"). Beside it, divided by the sharpness, stands half the penalty times |p_u|^2 + |q_i|^2 + the
    mean of |q_j|^2, and likewise of biases. All rows move along the gradient of both, from their old values.

    Parameters
    ----------
    positives : sparse matrix, shape (n_users, n_items), or SparseRows
        Every stored entry is a positive; values mean nothing.
    user_factors, item_factors : float32 arrays, shape (n_users, n_factors) and (n_items, n_factors), C order
    item_biases : float32 array, shape (n_items,)
        These three change in place; they must not overlap.
    rates : RankingRates
    loss : {"bpr", "softmax"}
        With one negative they are the same.
    sharpness : float
        Finite, above 0: how much a margin counts, the inverse of a temperature.
    unit : bool
        Rows that moved are then divided by their lengths (zeros stay), so that scores are cosines.
    n_negatives : int
        Drawn for each visit, with replacement.
    n_candidates : int
        Each negative is of so many draws that with the highest b_j + p_u . q_j ("hard" negatives), of equal
        ones the first.
    weights : uint32 array, shape (n_items,), optional
        How likely an item is drawn; 0 is never. By default all are alike.
    among : int32 array, rising rows of items, optional
        The only ones that are drawn. Where items do not move, the others then take no time.
    seed, first_epoch, n_epochs : int
        Epochs first_epoch, first_epoch + 1, ... of what the seed begins; done one by one they are the same.
    n_blocks : int, optional
        By default `n_ranking_blocks`. Part of what is computed, unlike the number of threads.
    visited : bool array, shape (n_positives,), optional
        Which positives are visited; the others only are no negatives.
    keys : int64 array, shape (n_users,), optional
        What tells draws of users apart, in place of their rows.
    moves : sequence of "users", "positives", "negatives"
        What moves; the rest is read only. Biases move with their items. Where items do not move, there is one
        block of them, and a user's factors depend on nobody else.
    backend : str or Backend, optional
        "cuda" computes on the device where a block's shared memory holds a visit's negatives, else on the
        host as "cupy" does.

    Returns
    -------
    RankingEpochs

    Raises
    ------
    TypeError
        If an array has another dtype or is not C-contiguous, or is read-only where it is to change.
    ValueError
        If shapes do not fit, arrays overlap, or a number or word is out of range.

    Notes
    -----
    Factors and biases have the same bits on any ISA and number of threads. Users are cut into `n_blocks` runs
    of about as many positives, and items of each epoch into as many blocks by chance. In round r users of
    block b meet items of block (b + r) % n_blocks alone, as positives and as negatives: no two tasks of a
    round read or write one row. Random numbers are counters through SplitMix64's finaliser: an item's block
    depends on (seed, epoch, item), draws of a positive on (seed, epoch, key of the user, item). A draw is one
    number among the items of the block that the user lacks, so nothing is rejected. Everything is float32,
    operation by operation, in 16 lanes; the loss is float64 and may differ in its last bits.
    Memory: 8 bytes a positive and 24 an item.

    Source: Rendle et al. 2009, "BPR: Bayesian personalized ranking from implicit feedback", section 4;
    Gemulla et al. 2011, "Large-scale matrix factorization with distributed stochastic gradient descent",
    section 4.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> positives = csr_array(np.float32([[1, 0], [0, 1]]))
    >>> users, items = np.ones((2, 1), np.float32), np.zeros((2, 1), np.float32)
    >>> biases = np.zeros(2, np.float32)
    >>> rates = RankingRates(0.5, 0.0, 0.5, 0.0)
    >>> done = bpr_epochs(positives, users, items, biases, rates)
    >>> done.n_visits, done.right, biases.tolist()
    (2, 0.0, [-0.11552929878234863, 0.11552929878234863])
    """
    op = "bpr_epochs"
    matrix = as_sparse_rows(positives, "positives", op)
    n_users, n_items = matrix.shape
    n_factors = user_factors.shape[1] if getattr(user_factors, "ndim", 0) == 2 else 0
    if isinstance(moves, str) or not set(moves) <= set(MOVABLE):
        raise ValueError(f"[{op}] expected moves of {', '.join(MOVABLE)}, got {moves!r}; choose among them")
    items_move = "positives" in moves or "negatives" in moves
    tables = {
        "user_factors": (user_factors, (n_users, n_factors), "users" in moves),
        "item_factors": (item_factors, (n_items, n_factors), items_move),
        "item_biases": (item_biases, (n_items,), items_move),
    }
    for name, (table, shape, changes) in tables.items():
        _check_array(name, table, np.float32, shape)
        if changes and not table.flags.writeable:
            raise TypeError(f"[{op}] expected {name} to be writeable, got a read-only array; copy it")
    if any(
        np.may_share_memory(a, b)
        for a, b in ((user_factors, item_factors), (user_factors, item_biases), (item_factors, item_biases))
    ):
        raise ValueError(f"[{op}] expected tables apart in memory, got overlapping ones; copy one")
    for name, array, dtype, n in (
        ("weights", weights, np.uint32, n_items),
        ("visited", visited, np.bool_, len(matrix.columns)),
        ("keys", keys, np.int64, n_users),
    ):
        if array is not None:
            _check_array(name, array, dtype, (n,))
    if among is not None:
        _check_array("among", among, np.int32, np.shape(among)[:1])
        if len(among) and (among[0] < 0 or among[-1] >= n_items or not (among[1:] > among[:-1]).all()):
            rows = f"0..{n_items - 1}"
            raise ValueError(f"[{op}] expected among to rise within {rows}, got other rows; sort them")
    for name, rate in vars(rates).items():
        if not 0 <= rate <= _MOST_FLOAT:
            raise ValueError(f"[{op}] expected {name} >= 0 and finite in float32, got {rate}; choose another")
    if loss not in LOSSES:
        raise ValueError(f"[{op}] expected loss of {' or '.join(LOSSES)}, got {loss!r}; choose one")
    if not _LEAST_FLOAT <= sharpness <= _MOST_FLOAT:
        raise ValueError(
            f"[{op}] expected sharpness > 0 and finite in float32, got {sharpness}; choose another"
        )
    job = RankingJob(
        loss=loss,
        sharpness=sharpness,
        unit=bool(unit),
        n_negatives=_whole("n_negatives", n_negatives, 1, _MOST_DRAWS),
        n_candidates=_whole("n_candidates", n_candidates, 1, _MOST_DRAWS),
        **vars(rates),
        **{f"move_{part}": part in moves for part in MOVABLE},
        seed=_whole("seed", seed, 0, 2**64 - 1),
        first_epoch=_whole("first_epoch", first_epoch, 0, 2**62),
        n_epochs=_whole("n_epochs", n_epochs, 0, 2**31),
        n_blocks=n_ranking_blocks(n_users, n_items, n_factors, len(matrix.columns))
        if n_blocks is None
        else _whole("n_blocks", n_blocks, 1, _MOST_BLOCKS),
    )
    arrays = visited, keys, user_factors, item_factors, item_biases, weights, among
    total, n_visits, n_right, n_skipped = select(backend).bpr_epochs(matrix, *arrays, job=job)
    n = max(n_visits, 1)
    return RankingEpochs(total / n, n_visits, n_skipped, n_right / (n * job.n_negatives))


def _check_array(name: str, array: Any, dtype: type, shape: tuple[int, ...]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype or not array.flags.c_contiguous:
        got = f"{array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        wanted = np.dtype(dtype).name
        raise TypeError(
            f"[bpr_epochs] expected {name} as a C-contiguous {wanted} array, got {got}; "
            f"do: np.ascontiguousarray({name}, dtype=np.{wanted})"
        )
    if array.shape != shape:
        raise ValueError(f"[bpr_epochs] expected {name} of shape {shape}, got {array.shape}; reshape it")


def _whole(name: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"[bpr_epochs] expected {name} as an integer, got {value!r}; round it")
    if not low <= value <= high:
        raise ValueError(f"[bpr_epochs] expected {name} in {low}..{high}, got {value}; choose one inside")
    return int(value)

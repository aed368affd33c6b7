"""`LogisticMatrixFactorization` with implicit's arguments: steps along gradients that are sparse products."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_array
from scipy.special import expit

from ....backends import strict_floats
from ....ops import score_pairs, spmm
from ....progress import reporter
from ..utils import check_csr, check_random_state
from .matrix_factorization_base import MatrixFactorizationBase

__all__ = ["LogisticMatrixFactorization", "likelihood_gradient"]

_PAIRS_AT_ONCE = 1 << 17  # about; their factors lie in memory twice
_LEAST_SQUARE = np.float32(1e-6)  # beside the squares of gradients, so that none is divided by 0


class LogisticMatrixFactorization(MatrixFactorizationBase):
    """Factors whose product is the log-odds that a user likes an item.

    Parameters
    ----------
    factors : int
    learning_rate : float
        Of Adagrad: the length of a component's first step.
    regularization : float
        Half the penalty on the square of each factor.
    dtype : dtype
        Of the factors that are kept; they are learnt in float32.
    iterations : int
        Each takes one step of all users, then one of all items.
    neg_prop : int
        Items that are drawn for each that a user has, as often as they stand in the matrix; likewise users
        for an item. At most `factors + 2` a row, as in implicit, which takes that for the number of items:
        on ml-100k more of them cost time and rank worse.
    num_threads : int
        Kept for implicit's sake; `GPUREC_NUM_THREADS` sets the threads, and what is learnt depends on none.
    random_state : int, generator or None
        Decides everything that is drawn: the same number, the same bits.

    Attributes
    ----------
    user_factors, item_factors : arrays, shape (n_users, factors + 2) and (n_items, factors + 2)
        None before `fit`. The last two columns are 1 and the bias of users, the bias and 1 of items. A fit
        goes on from those that are there.

    Notes
    -----
    With y the log-odds, c the entry and draws D, the likelihood is the sum of c log sigmoid(y) over entries
    and of log sigmoid(-y) over D: a sample of the paper's, which has all pairs in place of D.

    Source: Johnson 2014, "Logistic matrix factorization for implicit feedback data", NIPS workshop,
    section 3.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> plays = csr_matrix([[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1]])
    >>> model = LogisticMatrixFactorization(factors=3, random_state=0)
    >>> model.fit(plays, show_progress=False)
    >>> model.recommend(1, plays[1], N=1)[0].tolist()
    [2]
    """

    _kinds: ClassVar[dict[str, type]] = {
        "factors": int,
        "learning_rate": float,
        "regularization": float,
        "iterations": int,
        "neg_prop": int,
        "num_threads": int,
        "random_state": int,
    }

    def __init__(
        self,
        factors: int = 30,
        learning_rate: float = 1.0,
        regularization: float = 0.6,
        dtype: Any = np.float32,
        iterations: int = 30,
        neg_prop: int = 30,
        num_threads: int = 0,
        random_state: Any = None,
    ) -> None:
        super().__init__(num_threads)
        self.factors, self.learning_rate, self.regularization = factors, learning_rate, regularization
        self.dtype, self.iterations, self.neg_prop = np.dtype(dtype), iterations, neg_prop
        self.random_state = random_state

    @strict_floats()
    def fit(
        self,
        user_items: Any,
        show_progress: bool = True,
        callback: Callable[[int, float], object] | None = None,
    ) -> None:
        """Learn factors from who had what.

        Parameters
        ----------
        user_items : sparse matrix, shape (n_users, n_items)
            Entries say how certain it is that they are liked; other formats than CSR are converted, with a
            `ParameterWarning`.
        show_progress : bool
            Show a bar on a terminal, if rich is installed.
        callback : callable, optional
            `callback(iteration, seconds)` after each iteration, counted from 0.

        Raises
        ------
        ModelFitError
            If factors are not finite: the learning rate is too high.
        """
        matrix, random = check_csr(user_items), check_random_state(self.random_state)
        liked = csr_array(matrix, dtype=np.float32)
        liked_by = liked.T.tocsr()
        items, users = self._drawn("item", liked_by, -1, random), self._drawn("user", liked, -2, random)
        self._keep(users, items)
        squares = np.zeros_like(users), np.zeros_like(items)
        with reporter(None if show_progress else False, "fit lmf", self.iterations) as report:
            for iteration in range(self.iterations):
                begin = time.perf_counter()
                for own, others, entries, of_own, ones in (
                    (users, items, liked, squares[0], -2),
                    (items, users, liked_by, squares[1], -1),
                ):
                    self._step(own, others, entries, of_own, random)
                    own[:, ones] = 1
                    self._keep(users, items)
                report(iteration + 1, self.iterations)
                if callback is not None:
                    callback(iteration, time.perf_counter() - begin)

    def _drawn(self, side: str, matrix: csr_array, ones: int, random: np.random.Generator) -> np.ndarray:
        """The factors that are there, or some by chance; 0 for rows without an entry."""
        if self._tables[side] is not None:
            return np.array(self._tables[side], np.float32)
        drawn = random.standard_normal((matrix.shape[0], self.factors + 2), dtype=np.float32)
        drawn[:, ones] = 1
        drawn[np.diff(matrix.indptr) == 0] = 0
        return drawn

    def _keep(self, users: np.ndarray, items: np.ndarray) -> None:
        self.user_factors, self.item_factors = (table.astype(self.dtype) for table in (users, items))
        self._check_fit_errors()

    def _step(
        self,
        own: np.ndarray,
        others: np.ndarray,
        liked: csr_array,
        squares: np.ndarray,
        random: np.random.Generator,
    ) -> None:
        """A step of Adagrad for each row of `own` that has entries, in place."""
        has = np.diff(liked.indptr)
        n_drawn = np.minimum(has.astype(np.int64) * self.neg_prop, own.shape[1])
        part = np.cumsum(has + n_drawn) // _PAIRS_AT_ONCE
        for rows in np.split(np.arange(len(own)), np.flatnonzero(np.diff(part)) + 1):
            rows = rows[has[rows] > 0]
            if len(rows) == 0:
                continue
            starts = np.r_[0, np.cumsum(n_drawn[rows])]
            columns = liked.indices[random.integers(liked.nnz, size=starts[-1])]
            shape = (len(rows), liked.shape[1])
            drawn = csr_array((np.ones(len(columns), np.float32), columns, starts), shape)
            step = likelihood_gradient(own[rows], others, liked[rows], drawn, self.regularization)
            with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is told of afterwards
                squares[rows] += step * step
                own[rows] += np.float32(self.learning_rate) / np.sqrt(_LEAST_SQUARE + squares[rows]) * step


def likelihood_gradient(
    own: np.ndarray, others: np.ndarray, liked: csr_array, drawn: csr_array, regularization: float
) -> np.ndarray:
    """The gradient by `own` of what `LogisticMatrixFactorization` makes large, less half the penalty.

    Parameters
    ----------
    own, others : float32 arrays, shape (n, d) and (m, d)
    liked, drawn : float32 CSR arrays, shape (n, m)
        How certain it is that entries are liked, and how often they were drawn.
    regularization : float

    Returns
    -------
    float32 array, shape (n, d)

    Examples
    --------
    >>> liked, drawn = (csr_array(np.float32([row])) for row in ([1, 0], [0, 3]))
    >>> likelihood_gradient(np.zeros((1, 1), np.float32), np.float32([[2], [1]]), liked, drawn, 0.1).tolist()
    [[-0.5]]
    """
    drawn.sum_duplicates()
    weights = []
    for matrix, sign in ((liked, np.float32(1)), (drawn, np.float32(-1))):
        rows = np.repeat(np.arange(len(own)), np.diff(matrix.indptr))
        log_odds = score_pairs(own[rows], others[matrix.indices])
        values = sign * matrix.data * expit(-sign * log_odds)
        weights.append(csr_array((values, matrix.indices, matrix.indptr), matrix.shape))
    return spmm(weights[0] + weights[1], others, add=own, weight=-regularization)

"""`BayesianPersonalizedRanking` with implicit's arguments, on gpurec's own descent."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ....backends import strict_floats
from ....ops import RankingRates, bpr_epochs
from ....progress import reporter
from ..utils import check_csr, check_random_state
from .matrix_factorization_base import MatrixFactorizationBase

__all__ = ["BayesianPersonalizedRanking"]


class BayesianPersonalizedRanking(MatrixFactorizationBase):
    """Factors that rank what a user had above what they did not have, learnt from pairs of items.

    Parameters
    ----------
    factors : int
    learning_rate, regularization : float
        Step size, and pull to zero at each step.
    dtype : dtype
        Of the factors that are kept; they are learnt in float32.
    iterations : int
        Epochs: each visits every entry once.
    num_threads : int
        Kept for implicit's sake; `GPUREC_NUM_THREADS` sets the threads, and what is learnt depends on none.
    verify_negative_samples : bool
        Without effect: an item that the user had is never drawn against another. Others are drawn as often as
        they stand in the matrix, as in implicit.
    random_state : int, generator or None
        Decides everything that is drawn: the same number, the same bits.

    Attributes
    ----------
    user_factors, item_factors : arrays, shape (n_users, factors + 1) and (n_items, factors + 1)
        None before `fit`. The last column is 1 for users, and for items their bias. A fit goes on from those
        that are there.

    Notes
    -----
    Source: Rendle and others 2009, "BPR: Bayesian personalized ranking from implicit feedback", UAI.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> plays = csr_matrix([[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1]])
    >>> model = BayesianPersonalizedRanking(factors=3, learning_rate=0.1, random_state=0)
    >>> model.fit(plays, show_progress=False)
    >>> model.recommend(1, plays[1], N=1)[0].tolist()
    [2]
    """

    _kinds: ClassVar[dict[str, type]] = {
        "factors": int,
        "learning_rate": float,
        "regularization": float,
        "verify_negative_samples": bool,
        "iterations": int,
        "num_threads": int,
        "random_state": int,
    }

    def __init__(
        self,
        factors: int = 100,
        learning_rate: float = 0.01,
        regularization: float = 0.01,
        dtype: Any = np.float32,
        iterations: int = 100,
        num_threads: int = 0,
        verify_negative_samples: bool = True,
        random_state: Any = None,
    ) -> None:
        super().__init__(num_threads)
        self.factors, self.learning_rate, self.regularization = factors, learning_rate, regularization
        self.dtype, self.iterations = np.dtype(dtype), iterations
        self.verify_negative_samples, self.random_state = verify_negative_samples, random_state

    @strict_floats()
    def fit(
        self,
        user_items: Any,
        show_progress: bool = True,
        callback: Callable[[int, float, int, int], object] | None = None,
    ) -> None:
        """Learn factors from who had what.

        Parameters
        ----------
        user_items : sparse matrix, shape (n_users, n_items)
            Every stored entry counts as one; other formats than CSR are converted, with a `ParameterWarning`.
        show_progress : bool
            Show a bar on a terminal, if rich is installed.
        callback : callable, optional
            `callback(epoch, seconds, correct, skipped)` after each epoch, counted from 0: how many pairs
            stood in the right order when they were met, and how many entries had no other item beside them.

        Raises
        ------
        ModelFitError
            If factors are not finite: the learning rate is too high.
        """
        matrix, random = check_csr(user_items), check_random_state(self.random_state)
        n_users, n_items = matrix.shape
        counts = np.bincount(matrix.indices, minlength=n_items)
        items = self._drawn("item", n_items, counts, random)
        users = self._drawn("user", n_users, np.diff(matrix.indptr), random)
        seed = int(random.integers(2**63))
        p, q, b = (
            np.ascontiguousarray(part, np.float32) for part in (users[:, :-1], items[:, :-1], items[:, -1])
        )
        # As often as an item stands in the matrix, it is drawn against others.
        often = counts.astype(np.uint32)
        rates = RankingRates(self.learning_rate, self.regularization, self.learning_rate, self.regularization)
        with reporter(None if show_progress else False, "fit bpr", self.iterations) as report:
            for epoch in range(self.iterations):
                begin = time.perf_counter()
                done = bpr_epochs(matrix, p, q, b, rates, weights=often, seed=seed, first_epoch=epoch)
                report(epoch + 1, self.iterations)
                if callback is not None:
                    seconds, correct = time.perf_counter() - begin, round(done.right * done.n_visits)
                    callback(epoch, seconds, correct, done.n_skipped)
        ones = np.ones((len(users), 1), self.dtype)
        self.user_factors = np.hstack([p.astype(self.dtype, copy=False), ones])
        self.item_factors = np.column_stack([q, b]).astype(self.dtype, copy=False)
        self._check_fit_errors()

    def _drawn(self, side: str, n: int, counts: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """The factors that are there, or small ones by chance; 0 for rows without an entry."""
        if self._tables[side] is not None:
            return np.array(self._tables[side], np.float32)
        drawn = (random.random((n, self.factors + 1), dtype=np.float32) - np.float32(0.5)) / np.float32(
            self.factors
        )
        drawn[counts == 0] = 0
        return drawn

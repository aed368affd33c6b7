"""`AlternatingLeastSquares` with implicit's arguments, on gpurec's own half-sweeps."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ....backends import strict_floats
from ....ops import HalfSweep
from ....progress import reporter
from ...arguments import as_csr, as_rows, rows_of_users
from ..recommender_base import fitted
from ..utils import check_csr, check_random_state
from .matrix_factorization_base import MatrixFactorizationBase

__all__ = ["AlternatingLeastSquares"]

_LOG = logging.getLogger("gpurec")
# Whose factors, gathered for the loss, stay in a processor's cache.
_ENTRIES_AT_ONCE = 1 << 12


class AlternatingLeastSquares(MatrixFactorizationBase):
    """Factors whose products say who had what, each unseen pair counting as a weak no.

    It minimises, over all users and items, sum c (p - x . y)^2 + regularization (sum |x|^2 + sum |y|^2). An
    entry r of the matrix has c = alpha |r|, and p = 1, or 0 where r is below 0; others c = 1, p = 0.

    Parameters
    ----------
    factors : int
    regularization : float
    alpha : float
        Factor of all weights.
    dtype : dtype
        Of the factors that are kept; they are solved for in float32.
    use_native : bool
        Without effect.
    use_cg : bool
        Approach each solution in three steps of conjugate gradients (`cg_steps`) from the last one, instead
        of solving by Cholesky.
    iterations : int
        Sweeps of `fit`.
    calculate_training_loss : bool
        Give the loss to the callback and log it.
    num_threads : int
        Kept for implicit's sake; `GPUREC_NUM_THREADS` sets the threads, and answers depend on none.
    random_state : int, generator or None
        Draws the factors at the start, the same ones as in implicit.

    Attributes
    ----------
    user_factors, item_factors : arrays, shape (n_users, factors) and (n_items, factors)
        None before `fit`. A fit goes on from those that are there.
    cg_steps : int

    Notes
    -----
    Source: Hu, Koren and Volinsky 2008, "Collaborative filtering for implicit feedback datasets", ICDM.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> plays = csr_matrix([[3, 1, 0, 0], [2, 2, 1, 0], [0, 0, 1, 4], [0, 0, 0, 3]])
    >>> model = AlternatingLeastSquares(factors=2, random_state=0)
    >>> model.fit(plays, show_progress=False)
    >>> model.recommend(3, plays[3], N=1)[0].tolist()
    [2]
    """

    _kinds: ClassVar[dict[str, type]] = {
        "factors": int,
        "regularization": float,
        "alpha": float,
        "use_native": bool,
        "use_cg": bool,
        "cg_steps": int,
        "iterations": int,
        "calculate_training_loss": bool,
        "num_threads": int,
        "random_state": int,
    }

    def __init__(
        self,
        factors: int = 100,
        regularization: float = 0.01,
        alpha: float = 1.0,
        dtype: Any = np.float32,
        use_native: bool = True,
        use_cg: bool = True,
        iterations: int = 15,
        calculate_training_loss: bool = False,
        num_threads: int = 0,
        random_state: Any = None,
    ) -> None:
        super().__init__(num_threads)
        self.factors, self.regularization, self.alpha = factors, regularization, alpha
        self.dtype, self.use_native, self.use_cg, self.cg_steps = np.dtype(dtype), use_native, use_cg, 3
        self.iterations, self.calculate_training_loss = iterations, calculate_training_loss
        self.random_state = random_state
        self._halves: dict[str, HalfSweep] = {}

    def _changed(self, side: str) -> None:
        super()._changed(side)
        self._halves.pop(side, None)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_halves": {}}

    # Learning.

    @strict_floats()
    def fit(
        self,
        user_items: Any,
        show_progress: bool = True,
        callback: Callable[[int, float, float | None], object] | None = None,
    ) -> None:
        """Learn factors from a matrix of weights.

        Parameters
        ----------
        user_items : sparse matrix, shape (n_users, n_items)
            A weight below 0 says that the user dislikes the item, so much the surer the lower it is. Other
            formats than CSR are converted, with a `ParameterWarning`.
        show_progress : bool
            Show a bar on a terminal, if rich is installed.
        callback : callable, optional
            `callback(iteration, seconds, loss)` after each sweep, counted from 0; the loss is None where it
            is not asked for.

        Raises
        ------
        ValueError
            If a weight is not finite, or `regularization` not above 0.
        ModelFitError
            If factors are not finite.
        """
        matrix = self._weighted(check_csr(user_items))
        random, (n_users, n_items) = check_random_state(self.random_state), matrix.shape
        for side, n in (("user", n_users), ("item", n_items)):
            if self._tables[side] is None:
                dtype = np.float64 if self.dtype == np.float64 else np.float32
                drawn = random.random((n, self.factors), dtype=dtype) * dtype(0.01)
                self._assign(side, drawn.astype(self.dtype, copy=False))
        turned = matrix.T.tocsr()
        with reporter(None if show_progress else False, "fit als", self.iterations) as report:
            for iteration in range(self.iterations):
                begin = time.perf_counter()
                self._sweep("user", matrix)
                self._sweep("item", turned)
                loss = self._loss(matrix) if self.calculate_training_loss else None
                if loss is not None:
                    _LOG.info("als, iteration %d: loss %.6g", iteration, loss)
                report(iteration + 1, self.iterations)
                if callback is not None:
                    callback(iteration, time.perf_counter() - begin, loss)
        self._check_fit_errors()

    def _weighted(self, matrix: Any) -> Any:
        """Confidences alpha r, float32 CSR; below 0 for dislikes."""
        weighted = matrix.astype(np.float32)
        weighted.data = weighted.data * np.float32(self.alpha)
        if not np.isfinite(weighted.data).all():
            raise ValueError("[als] expected finite weights, got NaN or infinity; take such entries out")
        return weighted

    def _sweep(self, side: str, matrix: Any) -> None:
        """Solve for the factors of one side, given the other's."""
        start = self._tables[side] if self.use_cg else None
        self._assign(side, self._solved(side, matrix, start))

    def _solved(self, side: str, matrix: Any, start: np.ndarray | None = None) -> np.ndarray:
        """Factors of rows of one side from their weights: by conjugate gradients from a start, or exactly."""
        other = "item" if side == "user" else "user"
        half = self._half_sweep(other)
        if matrix.shape[1] > len(half.factors):
            raise ValueError(
                f"[als] expected weights of {len(half.factors)} {other}s, got {matrix.shape[1]}; fit again"
            )
        matrix = matrix.copy()
        matrix.resize(matrix.shape[0], len(half.factors))
        liked, targets = matrix.data > 0, None
        if not liked.all():
            targets = matrix.copy()
            targets.data = liked.astype(np.float32)
            matrix.data = np.abs(matrix.data)
        how = (
            {"solver": "cholesky"}
            if start is None
            else {"solver": "cg", "steps": self.cg_steps, "start": start}
        )
        found = half.solve(matrix, targets=targets, l2=self.regularization, **how)
        return found.factors.astype(self.dtype, copy=False)

    def _half_sweep(self, side: str) -> HalfSweep:
        """The factors of a side, made ready to solve for the other's."""
        if side not in self._halves:
            self._halves[side] = HalfSweep(fitted(self._tables[side], self))
        return self._halves[side]

    def _loss(self, matrix: Any) -> float:
        """What is minimised, over the sum of all pairs' confidences."""
        X, Y = (np.asarray(self._tables[side], np.float64) for side in ("user", "item"))
        everywhere = np.sum((X.T @ X) * (Y.T @ Y))
        owners = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        there = 0.0
        for first in range(0, matrix.nnz, _ENTRIES_AT_ONCE):
            part = slice(first, first + _ENTRIES_AT_ONCE)
            scores = np.einsum("ij,ij->i", X[owners[part]], Y[matrix.indices[part]])
            c = matrix.data[part].astype(np.float64)
            there += np.sum(np.abs(c) * np.square((c > 0) - scores) - np.square(scores))
        norms = np.square(X).sum() + np.square(Y).sum()
        confidence = (
            np.abs(matrix.data).sum(dtype=np.float64) + matrix.shape[0] * matrix.shape[1] - matrix.nnz
        )
        return float((everywhere + there + self.regularization * norms) / confidence)

    # New users and items.

    @strict_floats()
    def recalculate_user(self, userid: Any, user_items: Any) -> np.ndarray:
        """Factors of users from what they had, by an exact solution; the model stays as it is.

        Parameters
        ----------
        userid : int, or integers in one dimension
            Says how many there are: known users or new ones.
        user_items : sparse matrix, shape (1 or len(userid), n_items)

        Returns
        -------
        array, shape (factors,) or (len(userid), factors)
        """
        return self._recalculated("user", userid, user_items)

    @strict_floats()
    def recalculate_item(self, itemid: Any, item_users: Any) -> np.ndarray:
        """Factors of items from who had them, as `recalculate_user`."""
        return self._recalculated("item", itemid, item_users)

    def _recalculated(self, side: str, rows: Any, matrix: Any) -> np.ndarray:
        asked, one = as_rows(rows, None, f"{side}id", f"recalculate_{side}")
        weights = rows_of_users(matrix, len(asked), "weights", f"recalculate_{side}")
        factors = self._solved(side, self._weighted(weights))
        return factors[0] if one else factors

    def partial_fit_users(self, userids: Any, user_items: Any) -> None:
        """Give users the factors that `recalculate_user` finds; new ones are added.

        Parameters
        ----------
        userids : integers, shape (n,)
            Each once. Rows between the last user and a new one get factors of 0.
        user_items : sparse matrix, shape (n, n_items)
        """
        self._learn_rows("user", userids, user_items)

    def partial_fit_items(self, itemids: Any, item_users: Any) -> None:
        """Give items the factors that `recalculate_item` finds, as `partial_fit_users` does for users."""
        self._learn_rows("item", itemids, item_users)

    @strict_floats()
    def _learn_rows(self, side: str, rows: Any, matrix: Any) -> None:
        op = f"partial_fit_{side}s"
        asked = as_rows(rows, None, f"{side}ids", op)[0]
        if len(np.unique(asked)) != len(asked):
            raise ValueError(f"[{op}] expected each of {side}ids once, got one twice; add its rows up")
        new = np.atleast_2d(self._recalculated(side, asked, matrix))
        old = fitted(self._tables[side], self)
        table = np.zeros((max(len(old), int(asked.max(initial=-1)) + 1), old.shape[1]), old.dtype)
        table[: len(old)] = old
        table[asked] = new
        self._assign(side, table)

    @strict_floats()
    def explain(
        self, userid: int, user_items: Any, itemid: int, user_weights: Any = None, N: int = 10
    ) -> tuple[float, list[tuple[int, float]], Any]:
        """What each of a user's items adds to the score of an item.

        Parameters
        ----------
        userid : int
            A row of `user_items`.
        user_items : sparse matrix, shape (n_users, n_items)
            Or the user's row alone.
        itemid : int
        user_weights : optional
            What an earlier call for the same user gave back, which saves a factorisation.
        N : int

        Returns
        -------
        total_score : float
            The score with the user's factors solved for anew, as of `recommend(..., recalculate_user=True)`.
        top_contributions : list of (itemid, contribution)
            The N largest of what the user likes; all of them add up to the total.
        user_weights
            The Cholesky factors of the user's equations, as of `scipy.linalg.cho_factor`.

        Notes
        -----
        Source: Hu, Koren and Volinsky 2008, section 5.
        """
        from scipy.linalg import cho_factor, cho_solve

        items = fitted(self.item_factors, self)
        item = as_rows(itemid, len(items), "itemid", "explain")[0]
        matrix = as_csr(user_items, "user_items", "explain")
        row = as_rows(userid, None if matrix.shape[0] == 1 else matrix.shape[0], "userid", "explain")[0]
        weighted = self._weighted(matrix[[0] if matrix.shape[0] == 1 else row])
        had, confidences = weighted.indices, weighted.data.astype(np.float64)
        if len(had) and had.max() >= len(items):
            raise IndexError(
                f"[explain] expected user_items of {len(items)} items, got {had.max()}; fit it first"
            )
        Y = items[had].astype(np.float64)
        if user_weights is None:
            gram = self._half_sweep("item").gram + self.regularization * np.eye(Y.shape[1])
            user_weights = cho_factor(gram + (Y.T * (np.abs(confidences) - 1)) @ Y)
        liked = confidences > 0
        had, Y, confidences = had[liked], Y[liked], confidences[liked]
        added = Y @ cho_solve(user_weights, items[item[0]].astype(np.float64)) * confidences
        best = np.lexsort((had, -added))[:N]
        contributions = [(int(had[place]), float(added[place])) for place in best]
        return float(added.sum()), contributions, user_weights

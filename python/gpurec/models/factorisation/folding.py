"""What least squares say of users and items from their interactions alone, known to the fit or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...backends import SparseRows, strict_floats
from ...errors import UnknownIdError
from ...id_stores import plain_ids
from ...ops.als import HalfSweep
from ...ops.sparse_arguments import as_sparse_rows, transposed
from ..recommender import Reasons, with_columns
from .newcomers import NewcomersModel

__all__ = ["FoldingModel", "Problem"]


@dataclass(frozen=True)
class Problem:
    """The least squares of some users or items.

    Attributes
    ----------
    weights : SparseRows
    targets : float or SparseRows
    l2 : float64 array, shape (n_rows,)
    """

    weights: SparseRows
    targets: float | SparseRows
    l2: np.ndarray

    def rows(self, rows: np.ndarray) -> Problem:
        """Some of them."""
        targets = self.targets
        if isinstance(targets, SparseRows):
            targets = _taken(targets, rows)
        return Problem(_taken(self.weights, rows), targets, self.l2[rows])

    def penalty(self, factors: np.ndarray) -> float:
        """What factors add to the loss by themselves."""
        # Not widened, which took most of the time; and no BLAS, whose order may follow its own threads.
        sizes = np.einsum("ij,ij->i", factors, factors)
        return float((self.l2 * sizes).sum())


class FoldingModel(NewcomersModel):
    """The half of `ImplicitALS` that needs no fit: from the factors of one side to those of the other."""

    user_factors: np.ndarray
    item_factors: np.ndarray

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._half_sweeps: dict[str, HalfSweep] = {}
        self._start: Any = None

    # The least squares.

    def _confidence(self, weights: np.ndarray) -> np.ndarray:
        """c of each interaction, float32."""
        alpha = self.settings["alpha"]
        return np.ones(len(weights), np.float32) if alpha is None else weights * np.float32(alpha)

    def _check_weights(self) -> None:
        if self.settings["alpha"] is not None:
            _refuse_negative(self.training.user_items.data)

    def _problem(self, side: str, interactions: Any = None) -> Problem:
        """The least squares of all users or items, or of rows of interactions with the other side's."""
        given = self.training.user_items if interactions is None else interactions
        matrix = as_sparse_rows(given, "interactions", "als")
        if side == "item" and interactions is None:
            matrix = transposed(matrix)
        confidence, size = self._confidence(matrix.values), matrix.lengths
        settings, w0 = self.settings, self.settings["unobserved_weight"]
        if settings["item_power"] != 0:
            shares = self._item_shares(side, matrix)
            confidence = confidence * np.float32(shares)
            size = np.bincount(matrix.owners, shares, matrix.n_rows)
        targets: float | SparseRows = 1.0
        weights = confidence
        if settings["weighting"] != "plain":
            weights = confidence + np.float32(w0)
        if settings["weighting"] == "ials" and w0 > 0:
            targets = matrix.with_values(confidence / weights)
        others = int(self.training.known("item" if side == "user" else "user").sum())
        l2 = settings["regularisation"] * (size + w0 * others) ** settings["regularisation_exponent"]
        tiny, huge = np.finfo(np.float32).tiny, np.finfo(np.float32).max
        return Problem(matrix.with_values(weights), targets, np.clip(l2, tiny, huge))

    def _item_shares(self, side: str, matrix: SparseRows) -> np.ndarray:
        """By what the confidence in each interaction is multiplied for its item's users, float64."""
        power, counts = self.settings["item_power"], self.training.item_counts.astype(np.float64)
        mean = (counts[counts > 0] ** (1 + power)).sum() / counts.sum()
        if side == "user":
            return np.maximum(counts, 1)[matrix.columns] ** power / mean
        return np.repeat(np.maximum(matrix.lengths, 1.0) ** power / mean, matrix.lengths)

    def _half_sweep(self, side: str) -> HalfSweep:
        """What the least squares of all users, or items, share."""
        found = self._half_sweeps.get(side)
        if found is None:
            fixed = self.item_factors if side == "user" else self.user_factors
            found = self._half_sweeps[side] = HalfSweep(fixed, self.settings["unobserved_weight"])
        return found

    def _forget_half_sweeps(self) -> None:
        self._half_sweeps.clear()

    # Newcomers.

    @strict_floats()
    def fold_in_rows(self, interactions: Any, side: str = "user") -> np.ndarray:
        """As `fold_in`, of a matrix in this model's rows.

        Parameters
        ----------
        interactions : sparse matrix or dense array, shape (n, n_items) or for items (n, n_users)
            Weights; every stored entry (of a dense array, all but zeros) is an interaction.
        side : {"user", "item"}

        Returns
        -------
        float32 array, shape (n, n_factors)
            Exactly solved, equal bit for bit to what half a sweep with "cholesky" gives; zero where nothing
            is known.

        Raises
        ------
        ValueError
            If a weight is not finite or, with `alpha`, below 0, or `side` or the columns are others.
        """
        matrix = self._newcomers(interactions, side)
        if self.settings["alpha"] is not None:
            _refuse_negative(matrix.values)
        problem = self._problem(side, matrix)
        solved = self._half_sweep(side).solve(problem.weights, targets=problem.targets, l2=problem.l2)
        return solved.factors

    # What is said of those that the fit knew.

    def spread(self, user_ids: Any, item_ids: Any) -> np.ndarray:
        """How uncertain the score of each user with the item beside it is: standard deviations, float64 (n,).

        Parameters
        ----------
        user_ids, item_ids : sequences of ids, of one length

        Returns
        -------
        float64 array, shape (n,)
            sqrt(q . A^-1 q) with A the matrix of the user's least squares: the posterior deviation where an
            interaction of confidence 1 is an observation of variance 1 and the items' factors are taken for
            certain. It falls as a user has more items like this one. Comparable within one model only.

        Raises
        ------
        UnknownIdError
            If an id is unknown.
        ValueError
            If the lengths differ.

        Source: Hu, Koren and Volinsky 2008, section 4, whose A^-1 it is.
        """
        users, items = plain_ids(user_ids), plain_ids(item_ids)
        if len(users) != len(items):
            raise ValueError(
                f"[spread] expected one item a user, got {len(users)} users and {len(items)} items"
            )
        rows = {}
        for side, ids in (("user", users), ("item", items)):
            rows[side] = self.training.known_rows(side, ids)
            if (rows[side] < 0).any():
                raise UnknownIdError(
                    f"[spread] expected {side}s with training interactions, got "
                    f"{ids[int(np.argmin(rows[side]))]!r}; leave it out"
                )
        spreads = np.empty(len(rows["user"]))
        asked, which = np.unique(rows["user"], return_inverse=True)
        for place, user in enumerate(asked.tolist()):
            of_user = which == place
            q = self.item_factors[rows["item"][of_user]].astype(np.float64)
            matrix, _, _ = self._equations(user)
            spreads[of_user] = np.sqrt(np.einsum("ij,ji->i", q, np.linalg.solve(matrix, q.T)))
        return spreads

    def _equations(self, user_row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of a known user's least squares the matrix and, for each past item, its row and its right side."""
        begin, end = self.user_items.indptr[user_row], self.user_items.indptr[user_row + 1]
        had = self.user_items.indices[begin:end]
        problem = self._problem("user", self.user_items[[user_row]])
        weights = problem.weights.values.astype(np.float64)
        targets = problem.targets
        pulls = weights * (targets if isinstance(targets, float) else targets.values)
        y = self.item_factors[had].astype(np.float64)
        w0 = self.settings["unobserved_weight"]
        matrix = w0 * self._half_sweep("user").gram + y.T @ ((weights - w0)[:, np.newaxis] * y)
        matrix += problem.l2[0] * np.eye(len(matrix))
        return matrix, had, pulls[:, np.newaxis] * y

    def _reasons(self, user_row: int, item_rows: np.ndarray) -> list[Reasons]:
        """What each past item adds: q . A^-1 (its part of the right side), whose sum is the user's solution.

        Source: Hu, Koren and Volinsky 2008, section 5.
        """
        matrix, had, sides = self._equations(user_row)
        q = self.item_factors[item_rows].astype(np.float64)
        added = q @ np.linalg.solve(matrix, sides.T)
        reasons = [Reasons("item", had, added)]
        if self.settings["solver"] != "cholesky":  # whose steps end before the solution
            rest = q @ self.user_factors[user_row].astype(np.float64) - added.sum(axis=1)
            reasons.append(Reasons("part", ["not yet solved"], rest[:, np.newaxis]))
        return reasons

    def _user_vectors(self, user_rows: np.ndarray) -> np.ndarray:
        return with_columns(self.user_factors, user_rows)

    def _item_vectors(self, item_rows: np.ndarray) -> np.ndarray:
        return with_columns(self.item_factors, item_rows)

    def _factors(self, side: str) -> np.ndarray:
        return self.user_factors if side == "user" else self.item_factors


def _taken(matrix: SparseRows, rows: np.ndarray) -> SparseRows:
    from scipy.sparse import csr_array

    part = csr_array((matrix.values, matrix.columns, matrix.indptr), shape=matrix.shape)[rows]
    return SparseRows(
        part.indptr.astype(np.int64), part.indices.astype(np.int32), part.data, matrix.n_columns
    )


def _refuse_negative(weights: np.ndarray) -> None:
    if weights.size and not weights.min() >= 0:
        raise ValueError(
            f"[als] expected weights of at least 0 with alpha, got {weights.min()}; drop what is "
            "disliked, or leave alpha out"
        )

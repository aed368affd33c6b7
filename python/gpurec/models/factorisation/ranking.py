"""How `bpr` descends: epochs, going on where it stopped, more interactions, new users and items."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...backends import SparseRows, strict_floats
from ...cache_lines import on_lines
from ...ops.bpr import RankingEpochs, RankingRates, bpr_epochs
from ...ops.sparse_arguments import as_sparse_rows
from ...progress import Progress, reporter
from ..recommender import Callback, whole_setting
from .newcomers import NewcomersModel
from .ranking_newcomers import drawn_items, of_items, of_users

if TYPE_CHECKING:
    from typing_extensions import Self

    from ...data import Interactions

__all__ = ["RankingDescent"]

# Weights of draws are integers; that of the least popular item is this.
_LEAST_WEIGHT = 64
# By default a draw of a hard negative for so many items, and so many draws at most.
_ITEMS_OF_DRAW, _MOST_DRAWS = 2048, 16
# What random numbers of validation are drawn for: an epoch that no descent reaches.
_VALIDATION_EPOCH = 2**40
_VALIDATION_NEGATIVES = 16


class RankingDescent(NewcomersModel):
    """The learning half of `BPR`."""

    user_factors: np.ndarray
    item_factors: np.ndarray
    item_biases: np.ndarray
    n_epochs: int
    _drawn: tuple[np.ndarray, np.ndarray | None] | None

    def _learn(
        self,
        interactions: Interactions,
        validation: Interactions | None,
        callback: Callback | None,
        progress: Progress,
    ) -> None:
        training = self.training
        users = self._new_factors("user", training.user_counts, 0)
        items = self._new_factors("item", training.item_counts, 0)
        self._set(users, items, np.zeros(training.n_items, np.float32), 0)
        held_out = None if validation is None else self._held_out(validation)
        self._descend(self.settings["n_epochs"], held_out, callback, progress)

    def resume(self, n_epochs: int, *, callback: Callback | None = None, progress: Progress = None) -> Self:
        """Go on where `fit` ended, because its callback stopped it or its epochs were over, or after `load`.

        Epochs 1 to a and then a + 1 to b leave the bits that epochs 1 to b do.

        Parameters
        ----------
        n_epochs : int
            How many more.
        callback, progress
            As of `fit`; epochs are counted on.

        Returns
        -------
        The model itself. An error or Ctrl-C on the way leaves it as it was.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        self._go_on(self.training, whole_setting("bpr", "n_epochs", n_epochs, 1), callback, progress, None)
        return self

    def fit_partial(
        self,
        interactions: Interactions,
        *,
        n_epochs: int = 10,
        callback: Callback | None = None,
        progress: Progress = None,
    ) -> Self:
        """Learn from more interactions, of old and of new users and items, by epochs of visits to them alone.

        Parameters
        ----------
        interactions : Interactions
            New ids get the rows after the old ones, in the order of its maps. Old interactions are not
            visited again, and stay what no negative may be.
        n_epochs : int
            Visits of each of the interactions.
        callback, progress
            As of `fit`; epochs are counted on.

        Returns
        -------
        The model itself. One that is not fitted is fitted. An error or Ctrl-C on the way leaves it as it was.
        """
        if self._training is None:
            return self.fit(interactions, callback=callback, progress=progress)
        n_epochs = whole_setting("bpr", "n_epochs", n_epochs, 1)
        training = self.training.with_more(interactions)
        users = training.user_map.rows(interactions.user_ids())
        items = training.item_map.rows(interactions.item_ids())
        places = _places(as_sparse_rows(training.user_items, "interactions", "fit_partial"), users, items)
        visited = np.zeros(training.user_items.nnz, bool)
        visited[places] = True
        self._go_on(training, n_epochs, callback, progress, visited)
        return self

    def _go_on(
        self,
        training: Any,
        n_epochs: int,
        callback: Callback | None,
        progress: Progress,
        visited: np.ndarray | None,
    ) -> None:
        """Epochs on copies of what was learnt, which come back where it ends otherwise."""
        before, learnt = self.training, self._learnt()
        counts = {"user": training.user_counts, "item": training.item_counts}
        old_counts = {"user": before.user_counts, "item": before.item_counts}
        grown = {}
        for side in ("user", "item"):
            factors = self._new_factors(side, counts[side], self.n_epochs)
            kept = np.flatnonzero(old_counts[side] > 0)
            factors[kept] = learnt[f"{side}_factors"][kept]
            grown[side] = factors
        biases = np.zeros(training.n_items, np.float32)
        biases[: before.n_items] = learnt["item_biases"]
        try:
            with strict_floats():
                self._training = training
                self._set(grown["user"], grown["item"], biases, self.n_epochs)
                self._descend(n_epochs, None, callback, progress, visited)
        except BaseException:
            self._training = before
            self._set(**learnt)
            raise

    def _descend(
        self,
        n_epochs: int,
        held_out: tuple[SparseRows, np.ndarray] | None,
        callback: Callback | None,
        progress: Progress,
        visited: np.ndarray | None = None,
    ) -> None:
        """Make epochs in place; with a held-out part until it gets no better, and go back to the best one."""
        positives = as_sparse_rows(self.training.user_items, "interactions", "fit")
        weights, first = self._weights(), self.n_epochs
        watched = held_out is not None or callback is not None
        best: tuple[float, int, dict[str, Any]] = (-math.inf, first, {})
        with reporter(progress, "fit bpr", n_epochs) as report:
            for done in range(1, n_epochs + 1):
                epoch = first + done
                made = self._epoch(positives, self._tables, weights, epoch - 1, visited=visited)
                # Infinite rows make the next loss infinite; looking through all of them takes time.
                look = watched or done == n_epochs
                if not math.isfinite(made.loss) or (look and not self._is_finite()):
                    raise ValueError(
                        f"[bpr] expected a descent that converges, got infinite values in epoch {epoch}; "
                        "lower learning_rate"
                    )
                self._set(*self._tables, epoch)
                metrics = {"loss": made.loss, "right": made.right, "n_skipped": made.n_skipped}
                report(done, n_epochs)
                if held_out is not None:
                    metrics["validation_right"] = right = self._right(*held_out)
                    if right > best[0]:
                        best = (right, epoch, {name: np.copy(of) for name, of in self._learnt().items()})
                if callback is not None and callback(epoch, self, metrics):
                    break
                if held_out is not None and epoch - best[1] >= self.settings["patience"]:
                    break
        if held_out is not None:
            self._set(**best[2] | {"n_epochs": best[1]})

    def _epoch(
        self,
        positives: SparseRows,
        tables: tuple[np.ndarray, np.ndarray, np.ndarray],
        weights: np.ndarray | None,
        epoch: int,
        **how: Any,
    ) -> RankingEpochs:
        """Visits with the model's settings; `how` goes to the op."""
        settings = self.settings
        decay = settings["learning_rate_decay"] ** epoch
        rate, bias_rate = settings["learning_rate"], settings["bias_learning_rate"]
        if bias_rate is None:
            bias_rate = rate if settings["metric"] == "dot" else 0.0
        penalty = settings["regularisation"]
        return bpr_epochs(
            positives,
            *tables,
            RankingRates(rate * decay, penalty, bias_rate * decay, penalty),
            loss=settings["loss"],
            sharpness=1 / settings["temperature"],
            unit=settings["metric"] == "cosine",
            n_negatives=settings["n_negatives"],
            n_candidates=self._n_candidates(),
            weights=weights,
            seed=settings["random_state"],
            first_epoch=epoch,
            **how,
        )

    def _n_candidates(self) -> int:
        """Draws of which a negative is the highest-scored."""
        if self.settings["negatives"] != "hard":
            return 1
        given = self.settings["n_candidates"]
        return min(max(self.training.n_items // _ITEMS_OF_DRAW, 1), _MOST_DRAWS) if given is None else given

    def _weights(self) -> np.ndarray | None:
        """How likely each item is drawn, uint32; those without interactions never are."""
        counts = self.training.item_counts
        if self.settings["negatives"] != "popularity":
            return None if counts.all() else (counts > 0).astype(np.uint32)
        shares = (counts / counts.max()) ** self.settings["popularity_power"]
        scale = min(_LEAST_WEIGHT / shares[counts > 0].min(), 2.0**31)
        return np.where(counts > 0, np.maximum(np.rint(shares * scale), 1), 0).astype(np.uint32)

    def _new_factors(self, side: str, counts: np.ndarray, epoch: int) -> np.ndarray:
        """Factors that rows begin with after an epoch; of rows without interactions zero."""
        seeds = [self.settings["random_state"], ("user", "item").index(side), epoch]
        start = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seeds)))
        factors = start.random((len(counts), self.settings["n_factors"]), dtype=np.float32)
        factors -= np.float32(0.5)
        factors *= np.float32(self.settings["init_scale"] * math.sqrt(12))  # uniform on (0, 1): variance 1/12
        if self.settings["metric"] == "cosine":
            factors /= np.maximum(np.sqrt(np.einsum("ij,ij->i", factors, factors)), np.float32(1e-30))[
                :, np.newaxis
            ]
        factors[counts == 0] = 0
        return on_lines(factors)  # visits take a sixth less time then

    def _held_out(self, validation: Interactions) -> tuple[SparseRows, np.ndarray]:
        """The training part with what of a validation part is known and new, and which entries are that."""
        from scipy.sparse import csr_array

        if len(validation.weights) == 0:
            raise ValueError("[fit] expected at least one validation interaction, got none; leave it out")
        users = self.training.known_rows("user", validation.user_map.ids())[validation.user_rows]
        items = self.training.known_rows("item", validation.item_map.ids())[validation.item_rows]
        known = (users >= 0) & (items >= 0)
        users, items = users[known], items[known]
        training = as_sparse_rows(self.training.user_items, "interactions", "fit")
        rows = np.concatenate([training.owners, users])
        columns = np.concatenate([training.columns, items])
        ones = np.ones(len(rows), np.float32)
        both = as_sparse_rows(csr_array((ones, (rows, columns)), training.shape), "interactions", "fit")
        visited = np.ones(len(both.columns), bool)
        visited[_places(both, training.owners, training.columns)] = False
        if not visited.any():
            raise ValueError(
                "[fit] expected validation interactions of known users with known items that are not in the "
                "training part, got none; split the interactions, do not copy them"
            )
        return both, visited

    def _right(self, positives: SparseRows, visited: np.ndarray) -> float:
        """The share of negatives, drawn once and all alike, that score less than held-out interactions."""
        drawn = (self.training.item_counts > 0).astype(np.uint32)
        how = {"weights": drawn, "seed": self.settings["random_state"], "first_epoch": _VALIDATION_EPOCH}
        how |= {"n_negatives": _VALIDATION_NEGATIVES, "visited": visited, "moves": ()}
        return bpr_epochs(positives, *self._tables, RankingRates(0, 0, 0, 0), **how).right

    # New users and items.

    @strict_floats()
    def fold_in_rows(self, interactions: Any, side: str = "user", *, n_epochs: int = 10) -> np.ndarray:
        """As `fold_in`, of a matrix in this model's rows.

        Parameters
        ----------
        interactions : sparse matrix or dense array, shape (n, n_items) or for items (n, n_users)
            Every stored entry (of a dense array, all but zeros) is an interaction; values mean nothing.
        side : {"user", "item"}
        n_epochs : int
            Visits of each interaction, from zero, with the settings of the fit. Nothing else moves.

        Returns
        -------
        float32 array, shape (n, n_factors + 1)
            Its dot with a vector of the other side is the score: the last component is 1 of users, and the
            bias of items.

        Raises
        ------
        ValueError
            If `side` or the columns are others.

        Notes
        -----
        A vector depends on its own interactions alone, not on who else is asked about. Negatives are among
        a thousand items, drawn once.

        Examples
        --------
        >>> from gpurec import Interactions
        >>> from gpurec.models import BPR
        >>> model = BPR(n_factors=4).fit(Interactions.from_arrays([1, 1, 2, 2, 3], ["a", "b", "a", "b", "a"]))
        >>> model.fold_in_rows([[1, 0]]).shape
        (1, 5)
        """
        n_epochs = whole_setting("bpr", "n_epochs", n_epochs, 1)
        matrix = self._newcomers(interactions, side)
        return (of_users if side == "user" else of_items)(self, matrix, n_epochs)

    def _drawn_items(self) -> tuple[np.ndarray, np.ndarray | None]:
        if self._drawn is None:
            self._drawn = drawn_items(self)
        return self._drawn

    # What was learnt.

    def _set(
        self, user_factors: np.ndarray, item_factors: np.ndarray, item_biases: np.ndarray, n_epochs: int
    ) -> None:
        self._indexes.clear()
        self._drawn = None
        self.user_factors, self.item_factors, self.item_biases = user_factors, item_factors, item_biases
        self.n_epochs = n_epochs

    @property
    def _tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.user_factors, self.item_factors, self.item_biases

    def _learnt(self) -> dict[str, Any]:
        names = ("user_factors", "item_factors", "item_biases", "n_epochs")
        return {name: getattr(self, name) for name in names}

    def _is_finite(self) -> bool:
        return all(bool(np.isfinite(table).all()) for table in self._tables)


def _places(matrix: SparseRows, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Where entries that are there stand among all of a matrix."""
    codes = matrix.owners * np.int64(matrix.n_columns) + matrix.columns
    return np.searchsorted(codes, rows.astype(np.int64) * np.int64(matrix.n_columns) + columns)

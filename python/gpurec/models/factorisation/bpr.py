"""Ranking by factors, pairwise (BPR) or by sampled softmax, learnt by stochastic gradient descent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...artifacts import Artifact
from ...backends import strict_floats
from ...errors import ArtifactError
from ...ops.bpr import RankingEpochs, RankingRates, bpr_epochs
from ...ops.sparse_arguments import as_sparse_rows
from ...progress import Progress, reporter
from ..recommender import Callback, Reasons, VectorModel, one_of, real_setting, whole_setting

if TYPE_CHECKING:
    from typing_extensions import Self

    from ...backends import SparseRows
    from ...data import Interactions

__all__ = ["BPR"]

_MOST_DRAWS = 65_536
# Weights of draws are integers; of the least popular item this one.
_LEAST_WEIGHT = 64
# What random numbers of validation are drawn for: an epoch that no descent reaches.
_VALIDATION_EPOCH = 2**40


class BPR(VectorModel):
    """Ranks item i for user u by b_i + p_u . q_i, so that items that users have stand above others.

    Parameters
    ----------
    n_factors : int
    learning_rate : float
        Step size.
    regularisation : float
        Pulls factors to zero at each visit, and the biases of items.
    n_epochs : int
        Visits of each interaction; with a validation part, at most so many.
    loss : {"bpr", "softmax"}
        Each visit compares an item that the user has with drawn ones that they lack: by the mean of -log
        sigmoid of score differences, or by the softmax over all of them. With one negative both are the same.
    negatives : {"uniform", "popularity", "hard"}
        How items that the user lacks are drawn: all alike; by popularity to the power `popularity_power`; or
        the highest-scored of `n_candidates` alike.
    n_negatives : int
        Drawn at each visit.
    n_candidates : int
        Draws for each negative where they are "hard".
    popularity_power : float
    bias_learning_rate : float or None
        Step size of the items' biases: None takes `learning_rate`, 0 leaves biases out.
    init_scale : float
        Standard deviation of the factors at the start (uniform, mean 0).
    patience : int
        Epochs without a better validation part after which the descent ends.
    seed : int or None
        Same number, same bits, for any number of threads and any instruction set. None draws one and keeps it
        in `settings`.

    Attributes
    ----------
    user_factors, item_factors : float32 arrays, shape (n_users, n_factors) and (n_items, n_factors)
    item_biases : float32 array, shape (n_items,)
    n_epochs : int
        How many epochs the factors have seen.

    Notes
    -----
    Every interaction counts as one. A user or item without any has zero factors and bias, and is no negative.

    The callback gets the mean `loss` of a visit and `right`, the share of negatives that scored less than
    their positive, both as met on the way; with a validation part also `validation_right`, the same for its
    interactions and fixed draws, by which the best epoch is kept.

    Source: Rendle, Freudenthaler, Gantner and Schmidt-Thieme 2009, "BPR: Bayesian personalized ranking from
    implicit feedback", UAI; how epochs are cut for threads: `gpurec.ops.bpr.bpr_epochs`.

    Examples
    --------
    >>> from gpurec import Interactions
    >>> users, films = ["ann", "ann", "bob", "bob", "cid"], ["alien", "dune", "alien", "dune", "alien"]
    >>> model = BPR(n_factors=4, n_epochs=30).fit(Interactions.from_arrays(users, films))
    >>> model.recommend(["cid"], k=1).item_ids
    array(['dune'], dtype=object)
    """

    name: ClassVar[str] = "bpr"

    def __init__(
        self,
        n_factors: int = 64,
        *,
        learning_rate: float = 0.05,
        regularisation: float = 0.01,
        n_epochs: int = 100,
        loss: str = "bpr",
        negatives: str = "uniform",
        n_negatives: int = 1,
        n_candidates: int = 4,
        popularity_power: float = 0.75,
        bias_learning_rate: float | None = None,
        init_scale: float = 0.1,
        patience: int = 10,
        seed: int | None = 0,
    ) -> None:
        if seed is None:
            # 63 bits stay exact in every JSON reader that knows 64-bit integers.
            seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> 1)
        if bias_learning_rate is not None:
            bias_learning_rate = real_setting("bpr", "bias_learning_rate", bias_learning_rate, 0, 1e6)
        super().__init__(
            n_factors=whole_setting("bpr", "n_factors", n_factors, 1),
            learning_rate=real_setting("bpr", "learning_rate", learning_rate, 0, 1e6),
            regularisation=real_setting("bpr", "regularisation", regularisation, 0, 1e6),
            n_epochs=whole_setting("bpr", "n_epochs", n_epochs, 1),
            loss=one_of("bpr", "loss", loss, ("bpr", "softmax")),
            negatives=one_of("bpr", "negatives", negatives, ("uniform", "popularity", "hard")),
            n_negatives=_draws("n_negatives", n_negatives),
            n_candidates=_draws("n_candidates", n_candidates),
            popularity_power=real_setting("bpr", "popularity_power", popularity_power, 0, 2),
            bias_learning_rate=bias_learning_rate,
            init_scale=real_setting("bpr", "init_scale", init_scale, 0, 1e6),
            patience=whole_setting("bpr", "patience", patience, 1),
            seed=whole_setting("bpr", "seed", seed, 0),
        )
        if self.settings["seed"] >= 2**63:
            raise ValueError(f"[bpr] expected seed below 2^63, got {seed}; choose a smaller one")

    # Learning.

    def _learn(
        self,
        interactions: Interactions,
        validation: Interactions | None,
        callback: Callback | None,
        progress: Progress,
    ) -> None:
        training, settings = self.training, self.settings
        users = self._new_factors("user", training.user_counts, 0)
        items = self._new_factors("item", training.item_counts, 0)
        self._set(users, items, np.zeros(training.n_items, np.float32), 0)
        held_out = None if validation is None else self._held_out(validation)
        self._descend(settings["n_epochs"], held_out, callback, progress)

    def resume(self, n_epochs: int, *, callback: Callback | None = None, progress: Progress = None) -> Self:
        """Go on where `fit`, stopped by its callback or saved and loaded, came to an end.

        Epochs 1 to a and then a + 1 to b leave the bits that epochs 1 to b do.

        Parameters
        ----------
        n_epochs : int
            More epochs.
        callback, progress
            As of `fit`; epochs are counted on.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        n_epochs = whole_setting("bpr", "n_epochs", n_epochs, 1)
        with strict_floats():
            self._descend(n_epochs, None, callback, progress)
        return self

    def _descend(
        self,
        n_epochs: int,
        held_out: tuple[SparseRows, np.ndarray] | None,
        callback: Callback | None,
        progress: Progress,
        visited: np.ndarray | None = None,
    ) -> None:
        """Make epochs; with a held-out part until it gets no better, and go back to the best one."""
        positives = as_sparse_rows(self.training.user_items, "interactions", "fit")
        weights, first = self._weights(), self.n_epochs
        watched = held_out is not None or callback is not None
        best: tuple[float, int, dict[str, Any]] = (-math.inf, first, {})
        with reporter(progress, "fit bpr", n_epochs) as report:
            for done in range(1, n_epochs + 1):
                epoch = first + done
                made = self._epochs(positives, *self._tables, weights, epoch - 1, visited=visited)
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
                    right = self._right(*held_out, weights)
                    metrics["validation_right"] = right
                    if right > best[0]:
                        best = (right, epoch, {name: np.copy(of) for name, of in self._learnt().items()})
                if callback is not None and callback(epoch, self, metrics):
                    break
                if held_out is not None and epoch - best[1] >= self.settings["patience"]:
                    break
        if held_out is not None:
            self._set(**best[2] | {"n_epochs": best[1]})

    def _epochs(
        self,
        positives: Any,
        users: np.ndarray,
        items: np.ndarray,
        biases: np.ndarray,
        weights: np.ndarray | None,
        first_epoch: int,
        **how: Any,
    ) -> RankingEpochs:
        settings = self.settings
        rate, bias_rate = settings["learning_rate"], settings["bias_learning_rate"]
        bias_rate = rate if bias_rate is None else bias_rate
        penalty = settings["regularisation"]
        hard = settings["negatives"] == "hard"
        return bpr_epochs(
            positives,
            users,
            items,
            biases,
            RankingRates(rate, penalty, bias_rate, penalty),
            loss=settings["loss"],
            n_negatives=settings["n_negatives"],
            n_candidates=settings["n_candidates"] if hard else 1,
            weights=weights,
            seed=settings["seed"],
            first_epoch=first_epoch,
            **how,
        )

    def _weights(self) -> np.ndarray | None:
        """How likely each item is drawn, uint32; those without interactions never are."""
        counts = self.training.item_counts
        if self.settings["negatives"] != "popularity":
            return None if counts.all() else (counts > 0).astype(np.uint32)
        shares = (counts / max(int(counts.max()), 1)) ** self.settings["popularity_power"]
        scale = min(_LEAST_WEIGHT / shares[counts > 0].min(), 2.0**31)
        return np.where(counts > 0, np.maximum(np.rint(shares * scale), 1), 0).astype(np.uint32)

    def _new_factors(self, side: str, counts: np.ndarray, first: int) -> np.ndarray:
        """Factors at the start, of rows from `first` on; of rows without interactions zero."""
        seeds = [self.settings["seed"], ("user", "item").index(side), first]
        start = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seeds)))
        factors = start.random((len(counts) - first, self.settings["n_factors"]), dtype=np.float32)
        factors -= np.float32(0.5)
        factors *= np.float32(self.settings["init_scale"] * math.sqrt(12))  # uniform on (0, 1): variance 1/12
        factors[counts[first:] == 0] = 0
        return factors

    def _held_out(self, validation: Interactions) -> tuple[SparseRows, np.ndarray]:
        """The training part with what of a validation part is known and new, and which entries are that."""
        from scipy.sparse import csr_array

        if len(validation.weights) == 0:
            raise ValueError("[fit] expected at least one validation interaction, got none; leave it out")
        users = self.training.known_rows("user", validation.user_map.ids())[validation.user_rows]
        items = self.training.known_rows("item", validation.item_map.ids())[validation.item_rows]
        known = (users >= 0) & (items >= 0)
        shape = self.training.user_items.shape
        ones = np.ones(int(known.sum()), np.float32)
        seen = csr_array(self.training.user_items, copy=True)
        seen.data = np.full(len(seen.data), 4, np.float32)
        more = csr_array((ones, (users[known], items[known])), shape=shape)
        more.data = np.minimum(more.data, 1)
        both = as_sparse_rows(seen + more, "interactions", "fit")
        visited = both.values == 1
        if not visited.any():
            raise ValueError(
                "[fit] expected validation interactions of known users with known items that are not in the "
                "training part, got none; split the interactions, do not copy them"
            )
        return both, visited

    def _right(self, positives: SparseRows, visited: np.ndarray, weights: np.ndarray | None) -> float:
        """The share of drawn negatives that score less than held-out interactions."""
        if self.settings["negatives"] == "popularity":
            counts = self.training.item_counts
            weights = None if counts.all() else (counts > 0).astype(np.uint32)
        rates = RankingRates(0, 0, 0, 0)
        how = {"weights": weights, "seed": self.settings["seed"], "first_epoch": _VALIDATION_EPOCH}
        made = bpr_epochs(positives, *self._tables, rates, n_negatives=16, visited=visited, moves=(), **how)
        return made.right

    # What was learnt.

    def _set(
        self, user_factors: np.ndarray, item_factors: np.ndarray, item_biases: np.ndarray, n_epochs: int
    ) -> None:
        self._indexes.clear()
        self.user_factors, self.item_factors, self.item_biases = user_factors, item_factors, item_biases
        self.n_epochs = n_epochs

    @property
    def _tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.user_factors, self.item_factors, self.item_biases

    def _is_finite(self) -> bool:
        return all(bool(np.isfinite(table).all()) for table in self._tables)

    def _learnt(self) -> dict[str, Any]:
        names = ("user_factors", "item_factors", "item_biases", "n_epochs")
        return {name: getattr(self, name) for name in names}

    def _user_vectors(self, user_rows: np.ndarray) -> np.ndarray:
        return _with_column(self.user_factors, user_rows, np.ones(len(user_rows), np.float32))

    def _item_vectors(self, item_rows: np.ndarray) -> np.ndarray:
        biases = np.append(self.item_biases, np.float32(0))[item_rows]  # row -1 is the last: nothing known
        return _with_column(self.item_factors, item_rows, biases)

    def _factors(self, side: str) -> np.ndarray:
        return self.user_factors if side == "user" else self.item_factors

    def _reasons(self, user_row: int, item_rows: np.ndarray) -> list[Reasons]:
        """Of the factors' part what lies in the user's items: p said by their factors, by ridge regression.

        With Q the factors of their items, p = Q' a + rest, a = (Q Q' + penalty)^-1 Q p; item j adds
        a_j q_j . q_i. What of p no item says, so what was learnt from items the user lacks, is a part.
        """
        begin, end = self.user_items.indptr[user_row], self.user_items.indptr[user_row + 1]
        had = self.user_items.indices[begin:end]
        Q, of_items = (self.item_factors[rows].astype(np.float64) for rows in (had, item_rows))
        p = self.user_factors[user_row].astype(np.float64)
        gram = Q.T @ Q
        penalty = max(1e-2 * float(np.trace(gram)) / len(gram), 1e-12)
        shares = Q @ np.linalg.solve(gram + penalty * np.eye(len(gram)), p)
        added = of_items @ Q.T * shares
        rest = of_items @ p - added.sum(axis=1)
        return [
            Reasons("baseline", ["item bias"], self.item_biases[item_rows].astype(np.float64)[:, np.newaxis]),
            Reasons("item", had, added),
            Reasons("part", ["learnt beyond"], rest[:, np.newaxis]),
        ]

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        learnt = self._learnt()
        n_epochs = learnt.pop("n_epochs")
        return learnt, {"n_epochs": n_epochs}

    def _restore(self, artifact: Artifact) -> None:
        n_users, n_items, n_factors = self.training.n_users, self.training.n_items, self.settings["n_factors"]
        tensors = {
            "user_factors": artifact.tensor("user_factors", np.float32, (n_users, n_factors)),
            "item_factors": artifact.tensor("item_factors", np.float32, (n_items, n_factors)),
            "item_biases": artifact.tensor("item_biases", np.float32, (n_items,)),
        }
        n_epochs = artifact.meta.get("n_epochs")
        if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
            raise ArtifactError("[load] expected finite factors and biases, got others; fit and save again")
        if type(n_epochs) is not int or n_epochs < 0:
            raise ArtifactError(f"[load] expected n_epochs as a number of epochs, got {n_epochs!r:.60}")
        self._set(**tensors, n_epochs=n_epochs)


def _draws(name: str, value: Any) -> int:
    value = whole_setting("bpr", name, value, 1)
    if value > _MOST_DRAWS:
        raise ValueError(f"[bpr] expected {name} of at most {_MOST_DRAWS}, got {value}; lower it")
    return value


def _with_column(factors: np.ndarray, rows: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Factors of rows, zero for row -1, and one more column."""
    vectors = np.empty((len(rows), factors.shape[1] + 1), np.float32)
    vectors[:, :-1] = factors[rows]
    vectors[rows < 0, :-1] = 0
    vectors[:, -1] = column
    return vectors

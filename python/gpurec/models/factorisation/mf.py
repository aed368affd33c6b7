"""Explicit matrix factorisation with biases, learnt by stochastic gradient descent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...artifacts import Artifact
from ...errors import ArtifactError
from ...ops.sgd import FactorTable, SgdRates, sgd_epoch
from ...progress import Progress, reporter
from ..recommender import Callback, Reasons, VectorModel, real_setting, whole_setting

if TYPE_CHECKING:
    from ...data import Interactions

__all__ = ["MF"]

# A native call that visits this many factors takes about 0.1 s, so Ctrl-C is never far away.
_FACTORS_PER_CALL = 1 << 26


class MF(VectorModel):
    """Predicts the rating of user u and item i as mu + b_u + b_i + p_u . q_i.

    Parameters
    ----------
    n_factors : int
    learning_rate : float
        Step size of the first epoch, for ratings in units of their standard deviation.
    learning_rate_decay : float
        Each epoch's step is this times the one before, in (0, 1].
    penalty : float
        Pulls a user's or item's factors to zero with strength penalty / sqrt(number of its ratings).
    bias_learning_rate, bias_penalty : float
        The same for the biases.
    init_scale : float
        Standard deviation of the factors at the start (uniform, mean 0).
    max_epochs : int
    validation_fraction : float
        Part of the ratings, drawn by `random_state`, that finds the number of epochs; 0 runs `max_epochs`.
    patience : int
        Epochs without a better validation RMSE after which the search for the number of epochs ends.
    random_state : int or None
        Same number, same bits, for any number of threads. None draws one and keeps it in `settings`.

    Attributes
    ----------
    user_factors, item_factors : float32 arrays, shape (n_users, n_factors) and (n_items, n_factors)
    user_biases, item_biases : float32 arrays, shape (n_users,) and (n_items,)
    mean : float
        mu, the mean training rating.
    n_epochs : int
        How many epochs the factors have seen.

    Notes
    -----
    Without a `validation` part, `fit` splits the ratings, descends on the larger part until the RMSE on the
    smaller one no longer falls, and then descends anew on all ratings for the best number of epochs. With
    one, it descends once and keeps the best epoch. Either way the RMSE is of predictions clipped to the
    range of the training ratings. The callback sees both descents, `metrics["stage"]` being "search" or
    "fit"; when it stops the search, the fit goes on with the best epochs so far.

    A user without training ratings has zero factors and bias; so has such an item. The defaults and how
    they were found: docs/design, "the defaults of mf".

    Source: Koren, Bell and Volinsky 2009, "Matrix factorization techniques for recommender systems";
    the penalty over the square root of the count is ours to choose, see the same place.

    Examples
    --------
    >>> from gpurec import Interactions
    >>> users, items = ["ann", "ann", "bob", "bob"], ["alien", "brazil", "alien", "casablanca"]
    >>> model = MF(n_factors=2, max_epochs=5, validation_fraction=0)
    >>> model.fit(Interactions.from_arrays(users, items, [5, 3, 4, 1])).recommend(["bob"], k=1).item_ids
    array(['brazil'], dtype=object)
    """

    name: ClassVar[str] = "mf"
    predicts_ratings = True

    def __init__(
        self,
        n_factors: int = 50,
        *,
        learning_rate: float = 0.016,
        learning_rate_decay: float = 0.9972,
        penalty: float = 0.87,
        bias_learning_rate: float = 0.0026,
        bias_penalty: float = 0.61,
        init_scale: float = 0.014,
        max_epochs: int = 300,
        validation_fraction: float = 0.1,
        patience: int = 10,
        random_state: int | None = 0,
    ) -> None:
        if random_state is None:
            # 63 bits stay exact in every JSON reader that knows 64-bit integers.
            random_state = int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> 1)
        super().__init__(
            n_factors=whole_setting("mf", "n_factors", n_factors, 1),
            learning_rate=real_setting("mf", "learning_rate", learning_rate, 0, math.inf),
            learning_rate_decay=real_setting("mf", "learning_rate_decay", learning_rate_decay, 0, 1),
            penalty=real_setting("mf", "penalty", penalty, 0, math.inf),
            bias_learning_rate=real_setting("mf", "bias_learning_rate", bias_learning_rate, 0, math.inf),
            bias_penalty=real_setting("mf", "bias_penalty", bias_penalty, 0, math.inf),
            init_scale=real_setting("mf", "init_scale", init_scale, 0, math.inf),
            max_epochs=whole_setting("mf", "max_epochs", max_epochs, 1),
            validation_fraction=real_setting("mf", "validation_fraction", validation_fraction, 0, 0.9),
            patience=whole_setting("mf", "patience", patience, 1),
            random_state=whole_setting("mf", "random_state", random_state, 0),
        )

    # Learning.

    def _learn(
        self,
        interactions: Interactions,
        validation: Interactions | None,
        callback: Callback | None,
        progress: Progress,
    ) -> None:
        ratings = _Ratings(interactions.user_rows, interactions.item_rows, interactions.weights)
        max_epochs = self.settings["max_epochs"]
        with reporter(progress, "fit mf", 2 * max_epochs) as report:
            if validation is not None:
                self._descend("fit", ratings, max_epochs, report, callback, self._rows_of(validation))
                return
            held_out = self._held_out(len(ratings.weights))
            n_epochs = max_epochs
            if held_out.any():
                n_epochs = self._descend(
                    "search", ratings.take(~held_out), max_epochs, report, callback, ratings.take(held_out)
                )
            self._descend("fit", ratings, n_epochs, report, callback, None)

    def _descend(
        self,
        stage: str,
        ratings: _Ratings,
        max_epochs: int,
        report: Callable[[int, int], None],
        callback: Callback | None,
        validation: _Ratings | None,
    ) -> int:
        """Run epochs; with a validation part, until it gets no better, and go back to the best one.

        Returns
        -------
        int
            The number of epochs behind the factors that the model is left with.
        """
        best: tuple[float, int, dict[str, Any]] = (math.inf, 0, {})
        for epoch, metrics in enumerate(self._epochs(ratings, max_epochs), start=1):
            report(epoch, max_epochs)
            if validation is not None:
                metrics["validation_rmse"] = self._rmse(validation)
                if metrics["validation_rmse"] < best[0]:
                    best = (metrics["validation_rmse"], epoch, self._learnt())
            stop = callback is not None and callback(epoch, self, {"stage": stage, **metrics})
            if stop or (validation is not None and epoch - best[1] >= self.settings["patience"]):
                break
        if validation is not None:
            self._set(**best[2])
        return self.n_epochs

    def _epochs(self, ratings: _Ratings, n_epochs: int) -> Iterator[dict[str, Any]]:
        """Run one epoch at a time, the model being up to date after each; gives the epoch's metrics."""
        settings = self.settings
        mean = ratings.weights.mean(dtype=np.float64)
        # In units of their standard deviation, stars from 1 to 5 and marks from 1 to 100 descend alike.
        scale = ratings.weights.std(dtype=np.float64) or 1.0
        scaled = ((ratings.weights - mean) / scale).astype(np.float32)
        start, shuffle = self._generators("start", "shuffle")
        users = self._new_table(start, ratings.user_rows, self.training.n_users)
        items = self._new_table(start, ratings.item_rows, self.training.n_items)
        visits_per_call = max(1, _FACTORS_PER_CALL // (settings["n_factors"] + 16))
        for epoch in range(1, n_epochs + 1):
            decay = settings["learning_rate_decay"] ** (epoch - 1)
            rates = SgdRates(
                factor_rate=settings["learning_rate"] * decay,
                factor_penalty=settings["penalty"],
                bias_rate=settings["bias_learning_rate"] * decay,
                bias_penalty=settings["bias_penalty"],
            )
            order = shuffle.permutation(len(scaled))
            squared_errors = 0.0
            for first in range(0, len(order), visits_per_call):
                visits = order[first : first + visits_per_call]
                squared_errors += sgd_epoch(
                    ratings.user_rows[visits], ratings.item_rows[visits], scaled[visits], users, items, rates
                )
            tables = (users.factors, users.biases, items.factors, items.biases)
            if not all(np.isfinite(table).all() for table in tables):
                raise ValueError(
                    f"[mf] expected a descent that converges, got infinite values in epoch {epoch}; "
                    "lower learning_rate and bias_learning_rate, or take outliers from the weights"
                )
            root = math.sqrt(scale)
            self._set(
                user_factors=users.factors * np.float32(root),
                item_factors=items.factors * np.float32(root),
                user_biases=users.biases * np.float32(scale),
                item_biases=items.biases * np.float32(scale),
                mean=float(mean),
                n_epochs=epoch,
            )
            yield {
                "learning_rate": rates.factor_rate,
                "train_rmse": float(scale * math.sqrt(squared_errors / len(scaled))),
            }

    def _new_table(self, start: np.random.Generator, rows: np.ndarray, n_rows: int) -> FactorTable:
        counts = np.bincount(rows, minlength=n_rows)
        factors = start.random((n_rows, self.settings["n_factors"]), dtype=np.float32)
        factors -= np.float32(0.5)
        factors *= np.float32(self.settings["init_scale"] * math.sqrt(12))  # uniform on (0, 1): variance 1/12
        factors[counts == 0] = 0
        shrink = (1 / np.sqrt(np.maximum(counts, 1))).astype(np.float32)
        return FactorTable(factors, np.zeros(n_rows, dtype=np.float32), shrink)

    def _generators(self, *purposes: str) -> list[np.random.Generator]:
        """One independent stream of random numbers for each purpose."""
        all_purposes = ("split", "start", "shuffle")
        streams = np.random.SeedSequence(self.settings["random_state"]).spawn(len(all_purposes))
        return [np.random.Generator(np.random.PCG64(streams[all_purposes.index(p)])) for p in purposes]

    def _held_out(self, n: int) -> np.ndarray:
        """Which ratings find the number of epochs, bool (n,)."""
        (split,) = self._generators("split")
        held_out = np.zeros(n, dtype=bool)
        held_out[split.permutation(n)[: round(self.settings["validation_fraction"] * n)]] = True
        return held_out

    def _rows_of(self, part: Interactions) -> _Ratings:
        """Another part's ratings in this model's rows, -1 for unknown users and items."""
        if len(part.weights) == 0:
            raise ValueError("[fit] expected at least one validation interaction, got none; leave it out")
        users = self.training.known_rows("user", part.user_map.ids())
        items = self.training.known_rows("item", part.item_map.ids())
        return _Ratings(users[part.user_rows], items[part.item_rows], part.weights)

    def _rmse(self, part: _Ratings) -> float:
        scores = np.clip(self._score_pairs(part.user_rows, part.item_rows), *self.weight_range)
        errors = scores.astype(np.float64) - part.weights
        return math.sqrt(np.mean(np.square(errors)))

    # What was learnt.

    def _set(
        self,
        user_factors: np.ndarray,
        item_factors: np.ndarray,
        user_biases: np.ndarray,
        item_biases: np.ndarray,
        mean: float,
        n_epochs: int,
    ) -> None:
        self._indexes.clear()
        self.user_factors, self.item_factors = user_factors, item_factors
        self.user_biases, self.item_biases = user_biases, item_biases
        self.mean, self.n_epochs = mean, n_epochs

    def _learnt(self) -> dict[str, Any]:
        names = ("user_factors", "item_factors", "user_biases", "item_biases", "mean", "n_epochs")
        return {name: getattr(self, name) for name in names}

    def _user_vectors(self, user_rows: np.ndarray) -> np.ndarray:
        # The query (q, 1, mu + b_u) meets the item (x, b_i, 1): the biases are coordinates.
        biases = np.append(self.user_biases, np.float32(0))[user_rows]  # row -1 is the last: nothing known
        ones = np.ones(len(user_rows))
        return _columns(self.user_factors, user_rows, ones, self.mean + biases.astype(np.float64))

    def _item_vectors(self, item_rows: np.ndarray) -> np.ndarray:
        biases = np.append(self.item_biases, np.float32(0))[item_rows]
        return _columns(self.item_factors, item_rows, biases, np.ones(len(item_rows)))

    def _factors(self, side: str) -> np.ndarray:
        return self.user_factors if side == "user" else self.item_factors

    def _reasons(self, user_row: int, item_rows: np.ndarray) -> list[Reasons]:
        """Of the factors' part what each rating adds if the user's factors are solved anew from all of them.

        That is q . A^-1 q_j e_j with A = sum of q_j q_j' + penalty, e_j what the biases leave of the rating.
        What the descent learnt beyond it is a part of its own.

        Source: Hu, Koren and Volinsky 2008, "Collaborative filtering for implicit feedback
        datasets", section 5.
        """
        mean, bias = self.mean, float(self.user_biases[user_row])
        item_biases = self.item_biases.astype(np.float64)
        begin, end = self.user_items.indptr[user_row], self.user_items.indptr[user_row + 1]
        rated, ratings = self.user_items.indices[begin:end], self.user_items.data[begin:end]
        of_rated, of_items = (self.item_factors[rows].astype(np.float64) for rows in (rated, item_rows))
        # A descent with a pull of penalty / sqrt(n) at each of n ratings, in units of their deviation.
        scale = float(self.user_items.data.std(dtype=np.float64)) or 1.0
        pull = self.settings["penalty"] * math.sqrt(len(rated)) * scale
        A = of_rated.T @ of_rated + max(pull, 1e-6) * np.eye(of_rated.shape[1])
        left = ratings - (mean + bias + item_biases[rated])
        added = of_items @ np.linalg.solve(A, of_rated.T) * left
        rest = of_items @ self.user_factors[user_row].astype(np.float64) - added.sum(axis=1)
        n = len(item_rows)
        baselines = np.column_stack([np.full(n, mean), np.full(n, bias), item_biases[item_rows]])
        return [
            Reasons("baseline", ["mean", "user bias", "item bias"], baselines),
            Reasons("item", rated, added),
            Reasons("part", ["learnt beyond"], rest[:, np.newaxis]),
        ]

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        learnt = self._learnt()
        return (
            {name: value for name, value in learnt.items() if isinstance(value, np.ndarray)},
            {"mean": self.mean, "n_epochs": self.n_epochs},
        )

    def _restore(self, artifact: Artifact) -> None:
        n_users, n_items, n_factors = self.training.n_users, self.training.n_items, self.settings["n_factors"]
        tensors = {
            "user_factors": artifact.tensor("user_factors", np.float32, (n_users, n_factors)),
            "item_factors": artifact.tensor("item_factors", np.float32, (n_items, n_factors)),
            "user_biases": artifact.tensor("user_biases", np.float32, (n_users,)),
            "item_biases": artifact.tensor("item_biases", np.float32, (n_items,)),
        }
        mean, n_epochs = artifact.meta.get("mean"), artifact.meta.get("n_epochs")
        if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
            raise ArtifactError("[load] expected finite factors and biases, got others; fit and save again")
        if not isinstance(mean, (int, float)) or not math.isfinite(mean):
            raise ArtifactError(f"[load] expected mean as a finite number, got {mean!r:.60}")
        if type(n_epochs) is not int:
            raise ArtifactError(f"[load] expected n_epochs as an integer, got {n_epochs!r:.60}")
        self._set(**tensors, mean=float(mean), n_epochs=n_epochs)


@dataclass(frozen=True)
class _Ratings:
    """Records as arrays of one length: rows int64, weights float32."""

    user_rows: np.ndarray
    item_rows: np.ndarray
    weights: np.ndarray

    def take(self, chosen: np.ndarray) -> _Ratings:
        return _Ratings(self.user_rows[chosen], self.item_rows[chosen], self.weights[chosen])


def _columns(factors: np.ndarray, rows: np.ndarray, *more: np.ndarray) -> np.ndarray:
    """Factors of rows, zero for row -1, and more columns beside them; each value rounded once to float32."""
    n_factors = factors.shape[1]
    vectors = np.empty((len(rows), n_factors + len(more)), dtype=np.float32)
    vectors[:, :n_factors] = factors[rows]
    vectors[rows < 0, :n_factors] = 0
    for column, values in enumerate(more, start=n_factors):
        vectors[:, column] = values
    return vectors

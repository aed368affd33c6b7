"""Explicit matrix factorisation with biases, learnt by alternating least squares or gradient descent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ....artifacts import Artifact
from ....backends import SparseRows
from ....errors import ArtifactError
from ....ops.sgd import FactorTable, SgdRates, sgd_epoch
from ....ops.sparse_arguments import as_sparse_rows
from ....progress import Progress, reporter
from ...recommender import Callback, one_of, real_setting, seed_setting, whole_setting
from .alternating import Penalties, als_sweeps
from .biased_factors import BiasedFactors
from .implicit import IMPLICIT

if TYPE_CHECKING:
    from ....data import Interactions

__all__ = ["MF"]

# A native call that visits this many factors takes about 0.1 s, so Ctrl-C is never far away.
_FACTORS_PER_CALL = 1 << 26


class MF(BiasedFactors):
    """Predicts the rating of user u and item i as mu + b_u + b_i + p_u . q_i.

    Parameters
    ----------
    n_factors : int
    method : {"als", "sgd"}
        Alternating least squares: each sweep solves for one side's vectors, then the other's. Or stochastic
        gradient descent, a rating at a time.
    implicit : {"both", "users", "items", "none"}
        With "als": "users" gives a user's part a vector for each item that they rated, over the square root
        of their number (SVD++); "items" an item's part one for each user that rated it; or both.
    als_penalty, als_bias_penalty : float
        With "als": of the squares of factors and biases, beside squared errors in units of the ratings'
        variance.
    implicit_penalty, implicit_bias_penalty : float
        The same of the vectors of implicit features.
    als_init_scale : float
        Standard deviation of the factors at the start of "als" (normal).
    learning_rate : float
        With "sgd", as all settings up to `init_scale`.
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

    def __init__(
        self,
        n_factors: int = 20,
        *,
        method: str = "als",
        implicit: str = "both",
        als_penalty: float = 22.0,
        als_bias_penalty: float = 0.8,
        implicit_penalty: float = 19.5,
        implicit_bias_penalty: float = 2.9,
        als_init_scale: float = 0.1,
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
        super().__init__(
            n_factors=whole_setting("mf", "n_factors", n_factors, 1),
            method=one_of("mf", "method", method, ("als", "sgd")),
            implicit=one_of("mf", "implicit", implicit, IMPLICIT),
            als_penalty=real_setting("mf", "als_penalty", als_penalty, 1e-9, math.inf),
            als_bias_penalty=real_setting("mf", "als_bias_penalty", als_bias_penalty, 1e-9, math.inf),
            implicit_penalty=real_setting("mf", "implicit_penalty", implicit_penalty, 1e-9, math.inf),
            implicit_bias_penalty=real_setting(
                "mf", "implicit_bias_penalty", implicit_bias_penalty, 1e-9, math.inf
            ),
            als_init_scale=real_setting("mf", "als_init_scale", als_init_scale, 0, math.inf),
            learning_rate=real_setting("mf", "learning_rate", learning_rate, 0, math.inf),
            learning_rate_decay=real_setting("mf", "learning_rate_decay", learning_rate_decay, 0, 1),
            penalty=real_setting("mf", "penalty", penalty, 0, math.inf),
            bias_learning_rate=real_setting("mf", "bias_learning_rate", bias_learning_rate, 0, math.inf),
            bias_penalty=real_setting("mf", "bias_penalty", bias_penalty, 0, math.inf),
            init_scale=real_setting("mf", "init_scale", init_scale, 0, math.inf),
            max_epochs=whole_setting("mf", "max_epochs", max_epochs, 1),
            validation_fraction=real_setting("mf", "validation_fraction", validation_fraction, 0, 0.9),
            patience=whole_setting("mf", "patience", patience, 1),
            random_state=seed_setting("mf", random_state),
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
        epochs = self._sweeps if self.settings["method"] == "als" else self._epochs
        for epoch, metrics in enumerate(epochs(ratings, max_epochs), start=1):
            report(epoch, max_epochs)
            if validation is not None:
                metrics["validation_rmse"] = self._rmse(validation)
                if metrics["validation_rmse"] < best[0]:
                    best = (metrics["validation_rmse"], epoch, self._learnt())
            stop = callback is not None and callback(epoch, self, {"stage": stage, **metrics})
            if stop or (validation is not None and epoch - best[1] >= self.settings["patience"]):
                break
        if validation is not None:
            self._keep(**best[2])
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
            self._keep(
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

    def _sweeps(self, ratings: _Ratings, n_epochs: int) -> Iterator[dict[str, Any]]:
        """As `_epochs`, by alternating least squares."""
        settings = self.settings
        mean = float(ratings.weights.mean(dtype=np.float64))
        scale = float(ratings.weights.std(dtype=np.float64)) or 1.0
        matrix = ratings.matrix(self.training.n_users, self.training.n_items)
        scaled = matrix.with_values(((matrix.values - mean) / scale).astype(np.float32))
        penalties = Penalties(
            settings["als_bias_penalty"],
            settings["als_penalty"],
            settings["implicit_bias_penalty"],
            settings["implicit_penalty"],
        )
        (start,) = self._generators("start")
        sweeps = als_sweeps(
            scaled,
            settings["n_factors"],
            settings["implicit"],
            penalties,
            settings["als_init_scale"],
            start,
        )
        root = math.sqrt(scale)
        for epoch, (users, items, squared_errors, loss) in zip(range(1, n_epochs + 1), sweeps):
            self._keep(
                user_factors=(users.vectors[:, 1:] * root).astype(np.float32),
                item_factors=(items.vectors[:, 1:] * root).astype(np.float32),
                user_biases=(users.vectors[:, 0] * scale).astype(np.float32),
                item_biases=(items.vectors[:, 0] * scale).astype(np.float32),
                mean=mean,
                n_epochs=epoch,
            )
            yield {
                "loss": loss * scale**2,
                "train_rmse": float(scale * math.sqrt(max(squared_errors, 0) / len(scaled.values))),
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

    @property
    def _rank(self) -> int:
        return self.settings["n_factors"]

    def _pull(self, n_ratings: int, scale: float) -> float:
        if self.settings["method"] == "als":
            return self.settings["als_penalty"] * scale
        # A descent with a pull of penalty / sqrt(n) at each of n ratings, in units of their deviation.
        return self.settings["penalty"] * math.sqrt(n_ratings) * scale

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        tensors, meta = super()._state()
        return tensors, meta | {"n_epochs": self.n_epochs}

    def _restore(self, artifact: Artifact) -> None:
        super()._restore(artifact)
        n_epochs = artifact.meta.get("n_epochs")
        if type(n_epochs) is not int:
            raise ArtifactError(f"[load] expected n_epochs as an integer, got {n_epochs!r:.60}")
        self.n_epochs = n_epochs

    def _learnt(self) -> dict[str, Any]:
        return super()._learnt() | {"n_epochs": self.n_epochs}

    def _keep(self, n_epochs: int, **learnt: Any) -> None:
        self._set(**learnt)
        self.n_epochs = n_epochs


@dataclass(frozen=True)
class _Ratings:
    """Records as arrays of one length: rows int64, weights float32."""

    user_rows: np.ndarray
    item_rows: np.ndarray
    weights: np.ndarray

    def take(self, chosen: np.ndarray) -> _Ratings:
        return _Ratings(self.user_rows[chosen], self.item_rows[chosen], self.weights[chosen])

    def matrix(self, n_users: int, n_items: int) -> SparseRows:
        """Ratings by users; a pair that stands more than once has their mean."""
        from scipy.sparse import coo_array

        places = (self.user_rows, self.item_rows)
        sums = coo_array((self.weights.astype(np.float64), places), shape=(n_users, n_items)).tocsr()
        counts = coo_array((np.ones(len(self.weights)), places), shape=(n_users, n_items)).tocsr()
        for part in (sums, counts):
            part.sum_duplicates()
        sums.data /= counts.data
        return as_sparse_rows(sums, "interactions", "fit")

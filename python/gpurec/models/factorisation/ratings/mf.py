"""Explicit matrix factorisation with biases, learnt by alternating least squares or gradient descent."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ....artifacts import Artifact
from ....backends import strict_floats
from ....errors import ArtifactError
from ....progress import Progress, reporter
from ...recommender import Callback, one_of, real_setting, seed_setting, whole_setting
from .biased_factors import BiasedFactors
from .epochs import Alternation, Descent, Fitting, Ratings
from .implicit import IMPLICIT
from .moments import Moments

if TYPE_CHECKING:
    from typing_extensions import Self

    from ....data import Interactions

__all__ = ["MF"]


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
    user_days, item_days : float
        With "als": above 0 each user (item) also has a part of its own in each bin of so many days in which
        it has ratings; `predict(..., timestamps=...)` uses it. Needs timestamps.
    time_penalty, time_bias_penalty : float
        As `als_penalty` and `als_bias_penalty`, of these parts.
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
    "fit"; when it stops the search, the fit goes on with the best epochs so far. A model that the callback
    saved, in either, or that it stopped in the fit, goes on by `resume` to the bits of an unbroken one; it
    is saved with its records, 20 bytes each, and what the next epoch starts from.

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
        user_days: float = 0.0,
        item_days: float = 0.0,
        time_penalty: float = 60.0,
        time_bias_penalty: float = 3.0,
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
            user_days=real_setting("mf", "user_days", user_days, 0, 1e6),
            item_days=real_setting("mf", "item_days", item_days, 0, 1e6),
            time_penalty=real_setting("mf", "time_penalty", time_penalty, 1e-9, math.inf),
            time_bias_penalty=real_setting("mf", "time_bias_penalty", time_bias_penalty, 1e-9, math.inf),
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
        if method == "sgd" and self.predicts_at_times:
            raise ValueError(
                "[mf] expected method 'als' with user_days or item_days, got 'sgd'; leave the days out"
            )
        self._fitting: Fitting | None = None

    # Learning.

    def _learn(
        self,
        interactions: Interactions,
        validation: Interactions | None,
        callback: Callback | None,
        progress: Progress,
    ) -> None:
        self._divide(interactions)
        at_hand = None if self.predicts_at_times else self.training.user_items
        rows = self._rows_at(interactions.user_rows, interactions.item_rows, interactions.timestamps)
        ratings = Ratings(*rows, interactions.weights, at_hand)
        given = None if validation is None else self._rows_of(validation)
        searched = given is None and self._held_out(len(ratings)).any()
        stage = "search" if searched else "fit"
        self._fitting = self._begin(stage, ratings, given, self.settings["max_epochs"])
        self._run(callback, progress)

    def _divide(self, interactions: Interactions) -> None:
        """Find whose rows the factors are, at which times."""
        self._user_rows, self._item_rows = Moments.of_sides(self.training, self.settings, interactions)

    def resume(self, *, callback: Callback | None = None, progress: Progress = None) -> Self:
        """Go on where a fit was stopped or saved by its callback, to the bits of one that was not.

        Returns
        -------
        The model itself. An error or Ctrl-C on the way leaves it as it was.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If the fit was over.
        """
        if self.training is not None and self._fitting is None:
            raise ValueError(
                f"[resume] expected a fit that a callback stopped, got one that ended after {self.n_epochs} "
                "epochs; fit anew with a higher max_epochs"
            )
        before, learnt = self._fitting, self._learnt()
        # Epochs change tables in place.
        self._fitting = copy.copy(self._under_way)
        self._fitting.learner = copy.deepcopy(self._fitting.learner)
        try:
            with strict_floats():
                self._run(callback, progress)
        except BaseException:
            self._fitting = before
            self._keep(**learnt)
            raise
        return self

    def _begin(self, stage: str, ratings: Ratings, validation: Ratings | None, most: int) -> Fitting:
        """A stage before its first epoch."""
        learner = Alternation if self.settings["method"] == "als" else Descent
        part = ratings.take(~self._held_out(len(ratings))) if stage == "search" else ratings
        rows, start = (self._user_rows, self._item_rows), self._generator("start")
        return Fitting(stage, ratings, validation, learner(self.settings, part, *rows, start), most)

    @property
    def _under_way(self) -> Fitting:
        """The fit that is not over."""
        assert self._fitting is not None
        return self._fitting

    def _run(self, callback: Callback | None, progress: Progress) -> None:
        """Make the epochs that are left: of the search, and then of the fit on everything."""
        with reporter(progress, "fit mf", 2 * self.settings["max_epochs"]) as report:
            if self._under_way.stage == "search":
                self._make_epochs(report, callback)
                ratings, n_epochs = self._under_way.ratings, self._under_way.best_epoch
                self._fitting = self._begin("fit", ratings, None, n_epochs)
            self._make_epochs(report, callback)
            if self._under_way.validation is not None:
                self._keep(**self._under_way.best)
            if self._under_way.is_over(self.settings["patience"]):
                self._fitting = None

    def _make_epochs(self, report: Callable[[int, int], None], callback: Callback | None) -> None:
        """Make epochs until the stage is over or the callback ends it; after each the model can be asked."""
        fitting, learner = self._under_way, self._under_way.learner
        judge = fitting.validation
        if fitting.stage == "search":
            judge = fitting.ratings.take(self._held_out(len(fitting.ratings)))
        while not fitting.is_over(self.settings["patience"]):
            metrics = learner.step()
            self._keep(**learner.learnt(), n_epochs=learner.epoch)
            report(learner.epoch, fitting.most)
            if judge is not None:
                metrics["validation_rmse"] = self._rmse(judge)
                if metrics["validation_rmse"] < fitting.best_rmse:
                    fitting.best_rmse, fitting.best_epoch = metrics["validation_rmse"], learner.epoch
                    if fitting.stage == "fit":
                        fitting.best = self._learnt()
            if callback is not None and callback(learner.epoch, self, {"stage": fitting.stage, **metrics}):
                break

    def _generator(self, purpose: str) -> np.random.Generator:
        """An independent stream of random numbers for each purpose."""
        streams = np.random.SeedSequence(self.settings["random_state"]).spawn(2)
        return np.random.Generator(np.random.PCG64(streams[("split", "start").index(purpose)]))

    def _held_out(self, n: int) -> np.ndarray:
        """Which ratings find the number of epochs, bool (n,)."""
        held_out = np.zeros(n, dtype=bool)
        n_held_out = round(self.settings["validation_fraction"] * n)
        if n_held_out:
            held_out[self._generator("split").permutation(n)[:n_held_out]] = True
        return held_out

    def _rows_of(self, part: Interactions) -> Ratings:
        """Another part's ratings in this model's rows, -1 for unknown users and items."""
        if len(part.weights) == 0:
            raise ValueError("[fit] expected at least one validation interaction, got none; leave it out")
        users = self.training.known_rows("user", part.user_map.ids())
        items = self.training.known_rows("item", part.item_map.ids())
        rows = users[part.user_rows], items[part.item_rows]
        return Ratings(*self._rows_at(*rows, part.timestamps), part.weights)

    def _rmse(self, part: Ratings) -> float:
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
        meta |= {"n_epochs": self.n_epochs}
        if self._fitting is not None:
            more_tensors, more_meta = self._fitting.to_tensors()
            tensors, meta = tensors | more_tensors, meta | more_meta
        return tensors, meta

    def _restore(self, artifact: Artifact) -> None:
        super()._restore(artifact)
        n_epochs = artifact.meta.get("n_epochs")
        if type(n_epochs) is not int:
            raise ArtifactError(f"[load] expected n_epochs as an integer, got {n_epochs!r:.60}")
        self.n_epochs = n_epochs
        sizes = self._n_rows("user"), self._n_rows("item"), self._rank, self.settings["max_epochs"]
        self._fitting = Fitting.from_artifact(artifact, *sizes, self._begin)

    def _learnt(self) -> dict[str, Any]:
        return super()._learnt() | {"n_epochs": self.n_epochs}

    def _keep(self, n_epochs: int, **learnt: Any) -> None:
        self._set(**learnt)
        self.n_epochs = n_epochs

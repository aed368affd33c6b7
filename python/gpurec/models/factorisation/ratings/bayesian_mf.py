"""Bayesian matrix factorisation: the mean over many factorisations that fit, drawn by Gibbs sampling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ....artifacts import Artifact
from ....backends import strict_floats
from ....errors import ArtifactError, UnknownIdError
from ....id_stores import id_at, plain_ids
from ....progress import Progress, reporter
from ...recommender import Callback, one_of, real_setting, seed_setting, whole_setting
from .biased_factors import BiasedFactors
from .implicit import IMPLICIT
from .sampling import Draws, GibbsChain, first_chain, restored_chain, saved_chain

if TYPE_CHECKING:
    from typing_extensions import Self

    from ....data import Interactions
    from ....features import FeatureTable

__all__ = ["BayesianMF"]


class BayesianMF(BiasedFactors):
    """Predicts a rating as the mean of mu + b_u + b_i + p_u . q_i over draws of what ratings leave possible.

    Parameters
    ----------
    n_factors : int
    n_sweeps : int
        Each draws the tables of both sides anew.
    burn_in : int
        The first sweeps, which do not count.
    implicit : {"both", "users", "items", "none"}
        "users": a user's part also holds a vector for each item that they rated, over the square root of
        their number; "items": an item's part holds one for each user that rated it; or both.
    user_days, item_days : float
        Above 0 each user (item) also has a part of its own in each bin of so many days in which it has
        ratings; `predict(..., timestamps=...)` uses it. Needs timestamps.
    user_noise, item_noise : float
        Ratings of each user and of each item scatter by a precision of their own about the common one; of a
        gamma distribution of so many degrees of freedom. More keeps it nearer to the common one.
    rank : int
        Columns of the factors that answer: the mean of all products of factors, in so many.
    n_samples : int
        Whole draws that are kept for `spread`.
    random_state : int or None
        Same number, same bits, for any number of threads. None draws one and keeps it in `settings`.

    Attributes
    ----------
    user_factors, item_factors : float32 arrays, shape (n_users, rank) and (n_items, rank)
    user_biases, item_biases : float32 arrays, shape (n_users,) and (n_items,)
    mean : float
        The mean training rating.
    noise : float
        By how much ratings scatter about what the tables say, in the ratings' unit.
    n_sweeps_done : int
        Fewer than `n_sweeps` where a callback stopped the fit: then `resume` goes on.

    Notes
    -----
    Nothing is tuned to the data: the strength of every prior is drawn along. Scores are canonical dot
    products of one table of factors, of which `rank` = 100 columns hold the mean of all products of factors
    to about a ten-thousandth of a star.

    Time: a sweep takes n_factors^2 a rating, n_factors twice a rating for `implicit`, and n_factors^3 a user
    and item. Memory while it is fitted: 4 n_factors bytes a kept sweep for each user and item; afterwards
    4 rank and 4 (n_factors + 1) n_samples bytes for each.

    A callback sees `stage` "fit", `train_rmse` of the last draw, and a model that answers from the draws so
    far, which takes about as long as a sweep to make. Where it stops, `save` keeps the chain with the model.

    Source: Salakhutdinov and Mnih 2008, "Bayesian probabilistic matrix factorization using Markov chain Monte
    Carlo"; Rendle 2012, "Factorization machines with libFM"; Rendle, Zhang and Koren 2019, "On the difficulty
    of evaluating baselines", section 3 (both sides' features); Lakshminarayanan, Bouchard and Archambeau
    2011, "Robust Bayesian matrix factorisation" (noise of each row).

    Examples
    --------
    >>> from gpurec import Interactions
    >>> users, items = ["ann", "ann", "bob", "bob"], ["alien", "brazil", "alien", "casablanca"]
    >>> model = BayesianMF(n_factors=2, n_sweeps=30, burn_in=10)
    >>> model.fit(Interactions.from_arrays(users, items, [5, 3, 4, 1])).recommend(["bob"], k=1).item_ids
    array(['brazil'], dtype=object)
    >>> bool(model.spread(["bob"], ["brazil"])[0] > 0)
    True
    """

    name: ClassVar[str] = "bayesian-mf"

    def __init__(
        self,
        n_factors: int = 10,
        *,
        n_sweeps: int = 220,
        burn_in: int = 20,
        implicit: str = "both",
        user_days: float = 0.0,
        item_days: float = 0.0,
        user_noise: float = 10.0,
        item_noise: float = 20.0,
        rank: int = 100,
        n_samples: int = 32,
        random_state: int | None = 0,
    ) -> None:
        own = "bayesian-mf"
        super().__init__(
            n_factors=whole_setting(own, "n_factors", n_factors, 1),
            n_sweeps=whole_setting(own, "n_sweeps", n_sweeps, 1),
            burn_in=whole_setting(own, "burn_in", burn_in, 0),
            implicit=one_of(own, "implicit", implicit, IMPLICIT),
            user_days=real_setting(own, "user_days", user_days, 0, 1e6),
            item_days=real_setting(own, "item_days", item_days, 0, 1e6),
            user_noise=real_setting(own, "user_noise", user_noise, 1e-3, 1e9),
            item_noise=real_setting(own, "item_noise", item_noise, 1e-3, 1e9),
            rank=whole_setting(own, "rank", rank, 1),
            n_samples=whole_setting(own, "n_samples", n_samples, 1),
            random_state=seed_setting(own, random_state),
        )
        if burn_in >= n_sweeps:
            raise ValueError(
                f"[{own}] expected burn_in below n_sweeps, got {burn_in} of {n_sweeps}; lower burn_in"
            )
        self._running: tuple[GibbsChain, Draws] | None = None
        self._tables: tuple[FeatureTable | None, FeatureTable | None] = (None, None)

    # Learning.

    def fit(
        self,
        interactions: Interactions,
        *,
        item_features: FeatureTable | None = None,
        user_features: FeatureTable | None = None,
        validation: Interactions | None = None,
        callback: Callback | None = None,
        progress: Progress = None,
    ) -> Self:
        """Learn from interactions and features, forgetting whatever was learnt before.

        Parameters
        ----------
        interactions : Interactions
        item_features, user_features : FeatureTable, optional
            What items and users are like: a vector for each term or number of a column, added to those of the
            items or users that have it. The weights of a column have one prior. Ids without a training
            interaction are left out.
        validation : Interactions, optional
            Nothing comes of it.
        callback, progress
            As of `Recommender.fit`.

        Raises
        ------
        ValueError
            If no id of a table has a training interaction, there are no timestamps though bins of time are
            wanted, or as `Recommender.fit`.
        MissingExtraError
            If a column of features needs scikit-learn and it is not installed.
        """
        self._tables = (item_features, user_features)
        try:
            return super().fit(interactions, validation=validation, callback=callback, progress=progress)
        finally:
            self._tables = (None, None)

    def _learn(
        self,
        interactions: Interactions,
        validation: Interactions | None,
        callback: Callback | None,
        progress: Progress,
    ) -> None:
        chain, self.mean, self._scale = first_chain(self.settings, self.training, interactions, *self._tables)
        self._user_rows, self._item_rows = chain.user_rows, chain.item_rows
        self._run(chain, Draws.of_settings(self.settings, chain), callback, progress)

    def resume(self, *, callback: Callback | None = None, progress: Progress = None) -> Self:
        """Go on where a callback stopped the fit, to the bits that an unbroken fit would have had.

        Raises
        ------
        ValueError
            If all sweeps were made.
        """
        if self.training is not None and self._running is None:
            raise ValueError(
                f"[resume] expected a fit that a callback stopped, got one of all {self.n_sweeps_done} "
                "sweeps; fit anew with a higher n_sweeps"
            )
        with strict_floats():
            self._run(*self._running, callback, progress)
        return self

    def _run(self, chain: GibbsChain, draws: Draws, callback: Callback | None, progress: Progress) -> None:
        n_sweeps = self.settings["n_sweeps"]
        with reporter(progress, "fit bayesian-mf", n_sweeps) as report:
            while chain.sweep < n_sweeps:
                chain.step()
                if chain.sweep > self.settings["burn_in"]:
                    draws.keep(chain)
                report(chain.sweep, n_sweeps)
                if callback is not None:
                    self._take(chain, draws)
                    metrics = {"stage": "fit", "train_rmse": self._scale * _rmse(chain)}
                    if callback(chain.sweep, self, metrics):
                        break
        self._running = (chain, draws) if chain.sweep < n_sweeps else None
        self._take(chain, draws)

    def _take(self, chain: GibbsChain, draws: Draws) -> None:
        """Answer from the draws so far."""
        if draws.n == 0:  # of the sweeps that do not count the last one
            draws = Draws.room_for(len(chain.users.own), len(chain.items.own), 1, chain.n_factors, 1)
            draws.keep(chain)
        p, q, b, c = draws.means(self.settings["rank"], self.settings["random_state"])
        known = (
            (self.training.user_counts > 0)[self._user_rows.owners],
            (self.training.item_counts > 0)[self._item_rows.owners],
        )
        for side, tables in zip(known, ((p, b), (q, c))):
            for table in tables:
                table[~side] = 0  # of whom nothing is known
        root, scale = np.float32(math.sqrt(self._scale)), np.float32(self._scale)
        self._set(p * root, q * root, b * scale, c * scale, self.mean)
        full = np.minimum(draws.n * draws.user_samples.shape[1] // draws.users.shape[1], draws.n)
        scales = np.full(chain.n_factors + 1, root, np.float32)
        scales[0] = scale
        self.user_samples, self.item_samples = (
            t[:, : max(int(full), 0)] * scales for t in (draws.user_samples, draws.item_samples)
        )
        self.noise, self.n_sweeps_done = float(self._scale * draws.noise / draws.n), chain.sweep

    # Asking.

    def spread(self, user_ids: Any, item_ids: Any) -> np.ndarray:
        """How sure the prediction of each user and item is: its standard deviation over the draws kept.

        In the unit of the ratings, float32 (n,); a rating itself scatters by `noise` beside it.

        Raises
        ------
        UnknownIdError
            If an id is unknown.
        ValueError
            If the lengths differ.
        """
        rows = []
        for side, ids in (("user", plain_ids(user_ids)), ("item", plain_ids(item_ids))):
            found = self.training.known_rows(side, ids)
            if (found < 0).any():
                raise UnknownIdError(
                    f"[spread] expected {side}s with training interactions, got "
                    f"{id_at(ids, np.argmin(found))!r}; leave it out"
                )
            rows.append(found)
        if len(rows[0]) != len(rows[1]):
            raise ValueError(
                f"[spread] expected one item a user, got {len(rows[0])} users and {len(rows[1])} items; "
                "repeat the shorter"
            )
        said = np.empty((len(rows[0]), self.user_samples.shape[1]))
        for place in range(said.shape[1]):
            p = self.user_samples[rows[0], place].astype(np.float64)
            q = self.item_samples[rows[1], place].astype(np.float64)
            said[:, place] = p[:, 0] + q[:, 0] + (p[:, 1:] * q[:, 1:]).sum(axis=1)
        return said.std(axis=1).astype(np.float32) if said.shape[1] else np.zeros(len(said), np.float32)

    @property
    def _rank(self) -> int:
        return self.settings["rank"]

    def _pull(self, n_ratings: int, scale: float) -> float:
        # Errors scatter by the noise, and factors about 0 by their mean square.
        squares = float(np.square(self.user_factors, dtype=np.float64).sum(axis=1).mean()) / self._rank
        return self.noise**2 / max(squares, 1e-12)

    # Saving.

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        tensors, meta = super()._state()
        tensors |= {"user_samples": self.user_samples, "item_samples": self.item_samples}
        meta |= {"noise": self.noise, "n_sweeps_done": self.n_sweeps_done, "scale": self._scale}
        if self._running is not None:
            more_tensors, more_meta = saved_chain(*self._running)
            tensors, meta = tensors | more_tensors, meta | more_meta
        return tensors, meta

    def _restore(self, artifact: Artifact) -> None:
        settings = self.settings
        super()._restore(artifact)
        n_users, n_items = self._user_rows.n_rows, self._item_rows.n_rows
        width = settings["n_factors"] + 1
        self.user_samples = artifact.tensor("user_samples", np.float32, (n_users, None, width))
        n_samples = self.user_samples.shape[1]
        self.item_samples = artifact.tensor("item_samples", np.float32, (n_items, n_samples, width))
        if not (np.isfinite(self.user_samples).all() and np.isfinite(self.item_samples).all()):
            raise ArtifactError("[load] expected finite draws, got others; fit and save again")
        meta = artifact.meta
        noise, done, scale = meta.get("noise"), meta.get("n_sweeps_done"), meta.get("scale")
        if type(noise) is not float or not (math.isfinite(noise) and noise >= 0):
            raise ArtifactError(f"[load] expected noise as a number of 0 or more, got {noise!r:.60}")
        if type(scale) is not float or not (math.isfinite(scale) and scale > 0):
            raise ArtifactError(f"[load] expected scale as a number above 0, got {scale!r:.60}")
        if type(done) is not int or not 1 <= done <= settings["n_sweeps"]:
            raise ArtifactError(f"[load] expected n_sweeps_done as a number of sweeps, got {done!r:.60}")
        self.noise, self._scale, self.n_sweeps_done, self._running = noise, scale, done, None
        if done < settings["n_sweeps"]:
            self._running = restored_chain(artifact, settings, self._user_rows, self._item_rows, done)


def _rmse(chain: GibbsChain) -> float:
    """Root mean square of what the last draw leaves of the ratings, in units of their deviation."""
    users, items, rows = chain.users.vectors, chain.items.vectors, chain.by_users
    p, q = users[rows.owners], items[rows.columns]
    left = rows.values - (p[:, 0] + q[:, 0] + (p[:, 1:] * q[:, 1:]).sum(axis=1))
    return math.sqrt(np.square(left).mean())

"""Factors of interactions without ratings, learnt by alternating least squares."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...artifacts import Artifact
from ...backends import strict_floats
from ...errors import ArtifactError
from ...ops.als import ALS_SOLVERS, HalfSweep
from ...progress import Progress, reporter
from ..recommender import Callback, one_of, real_setting, whole_setting
from .folding import FoldingModel

if TYPE_CHECKING:
    from typing_extensions import Self

    from ...data import Interactions

__all__ = ["ImplicitALS"]


class ImplicitALS(FoldingModel):
    """Scores p_u . q_i that are near 1 for what users had and near 0 for the rest, each half solved in turn.

    With c the confidence in an interaction, w0 = `unobserved_weight` and s the score, a fit makes small
    ("ials")  sum over interactions of c (1 - s)^2 + sum over all pairs of w0 s^2 + penalties, or
    ("hkv")   sum over interactions of (w0 + c) (1 - s)^2 + sum over all other pairs of w0 s^2 + penalties, or
    ("plain") the same with c in place of w0 + c.
    The penalty of a user with n items is regularisation (n + w0 n_items)^regularisation_exponent |p|^2, that
    of an item likewise.

    Parameters
    ----------
    n_factors : int
    regularisation : float
        Above 0.
    regularisation_exponent : float
        From 0, the same penalty for everyone, to 1, a penalty in proportion to what a row is made of.
    unobserved_weight : float
    alpha : float or None
        c is alpha times the weight of an interaction, which must not be below 0; None: c is 1 whatever it is.
    weighting : {"ials", "hkv", "plain"}
    item_power : float
        c is multiplied by the number of the item's users to this power, over the mean of all interactions;
        below 0 what few have says more of those who have it. n is then the sum of these factors.
    n_sweeps : int
    solver : {"cholesky", "cg", "block"}
        Exact; `cg_steps` steps of conjugate gradients from the factors there are; one pass over blocks of
        `block_size` directions. See `gpurec.als`.
    cg_steps, block_size : int
    init_scale : float
        Users start with factors of about this length.
    random_state : int
        Same number, same bits, for any number of threads.

    Attributes
    ----------
    user_factors, item_factors : float32 arrays, shape (n_users, n_factors) and (n_items, n_factors)
        Zero for those without interactions.
    losses : list of float
        What was made small, after each sweep.

    Notes
    -----
    A sweep solves items for the users there are, then users for these items. So with "cholesky" a user's
    factors are what `fold_in` gives for their interactions, and `explain` divides a score among these without
    a rest. The callback gets `{"stage": "fit", "loss": ...}`. A model that a callback saved, or stopped, goes
    on by `resume` with the bits of a fit that was never interrupted. Memory: factors twice, and 24 bytes an
    interaction.

    The defaults are from splits of gowalla's training part: docs/design, "Alternating least squares".

    Source: Hu, Koren and Volinsky 2008, "Collaborative filtering for implicit feedback datasets"; Rendle,
    Krichene, Zhang and Koren 2022, "Revisiting the performance of iALS on item recommendation benchmarks",
    section 3.

    Examples
    --------
    >>> from gpurec import Interactions
    >>> plays = Interactions.from_arrays([1, 1, 2, 2, 3], ["a", "b", "a", "b", "a"])
    >>> ImplicitALS(n_factors=2).fit(plays).recommend([3], k=1).to_dicts()[0]["item_id"]
    'b'
    """

    name: ClassVar[str] = "als"

    def __init__(
        self,
        n_factors: int = 64,
        *,
        regularisation: float = 0.05,
        regularisation_exponent: float = 0.5,
        unobserved_weight: float = 0.02,
        alpha: float | None = None,
        weighting: str = "ials",
        item_power: float = -0.4,
        n_sweeps: int = 4,
        solver: str = "cholesky",
        cg_steps: int = 3,
        block_size: int = 32,
        init_scale: float = 0.1,
        random_state: int = 0,
    ) -> None:
        tiny = float(np.finfo(np.float32).tiny)
        super().__init__(
            n_factors=whole_setting("als", "n_factors", n_factors, 1),
            regularisation=real_setting("als", "regularisation", regularisation, tiny, 1e9),
            regularisation_exponent=real_setting(
                "als", "regularisation_exponent", regularisation_exponent, 0, 2
            ),
            unobserved_weight=real_setting("als", "unobserved_weight", unobserved_weight, 0, 1e9),
            alpha=None if alpha is None else real_setting("als", "alpha", alpha, tiny, 1e9),
            weighting=one_of("als", "weighting", weighting, ("ials", "hkv", "plain")),
            item_power=real_setting("als", "item_power", item_power, -2, 2),
            n_sweeps=whole_setting("als", "n_sweeps", n_sweeps, 1),
            solver=one_of("als", "solver", solver, ALS_SOLVERS),
            cg_steps=whole_setting("als", "cg_steps", cg_steps, 1),
            block_size=whole_setting("als", "block_size", block_size, 1),
            init_scale=real_setting("als", "init_scale", init_scale, tiny, 1e9),
            random_state=whole_setting("als", "random_state", random_state, 0),
        )
        self.losses: list[float] = []

    # Learning.

    def fit(
        self,
        interactions: Interactions,
        *,
        start: ImplicitALS | None = None,
        validation: Interactions | None = None,
        callback: Callback | None = None,
        progress: Progress = None,
    ) -> Self:
        """Learn from interactions, forgetting whatever was learnt before.

        Parameters
        ----------
        interactions : Interactions
        start : ImplicitALS, optional
            A fitted model of as many factors (it may be this one) from whose factors the users and items that
            it knows start: after new interactions, fewer sweeps get as far.
        validation : Interactions, optional
            Nothing comes of it.
        callback, progress
            As of `Recommender.fit`.

        Raises
        ------
        ValueError
            If there is no interaction, a weight is not finite or, with `alpha`, below 0, or `start` has
            another number of factors.
        """
        self._start = None
        if start is not None:
            if start.settings["n_factors"] != self.settings["n_factors"]:
                raise ValueError(
                    f"[als] expected a start with {self.settings['n_factors']} factors, got "
                    f"{start.settings['n_factors']}; fit one with as many"
                )
            self._start = {
                side: (id_map, np.array(start._factors(side)))
                for side, id_map in (("user", start.user_map), ("item", start.item_map))
            }
        try:
            return super().fit(interactions, validation=validation, callback=callback, progress=progress)
        finally:
            self._start = None

    def _learn(
        self,
        interactions: Interactions,
        validation: Interactions | None,
        callback: Callback | None,
        progress: Progress,
    ) -> None:
        self._check_weights()
        training, n_factors = self.training, self.settings["n_factors"]
        random = np.random.default_rng(self.settings["random_state"])
        users = random.standard_normal((training.n_users, n_factors), dtype=np.float32)
        users *= np.float32(self.settings["init_scale"] / math.sqrt(n_factors))
        items = np.zeros((training.n_items, n_factors), np.float32)
        for side, factors in (("user", users), ("item", items)):
            if self._start is not None:
                self._take_known(side, factors)
            factors[~training.known(side)] = 0
        self._set(users, items, [])
        self._sweep(self.settings["n_sweeps"], callback, progress)

    def _take_known(self, side: str, factors: np.ndarray) -> None:
        """Put in place the factors that the start has for users or items."""
        assert self._start is not None
        id_map, of_start = self._start[side]
        own = self.training.user_map if side == "user" else self.training.item_map
        rows = own.rows(id_map.ids(), unknown="ignore")
        factors[rows[rows >= 0]] = of_start[rows >= 0]

    @strict_floats()
    def resume(self, *, callback: Callback | None = None, progress: Progress = None) -> Self:
        """Go on with the sweeps that a fit had still to make when it was saved or stopped by its callback.

        Returns
        -------
        The model itself, equal bit for bit to one whose fit was not interrupted.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        self._check_weights()
        self._sweep(self.settings["n_sweeps"] - len(self.losses), callback, progress)
        return self

    def _sweep(self, n_sweeps: int, callback: Callback | None, progress: Progress) -> None:
        """Make so many sweeps more, from the factors there are."""
        if n_sweeps <= 0:
            return
        by_users, by_items = self._problem("user"), self._problem("item")
        goal = len(self.losses) + n_sweeps
        with reporter(progress, "fitting als", goal) as report:
            while len(self.losses) < goal:
                items, _ = self._solved(self.user_factors, by_items, self.item_factors)
                users, loss = self._solved(items, by_users, self.user_factors)
                loss += by_items.penalty(items)
                if not math.isfinite(loss):
                    raise ValueError(
                        f"[als] expected factors that stay finite, got a loss of {loss}; raise regularisation"
                    )
                self._set(users, items, [*self.losses, loss])
                done = len(self.losses)
                report(done, goal)
                if callback is not None and callback(done, self, {"stage": "fit", "loss": loss}):
                    break

    def _solved(self, fixed: np.ndarray, problem: Any, start: np.ndarray) -> tuple[np.ndarray, float]:
        """Factors of one side for those of the other, and their loss."""
        settings = self.settings
        found = HalfSweep(fixed, settings["unobserved_weight"]).solve(
            problem.weights,
            targets=problem.targets,
            l2=problem.l2,
            start=None if settings["solver"] == "cholesky" else start,
            solver=settings["solver"],
            steps=settings["cg_steps"] if settings["solver"] == "cg" else 1,
            block_size=settings["block_size"],
        )
        return found.factors, found.loss

    def fit_partial(
        self,
        interactions: Interactions,
        *,
        n_sweeps: int = 0,
        callback: Callback | None = None,
        progress: Progress = None,
    ) -> Self:
        """Learn from more interactions, of old and of new users and items.

        Parameters
        ----------
        interactions : Interactions
            New ids get the rows after the old ones, in the order of its maps. Weights of a pair that is there
            already are added.
        n_sweeps : int
            Sweeps over everything that follow, of at least 0.
        callback, progress
            As of `fit`.

        Returns
        -------
        The model itself.

        Notes
        -----
        Users with new interactions are solved anew, then items with such, then these users once more, each
        from all their interactions. A model that is not fitted is fitted. An error or Ctrl-C on the way
        leaves the model as it was.
        """
        if self._training is None:
            return self.fit(interactions, callback=callback, progress=progress)
        more = whole_setting("als", "n_sweeps", n_sweeps, 0)
        before = self._training, self.user_factors, self.item_factors, self.losses
        try:
            with strict_floats():
                self._training = before[0].with_more(interactions)
                self._check_weights()
                changed = {
                    "user": np.unique(self.user_map.rows(interactions.user_ids())),
                    "item": np.unique(self.item_map.rows(interactions.item_ids())),
                }
                self._set(
                    _grown(self.user_factors, self.training.n_users),
                    _grown(self.item_factors, self.training.n_items),
                    self.losses,
                )
                for side in ("user", "item", "user"):
                    self._solve_rows(side, changed[side])
                self._sweep(more, callback, progress)
        except BaseException:
            self._training = before[0]
            self._set(*before[1:])
            raise
        return self

    def _solve_rows(self, side: str, rows: np.ndarray) -> None:
        """Solve some users or items anew and put them in place, in a table of their own."""
        problem = self._problem(side).rows(rows)
        factors = self._factors(side).copy()
        factors[rows] = (
            self._half_sweep(side).solve(problem.weights, targets=problem.targets, l2=problem.l2).factors
        )
        users, items = (factors, self.item_factors) if side == "user" else (self.user_factors, factors)
        self._set(users, items, self.losses)

    # What was learnt.

    def _set(self, user_factors: np.ndarray, item_factors: np.ndarray, losses: list[float]) -> None:
        self._indexes.clear()
        self._forget_half_sweeps()
        self.user_factors, self.item_factors, self.losses = user_factors, item_factors, losses

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        tensors = {"user_factors": self.user_factors, "item_factors": self.item_factors}
        return tensors, {"losses": self.losses}

    def _restore(self, artifact: Artifact) -> None:
        n_factors = self.settings["n_factors"]
        users = artifact.tensor("user_factors", np.float32, (self.training.n_users, n_factors))
        items = artifact.tensor("item_factors", np.float32, (self.training.n_items, n_factors))
        if not (np.isfinite(users).all() and np.isfinite(items).all()):
            raise ArtifactError("[load] expected finite factors, got NaN or infinity; fit and save again")
        losses = artifact.meta.get("losses")
        if not isinstance(losses, list) or not all(
            type(loss) in (int, float) and math.isfinite(loss) for loss in losses
        ):
            raise ArtifactError(f"[load] expected losses as a list of finite numbers, got {losses!r:.60}")
        self._set(users, items, [float(loss) for loss in losses])


def _grown(factors: np.ndarray, n_rows: int) -> np.ndarray:
    more = np.zeros((n_rows - len(factors), factors.shape[1]), np.float32)
    return np.concatenate([factors, more])

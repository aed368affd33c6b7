"""`tune`: trials with settings that optuna proposes from those before, one after the other."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArtifactError, import_extra
from ..models import MODELS
from ..progress import Progress, reporter
from .journal import Journal
from .metrics import Metric
from .space import Choice, Space, Whole
from .spaces import space_of
from .trial import Pruned, Trial, run_trial
from .tuning import Tuning, new_model
from .validation import Validation, data_hash

if TYPE_CHECKING:
    from ..data import Interactions

__all__ = ["JOURNAL", "declared_space", "tune"]

JOURNAL = "trials.jsonl"

_RANDOM_TRIALS = 10  # before proposals are made from what is known, and before trials are pruned


class _OutOfTime(Exception):
    """Abandons the trial that runs when the time is up; it is not recorded, and so run again."""


def tune(
    interactions: Interactions,
    model: str,
    *,
    trials: int = 50,
    metric: str | Metric | None = None,
    validation: Validation | None = None,
    space: Space | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    timeout: float | None = None,
    prune: bool = True,
    folder: str | os.PathLike[str] | None = None,
    callback: Callable[[Trial], None] | None = None,
    progress: Progress = None,
) -> Tuning:
    """Search for the settings of a model that do best on parts of the training data.

    Parameters
    ----------
    interactions : Interactions
        The training data, with nothing of a test part in it. Of a pair that stands several times the last
        record counts.
    model : str
        A name of `gpurec.models.MODELS`.
    trials : int
        How many there are in the end, those of a journal included.
    metric : str or Metric, optional
        "rmse" for models that always predict ratings, "ndcg@10" for others.
    validation : Validation, optional
        A fifth of each user's records, drawn by `seed`, when None.
    space : Space, optional
        What is declared for the model when None: see `space_of`, with times where the data have them.
    settings : mapping, optional
        Settings that all trials have, which takes them from the space.
    seed : int
        Of proposals, and the model's `random_state`.
    timeout : float, optional
        Seconds, after which no trial begins; one that runs is abandoned after its epoch or fold, unless it is
        the first.
    prune : bool
        Give a trial up that is worse, after an epoch or fold, than the median of those before it.
    folder : path, optional
        Where the journal lies. One that is there is gone on with, if it is of the same data and task.
    callback : callable, optional
        Gets each trial when it has finished and is on the disk.
    progress : bool or callable, optional
        True or False for a bar or none; by default a bar if stderr is a terminal. A callable gets (trials
        done, trials).

    Returns
    -------
    Tuning

    Raises
    ------
    MissingExtraError
        If optuna is not installed (extra `tune`).
    ArtifactError
        If the folder is of another task or data, or not one of a tuning.
    ValueError, TypeError
        If an argument does not fit, or the first trial fails: the one with the model's defaults.

    Notes
    -----
    The first trial has the model's defaults, ten are drawn at random, the others by a tree of Parzen
    estimators. Proposals depend on the seed, the number of the trial and the trials before it alone, so a
    search that was stopped and resumed has the trials of one that was not. Settings that a model refuses make
    a trial that failed, which is no error.

    Source: Bergstra, Bardenet, Bengio and Kegl 2011, "Algorithms for hyper-parameter optimization", NIPS, by
    optuna (Akiba et al. 2019, KDD).

    Examples
    --------
    >>> from gpurec import Interactions
    >>> rng = np.random.default_rng(0)
    >>> plays = Interactions.from_arrays(rng.integers(9, size=99), rng.integers(9, size=99))
    >>> tuning = tune(plays, "rp3beta", trials=3, metric="ndcg@3")
    >>> len(tuning.trials), sorted(tuning.best.settings)
    (3, ['alpha', 'beta', 'n_neighbours'])
    """
    optuna = import_extra("optuna", "tune")
    from ..data import resolve_duplicates

    if type(trials) is not int or trials < 1:
        raise ValueError(f"[tune] expected 1 trial or more, got {trials!r}; raise it")
    if timeout is not None and not timeout > 0:
        raise ValueError(f"[tune] expected a timeout above 0 seconds, got {timeout!r}; raise it")
    deadline = None if timeout is None else monotonic() + timeout
    metric = _metric(model, metric)
    validation = Validation(seed=seed) if validation is None else validation
    if space is None:
        space = declared_space(interactions, model, metric.of_ratings, settings or {})
    space = _space(model, metric, space, settings or {}, seed)
    first = _defaults(model, metric, space)
    data, _ = resolve_duplicates(interactions, "last")
    task = {
        "model": model,
        "metric": metric.name,
        "relevant_from": metric.relevant_from,
        "space": space.to_dict(),
        "validation": vars(validation),
        "seed": seed,
        "prune": prune,
        "records": len(data),
        "data": data_hash(data),
    }
    with Journal(task, space, _journal_path(folder)) as journal, _quiet(optuna):
        search = _Search(optuna, space, metric, seed, prune, first, journal.trials)
        splits = validation.splits(data) if len(journal.trials) < trials else []
        with reporter(progress, f"tune {model}", trials) as report:
            report(len(journal.trials), trials)
            while len(journal.trials) < trials:
                late = deadline if journal.trials else None  # the first trial is always run to its end
                try:
                    trial = search.run(model, splits, late)
                except _OutOfTime:
                    break
                journal.append(trial)
                report(len(journal.trials), trials)
                if callback is not None:
                    callback(trial)
        return Tuning(task, space, tuple(journal.trials), search.importances())


class _Search:
    """Optuna's study in memory, which holds what the journal holds."""

    def __init__(
        self,
        optuna: Any,
        space: Space,
        metric: Metric,
        seed: int,
        prune: bool,
        first: dict[str, Any],
        trials: list[Trial],
    ) -> None:
        self._optuna, self._space, self._metric, self._seed, self._first = optuna, space, metric, seed, first
        kinds = optuna.distributions
        self._distributions = {
            name: kinds.CategoricalDistribution(of.options)
            if isinstance(of, Choice)
            else (kinds.IntDistribution if isinstance(of, Whole) else kinds.FloatDistribution)(
                of.low, of.high, log=of.log
            )
            for name, of in sorted(space.ranges.items())
        }
        warmup = 0 if space.epochs is None else space.epochs.most // 20
        pruners = optuna.pruners
        self._study = optuna.create_study(
            direction="minimize" if metric.lower_is_better else "maximize",
            pruner=pruners.MedianPruner(_RANDOM_TRIALS, warmup) if prune else pruners.NopPruner(),
        )
        self._n = 0
        for trial in trials:
            self._add(trial)

    def run(self, model: str, splits: list[Any], deadline: float | None) -> Trial:
        """The next trial; raises `_OutOfTime` instead if there is no time for it."""
        # A sampler of its own for each trial has no memory but the study.
        drawn = np.random.SeedSequence([self._seed, self._n]).generate_state(1)[0]
        self._study.sampler = self._optuna.samplers.TPESampler(
            seed=int(drawn), n_startup_trials=_RANDOM_TRIALS, multivariate=True
        )
        if self._n == 0 and self._first:
            self._study.enqueue_trial(self._first)
        asked = self._study.ask(self._distributions)
        chosen = dict(asked.params)

        def report(step: int, value: float) -> None:
            if deadline is not None and monotonic() > deadline:
                raise _OutOfTime
            asked.report(value, step)
            if asked.should_prune():
                raise Pruned

        if deadline is not None and monotonic() > deadline:
            raise _OutOfTime
        trial = run_trial(
            self._n,
            chosen,
            lambda: new_model(model, self._space, chosen),
            splits,
            self._metric,
            self._space.epochs,
            report,
        )
        self._study.tell(asked, trial.value, self._state_of(trial))
        self._n += 1
        return trial

    def importances(self) -> dict[str, float]:
        """How much each setting matters among the better half of the trials; empty if too few are known."""
        complete = self._optuna.trial.TrialState.COMPLETE
        values = {trial.value for trial in self._study.trials if trial.state == complete}
        if len(self._distributions) < 2 or len(values) < _RANDOM_TRIALS:
            return {}
        evaluator = self._optuna.importance.PedAnovaImportanceEvaluator()
        found = self._optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        return {name: float(share) for name, share in found.items()}

    def _state_of(self, trial: Trial) -> Any:
        states = self._optuna.trial.TrialState
        return {"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}[trial.state]

    def _add(self, trial: Trial) -> None:
        # As `tell` has it: the last report is the value of a pruned trial.
        value = trial.value if trial.state != "pruned" else list(trial.reports.values())[-1]
        self._study.add_trial(
            self._optuna.trial.create_trial(
                state=self._state_of(trial),
                value=value,
                params=trial.settings,
                distributions=self._distributions,
                intermediate_values=trial.reports,
            )
        )
        self._n += 1


def _metric(model: str, metric: str | Metric | None) -> Metric:
    if model not in MODELS:
        raise ValueError(f"[tune] expected a model of {', '.join(MODELS)}, got {model!r:.60}; choose one")
    if metric is None:
        metric = "rmse" if MODELS[model].predicts_ratings else "ndcg@10"
    return Metric(metric) if isinstance(metric, str) else metric


def declared_space(
    interactions: Interactions, model: str, of_ratings: bool, settings: Mapping[str, Any]
) -> Space:
    """What is declared for a model on some data, where some settings are given."""
    # A descent knows no times.
    with_times = interactions.timestamps is not None and settings.get("method") != "sgd"
    return space_of(model, of_ratings=of_ratings, with_times=with_times)


def _space(model: str, metric: Metric, space: Space, settings: Mapping[str, Any], seed: int) -> Space:
    known = inspect.signature(MODELS[model]).parameters
    found = space.with_fixed(settings)
    if "random_state" in known and "random_state" not in {**found.fixed, **found.ranges}:
        found = found.with_fixed({"random_state": seed})
    if not found.ranges:
        raise ValueError(
            f"[tune] expected settings of {model} to tune for {metric.name}, got none; declare a Space, or "
            "do: --search NAME=LOW:HIGH"
        )
    named = {**found.ranges, **found.fixed, **found.start}
    if found.epochs is not None:
        named[found.epochs.setting] = None
    unknown = [name for name in named if name not in known]
    if unknown:
        raise ValueError(
            f"[tune] expected settings of {model} ({', '.join(known)}), got {unknown[0]!r}; choose from them"
        )
    return found


def _defaults(model: str, metric: Metric, space: Space) -> dict[str, Any]:
    """The settings of the first trial, less those whose default lies outside the space."""
    usual = MODELS[model](**{**space.fixed, **space.start})
    if metric.of_ratings and not usual.predicts_ratings:
        raise ValueError(
            f"[tune] expected a model that predicts ratings for {metric.name}, got {model}, which does not; "
            "do: --metric ndcg@10"
        )
    first = {name: usual.settings.get(name) for name in space.ranges}
    return {name: value for name, value in first.items() if space.ranges[name].holds(value)}


def _journal_path(folder: str | os.PathLike[str] | None) -> Path | None:
    if folder is None:
        return None
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()) and not (path / JOURNAL).exists():
        raise ArtifactError(
            f"[tune] expected a new folder or one of a tuning at {path}, got one with other content; "
            "do: choose a new path"
        )
    return path / JOURNAL


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Without optuna's lines about each study, and its warnings of what may change in later versions."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            for kind in (optuna.exceptions.ExperimentalWarning, FutureWarning):
                warnings.filterwarnings("ignore", category=kind, module="optuna")
            yield
    finally:
        optuna.logging.set_verbosity(before)

"""`gpurec tune`: search for the settings of a model, fit it with the best, and measure that once."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..arguments import settings_of
from ..options import FormatOption, ModelOption, SeedOption, SetOption, TrainArgument
from ..output import note, say, say_json, show_table

if TYPE_CHECKING:
    from ...models import Recommender
    from ...tuning import Metric, Trial, Tuning

__all__ = ["tune"]


def tune(
    train: TrainArgument,
    model: ModelOption,
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, those of an earlier run included.")] = 50,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="rmse|mae|NAME@K",
            help="What trials are judged by, such as recall@20; without it rmse where the model predicts "
            "ratings, else ndcg@10.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            help="Where trials, report, pictures and the fitted model lie; the same command goes on there "
            "after it was stopped.",
            show_default=False,
        ),
    ] = None,
    validation: Annotated[
        str,
        typer.Option(
            metavar="user|random|time",
            help="How the part that trials are judged by is taken from TRAIN: of each user's records, of "
            "all, or the last ones.",
        ),
    ] = "user",
    fraction: Annotated[float, typer.Option(help="How large that part is.")] = 0.2,
    folds: Annotated[int, typer.Option(min=1, help="How many such parts a trial is judged by.")] = 1,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="No trial begins after this time.", show_default=False),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(
            "--test",
            metavar="TEST",
            help="File that is read after the search, and measured once with the final model.",
            show_default=False,
        ),
    ] = None,
    relevant_from: Annotated[
        float | None,
        typer.Option(
            help="In lists a pair is relevant if its weight is at least this; otherwise every one is.",
            show_default=False,
        ),
    ] = None,
    search: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LOW:HIGH[:log]",
            help="Search a setting in this range, or as NAME=A|B of these values; repeat for more.",
            show_default=False,
        ),
    ] = None,
    settings: SetOption = None,
    prune: Annotated[
        bool, typer.Option(help="Give up trials that are worse on the way than half of the others.")
    ] = True,
    format: FormatOption = "auto",
    seed: SeedOption = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Search for the settings of a model that do best on parts of TRAIN, and fit it with them.

    Settings are proposed by optuna (extra `tune`). --set fixes a setting, --search gives it another range.
    The same seed gives the same trials, also where the command was stopped on the way and run again.
    """
    from ...data import Interactions
    from ...errors import import_extra
    from ...tuning import Metric, Validation, declared_space
    from ...tuning import tune as run

    import_extra("optuna", "tune")
    if test is not None:
        test.stat()  # a name that is wrong is said now, not after the search
    fixed = settings_of(model, settings or ())
    judged = None if metric is None else Metric(metric, relevant_from)
    if judged is None and relevant_from is not None:
        raise ValueError("[tune] expected a metric of lists with --relevant-from; do: --metric ndcg@10")
    ranges = _ranges(search or ())
    interactions = Interactions.from_file(train, format=format)
    space = declared_space(interactions, model, _of_ratings(model, judged), fixed)

    def tell(trial: Trial) -> None:
        value = trial.state if trial.value is None else f"{trial.value:.5g}"
        note(f"trial {trial.number}: {value} in {trial.seconds:.1f} s")

    found = run(
        interactions,
        model,
        trials=trials,
        metric=judged,
        validation=Validation(validation, fraction, folds, seed),
        space=space.with_ranges(ranges),
        settings=fixed,
        seed=seed,
        timeout=timeout,
        prune=prune,
        folder=out,
        callback=tell,
    )
    report: dict[str, Any] = {name: value for name, value in found.to_dict().items() if name != "trials"}
    report |= {"train": str(train), "test": None}
    if out is not None or test is not None:
        note(f"fitting {model} on {len(interactions)} interactions with the best settings")
        start = perf_counter()
        fitted = found.fit(interactions)
        report["fit_seconds"] = perf_counter() - start
        if out is not None:
            fitted.save(out / "model")
        if test is not None:
            report["test"] = _measured(fitted, test, format, found.metric)
    if out is not None:
        _write(found, out, report["test"])
    if json:
        say_json(report)
        return
    _show(found, report["test"])
    if len(found.trials) < trials:
        say(f"stopped by --timeout after {len(found.trials)} of {trials} trials")
    if out is not None:
        say(f"wrote the report and the model to {out}")


def _of_ratings(model: str, metric: Metric | None) -> bool:
    from ...models import MODELS

    return metric.of_ratings if metric is not None else MODELS[model].predicts_ratings


def _ranges(assignments: list[str] | tuple[str, ...]) -> dict[str, Any]:
    from ...tuning import range_of

    ranges = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(
                f"[search] expected NAME=LOW:HIGH, got {assignment!r}; do: --search {name}=LOW:HIGH"
            )
        if name in ranges:
            raise ValueError(f"[search] expected each setting once, got {name!r} again; drop one")
        ranges[name] = range_of(text)
    return ranges


def _measured(fitted: Recommender, test: Path, format: str, metric: Metric) -> dict[str, float]:
    """Metrics of the final model on the test part: for lists those of the metric's length."""
    from ...data import Interactions
    from ...evaluation import evaluate
    from ...tuning import LIST_METRICS, RATING_METRICS

    k = 10 if metric.of_ratings else int(metric.name.partition("@")[2])
    part = Interactions.from_file(test, format=format)
    result = evaluate(fitted, part, k=k, relevant_from=metric.relevant_from)
    names = [*(RATING_METRICS if result.ratings is not None else ())]
    names += [f"{name}@{k}" for name in LIST_METRICS]
    return {name: result.mean(name) for name in names}


def _write(found: Tuning, out: Path, test: dict[str, float] | None) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        found.write(out, test)
    for warning in caught:
        print(f"gpurec: {warning.message}", file=sys.stderr)  # stdout may be one JSON object


def _show(found: Tuning, test: dict[str, float] | None) -> None:
    metric, best = found.metric.name, found.best
    rows: list[list[object]] = [[f"validation {metric}", round(best.value or 0.0, 5)]]
    if found.trials[0].value is not None:
        rows.append([f"validation {metric} of the first trial", round(found.trials[0].value, 5)])
    rows += [[f"test {name}", round(value, 5)] for name, value in (test or {}).items()]
    rows += [[name, value] for name, value in best.settings.items()]
    if found.space.epochs is not None:
        rows.append([found.space.epochs.setting, best.epochs])
    show_table(["what", f"trial {best.number} of {len(found.trials)}"], rows, title=f"{found.task['model']}")

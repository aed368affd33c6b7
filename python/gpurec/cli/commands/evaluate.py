"""`gpurec evaluate`: fit on one file, judge on another or on a part held back."""

from __future__ import annotations

import platform
import resource
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..arguments import features_to_fit, new_model
from ..options import (
    FormatOption,
    ItemFeaturesOption,
    KOption,
    ModelOption,
    SeedOption,
    SetOption,
    TrainArgument,
    UserFeaturesOption,
)
from ..output import note, say_json, show_table

if TYPE_CHECKING:
    from ...data import Interactions

__all__ = ["RANKING_METRICS", "RATING_METRICS", "evaluate"]

RATING_METRICS = ("rmse", "mse", "mae")
RANKING_METRICS = ("precision", "recall", "f1", "hit_rate", "map", "mrr", "ndcg", "coverage")

_TEST_FRACTION = 0.2


def evaluate(
    train: TrainArgument,
    model: ModelOption,
    test: Annotated[
        Path | None,
        typer.Option(
            "--test",
            metavar="TEST",
            help="File to judge by; without it, a fifth of TRAIN is drawn by --seed and held back.",
            show_default=False,
        ),
    ] = None,
    format: FormatOption = "auto",
    k: KOption = 10,
    relevant_from: Annotated[
        float | None,
        typer.Option(
            help="A test pair is relevant if its weight is at least this; otherwise every one is.",
            show_default=False,
        ),
    ] = None,
    item_features: ItemFeaturesOption = None,
    user_features: UserFeaturesOption = None,
    settings: SetOption = None,
    seed: SeedOption = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Fit a model on TRAIN and judge its lists, and its ratings where it predicts any.

    Lists are of all items but those of the user's training part, judged for every user with a relevant test
    pair. Ratings are judged on all test pairs, clipped to the range of the training ratings.
    """
    from ...evaluation import evaluate as judge

    chosen = new_model(model, settings or (), seed=seed)
    features = features_to_fit(chosen, item_features, user_features)
    train_part, test_part, split = _parts(train, test, format, seed)
    note(f"fitting {chosen.name} on {len(train_part)} interactions")
    start = perf_counter()
    chosen.fit(train_part, **features)
    fit_seconds = perf_counter() - start
    result = judge(chosen, test_part, k=k, relevant_from=relevant_from)
    found = result.to_dict()
    names = [*(RATING_METRICS if result.ratings is not None else ())]
    names += [f"{metric}@{k}" for metric in RANKING_METRICS]
    report = {name: found[name] for name in names}
    report |= {name: found[name] for name in ("n_users", "n_unknown_users", "n_unknown_items")}
    report |= {
        "fit_seconds": fit_seconds,
        "recommend_seconds": found["recommend_seconds"],
        "peak_memory_bytes": peak_memory_bytes(),
    }
    if json:
        how: dict[str, Any] = {"model": chosen.name, "model_settings": chosen.settings}
        how |= {"train": str(train), "test": None if test is None else str(test), "split": split}
        of = {"item_features": item_features, "user_features": user_features}
        how |= {name: str(path) for name, path in of.items() if path is not None}
        how |= {"format": format, "k": k, "relevant_from": relevant_from, "seed": seed}
        say_json(report | {"settings": how | _machine()})
        return
    show_table(
        ["metric", chosen.name],
        [[name, round(value, 4) if isinstance(value, float) else value] for name, value in report.items()],
    )


def _parts(
    train: Path, test: Path | None, format: str, seed: int
) -> tuple[Interactions, Interactions, dict[str, Any] | None]:
    """Training part, test part, and how they came about if not from two files."""
    from ...data import Interactions, random_split, resolve_duplicates

    records = Interactions.from_file(train, format=format)
    if test is not None:
        return records, Interactions.from_file(test, format=format), None
    # A pair that stands twice could come into both parts, and then be known before it is asked for.
    records, step = resolve_duplicates(records, "last")
    split = random_split(records, _TEST_FRACTION, random_state=seed)
    how = {"kind": "random", "test_fraction": _TEST_FRACTION, "duplicates_dropped": step.rows_affected}
    return split.train, split.test, how


def _machine() -> dict[str, Any]:
    """What ran the searches; none of it changes an answer."""
    from ... import __version__
    from ...backends import select

    backend = select()
    more = {name: getattr(backend, name) for name in ("isa", "n_threads") if hasattr(backend, name)}
    return {"gpurec": __version__, "backend": backend.name, **more}


def peak_memory_bytes() -> int:
    """The most memory that this process has held in RAM so far."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux hands `ru_maxrss` on to a new program, so it may be the peak of whoever started this one.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024

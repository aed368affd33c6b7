"""`gpurec fit`: learn from a file of interactions and save the model."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from ..arguments import features_to_fit, new_model
from ..options import (
    FormatOption,
    ItemFeaturesOption,
    ModelOption,
    SeedOption,
    SetOption,
    TrainArgument,
    UserFeaturesOption,
)
from ..output import say

__all__ = ["fit"]


def fit(
    train: TrainArgument,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder to save the model as.", show_default=False)
    ],
    model: ModelOption,
    format: FormatOption = "auto",
    item_features: ItemFeaturesOption = None,
    user_features: UserFeaturesOption = None,
    settings: SetOption = None,
    seed: SeedOption = 0,
) -> None:
    """Learn from a file of interactions and save the model."""
    from ...data import Interactions

    chosen = new_model(model, settings or (), seed=seed)
    features = features_to_fit(chosen, item_features, user_features)
    interactions = Interactions.from_file(train, format=format)
    start = perf_counter()
    chosen.fit(interactions, **features)
    seconds = perf_counter() - start
    chosen.save(out)
    say(
        f"fitted {chosen.name} on {len(interactions)} interactions of {interactions.n_users} users and "
        f"{interactions.n_items} items in {seconds:.1f} s; saved as {out}"
    )

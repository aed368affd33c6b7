"""`gpurec explain`: why a saved model gives a user an item."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..arguments import typed_ids
from ..options import ModelArgument
from ..output import say, say_json, show_table

__all__ = ["explain"]


def explain(
    model: ModelArgument,
    user: Annotated[str, typer.Option("--user", metavar="ID", help="The user id.", show_default=False)],
    item: Annotated[
        str | None,
        typer.Option(
            "--item", metavar="ID", help="The item id; without it, the one recommended.", show_default=False
        ),
    ] = None,
    most: Annotated[int, typer.Option("-n", min=1, help="Reasons to show; the others are added up.")] = 10,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw them too (png, svg, pdf; extra `plot`).", show_default=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Say what an item's score is made of: past items, neighbours, features, friends, baselines.

    The contributions add up to the score, within the tolerance that --json names.
    """
    from ...models import load_model

    loaded = load_model(model)
    (user_id,) = typed_ids([user], loaded.user_map)
    if item is None:
        best = loaded.recommend([user_id], 1).item_ids.tolist()
        if not best:
            raise ValueError(f"[explain] expected an item to recommend to {user!r}, got none; do: --item ID")
        item_id = best[0]
    else:
        (item_id,) = typed_ids([item], loaded.item_map)
    why = loaded.explain(user_id, item_id)
    if picture is not None:
        why.plot(picture, most)
    if json:
        found = {
            "user_id": why.user_id,
            "item_id": why.item_id,
            "score": why.score,
            "tolerance": why.tolerance,
        }
        say_json(found | {"reasons": why.to_dicts()})
        return
    show_table(
        ["reason", "contribution"],
        [[label, f"{value:.4g}"] for label, value in why.largest(most)],
        title=f"{why.item_id} for {why.user_id}: {why.score:.4g}",
    )
    if picture is not None:
        say(f"drew them in {picture}")

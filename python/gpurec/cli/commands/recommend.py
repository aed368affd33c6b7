"""`gpurec recommend` and `gpurec similar`: ask a saved model, and write what it answers."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer

from ...progress import reporter
from ..arguments import id_lines, typed_ids
from ..options import KOption, ModelArgument, OutOption, TableFormatOption
from ..output import say
from ..tables import table_format, write_tables

__all__ = ["recommend", "similar"]


def recommend(
    model: ModelArgument,
    users: Annotated[
        str | None,
        typer.Option("--users", metavar="FILE", help="User ids, one a line; - is stdin.", show_default=False),
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option("--user", metavar="ID", help="One user id; repeat for more.", show_default=False),
    ] = None,
    out: OutOption = "-",
    k: KOption = 10,
    unknown: Annotated[
        str,
        typer.Option(
            metavar="raise|popularity|skip",
            help="What a user whom the model does not know does: end the command, get the most popular "
            "items, or get none.",
        ),
    ] = "raise",
    format: TableFormatOption = None,
) -> None:
    """Recommend the best k items to each user, without those of the training part.

    Ids keep their type. Where the model's user ids are integers, an id that is written as an integer is one;
    in a model of texts it stays a text.
    """
    from ...models import load_model

    texts = [*(id_lines(users) if users is not None else []), *(user or [])]
    if not texts:
        raise ValueError("[recommend] expected at least one user, got none; do: --users FILE or --user ID")
    written = table_format(out, format)
    loaded = load_model(model)
    ids = typed_ids(texts, loaded.user_map)
    # On stdout a bar would stand between the lines.
    with reporter(False if out == "-" else None, "recommend", len(ids)) as report:
        write_tables(loaded.recommend_all(ids, k, unknown=unknown, progress=report), out, written)
    if out != "-":
        n_unknown = np.count_nonzero(loaded.training.known_rows("user", ids) < 0)
        say(f"wrote recommendations for {len(ids)} users to {out}; {n_unknown} unknown ({unknown})")


def similar(
    model: ModelArgument,
    item: Annotated[
        list[str],
        typer.Option("--item", metavar="ID", help="An item id; repeat for more.", show_default=False),
    ],
    out: OutOption = "-",
    k: KOption = 10,
    format: TableFormatOption = None,
) -> None:
    """Find the k items most similar to each item, itself left out."""
    from ...models import load_model

    written = table_format(out, format)
    loaded = load_model(model)
    ids = typed_ids(item, loaded.item_map)
    write_tables([loaded.similar_items(ids, k)], out, written)
    if out != "-":
        say(f"wrote similar items of {len(ids)} items to {out}")

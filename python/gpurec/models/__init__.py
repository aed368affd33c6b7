"""Models: learn from interactions, recommend through the engine, save and load."""

from .base import Recommender
from .mf import MF
from .popularity import Popularity
from .recommendations import Recommendations
from .registry import MODELS, load_model

__all__ = ["MF", "MODELS", "Popularity", "Recommendations", "Recommender", "load_model"]

"""Models that learn a vector of factors for every user and item."""

from .bpr import BPR
from .implicit_als import ImplicitALS
from .ratings import MF, BayesianMF

__all__ = ["BPR", "MF", "BayesianMF", "ImplicitALS"]

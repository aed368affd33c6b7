"""Models that learn a vector of factors for every user and item."""

from .bpr import BPR
from .implicit_als import ImplicitALS
from .mf import MF

__all__ = ["BPR", "MF", "ImplicitALS"]

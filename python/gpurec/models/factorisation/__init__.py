"""Models that learn a vector of factors for every user and item."""

from .implicit_als import ImplicitALS
from .mf import MF

__all__ = ["MF", "ImplicitALS"]

"""Models that learn a vector of factors for every user and item."""

from .mf import MF

__all__ = ["MF"]

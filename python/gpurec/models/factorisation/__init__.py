"""Models that learn a vector of factors for every user and item."""

from .bpr import BPR
from .mf import MF

__all__ = ["BPR", "MF"]

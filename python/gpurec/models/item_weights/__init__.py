"""Models that weigh every item by the items a user has: random walks and linear models."""

from .ease import EASE
from .walks import P3alpha, RP3beta

__all__ = ["EASE", "P3alpha", "RP3beta"]

"""Models that weigh every item by the items a user has: random walks and linear models."""

from .ease import EASE
from .slim import SLIM
from .walks import P3alpha, RP3beta

__all__ = ["EASE", "SLIM", "P3alpha", "RP3beta"]

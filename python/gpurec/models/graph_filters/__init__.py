"""Models that filter a user's items as a signal on the graph of users and items; nothing is trained."""

from .models import BSPM, GFCF

__all__ = ["BSPM", "GFCF"]

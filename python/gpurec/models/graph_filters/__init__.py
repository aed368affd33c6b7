"""Models that filter a user's items as a signal on the graph of users and items; nothing is trained."""

from .bspm import BSPM
from .gf_cf import GFCF

__all__ = ["BSPM", "GFCF"]

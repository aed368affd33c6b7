"""How `MF` learns: epochs of either method, each going on from the tables of the last."""

from .alternating import Alternation
from .descent import Descent
from .fitting import Fitting
from .records import Ratings

__all__ = ["Alternation", "Descent", "Fitting", "Ratings"]

"""How `BayesianMF` learns: a Markov chain over tables of users and items, and its draws."""

from .draws import Draws
from .first_chain import first_chain
from .gibbs_chain import GibbsChain
from .saved_chain import restored_chain, saved_chain

__all__ = ["Draws", "GibbsChain", "first_chain", "restored_chain", "saved_chain"]

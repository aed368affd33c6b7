"""Models of ratings: mu + b_u + b_i + p_u . q_i, as one answer or as the mean of many draws."""

from .bayesian_mf import BayesianMF
from .mf import MF

__all__ = ["MF", "BayesianMF"]

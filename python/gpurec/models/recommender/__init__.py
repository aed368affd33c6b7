"""The interface of every model, and what models of one way to score share."""

from .base import Callback, Recommender
from .explanation import Explanation, Reasons
from .fitted import KIND
from .queries import UnknownUsers
from .recommendations import Recommendations
from .score_rows import HistoryModel, ScoreRowModel
from .settings import one_of, real_setting, seed_setting, whole_setting
from .vectors import VectorModel, with_columns

__all__ = [
    "KIND",
    "Callback",
    "Explanation",
    "HistoryModel",
    "Reasons",
    "Recommendations",
    "Recommender",
    "ScoreRowModel",
    "UnknownUsers",
    "VectorModel",
    "one_of",
    "real_setting",
    "seed_setting",
    "whole_setting",
    "with_columns",
]

"""Features of users and items: typed tables, and encoders that learn from the training part alone."""

from .columns import Column, ColumnState
from .encoder import FeatureEncoder
from .numbers import Dates, Dense, Numeric
from .schema import KINDS, inferred
from .selection import Selection
from .table import FeatureTable
from .terms import Categorical, Cross, MultiLabel, Text

__all__ = [
    "KINDS",
    "Categorical",
    "Column",
    "ColumnState",
    "Cross",
    "Dates",
    "Dense",
    "FeatureEncoder",
    "FeatureTable",
    "MultiLabel",
    "Numeric",
    "Selection",
    "Text",
    "inferred",
]

"""Tuning: settings of a model that do best on parts of the training data, by optuna (extra `tune`)."""

from .journal import Journal
from .metrics import LIST_METRICS, RATING_METRICS, Metric
from .space import Choice, Epochs, Range, Real, Space, Whole, range_of
from .spaces import SPACES, SPACES_OF_RATINGS, space_of
from .trial import Trial
from .tune import JOURNAL, declared_space, tune
from .tuning import Tuning
from .validation import Validation, data_hash

__all__ = [
    "JOURNAL",
    "LIST_METRICS",
    "RATING_METRICS",
    "SPACES",
    "SPACES_OF_RATINGS",
    "Choice",
    "Epochs",
    "Journal",
    "Metric",
    "Range",
    "Real",
    "Space",
    "Trial",
    "Tuning",
    "Validation",
    "Whole",
    "data_hash",
    "declared_space",
    "range_of",
    "space_of",
    "tune",
]

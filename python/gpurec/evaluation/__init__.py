"""Evaluation: ranking and rating metrics per user, their means, intervals, and comparisons of models."""

from .bootstrap import Interval, bootstrap_interval
from .catalogue import coverage, gini, item_counts, list_diversity, novelty
from .comparison import Comparison, compare
from .evaluate import evaluate, evaluate_ratings
from .ranking import hit_matrix, ranking_metrics
from .ratings import RatingErrors, mae, mse, rmse
from .result import Evaluation

__all__ = [
    "Comparison",
    "Evaluation",
    "Interval",
    "RatingErrors",
    "bootstrap_interval",
    "compare",
    "coverage",
    "evaluate",
    "evaluate_ratings",
    "gini",
    "hit_matrix",
    "item_counts",
    "list_diversity",
    "mae",
    "mse",
    "novelty",
    "ranking_metrics",
    "rmse",
]

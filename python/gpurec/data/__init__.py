"""Interactions: reading, cleaning and splitting them."""

from .cleaning import (
    binarize,
    clean,
    drop_missing,
    keep_core,
    keep_finite,
    limit_weights,
    resolve_duplicates,
    scale_weights,
)
from .columns import find_columns
from .demo import load_movielens
from .formats import detect_format
from .interactions import Interactions
from .readers import read_records
from .records import Records, records_from_frame
from .report import CleaningReport, CleaningStep
from .scaling import Scaler
from .splits import Split, k_fold, leave_one_out, published_folds, random_split, time_split, user_holdout

__all__ = [
    "CleaningReport",
    "CleaningStep",
    "Interactions",
    "Records",
    "Scaler",
    "Split",
    "binarize",
    "clean",
    "detect_format",
    "drop_missing",
    "find_columns",
    "k_fold",
    "keep_core",
    "keep_finite",
    "leave_one_out",
    "limit_weights",
    "load_movielens",
    "published_folds",
    "random_split",
    "read_records",
    "records_from_frame",
    "resolve_duplicates",
    "scale_weights",
    "time_split",
    "user_holdout",
]

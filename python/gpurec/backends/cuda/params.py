"""What kernels are told: the structs of csrc/cuda/device/params.hpp, of 8-byte fields, as ctypes packs them.

A rule test reads both files and holds them together.
"""

from __future__ import annotations

from ctypes import Structure, c_double, c_int64, c_uint64
from typing import Any

__all__ = [
    "CODE_COMPONENTS",
    "COUNTERS",
    "EXACT_BYTES",
    "FINISH_BYTES",
    "GEMV_BYTES",
    "METRIC_NUMBERS",
    "MMA_BYTES",
    "MMA_BYTES_OF_QUERY",
    "MMA_BYTES_OF_SAMPLE",
    "MOST_DENIED",
    "NO_ROW",
    "N_COUNTERS",
    "QUANTISE_BYTES",
    "QUERY_NOT_FINITE",
    "ROW_COMPONENTS",
    "ROW_OUT_OF_RANGE",
    "SCORE_TILE_BYTES",
    "TILE_ITEMS",
    "AlsParams",
    "GramParams",
    "Items",
    "MergeParams",
    "Queries",
    "RankingParams",
    "RotateParams",
    "ScoreParams",
    "SearchParams",
    "Sets",
    "TableParams",
    "TopKParams",
]

NO_ROW = 0xFFFFFFFF
TILE_ITEMS = 64
MOST_DENIED = 4
# Bytes of shared memory that blocks take: those of a scan also for each of its queries, and for a sample.
FINISH_BYTES, EXACT_BYTES, SCORE_TILE_BYTES, QUANTISE_BYTES = 17472, 1104, 37632, 64
GEMV_BYTES, MMA_BYTES, MMA_BYTES_OF_QUERY, MMA_BYTES_OF_SAMPLE = 784, 26640, 304, 16640
ROW_COMPONENTS, CODE_COMPONENTS = 4, 64  # rows and codes are padded to multiples of so many
QUERY_NOT_FINITE, ROW_OUT_OF_RANGE = 1, 2
METRIC_NUMBERS = {"dot": 0, "cosine": 1, "pearson": 2, "euclidean": 3}  # gpurec::Metric

# What each of the counters counts, in their order.
COUNTERS = (
    "tiles_scanned",
    "tiles_skipped",
    "candidates",
    "rescored",
    "overflows",
    "suppositions_refuted",
    "exact_queries",
    "compressions",
    "denied",
)
N_COUNTERS = 16

_pointer = c_uint64  # a device address


def _pointers(*names: str) -> list[tuple[str, Any]]:
    return [(name, _pointer) for name in names]


def _numbers(*names: str) -> list[tuple[str, Any]]:
    return [(name, c_int64) for name in names]


class Items(Structure):
    """Items of one index."""

    _fields_ = (
        *_pointers("rows", "codes", "norms", "scales", "errors", "smallest", "largest"),
        *_pointers("row_of", "position_of", "permits"),
        *_numbers("n_tiles", "n_rows", "d", "row_stride", "code_stride", "euclidean"),
    )


class Queries(Structure):
    """Prepared queries, and what they are prepared from."""

    _fields_ = (
        *_pointers("rows", "codes", "squares", "lengths", "errors", "scales", "taus", "status"),
        *_numbers("n_queries"),
        *_pointers("source"),
        *_numbers("source_stride", "metric", "appended"),
    )


class Sets(Structure):
    """Sets of public rows, one a query."""

    _fields_ = (*_pointers("indptr", "rows", "which", "unsorted"),)


class SearchParams(Structure):
    """One search."""

    _fields_ = (
        ("items", Items),
        ("queries", Queries),
        ("deny", Sets * MOST_DENIED),
        *_numbers("n_deny"),
        ("allow", Sets),
        *_pointers("samples"),
        *_numbers("sample_first", "sample_every", "n_sampled", "group", "samples_per_query", "rank"),
        *_pointers("entries", "counts"),
        *_numbers("capacity"),
        *_pointers("keys"),
        *_numbers("k"),
        *_pointers("out_rows", "out_scores", "flagged", "unit_keys", "unit_counts"),
        *_numbers("n_units", "unit_capacity"),
        *_pointers("merged_keys"),
        *_numbers("fused"),
        *_pointers("arrivals"),
        ("threshold", c_double),
        *_pointers("counters"),
    )


class TableParams(Structure):
    """Rows made ready."""

    _fields_ = (
        *_pointers("source"),
        *_numbers("source_stride"),
        *_pointers("source_rows"),
        *_numbers("n", "metric"),
        *_pointers("rows", "codes", "squares", "norms", "scales", "errors", "smallest", "largest"),
        *_pointers("row_of", "mask", "permits", "status"),
        *_numbers("n_tiles", "first_tile", "n_rows", "d", "row_stride", "code_stride"),
    )


class ScoreParams(Structure):
    """Whole matrices and pairs."""

    _fields_ = (
        *_pointers("a", "b", "a_squares", "b_squares"),
        *_numbers("n_a", "n_b", "d", "a_stride", "b_stride", "euclidean"),
        *_pointers("out"),
        *_numbers("out_stride"),
    )


class TopKParams(Structure):
    """Given scores."""

    _fields_ = (
        ("search", SearchParams),
        *_pointers("scores"),
        *_numbers("n_rows", "n_columns", "row_stride"),
    )


class MergeParams(Structure):
    """Answers of several parts of a table."""

    _fields_ = (
        *_pointers("rows", "scores"),
        *_numbers("n_parts", "n_queries", "k_part", "k"),
        *_pointers("out_rows", "out_scores"),
    )


class AlsParams(Structure):
    """Half a sweep of alternating least squares."""

    _fields_ = (
        *_pointers("table", "curvature", "indptr", "columns", "weights", "pulls", "l2", "order"),
        *_pointers("solutions", "losses", "said", "failed", "matrices"),
        ("unobserved_weight", c_double),
        *_numbers("n_rows", "d", "stride", "width", "block_size", "steps", "chunk", "started"),
    )


class GramParams(Structure):
    """Gram matrix of rows."""

    _fields_ = (*_pointers("rows", "sums"), *_numbers("n", "stride", "n_parts", "chunk"))


class RotateParams(Structure):
    """Rows times a square matrix."""

    _fields_ = (
        *_pointers("rows", "matrix", "out"),
        *_numbers("n", "d", "stride", "out_stride", "chunk"),
    )


class RankingParams(Structure):
    """An epoch of pairwise ranking."""

    _fields_ = (
        *_pointers("users", "items", "biases", "users_of", "places", "item_of", "block_of"),
        *_pointers("first_place", "n_drawable", "first_visit", "keys", "weights", "before", "totals"),
        *_pointers("negatives", "shifts", "fractions", "counts"),
        *_numbers("draw_key"),
        *[(name, c_double) for name in ("rate", "penalty", "bias_rate", "bias_penalty", "sharpness")],
        *_numbers("n_positives", "n_user_blocks", "n_item_blocks", "n_negatives", "n_draws", "d"),
        *_numbers("user_stride", "item_stride", "softmax", "unit"),
        *_numbers("move_users", "move_positives", "move_negatives", "round"),
    )

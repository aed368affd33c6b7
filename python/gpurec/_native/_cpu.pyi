from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
RowSetsParts = tuple[Rows, Rows, Rows | None]
Codes = tuple[npt.NDArray[np.uint8], Floats, Floats]
Leading = tuple[Floats, npt.NDArray[np.uint8], Floats, Floats, Floats]

class ItemTable:
    @property
    def d(self) -> int: ...
    @property
    def n_rows(self) -> int: ...
    @property
    def n_active(self) -> int: ...
    @property
    def with_codes(self) -> bool: ...
    @property
    def n_bytes(self) -> int: ...
    @property
    def n_directions(self) -> int: ...
    def with_items(
        self, items: Floats, rows: npt.NDArray[np.uint32], n_rows: int, isa: str, n_threads: int
    ) -> ItemTable: ...
    def without(self, rows: npt.NDArray[np.uint32]) -> ItemTable: ...
    def restricted_to(self, rows: npt.NDArray[np.uint32], isa: str, n_threads: int) -> ItemTable: ...
    def compacted(self, isa: str, n_threads: int) -> ItemTable: ...
    def with_directions(self, directions: Floats, isa: str, n_threads: int) -> ItemTable: ...
    def items_of(self, rows: npt.NDArray[np.uint32]) -> tuple[Floats, npt.NDArray[np.bool_]]: ...
    def arrays(self) -> dict[str, np.ndarray]: ...

class SparseMatrix:
    def __init__(
        self, indptr: Rows, columns: npt.NDArray[np.int32], values: Floats, n_columns: int
    ) -> None: ...
    def times(
        self, x: Floats, add: Floats | None, weight: float, out: Floats, isa: str, n_threads: int
    ) -> None: ...

class GramRows:
    def __init__(
        self, indptr: Rows, columns: npt.NDArray[np.int32], values: Floats, n_columns: int
    ) -> None: ...
    def top_k(
        self,
        form: str,
        left: npt.NDArray[np.float64] | None,
        right: npt.NDArray[np.float64] | None,
        alpha: float,
        beta: float,
        shrinkage: float,
        min_overlap: int,
        asked: Rows,
        k: int,
        include_self: bool,
        mask: npt.NDArray[np.uint8] | None,
        allow: RowSetsParts | None,
        deny: Sequence[RowSetsParts],
        codes: str,
        tile_rows: int,
        isa: str,
        n_threads: int,
    ) -> tuple[Rows, Floats, dict[str, int]]: ...

def isas() -> list[tuple[str, bool]]: ...
def chosen_isa(isa: str) -> str: ...
def has_bf16(isa: str) -> bool: ...
def enter_strict_floats() -> int: ...
def leave_strict_floats(callers: int) -> None: ...
def empty_table(d: int, metric: str, with_codes: bool, pruning: Sequence[str]) -> ItemTable: ...
def search(
    table: ItemTable,
    queries: Floats,
    k: int,
    mask: npt.NDArray[np.uint8] | None,
    allow: RowSetsParts | None,
    deny: Sequence[RowSetsParts],
    hint: RowSetsParts | None,
    precision: str,
    with_report: bool,
    isa: str,
    n_threads: int,
) -> tuple[Rows, Floats, dict[str, Any] | None]: ...
def search_above(
    table: ItemTable,
    queries: Floats,
    threshold: float,
    k: int,
    most: int,
    mask: npt.NDArray[np.uint8] | None,
    allow: RowSetsParts | None,
    deny: Sequence[RowSetsParts],
    precision: str,
    isa: str,
    n_threads: int,
) -> tuple[Rows, Rows, Floats]: ...
def table_of_arrays(
    metric: str,
    n_rows: int,
    panels: Floats,
    norms: Floats,
    row_of: npt.NDArray[np.uint32],
    codes: tuple[Codes, Codes] | None,
    pruning: Sequence[str],
    leading: Leading | None,
) -> ItemTable: ...
def search_rows(
    items: Floats,
    metric: str,
    queries: Floats,
    k: int,
    mask: npt.NDArray[np.uint8] | None,
    allow: RowSetsParts | None,
    deny: Sequence[RowSetsParts],
    isa: str,
    n_threads: int,
) -> tuple[Rows, Floats, bool]: ...
def top_k(scores: Floats, k: int, isa: str, n_threads: int) -> tuple[Rows, Floats]: ...
def first_invalid_row(rows: Floats, n_threads: int) -> int: ...
def prepare_rows(rows: Floats, metric: str, n_threads: int) -> Floats: ...
def score(a: Floats, b: Floats, metric: str, out: Floats, isa: str, n_threads: int) -> None: ...
def score_in_order(a: Floats, b: Floats, out: Floats, isa: str, n_threads: int) -> None: ...

class AlsShared:
    def __init__(self, factors: Floats, unobserved_weight: float, isa: str, n_threads: int) -> None: ...
    @property
    def gram(self) -> npt.NDArray[np.float64]: ...
    def solve(
        self,
        indptr: Rows,
        columns: npt.NDArray[np.int32],
        weights: Floats,
        pulls: Floats,
        l2: npt.NDArray[np.float64],
        start: Floats | None,
        solver: str,
        steps: int,
        block_size: int,
        many: bool,
        out: Floats,
        n_threads: int,
    ) -> float: ...

def bpr_epochs(
    indptr: Rows,
    items: npt.NDArray[np.int32],
    visited: npt.NDArray[np.bool_] | None,
    keys: Rows | None,
    user_factors: Floats,
    item_factors: Floats,
    item_biases: Floats,
    weights: npt.NDArray[np.uint32] | None,
    among: npt.NDArray[np.int32] | None,
    *,
    loss: str,
    sharpness: float,
    unit: bool,
    n_negatives: int,
    n_candidates: int,
    learning_rate: float,
    regularisation: float,
    bias_learning_rate: float,
    bias_regularisation: float,
    move_users: bool,
    move_positives: bool,
    move_negatives: bool,
    seed: int,
    first_epoch: int,
    n_epochs: int,
    n_blocks: int,
    isa: str,
    n_threads: int,
) -> tuple[float, int, int, int]: ...
def symmetric_eigen(
    symmetric: npt.NDArray[np.float64], n_threads: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]: ...
def elastic_net(
    indptr: Rows,
    rows: npt.NDArray[np.int32],
    values: Floats,
    n_rows: int,
    targets: Rows,
    candidate_indptr: Rows,
    candidates: npt.NDArray[np.int32],
    l1: float,
    l2: float,
    tolerance: float,
    most_sweeps: int,
    weights: Floats,
    n_sweeps: npt.NDArray[np.int32],
    n_threads: int,
) -> None: ...
def gibbs_half_sweep(
    indptr: Rows,
    columns: npt.NDArray[np.int32],
    values: Floats,
    others: Doubles,
    other_precisions: Doubles,
    own: Doubles,
    vectors: Doubles,
    means: Doubles,
    precisions: Doubles,
    owners: npt.NDArray[np.int32] | None,
    n_owners: int,
    feature_indptr: Rows,
    feature_rows: npt.NDArray[np.int32],
    feature_values: Floats,
    weights: Doubles,
    groups: npt.NDArray[np.int32],
    prior_means: Doubles,
    prior_precisions: Doubles,
    *,
    seed: int,
    sweep: int,
    number: int,
    random: bool,
    isa: str,
    n_threads: int,
) -> Doubles: ...
def score_pairs(a: Floats, b: Floats, metric: str, isa: str, n_threads: int) -> Floats: ...
def sgd_epoch(
    user_rows: Rows,
    item_rows: Rows,
    ratings: Floats,
    user_factors: Floats,
    item_factors: Floats,
    user_biases: Floats,
    item_biases: Floats,
    user_shrink: Floats,
    item_shrink: Floats,
    *,
    factor_rate: float,
    factor_penalty: float,
    bias_rate: float,
    bias_penalty: float,
    isa: str,
) -> float: ...
def bounds_dot(q: Floats, x: Floats, scanned: float) -> tuple[float, float, bool]: ...
def bounds_euclidean(q: Floats, x: Floats, scanned: float) -> tuple[float, float, bool]: ...
def scan_starts(x: Floats) -> tuple[float, float]: ...
def reject_at(metric: str, q: Floats, item_norm: float, tau: float) -> float: ...
def best_possible(metric: str, q: Floats, smallest: float, largest: float) -> float: ...
def norm_upper(x: Floats) -> float: ...
def stored_norm(x: Floats) -> float: ...
def packed_norms(rows: Floats, isa: str) -> tuple[list[float], list[float]]: ...
def scan_rows(query: Floats, rows: Floats, isa: str) -> tuple[list[float], list[float]]: ...
def norm_upper_float32(squares: float, d: int) -> float: ...
def norm_lower(x: Floats) -> float: ...
def set_flush_denormal(flush: bool) -> None: ...

"""Op `bpr` on the host: the native module's, or where there is none the reference's."""

from __future__ import annotations

from typing import Any

from .. import config
from .._native import cpu as native
from . import reference_bpr
from .base import SparseRows
from .ranking import RankingJob, weights_among

__all__ = ["bpr_epochs", "native_bpr_epochs"]

_MOST_PLACES = 2**31


def bpr_epochs(positives: SparseRows, *arrays: Any, job: RankingJob) -> Any:
    """As `Backend.bpr_epochs`, for backends whose devices have no kernel for it."""
    if native is None:
        return reference_bpr.bpr_epochs(positives, *arrays, job=job)
    return native_bpr_epochs(positives, *arrays, job=job, isa="", n_threads=config.n_threads())


def native_bpr_epochs(positives: SparseRows, *arrays: Any, job: RankingJob, isa: str, n_threads: int) -> Any:
    """As `Backend.bpr_epochs`, on an instruction set and a number of threads."""
    entries = positives.indptr, positives.columns
    tables, (weights, among) = arrays[:-2], arrays[-2:]
    # Where items move all of them are put in order anyway, and places have 31 bits.
    if among is not None and (job.items_move or len(positives.columns) >= _MOST_PLACES - positives.n_columns):
        weights, among = weights_among(weights, among, positives.n_columns), None
    rows = *entries, *tables, weights, among
    return native.bpr_epochs(*rows, **vars(job), isa=isa, n_threads=n_threads)

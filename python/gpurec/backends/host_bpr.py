"""Op `bpr` on the host: the native module's, or where there is none the reference's."""

from __future__ import annotations

from typing import Any

from .. import config
from .._native import cpu as native
from . import reference_bpr
from .base import SparseRows
from .ranking import RankingJob

__all__ = ["bpr_epochs", "native_bpr_epochs"]


def bpr_epochs(positives: SparseRows, *arrays: Any, job: RankingJob) -> Any:
    """As `Backend.bpr_epochs`, for backends whose devices have no kernel for it."""
    if native is None:
        return reference_bpr.bpr_epochs(positives, *arrays, job=job)
    return native_bpr_epochs(positives, *arrays, job=job, isa="", n_threads=config.n_threads())


def native_bpr_epochs(positives: SparseRows, *arrays: Any, job: RankingJob, isa: str, n_threads: int) -> Any:
    """As `Backend.bpr_epochs`, on an instruction set and a number of threads."""
    entries = positives.indptr, positives.columns
    return native.bpr_epochs(*entries, *arrays, **vars(job), isa=isa, n_threads=n_threads)

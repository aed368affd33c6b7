"""A hint raises the threshold by rows that may be returned, each once; by nothing else."""

from __future__ import annotations

import numpy as np
import pytest

import gpurec
from gpurec.backends.base import NO_FILTERS
from gpurec.backends.reference import ReferenceBackend

from .members import MEMBERS, assert_same_answer, member_backend

K = 10


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("precision", ["fp32", "int8", "int4", "bf16"])
def test_rows_that_a_filter_removes_prove_nothing(member: str, precision: str) -> None:
    """The hint is the best of all, none of which may be returned; the others score a thousandth."""
    rng = np.random.default_rng(3)
    items = rng.standard_normal((1500, 8)).astype(np.float32)
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    queries = items[:13].copy()
    best = np.arange(5, 1500, 50)
    others = np.setdiff1d(np.arange(1500), best)
    items[best] *= 1000
    reference = ReferenceBackend()
    found, scores = reference.search(reference.build_index(items[others], "dot"), queries, K, NO_FILTERS)
    with gpurec.use_backend(member_backend(member)):
        index = gpurec.ItemIndex(items, precision=precision)
        for n in (1, len(queries)):
            for filters in ({"deny": best}, {"exclude": [best] * n}, {"allow": others}):
                got = index.search(queries[:n], K, hint=best, **filters)
                assert_same_answer(got, (others[found[:n]], scores[:n]), f"{member}, {precision}, {filters}")

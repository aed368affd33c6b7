"""The same answers with any number of threads, and where the caller flushes subnormal numbers to zero."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

import gpurec
from gpurec._native import cpu as _cpu
from gpurec.backends.base import METRICS, Filters
from gpurec.backends.cpu import CpuBackend
from gpurec.backends.reference import ReferenceBackend

from .cases import KINDS, expected_answer, numbers_of, search_case
from .members import ISAS, assert_same_answer, assert_same_bits

SMALL_NUMBERS = ("below_normal_range", "float32_midpoints", "norms_over_16_decades", "zero_rows", "small")


@contextmanager
def flush_to_zero() -> Iterator[None]:
    """Set this thread's control word as `torch.set_flush_denormal(True)` does, and show that it took."""
    smallest = np.full(64, 1e-45, dtype=np.float32)
    _cpu.set_flush_denormal(True)
    try:
        flushed = not np.any(smallest * np.float32(1.0))
        yield
        still_flushed = not np.any(smallest * np.float32(1.0))
    finally:
        _cpu.set_flush_denormal(False)
    assert flushed, "the control word was not set, so nothing was tested"
    assert still_flushed, "a call changed the caller's control word and did not put it back"


@pytest.mark.parametrize("n_threads", [1, 2, 7])
@pytest.mark.parametrize("isa", ISAS)
def test_threads_change_no_answer(isa, n_threads):
    backend = CpuBackend(isa=isa, n_threads=n_threads)
    for number in [*range(len(KINDS)), *numbers_of("many_queries", 4), *numbers_of("long", 3)]:
        case = search_case(number)
        got = gpurec.score_top_k(**case.arguments(), backend=backend)
        assert_same_answer(got, expected_answer(number), f"{isa}, {n_threads} threads: {case}")


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("isa", ISAS)
def test_flushing_changes_no_search(isa, n_threads):
    """With two threads the pool's own control words matter, with one the caller's."""
    backend = CpuBackend(isa=isa, n_threads=n_threads)
    for kind in SMALL_NUMBERS:
        for number in numbers_of(kind, 6):
            case, expected = search_case(number), expected_answer(number)
            arguments = {**case.arguments(), "queries": case.plain_queries, "items": case.plain_items}
            with flush_to_zero():
                got = gpurec.score_top_k(**arguments, backend=backend)
            assert_same_answer(got, expected, f"{isa}, {n_threads} threads, flushing: {case}")


@pytest.mark.parametrize("n_threads", [1, 9])
@pytest.mark.parametrize("isa", ISAS)
def test_flushing_changes_nothing_in_the_backend_itself(isa, n_threads):
    """Without the ops around it; no other test asks for nine threads, so that some of them start here."""
    backend, reference = CpuBackend(isa=isa, n_threads=n_threads), ReferenceBackend()
    for number in [*numbers_of("below_normal_range", 6), *numbers_of("many_queries", 2)]:
        case = search_case(number)
        items = np.ldexp(case.plain_items, -60) if case.kind == "many_queries" else case.plain_items
        queries = np.ldexp(case.plain_queries, -75) if case.kind == "many_queries" else case.plain_queries
        pairs = np.resize(queries, (300, queries.shape[1])), items[:300]
        for metric in METRICS:
            index = reference.build_index(items, metric)
            expected = reference.search(index, queries, case.k, Filters())
            expected_pairs = reference.score_pairs(*pairs, metric)
            expected_rows = reference.prepare_rows(items, metric)
            with flush_to_zero():
                got = backend.search(backend.build_index(items, metric), queries, case.k, Filters())
                got_pairs = backend.score_pairs(*pairs, metric)
                got_rows = backend.prepare_rows(items, metric)
            context = f"{isa}, {n_threads} threads, flushing, {metric}: {case}"
            assert_same_bits(got_rows, expected_rows, context)
            assert_same_bits(got_pairs, expected_pairs, context)
            assert_same_answer(gpurec.TopK(*got), expected, context)


@pytest.mark.parametrize("isa", ISAS)
def test_flushing_changes_no_pair(isa):
    backend = CpuBackend(isa=isa, n_threads=2)
    for number in numbers_of("below_normal_range", 6):
        case = search_case(number)
        items = case.plain_items[:200]
        queries = case.plain_queries[np.arange(len(items)) % case.n_queries]
        expected = ReferenceBackend().score_pairs(queries, items, case.metric)
        with flush_to_zero():
            got = gpurec.score_pairs(queries, items, metric=case.metric, backend=backend)
        assert_same_bits(got, expected, f"{isa}, flushing: {case}")


@pytest.mark.parametrize("isa", ISAS)
def test_flushing_changes_no_choice_among_given_scores(isa):
    scores = (np.random.default_rng(1).integers(-300, 300, (3, 2000)) * 2.0**-149).astype(np.float32)
    expected = ReferenceBackend().top_k(scores, 50)
    with flush_to_zero():
        got = gpurec.top_k(scores, 50, backend=CpuBackend(isa=isa, n_threads=2))
    assert_same_answer(got, expected, f"{isa}, flushing")


@pytest.mark.parametrize("isa", ISAS)
def test_flushing_changes_no_conversion_from_float64(isa):
    """Rounding float64 input to a subnormal float32 is part of the answer too."""
    rng = np.random.default_rng(2)
    items = rng.standard_normal((1500, 9)) * 2.0**-140
    query = rng.standard_normal((1, 9))
    expected = gpurec.score_top_k(query, items, 10, backend=ReferenceBackend())
    with flush_to_zero():
        got = gpurec.score_top_k(query, items, 10, backend=CpuBackend(isa=isa, n_threads=1))
    assert_same_answer(got, tuple(expected), f"{isa}, flushing, float64 items")

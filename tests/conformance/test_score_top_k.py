"""`score_top_k` on every member against the reference, and proof that no shortcut went untried."""

from __future__ import annotations

import numpy as np
import pytest

import gpurec
from gpurec.backends.cuda.params import COUNTERS as DEVICE_COUNTERS

from .cases import BIG_KINDS, KINDS, expected_answer, numbers_of, search_case
from .members import COUNTS, EXAMPLES, ISAS, MEMBERS, assert_same_answer, chunks, member_backend

SHORTCUTS = (
    "tiles_scanned",
    "tiles_skipped",
    "leading_tiles",
    "compressions",
    "ties_at_threshold",
    "canonical_fallbacks",
    "supposed",
    "rescans",
    "scored_at_once",
    "rescored",
)


def check(number: int, member: str) -> None:
    case = search_case(number)
    got = gpurec.score_top_k(**case.arguments(), backend=member_backend(member))
    assert_same_answer(got, expected_answer(number), f"{member}: {case}")


@pytest.mark.parametrize("member", MEMBERS)  # varies fastest: cases and answers are made once for all
@pytest.mark.parametrize("numbers", chunks(), ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}")
def test_answers_equal_the_reference(numbers, member):
    for number in numbers:
        check(number, member)


@pytest.mark.parametrize("member", MEMBERS)
def test_a_query_is_answered_alone_as_in_a_batch(member):
    backend = member_backend(member)
    for kind in ("random_factors", "long_tail", "equal_by_thousands", "norms_over_16_decades"):
        for number in numbers_of(kind, 4):
            case = search_case(number)
            for i, query in enumerate(case.plain_queries):
                allowed = case.allowed[i]
                got = gpurec.score_top_k(
                    query, case.plain_items, case.k, allow=allowed, metric=case.metric, backend=backend
                )
                answer = tuple(part[i : i + 1] for part in expected_answer(number))
                assert_same_answer(got, answer, f"{member}, query {i} of {case}")


def test_the_cases_are_as_hard_as_promised():
    """At least a third have 20 blocks of items, k of at most a fiftieth of them, and a difficulty."""
    cases = [search_case(number) for number in range(2 * len(KINDS))]
    hard = [case for case in cases if case.is_big and case.kind in BIG_KINDS]
    assert len(hard) * 3 >= len(cases)
    assert {case.kind for case in hard} == set(BIG_KINDS)
    filtered = [search_case(number) for kind in ("filter_forms", "hinted") for number in numbers_of(kind, 60)]
    for name in ("exclude", "allow", "deny", "hint"):
        forms = {type(case.filters.get(name)).__name__ for case in filtered}
        assert {"NoneType", "list", "tuple", "csr_matrix"} <= forms, f"{name} only as {forms}"


def test_a_case_is_made_again_from_its_number():
    first = search_case(3)
    search_case.cache_clear()
    again = search_case(3)
    assert first is not again and str(first) == str(again)
    assert np.array_equal(first.plain_items, again.plain_items)
    assert all(np.array_equal(a, b) for a, b in zip(first.allowed, again.allowed))


@pytest.mark.parametrize("isa", ISAS)
def test_every_shortcut_was_taken(isa):
    """Runs last in this file: what the searches above did, which is nothing if a shortcut is dead code."""
    member = f"cpu-{isa}"
    numbers = numbers_of("deep", 12)  # a sample misleads one of them
    # This test was asked for alone, or with a small sample of the cases.
    if not COUNTS[member] or 2 * len(KINDS) > EXAMPLES:
        numbers += range(2 * len(KINDS))
    for number in numbers:
        check(number, member)
    counts = {name: COUNTS[member][name] for name in SHORTCUTS}
    print(f"{member}: {counts}")
    assert all(counts.values()), f"{member} never took a shortcut: {counts}"
    assert COUNTS[member]["candidates"] < COUNTS[member]["items_scanned"], "no threshold ruled an item out"


@pytest.mark.skipif("cuda_emulated" not in MEMBERS, reason="cuda_emulated is no member of this run")
def test_every_way_of_a_device_was_gone():
    """Samples that mislead, lists that overflow, buffers that are cut: each happens among these cases."""
    member = "cuda_emulated"
    if not COUNTS[member]:  # this test was asked for alone
        for number in range(len(KINDS)):
            check(number, member)
    counts = {name: COUNTS[member][name] for name in DEVICE_COUNTERS}
    print(f"{member}: {counts}")
    assert all(counts.values()), f"{member} never went one of its ways: {counts}"

"""Seeded inputs for the conformance suite: the number of a case is all that is needed to make it again."""

from .search_case import BLOCK, BIG_KINDS, KINDS, SearchCase, expected_answer, search_case

__all__ = ["BIG_KINDS", "BLOCK", "KINDS", "SearchCase", "expected_answer", "search_case"]

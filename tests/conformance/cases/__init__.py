"""Seeded inputs for the conformance suite: the number of a case is all that is needed to make it again."""

from .search_case import (
    BIG_KINDS,
    BLOCK,
    KINDS,
    SEED,
    SearchCase,
    expected_answer,
    numbers_of,
    search_case,
)

__all__ = [
    "BIG_KINDS",
    "BLOCK",
    "KINDS",
    "SEED",
    "SearchCase",
    "expected_answer",
    "numbers_of",
    "search_case",
]

"""Checks of the arguments of models' constructors, which a saved model's file may hold as well."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["one_of", "real_setting", "seed_setting", "whole_setting"]


def whole_setting(model: str, name: str, value: Any, low: int) -> int:
    """An integer of `low` or more.

    Raises
    ------
    TypeError, ValueError
        If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"[{model}] expected {name} as an integer, got {value!r}; give one of {low} or more")
    if value < low:
        raise ValueError(f"[{model}] expected {name} of {low} or more, got {value}; raise it")
    return int(value)


def real_setting(model: str, name: str, value: Any, low: float, high: float) -> float:
    """A finite number from `low` to `high`.

    Raises
    ------
    TypeError, ValueError
        If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(
            f"[{model}] expected {name} as a number, got {value!r}; give one from {low} to {high}"
        )
    if not (low <= value <= high and math.isfinite(value)):
        raise ValueError(f"[{model}] expected {name} from {low} to {high}, got {value}; choose one inside")
    return float(value)


def seed_setting(model: str, random_state: Any) -> int:
    """A seed of 0 or more, below 2^63; None draws one.

    Raises
    ------
    TypeError, ValueError
        If it is none.
    """
    if random_state is None:
        # 63 bits stay exact in every JSON reader that knows 64-bit integers.
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> 1)
    seed = whole_setting(model, "random_state", random_state, 0)
    if seed >= 2**63:
        raise ValueError(f"[{model}] expected random_state below 2^63, got {seed}; choose a smaller one")
    return seed


def one_of(model: str, name: str, value: Any, known: tuple[str, ...]) -> str:
    """One of the words that are known.

    Raises
    ------
    ValueError
        If it is none of them.
    """
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"[{model}] expected {name} of {', '.join(known)}, got {value!r}; choose one")
    return value

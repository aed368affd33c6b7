"""What a search on the CPU leaves out: how the native module is told, and how a report tells it."""

from __future__ import annotations

import numpy as np

from .base import Pruning

__all__ = ["leading_tensors", "native_names", "pays_in_directions", "pruning_choices"]

# What an index keeps of its leading directions.
_LEADING = ("directions", "leading_codes", "leading_scales", "leading_errors", "leading_norms")
# What comes near in leading directions is scored one by one: too much where more than one item in so many is
# asked for.
_ITEMS_PER_PLACE = 1024


def native_names(pruning: Pruning) -> list[str]:
    """What the native module calls it; "steep" are directions where the spectrum is.

    Examples
    --------
    >>> native_names("auto"), native_names(("norms",))
    (['head', 'norms', 'steep'], ['norms'])
    """
    return ["head", "norms", "steep"] if pruning == "auto" else list(pruning)


def leading_tensors(names: list[str], tensors: dict[str, np.ndarray]) -> tuple[np.ndarray, ...] | None:
    """What a saved index kept of its leading directions, where it is wanted."""
    wanted = "directions" in names or "steep" in names
    return tuple(tensors[name] for name in _LEADING) if wanted and "directions" in tensors else None


def pays_in_directions(pruning: Pruning, n_directions: int, k: int, n_items: int) -> bool:
    """Whether a search looks at directions first: always where it was asked for."""
    few = k * _ITEMS_PER_PLACE <= n_items
    return n_directions > 0 and (pruning != "auto" or few)


def pruning_choices(pruning: Pruning, precisions: list[str]) -> dict[str, np.ndarray]:
    """Precision and pruning of each query, for a report, from the native module's precisions."""
    always = [name for name in native_names(pruning) if name in ("head", "norms")]
    used = [", ".join([*always, "directions"] if name == "leading" else always) for name in precisions]
    shown = ["int8" if name == "leading" else name for name in precisions]
    return {
        "precision": np.array(shown, object),
        "pruning": np.array([name or "none" for name in used], object),
    }

"""How items lie in panels: the layout that a saved index has, whichever backend made it."""

from __future__ import annotations

import numpy as np

__all__ = ["PANEL_ITEMS", "items_of_panels"]

PANEL_ITEMS = 16  # kPanelItems of csrc/include/gpurec/scan.hpp


def items_of_panels(panels: np.ndarray, n: int) -> np.ndarray:
    """The first n items, float32 (n, d), of panels (n_panels, d, 16).

    Component i of the item at position p is panels[p // 16, i, p % 16].

    Raises
    ------
    ValueError
        If the panels are of another shape or too few.
    """
    if panels.ndim != 3 or panels.shape[2] != PANEL_ITEMS or panels.shape[0] * PANEL_ITEMS < n:
        raise ValueError(f"panels of shape {panels.shape} for {n} items")
    return np.ascontiguousarray(panels.transpose(0, 2, 1).reshape(-1, panels.shape[1])[:n])

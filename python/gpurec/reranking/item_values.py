"""What is known of items, by external id, brought into the order of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..types import IdMap

__all__ = ["Categories", "by_item", "item_array"]


def by_item(item_map: IdMap, values: Mapping[Any, float], default: float) -> np.ndarray:
    """Numbers given by item id as an array by row, float64 (n_items,).

    Parameters
    ----------
    item_map : IdMap
        Of the model: `model.item_map`.
    values : mapping of item id to number
        Ids that the map lacks are left out: such items are never recommended.
    default : float
        Of all other items.

    Examples
    --------
    >>> by_item(IdMap(["alien", "brazil"]), {"brazil": 2}, default=1).tolist()
    [1.0, 2.0]
    """
    result = np.full(len(item_map), default, np.float64)
    rows = item_map.rows(list(values), unknown="ignore")
    numbers = np.fromiter(values.values(), np.float64, len(rows))
    result[rows[rows >= 0]] = numbers[rows >= 0]
    return result


def item_array(rule: str, name: str, values: Any, *, low: float = -np.inf, nan: bool = False) -> np.ndarray:
    """A rule's numbers by item row, float64 (n_items,), checked.

    Raises
    ------
    ValueError
        If they are not of one dimension, one is not above `low`, or NaN without `nan`.
    TypeError
        If they are no numbers.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"[{rule}] expected {name} as numbers by item row, got {array.dtype}; see by_item")
    array = array.astype(np.float64)
    if array.ndim != 1:
        raise ValueError(f"[{rule}] expected {name} of shape (n_items,), got {array.shape}; see by_item")
    good = array > low
    if nan:
        good |= np.isnan(array)
    if not good.all():
        row = int(np.argmin(good))
        raise ValueError(f"[{rule}] expected {name} above {low}, got {array[row]} of row {row}; change it")
    return array


class Categories:
    """Which categories each item belongs to: one, several or none.

    Parameters
    ----------
    item_map : IdMap
        Of the model: `model.item_map`.
    of_item : mapping of item id to a category, or to a list, tuple or set of categories
        Categories are any hashable; items that are not in it belong to none, ids that the map lacks are left
        out.

    Attributes
    ----------
    names : list
        Categories by their number, in the order of the items' rows, of one item in the order given.
    places : int64 array, shape (n_items, most categories of an item)
        Numbers of each item's categories; -1 fills up.

    Examples
    --------
    >>> genres = Categories(IdMap(["alien", "brazil"]), {"alien": ["horror", "sf"], "brazil": "sf"})
    >>> genres.names, genres.places.tolist()
    (['horror', 'sf'], [[0, 1], [1, -1]])
    """

    def __init__(self, item_map: IdMap, of_item: Mapping[Any, Any]) -> None:
        rows = item_map.rows(list(of_item), unknown="ignore")
        lists = [
            list(dict.fromkeys(given)) if isinstance(given, (list, tuple)) else _sorted_set(given)
            for given in of_item.values()
        ]
        numbers = IdMap()
        self.places = np.full((len(item_map), max(map(len, lists), default=0)), -1, np.int64)
        for at in np.argsort(rows, kind="stable"):
            if rows[at] >= 0 and lists[at]:
                self.places[rows[at], : len(lists[at])] = numbers.add(lists[at])
        self.names = list(numbers)

    def __len__(self) -> int:
        return len(self.names)

    def shares(self) -> np.ndarray:
        """Each item's distribution over categories, float64 (n_items, n_categories): equal parts of 1."""
        shares = np.zeros((len(self.places), len(self.names)))
        item, place = np.nonzero(self.places >= 0)
        counts = np.maximum((self.places >= 0).sum(axis=1), 1)
        shares[item, self.places[item, place]] = 1 / counts[item]
        return shares


def _sorted_set(given: Any) -> list[Any]:
    """A set in an order that does not depend on the process; anything else as the only category."""
    return sorted(given, key=repr) if isinstance(given, (set, frozenset)) else [given]

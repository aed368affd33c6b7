"""What changes an index while others search it: append, update, remove, boosts, compaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..backends import strict_floats
from ..ops.arguments import as_matrix, as_rows
from .arguments import as_boost
from .state import IndexState
from .versions import IndexVersion, with_column

__all__ = ["IndexChanges"]


class IndexChanges(IndexState):
    """The changing half of `ItemIndex`: each method makes the next version and puts it in place.

    Changes wait for one another.
    """

    @strict_floats()
    def append(
        self, items: Any, ids: Sequence[Any] | np.ndarray | None = None, *, boost: Any = None
    ) -> np.ndarray:
        """Add items, and return their new public rows, int64: n_items, n_items + 1, ...

        Parameters
        ----------
        items : array, shape (n, d) or (d,)
        ids : sequence of hashable, shape (n,)
            Needed where the index has ids, refused where it has none.
        boost : array, shape (n,), optional
            0 where not given; only where the index has boosts (see `set_boost`).

        Raises
        ------
        ValueError
            If a shape does not fit, an item is not finite, or an id is missing or there already. Nothing
            changes then.

        Examples
        --------
        >>> from gpurec import ItemIndex
        >>> index = ItemIndex([[1.0], [2.0]])
        >>> index.append([[3.0]]).tolist(), index.version
        ([2], 1)
        """
        with self._changing:
            now = self._now
            new = as_matrix(items, "items", "append", n_columns=now.index.d - now.boosted)
            boosts = self._boosts_of(boost, len(new), now, "append")
            if (ids is None) != (self._ids is None):
                raise ValueError("[append] expected ids where the index has them and only there")
            if ids is not None and len(ids) != len(new):
                raise ValueError(f"[append] expected {len(new)} ids, one an item, got {len(ids)}")
            rows = np.arange(now.n_rows, now.n_rows + len(new), dtype=np.int64)
            index = now.index.with_items(now.items(new, boosts), rows, now.n_rows + len(new))
            if self._ids is not None and ids is not None:
                with self._reading_ids:
                    self._ids.extend(ids)
            self._now = replace(
                now,
                index=index,
                n_rows=now.n_rows + len(new),
                n_active=now.n_active + len(new),
                number=now.number + 1,
            )
        return rows

    @strict_floats()
    def update(self, rows: Any, items: Any, *, boost: Any = None) -> None:
        """Give public rows new items; a removed row comes back.

        Parameters
        ----------
        rows : int array, shape (n,)
            Distinct.
        items : array, shape (n, d) or (d,)
        boost : array, shape (n,), optional
            Where not given a row keeps its boost; one that comes back has 0.

        Raises
        ------
        ValueError
            If a row is outside 0..n_items-1 or stands twice, a shape does not fit, or an item is not finite.
            Nothing changes then.

        Examples
        --------
        >>> from gpurec import ItemIndex
        >>> index = ItemIndex([[1.0], [2.0]])
        >>> index.update([0], [[5.0]])
        >>> index.search([[1.0]], 1).rows.tolist()
        [[0]]
        """
        with self._changing:
            now = self._now
            changed = as_rows(rows, now.n_rows, "update", distinct=True)
            new = as_matrix(items, "items", "update", n_columns=now.index.d - now.boosted)
            if len(new) != len(changed):
                raise ValueError(f"[update] expected {len(changed)} items, one a row, got {len(new)}")
            old, found = now.index.items_of(changed)
            boosts = self._boosts_of(boost, len(new), now, "update")
            if boosts is None and now.boosted:
                boosts = np.where(found, old[:, -1], np.float32(0))
            self._now = replace(
                now,
                index=now.index.with_items(now.items(new, boosts), changed, now.n_rows),
                n_active=now.n_active + int((~found).sum()),
                number=now.number + 1,
            )

    def remove(self, rows: Any) -> None:
        """Take the items of public rows out; rows without an item do not matter.

        Raises
        ------
        ValueError
            If a row is outside 0..n_items-1.

        Examples
        --------
        >>> from gpurec import ItemIndex
        >>> index = ItemIndex([[1.0], [2.0]])
        >>> index.remove([1])
        >>> index.search([[1.0]], 2).rows.tolist(), index.n_items, index.n_active
        ([[0, -1]], 2, 1)
        """
        with self._changing:
            now = self._now
            gone = np.unique(as_rows(rows, now.n_rows, "remove"))
            _, found = now.index.items_of(gone)
            self._now = replace(
                now,
                index=now.index.without(gone),
                n_active=now.n_active - int(found.sum()),
                number=now.number + 1,
            )

    @strict_floats()
    def set_boost(self, rows: Any, boost: Any) -> None:
        """Set what is added to every score of these rows' items.

        The first boost of an index without any costs a rebuild: it gives every item one more coordinate.

        Parameters
        ----------
        rows : int array, shape (n,)
            Distinct, with items.
        boost : array, shape (n,), or a number

        Raises
        ------
        ValueError
            If a row is out of range, stands twice or has no item, a boost is not finite, or the metric is
            "euclidean".

        Examples
        --------
        >>> from gpurec import ItemIndex
        >>> index = ItemIndex([[1.0], [2.0]])
        >>> index.set_boost([0], 5.0)
        >>> index.search([[1.0]], 1).scores.tolist()
        [[6.0]]
        """
        with self._changing:
            now = self._now
            changed = as_rows(rows, now.n_rows, "set_boost", distinct=True)
            boosts = as_boost(boost, len(changed), now.metric, "set_boost")
            items, found = now.index.items_of(changed)
            if not found.all():
                bad = changed[np.argmin(found)]
                raise ValueError(f"[set_boost] expected rows that have an item, got removed row {bad}")
            index = now.index
            if not now.boosted:
                every, has_item = index.items_of(np.arange(now.n_rows))
                index = now.backend.build_index(
                    with_column(every, 0.0),
                    now.scanned_metric,
                    has_item,
                    precision=self.precision,
                    pruning=self.pruning,
                )
                items = with_column(items, 0.0)
            items[:, -1] = boosts
            index = index.with_items(items, changed, now.n_rows)
            self._now = replace(now, index=index, number=now.number + 1, boosted=True)

    def compact(self) -> None:
        """Put all items into one run of panels, without the room of removed ones; no answer changes.

        `version` stays. Costs a rebuild; searches go on meanwhile.

        Examples
        --------
        >>> from gpurec import ItemIndex
        >>> index = ItemIndex([[1.0], [2.0]])
        >>> index.remove([0])
        >>> index.compact()
        >>> index.search([[1.0]], 1).rows.tolist()
        [[1]]
        """
        with self._changing:
            self._now = replace(self._now, index=self._now.index.compacted())

    @staticmethod
    def _boosts_of(boost: Any, n: int, now: IndexVersion, op: str) -> np.ndarray | None:
        if boost is None:
            return None
        if not now.boosted:
            raise ValueError(f"[{op}] expected boost where the index has boosts; do: set_boost first")
        return as_boost(boost, n, now.metric, op)

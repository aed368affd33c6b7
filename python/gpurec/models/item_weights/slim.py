"""SLIM: each item said by few others, by elastic nets without negative weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...artifacts import Artifact
from ...errors import ArtifactError
from ...ops import elastic_net, gram_top_k
from ...progress import Progress, reporter
from ..recommender import real_setting, whole_setting
from .sparse_weights import SparseItemWeights

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["SLIM"]

# Items that are said at a time: so many that threads share them well, so few that a fit ends soon when asked.
_AT_ONCE = 1024


class SLIM(SparseItemWeights):
    """Sparse linear method: least squares with both penalties that say each item by others, weights >= 0.

    Parameters
    ----------
    l1, l2 : float
        Penalties of the sum of an item's weights and of half the sum of their squares, beside half the sum of
        squared errors over users.
    n_candidates : int or None
        Only the so many items most similar by cosine may say an item (fsSLIM). None: all of them.
    max_sweeps : int
        Of the coordinate descent, for each item.
    tolerance : float
        The descent ends where a sweep moves no weight by more.

    Attributes
    ----------
    weights : scipy CSR, float32, shape (n_items, n_items)
        Row j holds what item j says for others.
    n_unsettled : int
        Items whose weights were still moving after `max_sweeps`.

    Notes
    -----
    Every interaction counts as one, whatever its weight. An item that shares at most l1 users with another
    cannot have a weight for it: errors only fall from ones as weights rise from 0, so its pull never exceeds
    the users they share. So all candidates are few, and the result is exact to `tolerance`. Memory: a block
    of a thousand items' candidates, 8 bytes a user for each thread, and 20 bytes a weight.

    Source: Ning and Karypis 2011, "SLIM: sparse linear methods for top-n recommender systems", ICDM, sections
    IV.A and IV.D (fsSLIM).

    Examples
    --------
    >>> from gpurec import Interactions
    >>> plays = Interactions.from_arrays([1, 1, 2, 2, 3], ["a", "b", "a", "b", "a"])
    >>> SLIM(l1=0.1).fit(plays).recommend([3], k=1).to_dicts()[0]["item_id"]
    'b'
    """

    name: ClassVar[str] = "slim"

    def __init__(
        self,
        *,
        l1: float = 1.0,
        l2: float = 10.0,
        n_candidates: int | None = None,
        max_sweeps: int = 100,
        tolerance: float = 1e-3,
    ) -> None:
        if n_candidates is not None:
            n_candidates = whole_setting("slim", "n_candidates", n_candidates, 1)
        super().__init__(
            l1=real_setting("slim", "l1", l1, 0, 1e6),
            l2=real_setting("slim", "l2", l2, 0, 1e6),
            n_candidates=n_candidates,
            max_sweeps=whole_setting("slim", "max_sweeps", max_sweeps, 1),
            tolerance=real_setting("slim", "tolerance", tolerance, 0, 1),
        )

    def _learn_weights(self, progress: Progress) -> csr_array:
        from scipy.sparse import csr_array, vstack

        seen = csr_array(self.training.user_items, copy=True)
        seen.data = np.ones(len(seen.data), np.float32)
        by_items, n_items = csr_array(seen.T), self.training.n_items
        rates = {name: self.settings[name] for name in ("l1", "l2", "tolerance", "max_sweeps")}
        parts, n_unsettled = [], 0
        with reporter(progress, "fitting slim", n_items) as report:
            for first in range(0, n_items, _AT_ONCE):
                items = np.arange(first, min(first + _AT_ONCE, n_items))
                found = elastic_net(seen, self._candidates(seen, by_items, items), targets=items, **rates)
                parts.append(found.weights)
                n_unsettled += int((found.n_sweeps == self.settings["max_sweeps"]).sum())
                report(int(items[-1]) + 1, n_items)
        self.n_unsettled = n_unsettled
        weights = csr_array(vstack(parts).T)
        weights.sort_indices()
        return weights

    def _candidates(self, seen: csr_array, by_items: csr_array, items: np.ndarray) -> csr_array:
        """Items that may say each of some items, with the number of users they share."""
        from scipy.sparse import csr_array

        most, shape = self.settings["n_candidates"], (len(items), by_items.shape[0])
        if most is None:
            shared = csr_array(by_items[items] @ seen).tocoo()
            kept = (shared.data > self.settings["l1"]) & (items[shared.row] != shared.col)
            return csr_array((shared.data[kept], (shared.row[kept], shared.col[kept])), shape=shape)
        rows = gram_top_k(by_items, most, rows=items).rows
        places = np.nonzero(rows >= 0)
        return csr_array((np.ones(len(places[0]), np.float32), (places[0], rows[places])), shape=shape)

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        tensors, meta = super()._state()
        return tensors, meta | {"n_unsettled": self.n_unsettled}

    def _restore(self, artifact: Artifact) -> None:
        super()._restore(artifact)
        n_unsettled = artifact.meta.get("n_unsettled")
        if type(n_unsettled) is not int or not 0 <= n_unsettled <= self.training.n_items:
            raise ArtifactError(f"[load] expected n_unsettled as a number of items, got {n_unsettled!r:.60}")
        self.n_unsettled = n_unsettled

"""Several models as one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...artifacts import Artifact
from ...backends import strict_floats
from ...errors import ArtifactError
from ...progress import Progress
from ...types import TopK
from ..recommender import (
    Callback,
    Reasons,
    Recommender,
    ScoreRowModel,
    VectorModel,
    real_setting,
    whole_setting,
)
from .learning import learn_weights, spread
from .parts import has_vectors, named, new_part, part_rows, part_state, restore_part
from .ranks import ranks_among_unseen

if TYPE_CHECKING:
    from ...data import Interactions

__all__ = ["Hybrid"]

_METHODS = ("weighted", "rrf", "borda", "switching", "cascade", "stacking")
_SUMS = ("weighted", "stacking")
_CASCADE_DEPTH = 100
_MOST_PARTS = 16


class Hybrid(VectorModel, ScoreRowModel):
    """Several models as one.

    Parameters
    ----------
    parts : sequence of models, names, or pairs of name and settings
        1 to 16 of any kinds but this one; models are fitted anew.
    method : {"weighted", "rrf", "borda", "switching", "cascade", "stacking"}
        "weighted": the sum of weight * score / scale. "rrf", reciprocal rank fusion: the sum of
        weight / (offset + rank). "borda": the sum of weight * (depth + 1 - rank) / depth. "switching": one
        part's score, by how many items the user has had. "cascade": each part but the last leaves its best
        `depth` candidates to the next; scores are those of the last. "stacking": a weighted sum whose weights
        are learnt from a part of the data that the models have not seen.
    weights : sequence of float, optional
        One a part, for "weighted", "rrf" (0 or more) and "borda" (0 or more); all equal, of sum 1, if not
        given.
    scale : {"spread", "none"}, optional
        What scores are divided by in a sum: "spread", the root of the mean over up to 1,024 training users,
        evenly spaced, of the variance of all their scores; or 1. By default "none" if all parts predict
        ratings, else "spread".
    depth : int, optional
        Ranks beyond it count for nothing: all items for "rrf" and "borda", 100 for "cascade" if not given.
    offset : float
        Of "rrf".
    switch_at : sequence of int, optional
        For "switching", one less than parts, rising: users with fewer items than the first get the first
        part, and so on.
    l2 : float
        Penalty of the weights of "stacking", above 0.
    random_state : int
        Draws the part that "stacking" learns from, and goes to parts given by name that take one.

    Attributes
    ----------
    parts : list of Recommender
    coefficients : float64 array, shape (n_parts,)
        What each part's score is multiplied by in a sum; 1 for other methods.
    intercept : float
        Added to sums; not 0 only for "stacking" of models that all predict ratings.

    Notes
    -----
    A sum of models of vectors is one index of their vectors one after another, each user's times the
    coefficient: exact. Any other hybrid scores all items of a user at once: sums in float64, part by part,
    rounded once. An item of which nothing speaks in one part gets 0 from it; if nothing speaks in any, it is
    not recommended. Ranks are exact over all items, equal scores by row, and count unseen items: what a user
    has had does not push others down.

    "stacking" without a `validation` part holds out a tenth of each user's interactions, fits, learns, and
    fits anew on all. Where all parts predict ratings it is a ridge regression to the ratings held out (pulled
    to the plain mean); else the conditional logistic model of a user's held-out items among the 100 best
    unseen ones of each part, for up to 2,048 users.

    Source: Burke 2002, "Hybrid recommender systems: survey and experiments"; Cormack, Clarke and Buettcher
    2009, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods", SIGIR; Aslam
    and Montague 2001, "Models for metasearch" (Borda).

    Examples
    --------
    >>> from gpurec import Interactions
    >>> plays = Interactions.from_arrays([1, 1, 2, 2, 3], ["a", "b", "a", "b", "a"])
    >>> model = Hybrid(["popularity", ("rp3beta", {"beta": 0.5})], method="rrf").fit(plays)
    >>> model.recommend([3], k=1).to_dicts()[0]["item_id"]
    'b'
    """

    name: ClassVar[str] = "hybrid"

    def __init__(
        self,
        parts: Sequence[Any] = ("rp3beta", "gf-cf"),
        *,
        method: str = "weighted",
        weights: Sequence[float] | None = None,
        scale: str | None = None,
        depth: int | None = None,
        offset: float = 60.0,
        switch_at: Sequence[int] | None = None,
        l2: float = 1.0,
        random_state: int = 0,
    ) -> None:
        if method not in _METHODS:
            raise ValueError(
                f"[hybrid] expected method of {', '.join(_METHODS)}, got {method!r:.60}; choose one"
            )
        if scale not in (None, "spread", "none"):
            raise ValueError(f"[hybrid] expected scale of 'spread' or 'none', got {scale!r:.60}; choose one")
        random_state = whole_setting("hybrid", "random_state", random_state, 0)
        self.parts = _parts(parts, random_state)
        n = len(self.parts)
        of_ratings = all(part.predicts_ratings for part in self.parts)
        super().__init__(
            parts=[named(part) for part in self.parts],
            method=method,
            weights=None if weights is None else _weights(weights, n, method),
            scale=scale or ("none" if of_ratings else "spread"),
            depth=None if depth is None else whole_setting("hybrid", "depth", depth, 1),
            offset=real_setting("hybrid", "offset", offset, 0, 1e9),
            switch_at=_switches(switch_at, n, method),
            l2=real_setting("hybrid", "l2", l2, 1e-12, 1e12),
            random_state=random_state,
        )
        sums_to_one = abs(sum(self._weights) - 1) < 1e-6 and self.settings["scale"] == "none"
        same_scale = method in ("switching", "cascade", "stacking") or (method == "weighted" and sums_to_one)
        self.predicts_ratings = of_ratings and same_scale  # type: ignore[misc]
        self.coefficients, self.intercept = np.ones(n), 0.0

    @property
    def _weights(self) -> list[float]:
        n = len(self.parts)
        return [1 / n] * n if self.settings["weights"] is None else self.settings["weights"]

    # Learning.

    def _learn(
        self,
        interactions: Interactions,
        validation: Interactions | None,
        callback: Callback | None,
        progress: Progress,
    ) -> None:
        more: dict[str, Any] = {"validation": validation, "callback": callback, "progress": progress}
        weights, intercept = self._weights, 0.0
        fitted = False
        if self.settings["method"] == "stacking":
            weights, intercept, fitted = learn_weights(self, interactions, more)
        for part in self.parts:
            if not fitted:
                part.fit(interactions, **more)
            part._training = self.training  # equal, and need not be there twice
        scales = np.ones(len(self.parts))
        if self.settings["method"] in _SUMS and self.settings["scale"] == "spread":
            scales = np.array([spread(part) for part in self.parts])
        if self.settings["method"] in _SUMS:
            self.coefficients, self.intercept = np.asarray(weights) / scales, intercept
        self._forget()

    def _forget(self) -> None:
        """Drop what was made of parts that are no longer there."""
        self._indexes.clear()
        self._vectors: dict[int, np.ndarray] = {}

    # Scores by vectors.

    @property
    def _by_vectors(self) -> bool:  # type: ignore[override]
        return self.settings["method"] in _SUMS and all(map(has_vectors, self.parts))

    def _user_vectors(self, user_rows: np.ndarray) -> np.ndarray:
        vectors = [
            (part._user_vectors(user_rows) * coefficient).astype(np.float32)  # type: ignore[attr-defined]
            for part, coefficient in zip(self.parts, self.coefficients)
        ]
        if self.intercept:
            vectors.append(np.full((len(user_rows), 1), self.intercept, np.float32))
        return np.concatenate(vectors, axis=1)

    def _item_vectors(self, item_rows: np.ndarray) -> np.ndarray:
        vectors = [part._item_vectors(item_rows) for part in self.parts]  # type: ignore[attr-defined]
        if self.intercept:
            vectors.append(np.ones((len(item_rows), 1), np.float32))
        return np.concatenate(vectors, axis=1)

    # Scores by rows.

    def _part_rows(self, number: int, user_rows: np.ndarray) -> np.ndarray:
        part = self.parts[number]
        if has_vectors(part) and number not in self._vectors:
            items = part._item_vectors(np.arange(self.training.n_items))  # type: ignore[attr-defined]
            self._vectors[number] = np.ascontiguousarray(items)
        return part_rows(part, user_rows, self._vectors.get(number))

    def _score_rows(self, user_rows: np.ndarray) -> np.ndarray:
        method = self.settings["method"]
        if method == "switching":
            return self._switched(user_rows)
        if method == "cascade":
            return self._cascaded(user_rows)
        total = np.full((len(user_rows), self.training.n_items), self.intercept)
        silent = np.ones(total.shape, dtype=bool)
        for number in range(len(self.parts)):
            added = self._added(number, self._part_rows(number, user_rows), user_rows)
            silent &= np.isneginf(added)
            total += np.where(np.isneginf(added), 0, added)
        scores = total.astype(np.float32) + np.float32(0)  # -0 becomes +0
        scores[silent] = -np.inf
        return scores

    def _added(self, number: int, scores: np.ndarray, user_rows: np.ndarray) -> np.ndarray:
        """What a part adds to sums, float64; -inf where nothing speaks for an item."""
        method = self.settings["method"]
        if method in _SUMS:
            silent = np.isneginf(scores)
            return np.where(silent, -np.inf, np.where(silent, 0, scores) * self.coefficients[number])
        ranks = ranks_among_unseen(scores, self.training.seen(user_rows), self._depth)
        if method == "rrf":
            worth = self._weights[number] / (self.settings["offset"] + np.maximum(ranks, 1))
        else:
            worth = self._weights[number] * (self._depth + 1 - ranks) / self._depth
        return np.where(ranks > 0, worth, -np.inf)

    @property
    def _depth(self) -> int:
        most = max(self.training.n_items, 1)
        usual = _CASCADE_DEPTH if self.settings["method"] == "cascade" else most
        return min(self.settings["depth"] or usual, most)

    def _switched(self, user_rows: np.ndarray) -> np.ndarray:
        scores = np.empty((len(user_rows), self.training.n_items), np.float32)
        numbers = self._part_of(user_rows)
        for number in np.unique(numbers).tolist():
            scores[numbers == number] = self._part_rows(number, user_rows[numbers == number])
        return scores

    def _part_of(self, user_rows: np.ndarray) -> np.ndarray:
        """The number of the part that each user is switched to."""
        counts = np.where(user_rows >= 0, self.training.user_counts[user_rows], 0)
        return np.searchsorted(self.settings["switch_at"], counts, side="right")

    def _cascaded(self, user_rows: np.ndarray) -> np.ndarray:
        seen = self.training.seen(user_rows)
        passed = np.ones((len(user_rows), self.training.n_items), dtype=bool)
        for number in range(len(self.parts) - 1):
            scores = np.where(passed, self._part_rows(number, user_rows), np.float32(-np.inf))
            passed = ranks_among_unseen(scores, seen, self._depth) > 0
        return np.where(passed, self._part_rows(len(self.parts) - 1, user_rows), np.float32(-np.inf))

    # Either way.

    @property
    def _way(self) -> type[VectorModel] | type[ScoreRowModel]:
        return VectorModel if self._by_vectors else ScoreRowModel

    def _search(self, user_rows: np.ndarray, k: int, exclude_seen: bool, filters: dict[str, Any]) -> TopK:
        return self._way._search(self, user_rows, k, exclude_seen, filters)

    def _query_bytes(self, k: int) -> int:
        n_ways = 1 if self._by_vectors else 1 + len(self.parts)
        return n_ways * self._way._query_bytes(self, k)

    @strict_floats()
    def _score_pairs(self, user_rows: np.ndarray, item_rows: np.ndarray) -> np.ndarray:
        scores = self._way._score_pairs(self, user_rows, item_rows)
        unknown = np.flatnonzero((user_rows < 0) | (item_rows < 0))
        if unknown.size and self._way is ScoreRowModel and self.settings["method"] not in ("rrf", "borda"):
            scores[unknown] = self._of_unknown(user_rows[unknown], item_rows[unknown])
        return scores

    def _of_unknown(self, user_rows: np.ndarray, item_rows: np.ndarray) -> np.ndarray:
        """What remains where the user or the item is unknown: each part knows what that is in it."""
        each = np.stack([part._score_pairs(user_rows, item_rows) for part in self.parts], axis=1)
        method, n = self.settings["method"], len(self.parts)
        if method in _SUMS:
            return (each * self.coefficients).sum(axis=1).astype(np.float32) + np.float32(self.intercept)
        number = self._part_of(user_rows) if method == "switching" else np.full(len(user_rows), n - 1)
        return each[np.arange(len(each)), number]

    def _factors(self, side: str) -> np.ndarray:
        """Factors of all parts that have some, each part's of length 1: cosines are the mean of theirs."""
        found = []
        for part in self.parts:
            try:
                factors = part._factors(side).astype(np.float64)
            except ValueError:
                continue
            lengths = np.sqrt(np.square(factors).sum(axis=1, keepdims=True))
            found.append((factors / np.where(lengths > 0, lengths, 1)).astype(np.float32))
        return np.concatenate(found, axis=1) if found else super()._factors(side)

    def _reasons(self, user_row: int, item_rows: np.ndarray) -> list[Reasons]:
        user, method = np.array([user_row]), self.settings["method"]
        names = [f"{number}: {part.name}" for number, part in enumerate(self.parts)]
        if method in ("switching", "cascade"):
            number = int(self._part_of(user)[0]) if method == "switching" else len(self.parts) - 1
            scores = self._score_rows(user)[0, item_rows].astype(np.float64)
            return [Reasons("part", [names[number]], np.where(np.isneginf(scores), 0, scores)[:, np.newaxis])]
        added = np.zeros((len(item_rows), len(names) + 1))
        for number in range(len(self.parts)):
            rows = self._added(number, self._part_rows(number, user), user)[0, item_rows]
            added[:, number] = np.where(np.isneginf(rows), 0, rows)
        added[:, -1] = self.intercept
        return [Reasons("part", [*names, "intercept"], added)]

    # Saving.

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        tensors: dict[str, np.ndarray] = {}
        metas = []
        for number, part in enumerate(self.parts):
            own, meta = part_state(f"part{number}", part)
            tensors |= own
            metas.append(meta)
        return tensors, {
            "parts": metas,
            "coefficients": self.coefficients.tolist(),
            "intercept": self.intercept,
        }

    def _restore(self, artifact: Artifact) -> None:
        n, meta = len(self.parts), artifact.meta
        metas, coefficients = meta.get("parts"), meta.get("coefficients")
        constant: Any = meta.get("intercept")
        if not (
            isinstance(metas, list)
            and isinstance(coefficients, list)
            and len(metas) == len(coefficients) == n
        ):
            raise ArtifactError(f"[load] expected {n} parts and their coefficients, got others; save again")
        if not all(type(value) is float and math.isfinite(value) for value in [*coefficients, constant]):
            raise ArtifactError("[load] expected finite coefficients and intercept, got others; save again")
        self.coefficients, self.intercept = np.array(coefficients), constant
        for number, part in enumerate(self.parts):
            restore_part(f"part{number}", part, artifact, metas[number], self)
        self._forget()


def _parts(given: Any, random_state: int) -> list[Recommender]:
    if isinstance(given, (str, Recommender)) or not isinstance(given, Sequence):
        raise TypeError(
            f"[hybrid] expected parts as a list of models, got {given!r:.80}; do: ['mf', 'gf-cf']"
        )
    if not 1 <= len(given) <= _MOST_PARTS:
        raise ValueError(f"[hybrid] expected 1 to {_MOST_PARTS} parts, got {len(given)}; change their number")
    return [new_part("hybrid", part, ("hybrid",), random_state) for part in given]


def _weights(given: Any, n: int, method: str) -> list[float]:
    if isinstance(given, str) or not isinstance(given, (Sequence, np.ndarray)) or len(given) != n:
        raise ValueError(f"[hybrid] expected weights of {n} parts, got {given!r:.80}; give one a part")
    low = 0.0 if method in ("rrf", "borda") else -1e9
    return [real_setting("hybrid", "weights", weight, low, 1e9) for weight in given]


def _switches(given: Any, n: int, method: str) -> list[int] | None:
    if given is None and method != "switching":
        return None
    if not isinstance(given, (Sequence, np.ndarray)) or isinstance(given, str) or len(given) != n - 1:
        raise ValueError(f"[hybrid] expected switch_at of {n - 1} numbers of items, got {given!r:.80}")
    values = [whole_setting("hybrid", "switch_at", value, 0) for value in given]
    if sorted(set(values)) != values:
        raise ValueError(f"[hybrid] expected switch_at to rise, got {values}; sort them")
    return values

"""Rules one after another, and the search that goes as deep as they need."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..backends import Filters
from ..models.recommender.queries import checked_k
from ..types import TopK
from .candidates import Candidates, Context
from .rule import Rule

__all__ = ["Pipeline", "Search", "moment"]

# Users whose lists are made together.
_USERS_AT_ONCE = 4096

Search = Callable[[np.ndarray, int, dict[str, Any]], TopK]
"""(places of users, k, filters in the forms of `score_top_k`) to their exact best k items."""


class Pipeline:
    """Rules that are applied one after another, in the order given.

    Parameters
    ----------
    rules : sequence of Rule

    Notes
    -----
    Rules that change scores (`Boosts`, `FreshnessDecay`) belong first, `AtMost` after them, and those that
    order a pool anew (`MMR`, `Calibrated`) last: a change of scores orders by score again. `Expiry` may stand
    anywhere. Equal scores are in the order of item rows.

    Examples
    --------
    >>> from gpurec.reranking import Boosts, Expiry
    >>> found = TopK(np.array([[0, 1, 2]]), np.float32([[3, 2, 1]]))
    >>> rules = Pipeline([Expiry([100, np.inf, np.inf]), Boosts([1, 1, 3])])
    >>> rules.rerank(found, k=2, now=200).rows.tolist()
    [[2, 1]]
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = list(rules)
        for rule in self.rules:
            if not isinstance(rule, Rule):
                raise TypeError(f"[rerank] expected rules, got {rule!r:.60}; see gpurec.reranking")
        sizes = {rule.n_items for rule in self.rules if rule.n_items is not None}
        if len(sizes) > 1:
            raise ValueError(f"[rerank] expected rules over the same items, got {sorted(sizes)} of them")
        self.n_items: int | None = sizes.pop() if sizes else None

    def wanted(self, k: int) -> list[int]:
        """How many candidates to begin with, and how many each rule is to give, for k places.

        Examples
        --------
        >>> from gpurec.reranking import Boosts
        >>> Pipeline([Boosts([1, 2])]).wanted(10)
        [20, 10]
        """
        counts = [k]
        for rule in reversed(self.rules):
            counts.insert(0, rule.wanted(counts[0]))
        return counts

    def rerank(
        self,
        found: TopK,
        k: int = 10,
        *,
        user_rows: Any = None,
        user_items: Any = None,
        now: float | None = None,
    ) -> TopK:
        """The rules applied to candidates that are there; beside them nothing is looked for.

        Parameters
        ----------
        found : TopK, shape (n_users, n_candidates)
            Of any search; rows lie in the items that the rules know.
        k : int
        user_rows : integer array, shape (n_users,), optional
            Rows of the users in `user_items`.
        user_items : scipy CSR, optional
            What users have had, for `Calibrated`.
        now : float, optional
            Seconds since 1970; the present if not given.

        Returns
        -------
        TopK
            (n_users, k), padded with -1 and -inf. See `Reranked` for lists that look deeper by themselves.

        Raises
        ------
        ValueError
            If a row lies outside of the rules' items.
        """
        k = checked_k(k)
        self._check_k(k)
        rows = np.asarray(found.rows)
        n_items = int(rows.max(initial=-1)) + 1 if self.n_items is None else self.n_items
        if rows.max(initial=-1) >= n_items or rows.min(initial=-1) < -1:
            raise ValueError(f"[rerank] expected rows in -1..{n_items - 1}, got others; see by_item")
        users = np.full(len(rows), -1) if user_rows is None else np.asarray(user_rows, np.int64)
        context = self._context(users, user_items, moment(now), n_items)
        return self._applied(Candidates.all_of(found), self.wanted(max(k, rows.shape[1])), context).first(k)

    def search(
        self,
        search: Search,
        k: int,
        *,
        n_items: int,
        user_rows: np.ndarray,
        user_items: Any,
        filters: Filters,
        now: float | None = None,
    ) -> TopK:
        """The best k items of users under the rules: exact, by searching deeper until that is proved.

        Parameters
        ----------
        search : callable
            Gets places of users in `user_rows`, how many candidates, and filters; gives their exact best.
        k, n_items : int
        user_rows : int64 array, shape (n_users,)
        user_items : scipy CSR
        filters : Filters
            Of these users.
        now : float, optional

        Returns
        -------
        TopK
        """
        if self.n_items not in (None, n_items):
            raise ValueError(f"[rerank] expected rules over {n_items} items, got {self.n_items}; see by_item")
        self._check_k(k)
        now, n = moment(now), len(user_rows)
        rows, scores = np.full((n, k), -1, np.int64), np.full((n, k), -np.inf, np.float32)
        for first in range(0, n, _USERS_AT_ONCE):
            left, depth = np.arange(first, min(first + _USERS_AT_ONCE, n)), k
            while left.size:
                context = self._context(user_rows[left], user_items, now, n_items)
                counts = self.wanted(depth)
                candidates = self._fetched(search, left, min(counts[0], n_items), filters, context)
                candidates = self._applied(candidates, counts, context)
                done = (candidates.sure >= k) | candidates.complete
                best = candidates.first(k)
                rows[left[done]], scores[left[done]] = best.rows[done], best.scores[done]
                left, depth = left[~done], 2 * depth
        return TopK(rows, scores)

    def _check_k(self, k: int) -> None:
        most = min((rule.most for rule in self.rules if rule.most is not None), default=k)
        if k > most:
            raise ValueError(f"[rerank] expected k of at most {most}, got {k}; raise n_candidates")

    def _context(self, user_rows: np.ndarray, user_items: Any, now: float, n_items: int) -> Context:
        raised = np.zeros(n_items, dtype=bool)
        for rule in self.rules:
            more = rule.raised(now)
            if more is not None:
                raised |= more
        return Context(user_rows, user_items, now, raised)

    def _fetched(
        self, search: Search, places: np.ndarray, depth: int, filters: Filters, context: Context
    ) -> Candidates:
        """The best candidates of all items, together with the best of those that a rule may raise."""
        masks = [mask for rule in self.rules if (mask := rule.permitted(context.now)) is not None]
        shown = np.logical_and.reduce(masks) if masks else None
        found = search(places, depth, _filters_of(filters, places, shown))
        last = _last_scores(found, depth == len(context.raised))
        if not context.raised.any():
            return _fetched_once(found, np.stack([last, np.full_like(last, -np.inf)], axis=1))
        wanted = context.raised if shown is None else context.raised & shown
        own = search(places, depth, _filters_of(filters, places, wanted))
        own_last = _last_scores(own, depth == len(context.raised))
        ceilings = np.stack([last, np.minimum(last, own_last)], axis=1)
        again = _stands_in(own.rows, found.rows)
        rows = np.concatenate([found.rows, np.where(again, -1, own.rows)], axis=1)
        scores = np.concatenate([found.scores, np.where(again, np.float32(-np.inf), own.scores)], axis=1)
        order = np.lexsort((rows, -scores), axis=1)
        return Candidates(
            np.take_along_axis(rows, order, axis=1),
            np.take_along_axis(scores, order, axis=1),
            (found.rows >= 0).sum(axis=1),
            ceilings,
        )

    def _applied(self, candidates: Candidates, counts: list[int], context: Context) -> Candidates:
        for rule, k in zip(self.rules, counts[1:]):
            candidates = rule.apply(candidates, k, context)
        return candidates

    def __repr__(self) -> str:
        return f"Pipeline([{', '.join(type(rule).__name__ for rule in self.rules)}])"


def moment(now: float | None) -> float:
    """A given time, or the present, in seconds since 1970."""
    return time.time() if now is None else float(now)


def _fetched_once(found: TopK, ceilings: np.ndarray) -> Candidates:
    return Candidates(found.rows, found.scores, (found.rows >= 0).sum(axis=1), ceilings)


def _last_scores(found: TopK, whole: bool) -> np.ndarray:
    """What no other item scores more than, float32 (n_users,): -inf of lists with room, or of all items."""
    return np.full(len(found.rows), -np.inf, np.float32) if whole else found.scores[:, -1]


def _stands_in(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which rows, (n, a), stand in the other list, (n, b), of the same user."""
    owners = np.arange(len(rows))[:, np.newaxis] << 40
    return np.isin(rows + owners, others + owners) & (rows >= 0)


def _filters_of(filters: Filters, places: np.ndarray, mask: np.ndarray | None) -> dict[str, Any]:
    """The filters of some users in the forms of `score_top_k`, and a mask of items besides."""
    if filters.mask is not None:
        mask = filters.mask if mask is None else mask & filters.mask
    queries = places.tolist()
    exclude = None
    if filters.deny:
        exclude = [np.concatenate([sets.of(query) for sets in filters.deny]) for query in queries]
    if filters.allow is None:
        return {"exclude": exclude, "allow": mask, "deny": None}
    own = [filters.allow.of(query) for query in queries]
    allow = own if mask is None else [rows[mask[rows]] for rows in own]
    return {"exclude": exclude, "allow": allow, "deny": None}

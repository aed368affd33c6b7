"""A model under rules, asked like any model."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..artifacts import Artifact
from ..models.recommender import Reasons, Recommender, UnknownUsers
from ..models.recommender.queries import take_ids
from ..models.recommender.recommending import RecommendingModel
from ..models.recommender.training import TrainingPart
from ..ops.arguments import check_result_size
from ..ops.filters import as_filters
from ..types import TopK
from .pipeline import Pipeline, Search, moment
from .rule import Rule

__all__ = ["Reranked"]


class Reranked(RecommendingModel):
    """A fitted model whose lists obey rules; `recommend`, `recommend_all`, `recommend_rows` as of any model.

    Parameters
    ----------
    model : Recommender
        Fitted.
    rules : Pipeline or sequence of Rule
    now : float, optional
        Seconds since 1970 at which lists are made; the present of each call if not given.

    Notes
    -----
    Candidates are fetched until each list is proved: its places would be the same if all items were
    candidates (`Boosts`, `FreshnessDecay`, `AtMost`, `Expiry`), or the pool of a rule that has one is (`MMR`,
    `Calibrated`). Users whom the model does not know get the most popular items under the same rules. Scores
    are as the rules leave them: where none changes scores, those of the model's `predict`. It can be judged
    by `evaluate`; what is saved is the model itself.

    Examples
    --------
    >>> from gpurec import Interactions, Popularity
    >>> from gpurec.reranking import Boosts, by_item
    >>> plays = Interactions.from_arrays(["ann", "bob", "bob", "cid"], ["alien", "alien", "brazil", "dune"])
    >>> model = Popularity().fit(plays)
    >>> rules = [Boosts(by_item(model.item_map, {"dune": 5}, default=1))]
    >>> list(Reranked(model, rules).recommend(["ann"], k=1))
    [('ann', [('dune', 5.0)])]
    """

    name: ClassVar[str] = "reranked"

    def __init__(
        self, model: Recommender, rules: Pipeline | list[Rule] | tuple[Rule, ...], *, now: float | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.pipeline = rules if isinstance(rules, Pipeline) else Pipeline(rules)
        self.now = now
        n_items = self.training.n_items
        if self.pipeline.n_items not in (None, n_items):
            raise ValueError(
                f"[rerank] expected rules over the model's {n_items} items, got {self.pipeline.n_items}; "
                "see by_item"
            )

    @property
    def training(self) -> TrainingPart:
        return self.model.training

    def _query_bytes(self, k: int) -> int:
        depth = min(self.pipeline.wanted(k)[0], self.training.n_items)
        return self.model._query_bytes(depth) + 64 * depth

    def _search(self, user_rows: np.ndarray, k: int, exclude_seen: bool, filters: dict[str, Any]) -> TopK:
        def search(places: np.ndarray, depth: int, chosen: dict[str, Any]) -> TopK:
            return self.model.recommend_rows(user_rows[places], depth, exclude_seen=exclude_seen, **chosen)

        return self._proved(search, user_rows, k, filters)

    def _most_popular(self, n_queries: int, k: int, **filters: Any) -> TopK:
        def search(places: np.ndarray, depth: int, chosen: dict[str, Any]) -> TopK:
            return self.model._most_popular(len(places), depth, **chosen)

        return self._proved(search, np.full(n_queries, -1), k, filters)

    def _sources_of_unknown(self, policy: UnknownUsers, users: Any) -> np.ndarray:
        return policy.sources(self.model, users)

    def _search_unknown(self, policy: UnknownUsers, users: Any, k: int, filters: dict[str, Any]) -> TopK:
        def search(places: np.ndarray, depth: int, chosen: dict[str, Any]) -> TopK:
            return policy.search(self.model, take_ids(users, places), depth, chosen)

        return self._proved(search, np.full(len(users), -1), k, filters)

    def _proved(self, search: Search, user_rows: np.ndarray, k: int, filters: dict[str, Any]) -> TopK:
        n, n_items = len(user_rows), self.training.n_items
        check_result_size(n, k, "recommend_rows")
        checked = as_filters(n, n_items, op="recommend_rows", **filters)
        return self.pipeline.search(
            search,
            k,
            n_items=n_items,
            user_rows=user_rows,
            user_items=self.training.user_items,
            filters=checked,
            now=self.now,
        )

    def _score_pairs(self, user_rows: np.ndarray, item_rows: np.ndarray) -> np.ndarray:
        scores, now = self.model._score_pairs(user_rows, item_rows), moment(self.now)
        for rule in self.pipeline.rules:
            scores = rule.changed(scores, item_rows, now)
        return scores

    def _reasons(self, user_row: int, item_rows: np.ndarray) -> list[Reasons]:
        reasons = self.model._reasons(user_row, item_rows)
        users = np.full(len(item_rows), user_row)
        before, after = (asked._score_pairs(users, item_rows) for asked in (self.model, self))
        change = after.astype(np.float64) - before
        return [*reasons, Reasons("part", ["rules"], change[:, np.newaxis])]

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        raise ValueError("[reranked] expected a model to save, got one under rules; do: reranked.model.save")

    def _restore(self, artifact: Artifact) -> None:
        raise ValueError("[reranked] expected a model to load, got one under rules; do: load_model")

    def __repr__(self) -> str:
        return f"Reranked({self.model!r}, {self.pipeline!r})"

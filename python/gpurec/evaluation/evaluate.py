"""Evaluate a fitted model on a test part: ranking over all items, and ratings where it predicts them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ops.arguments import check_result_size
from ..progress import Progress, reporter
from .catalogue import (
    coverage,
    gini,
    item_counts,
    item_profiles,
    list_diversity,
    novelty,
    self_information,
)
from .ranking import check_cutoffs, ranking_metrics
from .ratings import RatingErrors, rating_errors
from .result import Evaluation

if TYPE_CHECKING:
    from ..data import Interactions

__all__ = ["evaluate", "evaluate_ratings"]

# Ratings are predicted in pieces of this many, to bound the memory of ids as Python objects.
_RATINGS_AT_ONCE = 1 << 18


def evaluate(
    model: Any,
    test: Interactions,
    *,
    k: int | Iterable[int] = 10,
    relevant_from: float | None = None,
    exclude_seen: bool = True,
    graded: bool = False,
    batch_users: int = 1024,
    progress: Progress = None,
    name: str | None = None,
) -> Evaluation:
    """Judge a model's recommendations, and its ratings if it predicts any, by a test part.

    Parameters
    ----------
    model : fitted model
        Anything with `user_map`, `item_map`, `user_items` (CSR of the training part) and
        `recommend_rows(user_rows, k, exclude_seen=...)`; for ratings also `predicts_ratings = True`,
        `predict(user_ids, item_ids, unknown="baseline")` and, to clip by, `weight_range = (low, high)`.
    test : Interactions
        May hold users and items that the model has never seen; its maps need not be those of the model.
    k : int or several ints
        Lengths of the lists that are judged.
    relevant_from : float, optional
        A test pair is relevant if its weight is at least this; every test pair is if not given.
    exclude_seen : bool
        Leave the items of a user's training part out of the user's list.
    graded : bool
        Also `ndcg_graded@K` with the test weights as gains.
    batch_users : int
        Users asked about at once. The metrics do not depend on it (diversity up to rounding).
    progress : bool or callable, optional
        True or False for a bar or none; by default a bar on a terminal. A callable gets (done, total) users.
    name : str, optional
        Of the model in tables; `model.name` if not given.

    Returns
    -------
    Evaluation
        `ranking_metrics` of each user, `novelty@K` and `diversity@K` of each list, `coverage@K` and `gini@K`
        of all lists, rating errors.

    Raises
    ------
    ValueError
        If no test pair is relevant, `k` or `batch_users` is out of range, the lists of a batch would exceed
        the byte limit, or the model answers with a wrong shape, rows outside the catalogue, or ratings that
        are not finite.

    Notes
    -----
    Ranking. Every user with a relevant test item is judged; the candidates are all items the model knows,
    less those seen in training. Known are the ids in the model's maps. No test pair is dropped:

    - an unknown item is a relevant item of its user like any other, which no list can hit;
    - an unknown user gets the model's `popular_rows(k)` if the model has it, else an empty list;
    - a test item that the user has in training too counts as relevant, and can be hit only with
      `exclude_seen=False`;
    - a pair that stands several times is one relevant item (its gain the sum of its weights).

    Ratings. All test records are predicted, relevant or not, and clipped to the training range before the
    error is taken. The candidates of `accuracy` are the rankable items and the user's relevant items.

    Novelty and diversity are measured by the training part (`self_information`, `item_profiles`), so that
    they can be compared between models.

    Examples
    --------
    >>> from gpurec import Interactions, Popularity
    >>> train = Interactions.from_arrays(["ann", "bob", "eve", "eve"], ["alien", "brazil", "alien", "dune"])
    >>> test = Interactions.from_arrays(["ann", "bob"], ["brazil", "alien"])
    >>> result = evaluate(Popularity().fit(train), test, k=1)
    >>> result.user_ids.tolist(), result.per_user["recall@1"].tolist(), result.mean("recall@1")
    (['ann', 'bob'], [1.0, 1.0], 1.0)
    """
    cutoffs = check_cutoffs(k)
    if batch_users < 1:
        raise ValueError(f"[evaluate] expected batch_users of 1 or more, got {batch_users}; give 1024")
    task = _ranking_task(model, test, relevant_from)
    check_result_size(min(batch_users, len(task.test_rows)), cutoffs[-1], "evaluate")
    seen = model.user_items.tocsr()
    information = self_information(seen)
    profiles = item_profiles(seen)

    n_items = len(model.item_map)
    counts = {cutoff: np.zeros(n_items, dtype=np.int64) for cutoff in cutoffs}
    parts: list[dict[str, np.ndarray]] = []
    popular = np.full(cutoffs[-1], -1, dtype=np.int64)
    if (task.model_rows < 0).any() and hasattr(model, "popular_rows"):
        popular = _popular_rows(model, cutoffs[-1], n_items)
    seconds = 0.0
    n_users = len(task.test_rows)
    with reporter(progress, "evaluate", n_users) as report:
        for start in range(0, n_users, batch_users):
            batch = slice(start, min(start + batch_users, n_users))
            model_rows = task.model_rows[batch]
            known = np.flatnonzero(model_rows >= 0)
            rows = np.tile(popular, (len(model_rows), 1))
            if len(known):
                began = perf_counter()
                answer = model.recommend_rows(model_rows[known], cutoffs[-1], exclude_seen=exclude_seen)
                seconds += perf_counter() - began
                rows[known] = _check_answer(answer.rows, len(known), cutoffs[-1], n_items)

            relevant = task.relevant[batch]
            candidates = _n_candidates(relevant, seen, model_rows, n_items, exclude_seen)
            metrics = ranking_metrics(rows, relevant, k=cutoffs, n_candidates=candidates, graded=graded)
            for cutoff in cutoffs:
                listed = rows[:, :cutoff]
                metrics[f"novelty@{cutoff}"] = novelty(listed, information)
                metrics[f"diversity@{cutoff}"] = list_diversity(listed, profiles)
                counts[cutoff] += item_counts(listed, n_items)
            parts.append(metrics)
            report(batch.stop, n_users)

    overall = {f"coverage@{cutoff}": coverage(counts[cutoff]) for cutoff in cutoffs}
    overall |= {f"gini@{cutoff}": gini(counts[cutoff]) for cutoff in cutoffs}
    return Evaluation(
        name=str(getattr(model, "name", type(model).__name__)) if name is None else name,
        user_ids=test.user_map.ids(task.test_rows),
        per_user={metric: np.concatenate([part[metric] for part in parts]) for metric in parts[0]},
        overall=overall,
        ratings=evaluate_ratings(model, test) if getattr(model, "predicts_ratings", False) else None,
        recommend_seconds=seconds,
        n_unknown_users=int(np.count_nonzero(task.model_rows < 0)),
        n_unknown_items=task.relevant.shape[1] - n_items,
    )


@dataclass(frozen=True)
class _RankingTask:
    """The relevant test pairs in the rows of the model."""

    test_rows: np.ndarray  # int64 (n,): rows of the judged users in the test part, ascending
    model_rows: np.ndarray  # int64 (n,): their rows in the model, -1 for an unknown user
    relevant: Any  # CSR float64 (n, items of the model, then unknown items)


def _ranking_task(model: Any, test: Interactions, relevant_from: float | None) -> _RankingTask:
    import scipy.sparse

    user_rows, item_rows, weights = test.user_rows, test.item_rows, test.weights
    if relevant_from is not None:
        chosen = weights >= relevant_from
        user_rows, item_rows, weights = user_rows[chosen], item_rows[chosen], weights[chosen]
    if len(user_rows) == 0:
        raise ValueError(
            f"[evaluate] expected at least one relevant test pair, got none of {len(test.user_rows)}; "
            "lower relevant_from or give a larger test part"
        )
    test_rows, judged = np.unique(user_rows, return_inverse=True)
    model_rows = model.user_map.rows(test.user_map.ids(test_rows), unknown="ignore")

    n_items = len(model.item_map)
    used, item = np.unique(item_rows, return_inverse=True)
    columns = model.item_map.rows(test.item_map.ids(used), unknown="ignore")
    unknown = columns < 0
    columns[unknown] = n_items + np.arange(np.count_nonzero(unknown))
    relevant = scipy.sparse.coo_array(
        (weights.astype(np.float64), (judged.ravel(), columns[item.ravel()])),
        shape=(len(test_rows), n_items + int(np.count_nonzero(unknown))),
    ).tocsr()  # adds up the weights of a pair that stands several times
    return _RankingTask(test_rows, model_rows, relevant)


def _popular_rows(model: Any, k: int, n_items: int) -> np.ndarray:
    """The model's most popular items, best first, filled up with -1 to shape (k,)."""
    popular = np.full(k, -1, dtype=np.int64)
    given = np.asarray(model.popular_rows(k)).ravel()[:k]
    popular[: len(given)] = given
    return _check_answer(popular[None], 1, k, n_items)[0]


def _check_answer(rows: Any, n_users: int, k: int, n_items: int) -> np.ndarray:
    rows = np.asarray(rows)
    if rows.shape != (n_users, k):
        raise ValueError(
            f"[evaluate] expected rows of shape {(n_users, k)} from the model, got {rows.shape}; "
            "pad short lists with -1"
        )
    if rows.size and (rows.min() < -1 or rows.max() >= n_items):
        raise ValueError(f"[evaluate] expected rows in -1..{n_items - 1} from the model; fix recommend_rows")
    return rows


def _n_candidates(
    relevant: Any, seen: Any, model_rows: np.ndarray, n_items: int, exclude_seen: bool
) -> np.ndarray:
    """How many items each user's list is chosen from, the user's unreachable relevant items included."""
    candidates = n_items + _n_stored(relevant[:, n_items:])
    known = np.flatnonzero(model_rows >= 0)
    if exclude_seen and len(known):
        own = seen[model_rows[known]]
        both = _n_stored(_ones(relevant[known][:, :n_items]).multiply(_ones(own)).tocsr())
        candidates[known] -= _n_stored(own) - both
    return candidates


def _n_stored(matrix: Any) -> np.ndarray:
    return np.diff(matrix.indptr).astype(np.int64)


def _ones(matrix: Any) -> Any:
    """The same stored entries, each with the value 1: an entry with weight 0 is stored all the same."""
    matrix = matrix.copy()
    matrix.data = np.ones(len(matrix.data))
    return matrix


def evaluate_ratings(model: Any, test: Interactions) -> RatingErrors:
    """Judge a model's ratings alone, as `evaluate` does, by all records of a test part.

    Parameters
    ----------
    model : fitted model
        Anything with `predict(user_ids, item_ids, unknown="baseline")` and, to clip by, `weight_range`. One
        whose `predicts_at_times` is true also gets `timestamps`, where the test part has them: a rating is
        predicted as of when it was given.
    test : Interactions

    Raises
    ------
    ValueError
        If there is no record, or a rating is not finite.

    Examples
    --------
    >>> from gpurec import MF, Interactions
    >>> ratings = Interactions.from_arrays(["ann", "bob"], ["alien", "alien"], [4, 4])
    >>> evaluate_ratings(MF(n_factors=1, max_epochs=1, validation_fraction=0).fit(ratings), ratings).rmse
    0.0
    """
    predicted = np.empty(len(test.user_rows), dtype=np.float64)
    at_times = getattr(model, "predicts_at_times", False)
    for start in range(0, len(predicted), _RATINGS_AT_ONCE):
        piece = slice(start, start + _RATINGS_AT_ONCE)
        users = test.user_map.ids(test.user_rows[piece])
        items = test.item_map.ids(test.item_rows[piece])
        at = {"timestamps": test.timestamps[piece]} if at_times and test.timestamps is not None else {}
        predicted[piece] = model.predict(users, items, unknown="baseline", **at)
    weight_range = getattr(model, "weight_range", None)
    if weight_range is not None:
        predicted = np.clip(predicted, *weight_range)
    return rating_errors(test.user_map.ids(), test.user_rows, test.weights, predicted)

"""Cleaning, a step a function: each gives its result and a report of what it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from typing import Any, TypeVar

import numpy as np

from .interactions import Interactions
from .readers import read_records
from .records import Records, records_from_frame
from .report import CleaningReport, CleaningStep
from .scaling import Scaler

__all__ = [
    "binarize",
    "clean",
    "drop_missing",
    "keep_core",
    "keep_finite",
    "limit_weights",
    "resolve_duplicates",
    "scale_weights",
]

AnyRecords = TypeVar("AnyRecords", Records, Interactions)


def clean(
    source: Interactions | Records | str | PathLike[str] | Any,
    *,
    columns: Mapping[str, str | int | None] | None = None,
    missing: str = "drop",
    non_finite: str = "drop",
    weight_range: tuple[float | None, float | None] | None = None,
    out_of_range: str = "drop",
    duplicates: str = "last",
    implicit_threshold: float | None = None,
    min_user: int = 1,
    min_item: int = 1,
    scale: str | None = None,
) -> tuple[Interactions, CleaningReport]:
    """Run the cleaning steps that are asked for, in the order of the parameters.

    Parameters
    ----------
    source : Interactions, Records, polars or pandas frame, or path
    columns : mapping, optional
        Columns of a frame or file, as in `find_columns`.
    missing : {"drop", "error"}
        Records without user, item, weight or timestamp, where others have them: `drop_missing`.
    non_finite : {"drop", "error"}
        Weights that are infinite: `keep_finite`.
    weight_range : (low, high), optional
        Bounds that weights may reach, None for no bound; what lies outside: `limit_weights` with
        `out_of_range` of {"drop", "clip", "error"}.
    duplicates : {"last", "max", "sum", "mean", "error"}
        Several records of one user and item: `resolve_duplicates`.
    implicit_threshold : float, optional
        Weights from here on become 1, records below it go: `binarize`.
    min_user, min_item : int
        Fewest records of each remaining user and item: `keep_core`.
    scale : {"minmax", "zscore"}, optional
        `scale_weights`, fitted on these very records: use it on a training part, or split first and use
        `Scaler`.

    Returns
    -------
    Interactions
        Over maps of only the ids that still have a record.
    CleaningReport
        A step for each of the above that ran.

    Raises
    ------
    ValueError
        If a parameter is out of its range, a step set to "error" finds something, or no record is left.

    Examples
    --------
    >>> items = np.array(["a", "a", None], dtype=object)
    >>> raw = Records(np.array([1, 1, 2]), items, np.array([3.0, 5.0, 1.0]))
    >>> ratings, report = clean(raw)
    >>> ratings.weights.tolist()
    [5.0]
    >>> print(report)
    missing: 3 -> 2 records, 1 affected (user, item, weight or timestamp is missing: dropped)
    non-finite: 2 -> 2 records, 0 affected (weight is infinite: dropped)
    duplicates: 2 -> 1 records, 1 affected (same user and item: the last one kept)
    core: 1 -> 1 records, 0 affected (user with fewer than 1 or item with fewer than 1: dropped until none is)
    """
    if scale is not None and implicit_threshold is not None:
        raise ValueError(
            "[clean] expected scale or implicit_threshold, got both, and scaling ones gives zeros"
        )
    data: Any = source
    if isinstance(source, (str, PathLike)):
        data = read_records(source, columns=columns)
    elif not isinstance(source, (Interactions, Records)):
        data = records_from_frame(source, columns)
    elif columns:
        raise ValueError(f"[clean] expected columns for a frame or file alone, got a {type(source).__name__}")

    steps = []

    def run(result: tuple[Any, CleaningStep]) -> Any:
        steps.append(result[1])
        return result[0]

    data = run(drop_missing(data, missing))
    data = run(keep_finite(data, non_finite))
    if weight_range is not None:
        data = run(limit_weights(data, *weight_range, outside=out_of_range))
    if isinstance(data, Records):
        data = Interactions.from_records(data)
    data = run(resolve_duplicates(data, duplicates))
    if implicit_threshold is not None:
        data = run(binarize(data, implicit_threshold))
    data = run(keep_core(data, min_user, min_item))
    if not len(data):
        report = CleaningReport(tuple(steps))
        raise ValueError(f"[clean] expected records to remain, but none did:\n{report}")
    if scale is not None:
        data = run(scale_weights(data, scale))
    return data, CleaningReport(tuple(steps))


def drop_missing(data: AnyRecords, on: str = "drop") -> tuple[AnyRecords, CleaningStep]:
    """Drop records that lack a user, an item, a weight (also NaN) or a timestamp, or refuse them.

    Examples
    --------
    >>> raw = Records(np.array([1, 2]), np.array([7, 8]), np.array([np.nan, 4.0]))
    >>> kept, step = drop_missing(raw)
    >>> kept.user_ids.tolist(), step.rows_affected, step.details["weight"]
    ([2], 1, 1)
    """
    _one_of("missing", on, ("drop", "error"))
    lacks: dict[str, np.ndarray] = {}  # of interactions nothing can be missing
    if isinstance(data, Records):
        lacks = data.missing()
    details = {role: int(np.count_nonzero(mask)) for role, mask in lacks.items()}
    bad = np.logical_or.reduce(list(lacks.values()) or [np.zeros(len(data), dtype=bool)])
    return _drop(data, bad, on, "missing", "user, item, weight or timestamp is missing", details)


def keep_finite(data: AnyRecords, on: str = "drop") -> tuple[AnyRecords, CleaningStep]:
    """Drop records whose weight is infinite, also once rounded to float32, or refuse them.

    Examples
    --------
    >>> raw = Records(np.array([1, 2]), np.array([7, 8]), np.array([np.inf, 4.0]))
    >>> kept, step = keep_finite(raw)
    >>> kept.user_ids.tolist(), step.rows_affected
    ([2], 1)
    """
    _one_of("non_finite", on, ("drop", "error"))
    bad = np.zeros(len(data), dtype=bool)
    if data.weights is not None:
        with np.errstate(over="ignore"):
            bad = np.isinf(data.weights.astype(np.float32))
    return _drop(data, bad, on, "non-finite", "weight is infinite")


def limit_weights(
    data: AnyRecords, low: float | None = None, high: float | None = None, *, outside: str = "drop"
) -> tuple[AnyRecords, CleaningStep]:
    """Drop, clip or refuse weights outside low..high, bounds included; None is no bound.

    Examples
    --------
    >>> ratings = Interactions.from_arrays([1, 2, 3], ["a", "b", "c"], [0, 3, 9])
    >>> limit_weights(ratings, 1, 5)[0].weights.tolist()
    [3.0]
    >>> limit_weights(ratings, 1, 5, outside="clip")[0].weights.tolist()
    [1.0, 3.0, 5.0]
    """
    _one_of("out_of_range", outside, ("drop", "clip", "error"))
    bottom, top = -np.inf if low is None else float(low), np.inf if high is None else float(high)
    if not bottom <= top:
        raise ValueError(f"[clean] expected a weight range of low <= high, got {low}..{high}")
    bad = np.zeros(len(data), dtype=bool)
    if data.weights is not None:
        bad = (data.weights < bottom) | (data.weights > top)
    rule = f"weight outside {bottom:g}..{top:g}"
    if outside != "clip":
        return _drop(data, bad, outside, "range", rule)
    n = len(data)
    step = CleaningStep("range", n, n, int(np.count_nonzero(bad)), f"{rule}: clipped")
    if data.weights is None:
        return data, step
    return replace(data, weights=np.clip(data.weights, bottom, top)), step


def resolve_duplicates(interactions: Interactions, how: str = "last") -> tuple[Interactions, CleaningStep]:
    """One record for each user and item.

    Parameters
    ----------
    interactions : Interactions
    how : {"last", "max", "sum", "mean", "error"}
        The record that stays is the last: by timestamp, where there are any, then by order. Its weight is
        its own, or the largest, the sum or the mean of all (in float64, rounded once). "error" refuses.

    Returns
    -------
    Interactions
        The records that stay, in their old order, over the same maps.
    CleaningStep
        `rows_affected` counts every record that was dropped.

    Examples
    --------
    >>> plays = Interactions.from_arrays([1, 1, 2], ["a", "a", "a"], [2, 3, 4])
    >>> resolve_duplicates(plays, "sum")[0].weights.tolist()
    [5.0, 4.0]
    """
    _one_of("duplicates", how, ("last", "max", "sum", "mean", "error"))
    n = len(interactions)
    users, items = interactions.user_rows, interactions.item_rows
    by_time = () if interactions.timestamps is None else (interactions.timestamps,)
    order = np.lexsort((*by_time, items, users))  # stable, so equal times stay in the order of records
    ends = np.ones(n, dtype=bool)
    ends[:-1] = (users[order][1:] != users[order][:-1]) | (items[order][1:] != items[order][:-1])
    dropped = n - int(np.count_nonzero(ends))
    if how == "error" and dropped:
        place = order[np.argmin(ends)]
        pair = tuple(
            m.ids([r[place]]).tolist()[0]
            for m, r in ((interactions.user_map, users), (interactions.item_map, items))
        )
        raise ValueError(
            f"[clean] expected one record for each user and item, got {dropped} more, the first for user "
            f"{pair[0]!r} and item {pair[1]!r}; do: duplicates='last', 'max', 'sum' or 'mean'"
        )
    words = "the last one kept" if how in ("last", "error") else f"one kept, with the {how} of their weights"
    step = CleaningStep("duplicates", n, n - dropped, dropped, f"same user and item: {words}")
    if not dropped:
        return interactions, step
    last = order[ends]
    weights = interactions.weights[last].astype(np.float64)
    if how in ("max", "sum", "mean"):
        starts = np.flatnonzero(np.r_[True, ends[:-1]])
        grouped = interactions.weights[order].astype(np.float64)
        weights = (np.maximum if how == "max" else np.add).reduceat(grouped, starts)
        if how == "mean":
            weights /= np.diff(np.r_[starts, n])
    in_order = np.argsort(last)
    kept = interactions.take(last[in_order])
    return replace(kept, weights=weights[in_order]), step


def binarize(interactions: Interactions, threshold: float) -> tuple[Interactions, CleaningStep]:
    """Turn weights into feedback that is there or not: 1 from the threshold on, else no record.

    Examples
    --------
    >>> ratings = Interactions.from_arrays([1, 2, 3], ["a", "b", "c"], [3, 4, 5])
    >>> positive, step = binarize(ratings, 4)
    >>> positive.user_ids().tolist(), positive.weights.tolist(), step.rows_affected
    ([2, 3], [1.0, 1.0], 3)
    """
    threshold = float(threshold)
    if not np.isfinite(threshold):
        raise ValueError(f"[clean] expected a finite implicit_threshold, got {threshold}")
    kept = interactions.take(interactions.weights >= threshold)
    n, changed = len(interactions), int(np.count_nonzero(kept.weights != 1))
    reason = f"weight below {threshold:g}: dropped; from there on: 1"
    step = CleaningStep("implicit", n, len(kept), n - len(kept) + changed, reason)
    return replace(kept, weights=np.ones(len(kept), dtype=np.float32)), step


def keep_core(
    interactions: Interactions, min_user: int = 1, min_item: int = 1
) -> tuple[Interactions, CleaningStep]:
    """Drop users and items with too few records, again and again until all that remain have enough.

    The largest such part, which does not depend on the order of dropping. Records are counted, so resolve
    duplicates first. The maps of the result hold only ids that still have a record.

    Examples
    --------
    >>> ratings = Interactions.from_arrays([1, 1, 2, 2, 3], ["a", "b", "a", "b", "c"])
    >>> keep_core(ratings, 2, 2)[0]
    Interactions(4 records, 2 users, 2 items)
    """
    for name, least in (("min_user", min_user), ("min_item", min_item)):
        if isinstance(least, bool) or not isinstance(least, (int, np.integer)) or least < 1:
            raise ValueError(f"[clean] expected {name} to be an integer >= 1, got {least!r}")
    n, rounds = len(interactions), 0
    places = np.arange(n)
    while True:
        users, items = interactions.user_rows[places], interactions.item_rows[places]
        enough = (np.bincount(users)[users] >= min_user) & (np.bincount(items)[items] >= min_item)
        if enough.all():
            break
        places = places[enough]
        rounds += 1
    kept = interactions.take(places).compact()
    details = {
        "rounds": rounds,
        "users_dropped": interactions.n_users - kept.n_users,
        "items_dropped": interactions.n_items - kept.n_items,
    }
    rule = f"user with fewer than {min_user} or item with fewer than {min_item}: dropped until none is"
    return kept, CleaningStep("core", n, len(kept), n - len(kept), rule, details)


def scale_weights(interactions: Interactions, kind: str) -> tuple[Interactions, CleaningStep]:
    """Scale weights to [0, 1] ("minmax") or to mean 0 and deviation 1 ("zscore"), fitted on themselves.

    `Scaler.from_dict(step.details)` transforms a test part alike, and inverts predictions.

    Examples
    --------
    >>> ratings = Interactions.from_arrays([1, 2], ["a", "b"], [1, 5])
    >>> scaled, step = scale_weights(ratings, "minmax")
    >>> scaled.weights.tolist(), Scaler.from_dict(step.details).inverse(scaled.weights).tolist()
    ([0.0, 1.0], [1.0, 5.0])
    """
    scaler = Scaler.fit(interactions, kind)
    scaled = scaler.transform(interactions)
    n, changed = len(scaled), int(np.count_nonzero(scaled.weights != interactions.weights))
    reason = f"{kind}: (weight - {scaler.offset:g}) / {scaler.divisor:g}"
    return scaled, CleaningStep("scale", n, n, changed, reason, scaler.to_dict())


def _drop(
    data: AnyRecords, bad: np.ndarray, on: str, name: str, rule: str, details: dict[str, Any] | None = None
) -> tuple[AnyRecords, CleaningStep]:
    n, n_bad = len(data), int(np.count_nonzero(bad))
    if n_bad and on == "error":
        raise ValueError(
            f"[clean] expected no record of which {rule}, got {n_bad}, the first at place {np.argmax(bad)}"
        )
    step = CleaningStep(name, n, n - n_bad, n_bad, f"{rule}: dropped", details or {})
    return (data.take(~bad) if n_bad else data), step


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"[clean] expected {name} among {list(known)}, got {value!r}")

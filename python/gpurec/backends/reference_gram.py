"""The most similar rows of a sparse matrix in NumPy float64, as every other backend has them bit for bit."""

from __future__ import annotations

import numpy as np

from .base import Filters, SparseRows
from .environment import strict_floats
from .gram_score import GramScore
from .reference_order import best_rows, permitted, round_scores, stack

__all__ = ["correlations", "gram_scores", "gram_top_k", "ordered_sums"]

# A variance no larger beside the mean square than this for each common column is the rounding of sums.
VARIANCE_NOISE = 2.0**-50


def ordered_sums(groups: np.ndarray, terms: np.ndarray, n_groups: int) -> np.ndarray:
    """Sum float64 terms by group, each group from +0.0 in the order in which its terms stand.

    Examples
    --------
    >>> ordered_sums(np.array([1, 0, 1, 1]), np.array([1e16, 2.0, 1.0, -1e16]), 2).tolist()
    [2.0, 0.0]
    """
    return np.bincount(groups, weights=terms, minlength=n_groups)


@strict_floats()
def gram_scores(x: SparseRows, row: int, how: GramScore) -> tuple[np.ndarray, np.ndarray]:
    """Canonical scores of a row with all rows, and which of them are pairs.

    Returns
    -------
    scores : float64 array, shape (n_rows,)
        Not yet rounded to float32; meaningless where there is no pair.
    is_pair : bool array, shape (n_rows,)
        Whether a row has at least `min_overlap` columns in common with this one.
    """
    columns, values = x.of(row)
    place = np.full(x.n_columns, -1)
    place[columns] = np.arange(len(columns))
    common = np.flatnonzero(place[x.columns] >= 0)  # entries in one of the row's columns, in ascending order
    owner = np.searchsorted(x.indptr, common, side="right") - 1
    a = values[place[x.columns[common]]].astype(np.float64)
    b = x.values[common].astype(np.float64)
    overlap = np.bincount(owner, minlength=x.n_rows)
    n = overlap.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        if how.form == "sets":
            only_a, only_b = len(columns) - n, x.lengths - n
            scores = n / ((n + how.alpha * only_a) + how.beta * only_b)
        elif how.form == "pearson":
            firsts = x.values[np.minimum(x.indptr[:-1], max(len(x.values) - 1, 0))] if len(x.values) else n
            scores = correlations(owner, a - float(values[0]) if len(a) else a, b - firsts[owner], n)
        else:
            scores = ordered_sums(owner, a * b, x.n_rows)
            if how.left is not None and how.right is not None:
                scale = how.left[row] * how.right
                scores = np.where(scale > 0, scores / scale, 0.0)
        if how.shrinkage > 0:
            scores = scores * (n / (n + how.shrinkage))
    return scores, overlap >= how.min_overlap


def correlations(owner: np.ndarray, a: np.ndarray, b: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Pearson's correlation of a and b for each owner, of whose pairs there are n.

    Notes
    -----
    One pass over sums in float64, each rounded on its own: covariance = n S(ab) - S(a) S(b), variance_a =
    n S(aa) - S(a) S(a), likewise b. A variance that is not above (n 2^-50) (n S(aa)) counts as zero, and so
    does then the correlation. It is covariance / sqrt(variance_a variance_b), at most 1 and at least -1.
    Values of ratings are small integers or halves, of which all sums are exact.

    Source: Welford 1962 on the cancellation in such sums, which is why values come less a value of their row.

    Examples
    --------
    >>> once = np.zeros(3, np.int64)
    >>> correlations(once, np.array([0.0, 1, 2]), np.array([4.0, 2, 0]), np.array([3.0])).tolist()
    [-1.0]
    """
    s_a, s_b, s_aa, s_bb, s_ab = (ordered_sums(owner, terms, len(n)) for terms in (a, b, a * a, b * b, a * b))
    covariance = n * s_ab - s_a * s_b
    variance_a, variance_b = n * s_aa - s_a * s_a, n * s_bb - s_b * s_b
    noise = n * VARIANCE_NOISE
    varies = (variance_a > noise * (n * s_aa)) & (variance_b > noise * (n * s_bb))
    scale = np.sqrt(np.where(varies, variance_a * variance_b, 1.0))
    return np.where(varies, np.clip(covariance / scale, -1.0, 1.0), 0.0)


def gram_top_k(
    x: SparseRows, k: int, how: GramScore, rows: np.ndarray, include_self: bool, filters: Filters
) -> tuple[np.ndarray, np.ndarray]:
    """Best k rows of `x` for each of its `rows`: rows int64 and canonical scores float32, (len(rows), k)."""
    results = []
    for i, row in enumerate(rows.tolist()):
        scores, is_candidate = gram_scores(x, row, how)
        is_candidate &= permitted(filters, i, x.n_rows)
        is_candidate[row] &= include_self
        candidates = np.flatnonzero(is_candidate)
        results.append(best_rows(round_scores(scores[candidates]), candidates, k))
    return stack(results, k)

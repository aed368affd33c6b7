"""Scores of sparse rows by plain loops over {column: value}, written apart from every backend."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["centred", "loop_score"]


def loop_score(a: dict, b: dict, how: dict) -> float | None:
    """The score of two rows, {column: value}, by a plain loop over common columns; None for no pair."""
    common = sorted(a.keys() & b.keys())
    n, metric = len(common), how["metric"]
    if n < how.get("min_overlap", 1):
        return None
    alpha, beta = how.get("alpha", 0.5 if metric == "asymmetric_cosine" else 1.0), how.get("beta", 1.0)
    if metric in ("jaccard", "tversky"):
        score = n / (n + alpha * (len(a) - n) + beta * (len(b) - n))
    elif metric == "pearson":
        s_a = s_b = s_aa = s_bb = s_ab = 0.0
        first_a, first_b = a[min(a)], b[min(b)]
        for c in common:
            x, y = a[c] - first_a, b[c] - first_b
            s_a, s_b, s_aa, s_bb, s_ab = s_a + x, s_b + y, s_aa + x * x, s_bb + y * y, s_ab + x * y
        v_a, v_b = n * s_aa - s_a * s_a, n * s_bb - s_b * s_b
        noise = n * 2.0**-50
        varies = v_a > noise * (n * s_aa) and v_b > noise * (n * s_bb)
        score = (n * s_ab - s_a * s_b) / math.sqrt(v_a * v_b) if varies else 0.0
        score = min(max(score, -1.0), 1.0)
    else:
        score = 0.0
        for c in common:
            score += a[c] * b[c]
        if metric != "dot":
            norms = []
            for row, exponent in ((a, 2 * alpha), (b, 2 - 2 * alpha)):
                squares = 0.0
                for c in sorted(row):
                    squares += row[c] * row[c]
                norms.append(
                    math.sqrt(squares) if metric != "asymmetric_cosine" else squares ** (exponent / 2)
                )
            score = score / (norms[0] * norms[1]) if norms[0] * norms[1] > 0 else 0.0
    if how.get("shrinkage", 0) > 0:
        score = score * (n / (n + how["shrinkage"]))
    return score


def centred(rows: list[dict], by_column: bool) -> list[dict]:
    """Values less the mean of their row or column."""
    groups: dict = {}
    for i, row in enumerate(rows):
        for c, value in sorted(row.items()):
            groups.setdefault(c if by_column else i, []).append(value)
    means = {}
    for group, values in groups.items():
        total = 0.0
        for value in values:
            total += value
        means[group] = total / len(values) if min(values) < max(values) else None
    out = []
    for i, row in enumerate(rows):
        of = {c: means[c if by_column else i] for c in row}
        out.append({c: 0.0 if of[c] is None else float(np.float32(v - of[c])) for c, v in row.items()})
    return out

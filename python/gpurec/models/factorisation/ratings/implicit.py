"""What a user rated, and who rated an item, as features, whatever the ratings were."""

from __future__ import annotations

import numpy as np

from ....backends import SparseRows

__all__ = ["IMPLICIT", "features_of"]

IMPLICIT = ("both", "users", "items", "none")


def features_of(rows: SparseRows, others: SparseRows, implicit: str, side: str) -> SparseRows | None:
    """For each of the others the rows that it rated or that rated it, each over the square root of the row's
    number; None where `implicit` says that this side has none.

    Parameters
    ----------
    rows, others : SparseRows
        The ratings by this side's rows, and the same by those of the other side.

    Source: Koren 2008, "Factorization meets the neighborhood", section 4 (SVD++).
    """
    if implicit not in ("both", side):
        return None
    shares = (1 / np.sqrt(np.maximum(rows.lengths, 1))).astype(np.float32)
    return others.with_values(shares[others.columns])

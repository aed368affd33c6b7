"""What a user rated, and who rated an item, as features, whatever the ratings were."""

from __future__ import annotations

import numpy as np

from ....backends import SparseRows
from ....ops.sparse_arguments import transposed

__all__ = ["IMPLICIT", "features_of"]

IMPLICIT = ("both", "users", "items", "none")


def features_of(rows: SparseRows, implicit: str, side: str) -> SparseRows | None:
    """For each of the others the rows that it rated or that rated it, each over the square root of the row's
    number; None where `implicit` says that this side has none.

    Source: Koren 2008, "Factorization meets the neighborhood", section 4 (SVD++).
    """
    if implicit not in ("both", side):
        return None
    lengths = np.maximum(rows.lengths, 1)
    return transposed(rows.with_values(np.repeat(1 / np.sqrt(lengths), rows.lengths).astype(np.float32)))

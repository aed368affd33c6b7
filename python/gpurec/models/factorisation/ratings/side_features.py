"""All that a side's rows have as features: whose row it is, what was rated, and attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ....backends import SparseRows
from ....features import FeatureEncoder
from ....ops.sparse_arguments import as_sparse_rows, transposed
from .implicit import features_of
from .moments import Moments

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from ....features import FeatureTable
    from ....types import IdMap

__all__ = ["encoded_columns", "side_features"]


def side_features(
    moments: Moments,
    rated: SparseRows,
    others: SparseRows,
    implicit: str,
    side: str,
    attributes: list[csr_array],
) -> tuple[SparseRows | None, np.ndarray | None]:
    """Which users, or items, have each feature, and its group; the weights of a group have one prior.

    Parameters
    ----------
    moments : Moments
        Whose rows a side has. Those of one user, or item, share its features.
    rated, others : SparseRows, shape (n, n_others) and (n_others, n)
        Which of the others each has ratings of, and the same by these.
    implicit : str
        As of `BayesianMF`.
    side : {"users", "items"}
    attributes : list of csr_array, shape (n, n_features)
        A group each.
    """
    from scipy.sparse import csr_array, eye_array, hstack

    of_ratings = features_of(rated, others, implicit, side)
    if not moments.days and not attributes:
        return of_ratings, None
    parts = []
    if moments.days:
        parts.append(eye_array(moments.n, dtype=np.float32, format="csr"))
    if of_ratings is not None:
        by_rows = transposed(of_ratings)
        parts.append(csr_array((by_rows.values, by_rows.columns, by_rows.indptr), by_rows.shape))
    parts += attributes
    groups = np.repeat(np.arange(1, len(parts) + 1, dtype=np.int32), [part.shape[1] for part in parts])
    of_owners = csr_array(hstack(parts, format="csr"))
    return transposed(as_sparse_rows(of_owners, "features", "fit")), groups


def encoded_columns(
    table: FeatureTable | None, id_map: IdMap, known: np.ndarray, side: str
) -> list[csr_array]:
    """The columns of a table as features of a model's rows, learnt from those that are known."""
    from scipy.sparse import csr_array

    if table is None:
        return []
    rows = id_map.rows(table.id_map.ids(), unknown="ignore")
    has = np.flatnonzero((rows >= 0) & known[rows])
    if not has.size:
        raise ValueError(
            f"[bayesian-mf] expected features of {side}s with training interactions, got none among "
            f"{len(table)} ids such as {table.id_map.ids()[:2].tolist()}; ids keep their type"
        )
    part, rows = table.take(has), rows[has]
    encoder = FeatureEncoder(table.schema).fit(part)
    found = []
    for name in encoder.columns:
        encoded = csr_array(encoder.transform(part, [name])).tocoo()
        shape = (len(id_map), encoded.shape[1])
        found.append(csr_array((encoded.data, (rows[encoded.row], encoded.col)), shape))
    return [column for column in found if column.nnz]

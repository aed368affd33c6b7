"""What a content score is made of: what the user had and is, or what the item is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...backends import SparseRows
from ..recommender import Reasons
from .profiles import mean_divisors

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from ...features import FeatureEncoder
    from .blocks import Blocks

__all__ = ["feature_reasons", "past_reasons"]


def past_reasons(
    histories: SparseRows,
    pull: float,
    features: SparseRows | None,
    foretelling: np.ndarray | None,
    names: list[str],
    past: np.ndarray,
    items: np.ndarray,
    user: np.ndarray,
) -> list[Reasons]:
    """What each item that one user had, and each of their features, adds to the scores of some items.

    Parameters
    ----------
    histories : SparseRows, shape (1, n_items)
    pull : float
        How many items the user's features count as.
    features : SparseRows, shape (1, n_features), or None
    foretelling : float32 array, shape (n_features + 1, d), or None
    names : list of str
        Of the user's features.
    past : float32 array, shape (n_past, d)
        Vectors of the items that the user had.
    items : float32 array, shape (n, d)
        Vectors of the items in question.
    user : float32 array, shape (d,)
        The user's vector, in which all of this has been rounded.
    """
    divisor = mean_divisors(histories, np.array([pull]))[0]
    shares, vectors = [histories.values / divisor], [past.astype(np.float64)]
    if features is not None and foretelling is not None:
        known = np.append(features.columns, len(foretelling) - 1)
        shares.append(np.append(features.values, 1.0) * (pull / divisor))
        vectors.append(foretelling[known].astype(np.float64))
    found = _adding_up(np.concatenate(shares), np.concatenate(vectors), items, user)
    reasons = [Reasons("item", histories.columns, found[:, : len(past)])]
    if features is not None:
        of_features = [names[column] for column in features.columns.tolist()]
        reasons.append(Reasons("feature", of_features, found[:, len(past) : -1]))
        reasons.append(Reasons("baseline", ["all users"], found[:, -1:]))
    return reasons


def _adding_up(shares: np.ndarray, vectors: np.ndarray, items: np.ndarray, user: np.ndarray) -> np.ndarray:
    """shares * (vectors . items), float64 (n, n_shares), with what rounding the user's vector has moved.

    That is shared out in proportion to the absolute products of which each number is a sum.
    """
    of_items = items.astype(np.float64)
    found = (of_items @ vectors.T) * shares
    sizes = (np.abs(of_items) @ np.abs(vectors).T) * np.abs(shares)
    moved = of_items @ user.astype(np.float64) - found.sum(axis=1)
    return found + sizes * (moved / np.maximum(sizes.sum(axis=1), 1e-300))[:, np.newaxis]


def feature_reasons(
    blocks: Blocks,
    item: np.ndarray,
    features: csr_array,
    user: np.ndarray,
    encoder: FeatureEncoder | None,
) -> list[Reasons]:
    """What each feature of one item adds to its score.

    Parameters
    ----------
    blocks : Blocks
    item : float32 array, shape (d,)
        Its vector.
    features : scipy CSR, shape (1, n_features)
        Its features in all sparse blocks, one block after another.
    user : float32 array, shape (d,)
    encoder : FeatureEncoder or None
        None: features are users' rows.
    """
    kinds: dict[str, tuple[list[Any], list[float]]] = {
        "feature": ([], []),
        "user": ([], []),
        "part": ([], []),
    }
    first = 0
    for block, part in zip(blocks.blocks, blocks.slices()):
        mine, theirs = item[part].astype(np.float64), user[part].astype(np.float64)
        if encoder is not None and encoder.is_dense(block.columns):
            names, added = [block.name], np.array([mine @ theirs])
        else:
            inside = (features.indices >= first) & (features.indices < first + block.n_features)
            columns = features.indices[inside] - first
            first += block.n_features
            values = features.data[inside].astype(np.float64)
            if block.projection is None:
                rows = np.zeros((len(columns), block.d))
                rows[np.arange(len(columns)), columns] = 1
            else:
                rows = block.projection[columns].astype(np.float64)
            length = np.linalg.norm(values @ rows) if len(columns) else 0.0
            # An item without a single component in the block's space has nothing there.
            scale = np.linalg.norm(mine) / length if length > 0 else 0.0
            added = (
                _adding_up(values * scale, rows, theirs[np.newaxis], mine)[0] if len(columns) else np.empty(0)
            )
            names = columns.tolist()
            if encoder is not None:
                of_block = encoder.names_of(block.columns)
                names = [of_block[column] for column in names]
        found = kinds["user" if encoder is None else "feature"]
        found[0].extend(names)
        found[1].extend(added.tolist())
    return [
        Reasons(kind, np.array(names, np.int64) if kind == "user" else names, np.array([added]))
        for kind, (names, added) in kinds.items()
        if names
    ]

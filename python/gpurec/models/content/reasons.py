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
    from .blocks import Block, Blocks
    from .registration import Registration

__all__ = ["feature_reasons", "past_reasons"]


def past_reasons(
    histories: SparseRows,
    past: np.ndarray,
    items: np.ndarray,
    user: np.ndarray,
    registration: Registration | None = None,
    features: SparseRows | None = None,
    pull: float = 0.0,
) -> list[Reasons]:
    """What each item that one user had, and each of their features, adds to the scores of some items.

    Parameters
    ----------
    histories : SparseRows, shape (1, n_items)
    past : float32 array, shape (n_past, d)
        Vectors of the items that the user had.
    items : float32 array, shape (n, d)
        Vectors of the items in question.
    user : float32 array, shape (d,)
        The user's vector, in which all of this has been rounded.
    registration, features : Registration and SparseRows (1, n_features), optional
    pull : float
        How many items the user's features count as.
    """
    divisor = mean_divisors(histories, np.array([pull]))[0]
    shares, vectors = histories.values / divisor, past.astype(np.float64)
    if registration is None or features is None:
        return [Reasons("item", histories.columns, _adding_up(shares, vectors, items, user))]
    known = np.append(features.columns, len(registration.coefficients) - 1)
    shares = np.append(shares, np.append(features.values, 1.0) * (pull / divisor))
    vectors = np.concatenate([vectors, registration.coefficients[known].astype(np.float64)])
    found = _adding_up(shares, vectors, items, user)
    names = registration.encoder.names
    return [
        Reasons("item", histories.columns, found[:, : len(past)]),
        Reasons("feature", [names[column] for column in features.columns.tolist()], found[:, len(past) : -1]),
        Reasons("baseline", ["all users"], found[:, -1:]),
    ]


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
    names: list[Any] = []
    added: list[np.ndarray] = [np.empty(0)]
    first = 0
    for block, part in zip(blocks.blocks, blocks.slices()):
        mine, theirs = item[part].astype(np.float64), user[part].astype(np.float64)
        if encoder is not None and encoder.is_dense(block.columns):
            names.append(block.name)
            added.append(np.array([mine @ theirs]))
            continue
        inside = (features.indices >= first) & (features.indices < first + block.n_features)
        columns = features.indices[inside] - first
        first += block.n_features
        of_block = None if encoder is None else encoder.names_of(block.columns)
        names += columns.tolist() if of_block is None else [of_block[column] for column in columns.tolist()]
        added.append(_of_block(block, columns, features.data[inside].astype(np.float64), mine, theirs))
    kind = "user" if encoder is None else "feature"
    return [
        Reasons(
            kind, np.array(names, np.int64) if encoder is None else names, np.concatenate(added)[np.newaxis]
        )
    ]


def _of_block(
    block: Block, columns: np.ndarray, values: np.ndarray, mine: np.ndarray, theirs: np.ndarray
) -> np.ndarray:
    """What each feature of a block adds to mine . theirs; mine is their sum in the block's space, scaled."""
    if block.projection is None:
        rows = np.zeros((len(columns), block.d))
        rows[np.arange(len(columns)), columns] = 1
    else:
        rows = block.projection[columns].astype(np.float64)
    length = np.linalg.norm(values @ rows)
    # An item without a single component in the block's space has nothing there.
    scale = np.linalg.norm(mine) / length if length > 0 else 0.0
    return _adding_up(values * scale, rows, theirs[np.newaxis], mine)[0]

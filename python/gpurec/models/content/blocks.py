"""Blocks of features (text, tags, images) as parts of one unit vector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ...artifacts import Artifact
from ...backends import SparseRows, select
from ...errors import ArtifactError
from ...ops.sparse_arguments import as_sparse_rows, transposed
from ..graph_filters.singular_vectors import singular_vectors

if TYPE_CHECKING:
    from ...features import Column, FeatureEncoder

__all__ = ["Block", "Blocks", "default_blocks"]

# Kinds of columns that are a modality of their own; numbers, categories and dates share the block "fields".
_OWN_BLOCK = {"text", "multi_label", "dense", "cross"}


def default_blocks(schema: Mapping[str, Column]) -> dict[str, list[str]]:
    """A block for each column of text, labels, pairs or vectors, and one for all others.

    Examples
    --------
    >>> from gpurec.features import MultiLabel, Numeric, Categorical
    >>> default_blocks({"genre": MultiLabel(), "year": Numeric(), "language": Categorical()})
    {'genre': ['genre'], 'fields': ['year', 'language']}
    """
    blocks: dict[str, list[str]] = {}
    for name, column in schema.items():
        blocks.setdefault(name if column.kind in _OWN_BLOCK else "fields", []).append(name)
    return blocks


@dataclass(frozen=True)
class Block:
    """One block.

    Attributes
    ----------
    name : str
    columns : list of str
        Of the table.
    n_features : int
    projection : float32 array, shape (n_features, n_components), or None
        Right singular vectors of the training part's rows; None keeps the features as they are.
    """

    name: str
    columns: list[str]
    n_features: int
    projection: np.ndarray | None

    @property
    def d(self) -> int:
        return self.n_features if self.projection is None else self.projection.shape[1]

    def units(self, features: Any) -> np.ndarray:
        """Rows of features as vectors of length one, float32 (n, d); zero where there is no feature."""
        backend = select()
        if isinstance(features, np.ndarray):
            rows = np.ascontiguousarray(features, np.float32)
        elif self.projection is None:
            rows = features.toarray().astype(np.float32)
        else:
            rows = np.empty((features.shape[0], self.d), np.float32)
            sparse = as_sparse_rows(features, "features", "content")
            backend.spmm(sparse, self.projection, None, 0.0, rows)
        return backend.prepare_rows(rows, "cosine")


@dataclass(frozen=True)
class Blocks:
    """All blocks, each with the weight of its similarity.

    Attributes
    ----------
    blocks : list of Block
    weights : float64 array, shape (n_blocks,)
        They add up to 1.

    Notes
    -----
    The vector of an item is the unit vectors of its blocks, each times the root of the block's weight, one
    after another, and brought to length one. So the product of two items is the weighted mean of the blocks'
    cosines where both have all blocks. An item without a block has zeros there and is no shorter for it: its
    similarity is carried by the blocks that it has.
    """

    blocks: list[Block]
    weights: np.ndarray

    @classmethod
    def learn(
        cls,
        features: Mapping[str, tuple[list[str], Any]],
        n_components: int,
        weights: Mapping[str, float],
        random_state: int,
    ) -> Blocks:
        """Projections of the blocks' features of the training part.

        Parameters
        ----------
        features : mapping of str to (columns, matrix)
            CSR, or an array of a dense block, which is not projected.
        n_components : int
            A sparse block with more features is projected to so many components.
        weights : mapping of str to float
            1 where not given; not all 0.
        """
        strange = sorted(set(weights) - set(features))
        given = np.array([float(weights.get(name, 1.0)) for name in features])
        if strange or not given.sum() > 0:
            raise ValueError(
                f"[content] expected block_weights of {', '.join(features)}, not all 0, got {dict(weights)}"
            )
        blocks = []
        for name, (columns, matrix) in features.items():
            projection = None
            if (
                not isinstance(matrix, np.ndarray)
                and min(matrix.shape) > 0
                and matrix.shape[1] > n_components
            ):
                projection = _projection(matrix, min(n_components, *matrix.shape), random_state)
            blocks.append(Block(name, columns, matrix.shape[1], projection))
        return cls(blocks, given / given.sum())

    @property
    def d(self) -> int:
        return sum(block.d for block in self.blocks)

    def slices(self) -> list[slice]:
        """The components of each block."""
        ends = np.cumsum([0, *(block.d for block in self.blocks)]).tolist()
        return [slice(first, end) for first, end in pairwise(ends)]

    def units(self, features: Sequence[Any]) -> np.ndarray:
        """Unit vectors of all blocks, one after another, float32 (n, d)."""
        return np.hstack([block.units(matrix) for block, matrix in zip(self.blocks, features)])

    def vectors(self, units: np.ndarray) -> np.ndarray:
        """The vectors of items, float32 (n, d), from the unit vectors of their blocks."""
        vectors = np.empty_like(units)
        for part, weight in zip(self.slices(), self.weights):
            np.multiply(units[:, part], np.float32(math.sqrt(weight)), out=vectors[:, part])
        return select().prepare_rows(vectors, "cosine")

    def with_weights(self, weights: np.ndarray) -> Blocks:
        """The same blocks, other weights."""
        return replace(self, weights=weights / weights.sum())

    def check(self, encoder: FeatureEncoder) -> int:
        """The number of features of all sparse blocks, if an encoder makes what the blocks take.

        Raises
        ------
        ArtifactError
            If it does not.
        """
        width = 0
        for block in self.blocks:
            fits = bool(block.columns) and set(block.columns) <= set(encoder.columns)
            if not fits or len(encoder.names_of(block.columns)) != block.n_features:
                raise ArtifactError(f"[load] expected the columns of block {block.name!r:.60} in the encoder")
            width += 0 if encoder.is_dense(block.columns) else block.n_features
        return width

    def to_tensors(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Tensors and settings to save."""
        tensors = {
            f"projection.{i}": block.projection
            for i, block in enumerate(self.blocks)
            if block.projection is not None
        }
        meta = [
            [block.name, block.columns, block.n_features, block.projection is not None]
            for block in self.blocks
        ]
        return tensors | {"block_weights": self.weights}, {"blocks": meta}

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> Blocks:
        """The blocks that `to_tensors` saved.

        Raises
        ------
        ArtifactError
            If anything is missing or does not fit.
        """
        found = artifact.meta.get("blocks")
        if not isinstance(found, list) or not found:
            raise ArtifactError(f"[load] expected blocks of features, got {found!r:.60}")
        blocks = []
        for i, entry in enumerate(found):
            if not (
                isinstance(entry, list)
                and [type(part) for part in entry] == [str, list, int, bool]
                and all(isinstance(column, str) for column in entry[1])
                and 0 <= entry[2] < 2**31
            ):
                raise ArtifactError(f"[load] expected a block of features, got {entry!r:.60}")
            name, columns, n_features, projected = entry
            projection = None
            if projected:
                projection = artifact.tensor(f"projection.{i}", np.float32, (n_features, None))
                if not np.isfinite(projection).all():
                    raise ArtifactError("[load] expected a finite projection of features; fit and save again")
            blocks.append(Block(name, columns, n_features, projection))
        weights = artifact.tensor("block_weights", np.float64, (len(blocks),))
        if not (weights >= 0).all() or not abs(weights.sum() - 1) < 1e-9:
            raise ArtifactError("[load] expected weights of blocks that add up to 1; fit and save again")
        return cls(blocks, weights)


def _projection(matrix: Any, rank: int, random_state: int) -> np.ndarray:
    """Leading right singular vectors of the rows, each brought to length one, float32 (n_features, rank)."""
    rows = as_sparse_rows(matrix, "features", "content")
    squares = np.bincount(rows.owners, rows.values.astype(np.float64) ** 2, minlength=rows.n_rows)
    lengths = np.sqrt(np.where(squares > 0, squares, 1.0))
    scaled: SparseRows = rows.with_values((rows.values / lengths[rows.owners]).astype(np.float32))
    return singular_vectors(scaled, transposed(scaled), rank, random_state).vectors

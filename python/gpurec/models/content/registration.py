"""What users are like, and the tastes that it foretells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...artifacts import Artifact
from ...backends import SparseRows, select
from ...errors import ArtifactError
from ...features import FeatureEncoder, FeatureTable
from .matrices import csr_from_artifact, csr_of, csr_to_tensors, in_rows, resized, sparse_rows, stacked

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Registration"]

# A system of so many equations is solved at once; more features want fewer columns.
_MOST_FEATURES = 8192


@dataclass(frozen=True)
class Registration:
    """Features of users, and what each of them says of a user's vector.

    Attributes
    ----------
    encoder : FeatureEncoder
    features : scipy CSR, float32, shape (n_users, n_features)
        Empty rows of users of whom nothing is known.
    coefficients : float32 array, shape (n_features + 1, d)
        The last row is what holds for everyone.
    """

    encoder: FeatureEncoder
    features: csr_array
    coefficients: np.ndarray

    @classmethod
    def learn(cls, table: FeatureTable, profiles: np.ndarray, penalty: float) -> Registration:
        """Ridge regression of users' vectors on their features.

        Parameters
        ----------
        table : FeatureTable
            Of users with training interactions.
        profiles : float32 array, shape (len(table), d)
        penalty : float
            On the squares of all coefficients but what holds for everyone.

        Raises
        ------
        ValueError
            If there are too many features.
        """
        encoder = FeatureEncoder(table.schema).fit(table)
        features = csr_of(encoder.transform(table))
        return cls(encoder, features, _ridge(features, profiles, penalty))

    @property
    def described(self) -> np.ndarray:
        """Which users have features, bool (n_users,)."""
        return np.diff(self.features.indptr) > 0

    def with_users(self, table: FeatureTable, rows: np.ndarray, n_users: int) -> Registration:
        """The same coefficients for n_users users, of whom a table describes those in the given rows."""
        return replace(self, features=in_rows(csr_of(self.encoder.transform(table)), rows, n_users))

    def appended(self, features: csr_array) -> Registration:
        """With more users behind those that are there."""
        return replace(self, features=stacked(self.features, features))

    def resized(self, n_users: int) -> Registration:
        """With room for users of whom nothing is known."""
        return replace(self, features=resized(self.features, (n_users, self.features.shape[1])))

    def of(self, user_rows: np.ndarray) -> SparseRows:
        """Features of users; of row -1 none."""
        return sparse_rows(self.features, user_rows)

    def foretold(self, features: SparseRows) -> np.ndarray:
        """The vectors that features foretell, float32 (n, d)."""
        vectors = np.empty((features.n_rows, self.coefficients.shape[1]), np.float32)
        select().spmm(features, self.coefficients[:-1], None, 0.0, vectors)
        vectors += self.coefficients[-1]
        return vectors

    def to_tensors(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Tensors and settings to save."""
        tensors, meta = self.encoder.to_tensors("user_encoder")
        tensors |= csr_to_tensors("user_features", self.features)
        return tensors | {"user_coefficients": self.coefficients}, meta

    @classmethod
    def from_artifact(cls, artifact: Artifact, n_users: int, d: int) -> Registration:
        """What `to_tensors` saved.

        Raises
        ------
        ArtifactError
            If anything is missing or does not fit.
        """
        encoder = FeatureEncoder.from_tensors("user_encoder", artifact.tensors, artifact.meta)
        width = len(encoder.names)
        features = csr_from_artifact("user_features", artifact, (n_users, width))
        coefficients = artifact.tensor("user_coefficients", np.float32, (width + 1, d))
        if not np.isfinite(coefficients).all():
            raise ArtifactError("[load] expected finite coefficients of users' features; fit and save again")
        return cls(encoder, features, coefficients)


def _ridge(features: csr_array, profiles: np.ndarray, penalty: float) -> np.ndarray:
    from scipy.linalg import solve
    from scipy.sparse import csr_array, hstack

    n, n_features = features.shape
    if n_features > _MOST_FEATURES:
        raise ValueError(
            f"[content] expected at most {_MOST_FEATURES} features of users, got {n_features}; "
            "do: max_terms or min_count in the schema"
        )
    X = csr_array(hstack([features.astype(np.float64), np.ones((n, 1))], format="csr"))
    gram = (X.T @ X).toarray()
    gram[np.arange(n_features), np.arange(n_features)] += penalty
    # Without a penalty, a feature that says the same as another would leave no single solution.
    gram[np.diag_indices(n_features + 1)] += 1e-9 * n
    return solve(gram, X.T @ profiles.astype(np.float64), assume_a="pos").astype(np.float32)

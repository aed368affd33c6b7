"""Which features are worth keeping: by variance, chi2 or mutual information with a target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import import_extra

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Selection"]

_WAYS = ("variance", "chi2", "mutual_information")


class Selection:
    """Keeps the features that score best on the training part, by scikit-learn.

    Parameters
    ----------
    by : {"variance", "chi2", "mutual_information"}
        "variance" needs no target. "chi2" wants features that are not negative; "mutual_information" is of
        whether a feature is there at all.
    k : int
        How many to keep; of equal ones the first.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> features = csr_array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    >>> Selection("variance", 2).kept(features).tolist()
    [1, 2]
    >>> Selection("chi2", 1).kept(features, target=[0, 1, 1, 0]).tolist()
    [1]
    """

    def __init__(self, by: str, k: int) -> None:
        if by not in _WAYS or type(k) is not int or k < 1:
            raise ValueError(
                f"[selection] expected by of {', '.join(_WAYS)} and k of 1 or more, got {by!r} and {k!r}"
            )
        self.by, self.k = by, k

    def kept(self, features: csr_array, target: Any = None) -> np.ndarray:
        """Columns to keep, int64, ascending.

        Parameters
        ----------
        features : scipy CSR, shape (n, n_features)
        target : sequence of n classes
            Needed but for "variance".

        Raises
        ------
        ValueError
            If the target is missing or of another length, or features are negative and `by` is "chi2".
        """
        if self.by != "variance" and (target is None or len(target) != features.shape[0]):
            raise ValueError(
                f"[selection] expected a target of {features.shape[0]} classes for {self.by}, got "
                f"{None if target is None else len(target)}; do: encoder.fit(table, target)"
            )
        if min(features.shape) == 0:
            return np.arange(features.shape[1])
        scores = np.nan_to_num(self._scores(features, target), nan=-np.inf)
        return np.sort(np.argsort(-scores, kind="stable")[: self.k])

    def _scores(self, features: csr_array, target: Any) -> np.ndarray:
        if self.by == "variance":
            # What `VarianceThreshold` goes by; that one refuses a table of constants.
            return import_extra("sklearn.utils.sparsefuncs", "features").mean_variance_axis(features, 0)[1]
        by = import_extra("sklearn.feature_selection", "features")
        if self.by == "chi2":
            if features.data.size and features.data.min() < 0:
                raise ValueError("[selection] expected no negative features for chi2; do: scale='none'")
            return by.chi2(features, target)[0]
        there = features.astype(np.float64)
        there.data = (there.data != 0).astype(np.float64)
        return by.mutual_info_classif(there, target, discrete_features=True, random_state=0)

    def __repr__(self) -> str:
        return f"Selection({self.by!r}, {self.k})"

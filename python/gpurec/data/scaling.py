"""Scaling of weights, fitted on one part and applied to others, and its inverse for predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from .interactions import Interactions

__all__ = ["Scaler"]


@dataclass(frozen=True)
class Scaler:
    """w -> (w - offset) / divisor, and back.

    Fit it on the training part alone and transform every part with it: values of another part may then
    lie outside [0, 1], and are not clipped, so that the inverse gives them back.

    Attributes
    ----------
    kind : {"minmax", "zscore"}
    offset, divisor : float
        Minimum and range, or mean and (population) standard deviation; the divisor of constant weights
        is 1.

    Examples
    --------
    >>> train = Interactions.from_arrays([1, 1, 2], ["a", "b", "a"], [1, 5, 3])
    >>> scaler = Scaler.fit(train, "minmax")
    >>> scaler.transform(train).weights.tolist()
    [0.0, 1.0, 0.5]
    >>> scaler.inverse([0.25]).tolist()
    [2.0]
    """

    kind: str
    offset: float
    divisor: float

    def __post_init__(self) -> None:
        if self.kind not in ("minmax", "zscore"):
            raise ValueError(f"[scale] expected 'minmax' or 'zscore', got {self.kind!r}")
        if not (np.isfinite(self.offset) and np.isfinite(self.divisor) and self.divisor > 0):
            raise ValueError(f"[scale] expected a finite offset and divisor > 0, got {self}")

    @classmethod
    def fit(cls, train: Interactions | Any, kind: str) -> Scaler:
        """The scaler of the weights of interactions, or of an array.

        Raises
        ------
        ValueError
            If there is no weight, or one is not finite.

        Examples
        --------
        >>> Scaler.fit([2.0, 4.0], "zscore")
        Scaler(kind='zscore', offset=3.0, divisor=1.0)
        """
        weights = _weights(train)
        if not weights.size:
            raise ValueError("[scale] expected at least one weight, got none")
        if not np.isfinite(weights).all():
            raise ValueError("[scale] expected finite weights; do: keep_finite(...)")
        if kind == "minmax":
            offset, divisor = float(weights.min()), float(weights.max() - weights.min())
        else:
            offset, divisor = float(weights.mean()), float(weights.std())
            if weights.min() == weights.max():  # the rounding of the mean is no deviation
                offset, divisor = float(weights[0]), 0.0
        return cls(kind, offset, divisor or 1.0)

    def transform(self, data: Interactions | Any) -> Any:
        """Scaled interactions, or scaled float32 values of an array.

        Examples
        --------
        >>> Scaler("minmax", 1.0, 4.0).transform([1, 3]).tolist()
        [0.0, 0.5]
        """
        return _with_weights(data, (_weights(data) - self.offset) / self.divisor)

    def inverse(self, data: Interactions | Any) -> Any:
        """Interactions or values (predictions, say) on the scale before; float32.

        Examples
        --------
        >>> Scaler("minmax", 1.0, 4.0).inverse([0.0, 0.5]).tolist()
        [1.0, 3.0]
        """
        return _with_weights(data, _weights(data) * self.divisor + self.offset)

    def to_dict(self) -> dict[str, Any]:
        """The attributes, for JSON.

        Examples
        --------
        >>> Scaler.from_dict(Scaler("minmax", 1.0, 4.0).to_dict()).divisor
        4.0
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Scaler:
        """The scaler that `to_dict` described.

        Examples
        --------
        >>> Scaler.from_dict({"kind": "zscore", "offset": 3, "divisor": 2})
        Scaler(kind='zscore', offset=3.0, divisor=2.0)
        """
        return cls(settings["kind"], float(settings["offset"]), float(settings["divisor"]))


def _weights(data: Any) -> np.ndarray:
    return np.asarray(data.weights if isinstance(data, Interactions) else data, dtype=np.float64)


def _with_weights(data: Any, weights: np.ndarray) -> Any:
    weights = weights.astype(np.float32)
    return replace(data, weights=weights) if isinstance(data, Interactions) else weights

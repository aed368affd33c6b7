"""GF-CF: a linear filter and an ideal low pass."""

from __future__ import annotations

from typing import ClassVar

from .filtering import GraphFilter

__all__ = ["GFCF"]


class GFCF(GraphFilter):
    """Graph filter collaborative filtering: a linear filter and an ideal low pass, added.

    Parameters
    ----------
    n_vectors : int
        Of the low pass; fewer where the data have fewer.
    low_pass_weight : float
    item_power : float
        An item's score is multiplied by the number of its users to this power; 0 is as published.
    random_state : int

    Attributes
    ----------
    singular_values : float64 array, shape (n_vectors,)
        Of the normalised matrix of interactions, largest first.
    singular_value_error : float
        Each of them has an exact one within this share of it.

    Notes
    -----
    Every interaction counts as one, whatever its weight. Fitting goes through BLAS: the same bits with the
    same number of threads.

    Source: Shen et al. 2021, "How powerful is graph convolution for recommendation?", arXiv 2108.07567.

    Examples
    --------
    >>> from gpurec import Interactions
    >>> plays = Interactions.from_arrays([1, 1, 2, 2, 3], ["a", "b", "a", "b", "a"])
    >>> GFCF(n_vectors=1).fit(plays).recommend([3], k=1).to_dicts()[0]["item_id"]
    'b'
    """

    name: ClassVar[str] = "gf-cf"

    def __init__(
        self,
        *,
        n_vectors: int = 256,
        low_pass_weight: float = 0.3,
        item_power: float = 0.0,
        random_state: int = 0,
    ) -> None:
        super().__init__(n_vectors, low_pass_weight, item_power, random_state)

    @property
    def _coefficients(self) -> tuple[float, ...]:
        return (1.0,)

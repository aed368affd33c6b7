"""Several models as one: sums, ranks, switches, cascades, learnt weights."""

from .hybrid import Hybrid

__all__ = ["Hybrid"]

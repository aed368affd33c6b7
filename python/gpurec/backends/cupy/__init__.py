"""Backend `cupy`: array operations alone, for a GPU on which our own kernels cannot run.

Every function takes an array namespace `xp`; with NumPy as the namespace the same lines run, and are
tested, without a GPU. Every item is scored canonically, in pieces, so the answer needs no bound: products
and sums are float64 operations of their own, which no compiler fuses, in the reference's order.
"""

from .backend import CupyBackend

__all__ = ["CupyBackend"]

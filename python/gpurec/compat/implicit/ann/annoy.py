"""implicit's `ann.annoy`."""

from .exact import AnnoyModel

__all__ = ["AnnoyModel"]

"""implicit's `ann.faiss`."""

from .exact import FaissModel

__all__ = ["FaissModel"]

"""implicit's `ann.nmslib`."""

from .exact import NMSLibModel

__all__ = ["NMSLibModel"]

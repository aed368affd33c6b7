"""Recommendations from what items and users are like, for new ones too."""

from .content_based import ContentBased

__all__ = ["ContentBased"]

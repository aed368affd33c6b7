"""Items made ready for search."""

from .item_index import ItemIndex

__all__ = ["ItemIndex"]

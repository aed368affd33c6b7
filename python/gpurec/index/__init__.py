"""Items made ready for search."""

from .explanation import SearchExplanation
from .item_index import ItemIndex

__all__ = ["ItemIndex", "SearchExplanation"]

"""Models of neighbours: what similar items or similar users say."""

from .item_knn import ItemKNN
from .user_knn import UserKNN

__all__ = ["ItemKNN", "UserKNN"]

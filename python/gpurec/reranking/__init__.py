"""Rules on top of exact candidates: boosts, dates, caps, diversity, calibration."""

from .boosts import Boosts, FreshnessDecay
from .calibration import Calibrated
from .candidates import Candidates, Context
from .categories import AtMost
from .diversity import MMR
from .expiry import Expiry
from .item_values import Categories, by_item
from .pipeline import Pipeline
from .reranked import Reranked
from .rule import Rule

__all__ = [
    "MMR",
    "AtMost",
    "Boosts",
    "Calibrated",
    "Candidates",
    "Categories",
    "Context",
    "Expiry",
    "FreshnessDecay",
    "Pipeline",
    "Reranked",
    "Rule",
    "by_item",
]

"""Users of whom little or nothing is known: friends, registration answers, segments, who answers."""

from .answers import Answers
from .links import Links
from .policy import ColdStart
from .registration import Registration, Segments
from .social import Social
from .sources import AnotherModel, FriendsVotes, NewUserSource, Popular

__all__ = [
    "AnotherModel",
    "Answers",
    "ColdStart",
    "FriendsVotes",
    "Links",
    "NewUserSource",
    "Popular",
    "Registration",
    "Segments",
    "Social",
]

"""The commands, each a function that typer reads its options from."""

from .demo import demo
from .doctor import doctor
from .evaluate import evaluate
from .fit import fit
from .recommend import recommend, similar

__all__ = ["demo", "doctor", "evaluate", "fit", "recommend", "similar"]

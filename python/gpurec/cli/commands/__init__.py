"""The commands, each a function that typer reads its options from."""

from .demo import demo
from .doctor import doctor
from .evaluate import evaluate
from .explain import explain
from .fit import fit
from .recommend import recommend, similar
from .tune import tune

__all__ = ["demo", "doctor", "evaluate", "explain", "fit", "recommend", "similar", "tune"]

"""The modules of implicit 0.7 on gpurec: `from gpurec.compat import implicit` instead of `import implicit`.

Everything is in rows; answers are exact, filtered, and never padded with items. docs/models/implicit.md
lists every name, and each difference.
"""

from . import als, approximate_als, bpr, evaluation, lmf, nearest_neighbours, utils

__all__ = ["als", "approximate_als", "bpr", "evaluation", "lmf", "nearest_neighbours", "utils"]

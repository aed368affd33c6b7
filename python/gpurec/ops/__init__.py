"""What can be computed: one module per op, its contract in the docstring, its arithmetic in a backend."""

from .score import score
from .score_pairs import score_pairs
from .score_top_k import score_top_k
from .similarity import similarity
from .top_k import top_k

__all__ = ["score", "score_pairs", "score_top_k", "similarity", "top_k"]

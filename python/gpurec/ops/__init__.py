"""What can be computed: one module per op, its contract in the docstring, its arithmetic in a backend."""

from .als import AlsRows, HalfSweep, als
from .elastic_net import ElasticNet, elastic_net
from .gram_top_k import gram_top_k
from .score import score
from .score_pairs import score_pairs
from .score_top_k import score_top_k
from .sgd import FactorTable, SgdRates, sgd_epoch
from .similarity import similarity
from .similarity_top_k import similarity_top_k
from .spmm import spmm
from .top_k import top_k

__all__ = [
    "AlsRows",
    "ElasticNet",
    "FactorTable",
    "HalfSweep",
    "SgdRates",
    "als",
    "elastic_net",
    "gram_top_k",
    "score",
    "score_pairs",
    "score_top_k",
    "sgd_epoch",
    "similarity",
    "similarity_top_k",
    "spmm",
    "top_k",
]

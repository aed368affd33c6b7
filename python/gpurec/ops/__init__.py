"""What can be computed: one module per op, its contract in the docstring, its arithmetic in a backend."""

from .als import AlsRows, HalfSweep, als
from .bpr import RankingEpochs, RankingRates, bpr_epochs, n_ranking_blocks
from .elastic_net import ElasticNet, elastic_net
from .gibbs import GibbsDraw, GibbsSide, gibbs_half_sweep
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
    "GibbsDraw",
    "GibbsSide",
    "HalfSweep",
    "RankingEpochs",
    "RankingRates",
    "SgdRates",
    "als",
    "bpr_epochs",
    "elastic_net",
    "gibbs_half_sweep",
    "gram_top_k",
    "n_ranking_blocks",
    "score",
    "score_pairs",
    "score_top_k",
    "sgd_epoch",
    "similarity",
    "similarity_top_k",
    "spmm",
    "top_k",
]

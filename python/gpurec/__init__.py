"""gpurec: exact, certified top-k scoring and a real-time recommender on CPU and GPU."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .backends import use_backend
from .errors import (
    ArtifactError,
    BackendUnavailableError,
    DeviceError,
    GpurecError,
    MissingExtraError,
    NotFittedError,
    UnknownIdError,
)
from .index import ItemIndex, SearchExplanation
from .ops import (
    AlsRows,
    ElasticNet,
    FactorTable,
    GibbsDraw,
    GibbsSide,
    HalfSweep,
    RankingEpochs,
    RankingRates,
    SgdRates,
    als,
    bpr_epochs,
    elastic_net,
    gibbs_half_sweep,
    gram_top_k,
    n_ranking_blocks,
    score,
    score_pairs,
    score_top_k,
    sgd_epoch,
    similarity,
    similarity_top_k,
    spmm,
    top_k,
)
from .types import IdMap, Matches, TopK

if TYPE_CHECKING:
    from .data import Interactions
    from .evaluation import compare
    from .evaluation.evaluate import evaluate
    from .models import (
        BPR,
        BSPM,
        EASE,
        GFCF,
        MF,
        SLIM,
        BayesianMF,
        ContentBased,
        Hybrid,
        ImplicitALS,
        ItemKNN,
        P3alpha,
        Popularity,
        RP3beta,
        Social,
        UserKNN,
        load_model,
    )

__version__ = "0.1.0"

# Loaded when first asked for: serving code that only searches does not pay for them.
_LAZY = {
    "BPR": "models",
    "BSPM": "models",
    "BayesianMF": "models",
    "ContentBased": "models",
    "EASE": "models",
    "GFCF": "models",
    "Hybrid": "models",
    "ImplicitALS": "models",
    "Interactions": "data",
    "ItemKNN": "models",
    "MF": "models",
    "P3alpha": "models",
    "Popularity": "models",
    "RP3beta": "models",
    "UserKNN": "models",
    "Social": "models",
    "SLIM": "models",
    "compare": "evaluation",
    "evaluate": "evaluation",
    "load_model": "models",
}

__all__ = [
    "BPR",
    "BSPM",
    "EASE",
    "GFCF",
    "MF",
    "SLIM",
    "AlsRows",
    "ArtifactError",
    "BackendUnavailableError",
    "BayesianMF",
    "ContentBased",
    "DeviceError",
    "ElasticNet",
    "FactorTable",
    "GibbsDraw",
    "GibbsSide",
    "GpurecError",
    "HalfSweep",
    "Hybrid",
    "IdMap",
    "ImplicitALS",
    "Interactions",
    "ItemIndex",
    "ItemKNN",
    "Matches",
    "MissingExtraError",
    "NotFittedError",
    "P3alpha",
    "Popularity",
    "RP3beta",
    "RankingEpochs",
    "RankingRates",
    "SearchExplanation",
    "SgdRates",
    "Social",
    "TopK",
    "UnknownIdError",
    "UserKNN",
    "als",
    "bpr_epochs",
    "compare",
    "elastic_net",
    "evaluate",
    "gibbs_half_sweep",
    "gram_top_k",
    "load_model",
    "n_ranking_blocks",
    "score",
    "score_pairs",
    "score_top_k",
    "sgd_epoch",
    "similarity",
    "similarity_top_k",
    "spmm",
    "top_k",
    "use_backend",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module 'gpurec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))

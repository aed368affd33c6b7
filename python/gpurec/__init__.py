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
    HalfSweep,
    SgdRates,
    als,
    elastic_net,
    gram_top_k,
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
        BSPM,
        EASE,
        GFCF,
        MF,
        SLIM,
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
    "BSPM": "models",
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
    "BSPM",
    "EASE",
    "GFCF",
    "MF",
    "SLIM",
    "AlsRows",
    "ArtifactError",
    "BackendUnavailableError",
    "ContentBased",
    "DeviceError",
    "ElasticNet",
    "FactorTable",
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
    "SearchExplanation",
    "SgdRates",
    "Social",
    "TopK",
    "UnknownIdError",
    "UserKNN",
    "als",
    "compare",
    "elastic_net",
    "evaluate",
    "gram_top_k",
    "load_model",
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

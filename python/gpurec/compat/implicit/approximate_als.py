"""implicit's factory functions of approximate models; the models that they give here are exact."""

from __future__ import annotations

from typing import Any

from .als import AlternatingLeastSquares
from .ann.exact import AnnoyModel, FaissModel, NMSLibModel

__all__ = ["AnnoyAlternatingLeastSquares", "FaissAlternatingLeastSquares", "NMSLibAlternatingLeastSquares"]


def NMSLibAlternatingLeastSquares(
    *args: Any,
    approximate_similar_items: bool = True,
    approximate_recommend: bool = True,
    method: str = "hnsw",
    index_params: dict[str, Any] | None = None,
    query_params: dict[str, Any] | None = None,
    use_gpu: bool = False,
    **kwargs: Any,
) -> NMSLibModel:
    """An exact `NMSLibModel` around `AlternatingLeastSquares(*args, **kwargs)`."""
    model = AlternatingLeastSquares(*args, **{"use_gpu": use_gpu, **kwargs})
    return NMSLibModel(
        model, approximate_similar_items, approximate_recommend, method, index_params, query_params
    )


def AnnoyAlternatingLeastSquares(
    *args: Any,
    approximate_similar_items: bool = True,
    approximate_recommend: bool = True,
    n_trees: int = 50,
    search_k: int = -1,
    use_gpu: bool = False,
    **kwargs: Any,
) -> AnnoyModel:
    """An exact `AnnoyModel` around `AlternatingLeastSquares(*args, **kwargs)`."""
    model = AlternatingLeastSquares(*args, **{"use_gpu": use_gpu, **kwargs})
    return AnnoyModel(model, approximate_similar_items, approximate_recommend, n_trees, search_k)


def FaissAlternatingLeastSquares(
    *args: Any,
    approximate_similar_items: bool = True,
    approximate_recommend: bool = True,
    nlist: int = 400,
    nprobe: int = 20,
    use_gpu: bool = False,
    **kwargs: Any,
) -> FaissModel:
    """An exact `FaissModel` around `AlternatingLeastSquares(*args, **kwargs)`."""
    model = AlternatingLeastSquares(*args, **{"use_gpu": use_gpu, **kwargs})
    return FaissModel(model, approximate_similar_items, approximate_recommend, nlist, nprobe, use_gpu)

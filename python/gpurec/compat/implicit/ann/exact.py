"""A model around a model: what implicit's approximate ones ask an index, this one asks the model inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..recommender_base import RecommenderBase

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["AnnoyModel", "ExactModel", "FaissModel", "NMSLibModel"]


class ExactModel(RecommenderBase):
    """Gives the exact answers of the model inside.

    Parameters
    ----------
    model : MatrixFactorizationBase

    Attributes
    ----------
    model
        The model inside, which holds the factors and is what can be saved.
    """

    def __init__(self, model: RecommenderBase) -> None:
        self.model = model

    def fit(self, Cui: Any, show_progress: bool = True, callback: Any = None) -> None:
        """Fit the model inside; its index is made when it is asked first."""
        self.model.fit(Cui, show_progress, callback=callback)

    def recommend(
        self,
        userid: Any,
        user_items: Any,
        N: int = 10,
        filter_already_liked_items: bool = True,
        filter_items: Any = None,
        recalculate_user: bool = False,
        items: Any = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `RecommenderBase.recommend`; `items` too, which implicit's models refuse here."""
        return self.model.recommend(
            userid, user_items, N, filter_already_liked_items, filter_items, recalculate_user, items
        )

    def similar_items(
        self,
        itemid: Any,
        N: int = 10,
        recalculate_item: bool = False,
        item_users: Any = None,
        filter_items: Any = None,
        items: Any = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `RecommenderBase.similar_items`."""
        return self.model.similar_items(itemid, N, recalculate_item, item_users, filter_items, items)

    def similar_users(
        self, userid: Any, N: int = 10, filter_users: Any = None, users: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `RecommenderBase.similar_users`, which implicit's models refuse here."""
        return self.model.similar_users(userid, N, filter_users, users)

    def save(self, file: Any) -> None:
        """Not implemented, as in implicit: save the model inside."""
        raise NotImplementedError("[save] expected a model of factors; do: model.model.save(file)")

    @classmethod
    def load(cls, file: Any) -> Self:
        """Not implemented, as in implicit: load the model inside, and put it into one of these."""
        raise NotImplementedError(f"[load] expected a model of factors; do: {cls.__name__}(Model.load(file))")

    def _saved(self) -> dict[str, Any]:
        return {}

    def _restore(self, arrays: dict[str, np.ndarray]) -> None:
        raise AssertionError("nothing of this class is ever saved")


class AnnoyModel(ExactModel):
    """implicit's model around an index of Annoy, answered exactly.

    Parameters
    ----------
    model : MatrixFactorizationBase
    approximate_similar_items, approximate_recommend, n_trees, search_k
        Kept, and without effect.
    """

    def __init__(
        self,
        model: RecommenderBase,
        approximate_similar_items: bool = True,
        approximate_recommend: bool = True,
        n_trees: int = 50,
        search_k: int = -1,
    ) -> None:
        super().__init__(model)
        self.approximate_similar_items = approximate_similar_items
        self.approximate_recommend = approximate_recommend
        self.n_trees, self.search_k = n_trees, search_k


class FaissModel(ExactModel):
    """implicit's model around an index of Faiss, answered exactly.

    Parameters
    ----------
    model : MatrixFactorizationBase
    approximate_similar_items, approximate_recommend, nlist, nprobe, use_gpu
        Kept, and without effect; `gpurec.use_backend("cuda")` moves a search to a GPU.
    """

    def __init__(
        self,
        model: RecommenderBase,
        approximate_similar_items: bool = True,
        approximate_recommend: bool = True,
        nlist: int = 400,
        nprobe: int = 20,
        use_gpu: bool = False,
    ) -> None:
        super().__init__(model)
        self.approximate_similar_items = approximate_similar_items
        self.approximate_recommend = approximate_recommend
        self.nlist, self.nprobe, self.use_gpu = nlist, nprobe, use_gpu


class NMSLibModel(ExactModel):
    """implicit's model around an index of NMSLIB, answered exactly.

    Parameters
    ----------
    model : MatrixFactorizationBase
    approximate_similar_items, approximate_recommend, method, index_params, query_params
        Kept, and without effect.
    """

    def __init__(
        self,
        model: RecommenderBase,
        approximate_similar_items: bool = True,
        approximate_recommend: bool = True,
        method: str = "hnsw",
        index_params: dict[str, Any] | None = None,
        query_params: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(model)
        self.approximate_similar_items = approximate_similar_items
        self.approximate_recommend = approximate_recommend
        self.method, self.index_params, self.query_params = method, index_params, query_params

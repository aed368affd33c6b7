"""Ranking by factors, pairwise (BPR) or by sampled softmax, learnt by stochastic gradient descent."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ...artifacts import Artifact
from ...cache_lines import on_lines
from ...errors import ArtifactError
from ..recommender import Reasons, one_of, real_setting, seed_setting, whole_setting, with_columns
from .ranking import RankingDescent

__all__ = ["BPR"]

_MOST_DRAWS = 65_536


class BPR(RankingDescent):
    """Ranks item i for user u by p_u . q_i + b_i, so that items that users have stand above others.

    Parameters
    ----------
    n_factors : int
    learning_rate : float
        Step size of the first epoch.
    learning_rate_decay : float
        Each epoch's step is this times the one before, in (0, 1].
    regularisation : float
        Pulls factors to zero at each visit, and the biases of items.
    n_epochs : int
        Visits of each interaction; with a validation part, at most so many.
    loss : {"bpr", "softmax"}
        Each visit compares an item that the user has with drawn ones that they lack: by the mean of
        -log sigmoid of score differences, or by the softmax over all of them. With one negative both are the
        same.
    negatives : {"hard", "uniform", "popularity"}
        How items that the user lacks are drawn: the highest-scored of `n_candidates`; all alike; or by
        popularity to the power `popularity_power`.
    n_negatives : int
        Drawn at each visit.
    n_candidates : int or None
        Draws for each negative where they are "hard". None takes one for each 2,048 items, 1 to 16: among
        few items the hardest of many draws is often one that the user would like.
    popularity_power : float
    metric : {"dot", "cosine"}
        With "cosine" all factors are kept at length 1, so that no item gets a better score by its length.
    temperature : float
        What scores are divided by in the loss; low ones put weight on the negatives with the highest scores.
    bias_learning_rate : float or None
        Step size of the items' biases: None takes `learning_rate` with dots and 0, which leaves biases out,
        with cosines.
    init_scale : float
        Standard deviation of the factors at the start (uniform, mean 0), before cosines scale them.
    patience : int
        Epochs without a better validation part after which the descent ends.
    random_state : int or None
        Same number, same bits, for any number of threads and any instruction set. None draws one and keeps it
        in `settings`.

    Attributes
    ----------
    user_factors, item_factors : float32 arrays, shape (n_users, n_factors) and (n_items, n_factors)
    item_biases : float32 array, shape (n_items,)
    n_epochs : int
        How many epochs the factors have seen.

    Notes
    -----
    Every interaction counts as one. A user or item without any has zero factors and bias, and is no negative.
    BPR as its source has it is `negatives="uniform"`, with steps that stay (`learning_rate=0.05,
    learning_rate_decay=1`) and about a hundred epochs. A softmax of cosines is `loss="softmax",
    negatives="uniform", n_negatives=32, metric="cosine", temperature=0.15, learning_rate=0.2,
    learning_rate_decay=0.94, n_epochs=30`.

    The callback gets the mean `loss` of a visit and `right`, the share of negatives that scored less than
    their positive, both as met on the way; with a validation part also `validation_right`, the same for its
    interactions and fixed draws, by which the best epoch is kept.

    Source: Rendle, Freudenthaler, Gantner and Schmidt-Thieme 2009, "BPR: Bayesian personalized ranking from
    implicit feedback", UAI; how epochs are cut for threads: `gpurec.ops.bpr.bpr_epochs`.

    Examples
    --------
    >>> from gpurec import Interactions
    >>> users, films = ["ann", "ann", "bob", "bob", "cid"], ["alien", "dune", "alien", "dune", "alien"]
    >>> model = BPR(n_factors=4, n_epochs=30).fit(Interactions.from_arrays(users, films))
    >>> model.recommend(["cid"], k=1).item_ids
    array(['dune'], dtype=object)
    """

    name: ClassVar[str] = "bpr"

    def __init__(
        self,
        n_factors: int = 64,
        *,
        learning_rate: float = 0.1,
        learning_rate_decay: float = 0.98,
        regularisation: float = 0.02,
        n_epochs: int = 75,
        loss: str = "bpr",
        negatives: str = "hard",
        n_negatives: int = 1,
        n_candidates: int | None = None,
        popularity_power: float = 0.75,
        metric: str = "dot",
        temperature: float = 1.0,
        bias_learning_rate: float | None = None,
        init_scale: float = 0.01,
        patience: int = 10,
        random_state: int | None = 0,
    ) -> None:
        if bias_learning_rate is not None:
            bias_learning_rate = real_setting("bpr", "bias_learning_rate", bias_learning_rate, 0, 1e6)
        super().__init__(
            n_factors=whole_setting("bpr", "n_factors", n_factors, 1),
            learning_rate=real_setting("bpr", "learning_rate", learning_rate, 0, 1e6),
            learning_rate_decay=real_setting("bpr", "learning_rate_decay", learning_rate_decay, 0, 1),
            regularisation=real_setting("bpr", "regularisation", regularisation, 0, 1e6),
            n_epochs=whole_setting("bpr", "n_epochs", n_epochs, 1),
            loss=one_of("bpr", "loss", loss, ("bpr", "softmax")),
            negatives=one_of("bpr", "negatives", negatives, ("uniform", "popularity", "hard")),
            n_negatives=_draws("n_negatives", n_negatives),
            n_candidates=None if n_candidates is None else _draws("n_candidates", n_candidates),
            popularity_power=real_setting("bpr", "popularity_power", popularity_power, 0, 2),
            metric=one_of("bpr", "metric", metric, ("dot", "cosine")),
            temperature=real_setting("bpr", "temperature", temperature, 1e-6, 1e6),
            bias_learning_rate=bias_learning_rate,
            init_scale=real_setting("bpr", "init_scale", init_scale, 0, 1e6),
            patience=whole_setting("bpr", "patience", patience, 1),
            random_state=seed_setting("bpr", random_state),
        )

    # What was learnt.

    def _user_vectors(self, user_rows: np.ndarray) -> np.ndarray:
        return with_columns(self.user_factors, user_rows, np.ones(len(user_rows), np.float32))

    def _item_vectors(self, item_rows: np.ndarray) -> np.ndarray:
        biases = np.append(self.item_biases, np.float32(0))[item_rows]  # row -1 is the last: nothing known
        return with_columns(self.item_factors, item_rows, biases)

    def _factors(self, side: str) -> np.ndarray:
        return self.user_factors if side == "user" else self.item_factors

    def _reasons(self, user_row: int, item_rows: np.ndarray) -> list[Reasons]:
        """Of the factors' part what lies in the user's items: p said by their factors, by ridge regression.

        With Q the factors of their items, p = Q' a + rest, a = (Q Q' + penalty)^-1 Q p; item j adds
        a_j q_j . q_i. What of p no item says, so what was learnt from items the user lacks, is a part.
        """
        begin, end = self.user_items.indptr[user_row], self.user_items.indptr[user_row + 1]
        had = self.user_items.indices[begin:end]
        Q, of_items = (self.item_factors[rows].astype(np.float64) for rows in (had, item_rows))
        p = self.user_factors[user_row].astype(np.float64)
        gram = Q.T @ Q
        penalty = max(1e-2 * float(np.trace(gram)) / len(gram), 1e-12)
        shares = Q @ np.linalg.solve(gram + penalty * np.eye(len(gram)), p)
        added = of_items @ Q.T * shares
        rest = of_items @ p - added.sum(axis=1)
        return [
            Reasons("baseline", ["item bias"], self.item_biases[item_rows].astype(np.float64)[:, np.newaxis]),
            Reasons("item", had, added),
            Reasons("part", ["learnt beyond"], rest[:, np.newaxis]),
        ]

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        learnt = self._learnt()
        n_epochs = learnt.pop("n_epochs")
        return learnt, {"n_epochs": n_epochs}

    def _restore(self, artifact: Artifact) -> None:
        n_users, n_items, n_factors = self.training.n_users, self.training.n_items, self.settings["n_factors"]
        tensors = {
            "user_factors": artifact.tensor("user_factors", np.float32, (n_users, n_factors)),
            "item_factors": artifact.tensor("item_factors", np.float32, (n_items, n_factors)),
            "item_biases": artifact.tensor("item_biases", np.float32, (n_items,)),
        }
        n_epochs = artifact.meta.get("n_epochs")
        if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
            raise ArtifactError("[load] expected finite factors and biases, got others; fit and save again")
        if type(n_epochs) is not int or n_epochs < 0:
            raise ArtifactError(f"[load] expected n_epochs as a number of epochs, got {n_epochs!r:.60}")
        self._set(**{name: on_lines(tensor) for name, tensor in tensors.items()}, n_epochs=n_epochs)


def _draws(name: str, value: Any) -> int:
    value = whole_setting("bpr", name, value, 1)
    if value > _MOST_DRAWS:
        raise ValueError(f"[bpr] expected {name} of at most {_MOST_DRAWS}, got {value}; lower it")
    return value

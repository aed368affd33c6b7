"""Recommendations by features: items like those that a user liked, new items and new users included."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...artifacts import Artifact
from ...backends import SparseRows, select
from ...features import FeatureEncoder, FeatureTable, Selection
from ...progress import Progress
from ..recommender import Callback, Explanation, Reasons, real_setting, whole_setting
from .block_weights import learnt_weights
from .blocks import Blocks, default_blocks
from .matrices import csr_of, csr_to_tensors, in_rows, side_by_side, sparse_rows
from .newcomers import Newcomers
from .profiles import checked_feedback, foretold_profiles, history_matrix, weighted_means
from .reasons import feature_reasons, past_reasons
from .saving import restore

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from typing_extensions import Self

    from ...data import Interactions

__all__ = ["ContentBased"]


class ContentBased(Newcomers):
    """Scores an item by the similarity of its features to those of what the user liked.

    Parameters
    ----------
    n_components : int
        A block of more features than this is projected to its so many leading singular vectors.
    blocks : mapping of str to list of str, optional
        Columns of the item table that make a block. By default each column of text, labels, pairs or vectors
        is one, and all others together are the block "fields".
    block_weights : mapping of str to float, optional
        1 where not given. With a `validation` part `fit` learns them instead.
    feedback : {"ones", "weights", "centred"} or float
        What an interaction says: liked; liked by its weight; by its weight less the user's mean, so that
        what lies below is disliked; liked from this weight on, disliked below.
    dislike_weight : float
        How much a dislike counts; 0 leaves dislikes out.
    half_life : float, optional
        In days: an interaction so much older than the user's last one counts half.
    user_weight : float
        How many liked items the user's own features (`user_features`) count as.
    user_penalty : float
        Of the ridge regression that foretells users' vectors from their features.
    selection : {"variance", "chi2", "mutual_information"}, optional
        Keeps only the `n_selected` best features of items; the two latter go by whether an item has more
        than the median of interactions.
    n_selected : int
    random_state : int

    Attributes
    ----------
    blocks : Blocks
        With `weights`, which add up to 1.
    encoder, user_encoder : FeatureEncoder or None

    Notes
    -----
    An item's vector holds the unit vectors of its blocks, each times the root of its weight, and has length
    one; a block that an item lacks is zero and takes nothing from the others. A user's vector is the mean of
    those of their items, dislikes counting negative, divided by the sum of absolute counts: scores are mean
    cosines. All statistics (vocabularies, means, rarities, singular vectors, the regression) are learnt from
    items and users with training interactions; the others of the tables are new ones.

    Without features an item is described by its users, rare ones counting more, as tf-idf does: a neighbour
    model of all neighbours, which knows nothing of new items.

    Source: Lops, de Gemmis and Semeraro 2011, "Content-based recommender systems: state of the art and
    trends", section 3.3; Deerwester et al. 1990, "Indexing by latent semantic analysis".

    Examples
    --------
    >>> from gpurec import Interactions
    >>> from gpurec.features import FeatureTable
    >>> plays = Interactions.from_arrays(["ann", "ann", "bob"], ["alien", "brazil", "heat"])
    >>> films = FeatureTable(
    ...     ["alien", "brazil", "heat", "dune"], {"genre": ["horror|sf", "sf|comedy", "crime", "sf"]}
    ... )
    >>> model = ContentBased().fit(plays, item_features=films)
    >>> model.recommend(["ann"], k=1).to_dicts()[0]["item_id"]
    'dune'
    >>> _ = model.append_items(FeatureTable(["solaris"], {"genre": ["sf|comedy"]}))
    >>> model.recommend(["ann"], k=1).to_dicts()[0]["item_id"]
    'solaris'
    """

    name: ClassVar[str] = "content"

    def __init__(
        self,
        *,
        n_components: int = 256,
        blocks: Mapping[str, Iterable[str]] | None = None,
        block_weights: Mapping[str, float] | None = None,
        feedback: str | float = "ones",
        dislike_weight: float = 1.0,
        half_life: float | None = None,
        user_weight: float = 1.0,
        user_penalty: float = 10.0,
        selection: str | None = None,
        n_selected: int = 1000,
        random_state: int = 0,
    ) -> None:
        n_selected = whole_setting("content", "n_selected", n_selected, 1)
        if selection is not None:
            Selection(selection, n_selected)
        super().__init__(
            n_components=whole_setting("content", "n_components", n_components, 1),
            blocks=None if blocks is None else {name: list(of) for name, of in dict(blocks).items()},
            block_weights={
                name: real_setting("content", "block_weights", weight, 0, math.inf)
                for name, weight in dict(block_weights or {}).items()
            },
            feedback=checked_feedback(feedback),
            dislike_weight=real_setting("content", "dislike_weight", dislike_weight, 0, math.inf),
            half_life=None
            if half_life is None
            else real_setting("content", "half_life", half_life, 1e-6, 1e9),
            user_weight=real_setting("content", "user_weight", user_weight, 0, math.inf),
            user_penalty=real_setting("content", "user_penalty", user_penalty, 0, math.inf),
            selection=selection,
            n_selected=n_selected,
            random_state=whole_setting("content", "random_state", random_state, 0),
        )
        self._tables: tuple[FeatureTable | None, FeatureTable | None] = (None, None)

    def fit(
        self,
        interactions: Interactions,
        *,
        item_features: FeatureTable | None = None,
        user_features: FeatureTable | None = None,
        validation: Interactions | None = None,
        callback: Callback | None = None,
        progress: Progress = None,
    ) -> Self:
        """Learn from interactions and features, forgetting whatever was learnt before.

        Parameters
        ----------
        interactions : Interactions
        item_features, user_features : FeatureTable, optional
            Their ids may go beyond those of the interactions: such items can be recommended, and such users
            asked about, at once, but nothing is learnt from them.
        validation : Interactions, optional
            Pairs by which the weights of blocks are learnt; its items may be new ones.
        callback, progress
            Nothing comes of them.

        Raises
        ------
        ValueError
            If no id of a table has a training interaction, or as `Recommender.fit`.
        MissingExtraError
            If a column of features needs scikit-learn and it is not installed.
        """
        self._tables = (item_features, user_features)
        try:
            return super().fit(interactions, validation=validation, callback=callback, progress=progress)
        finally:
            self._tables = (None, None)

    # Learning.

    def _learn(
        self,
        interactions: Interactions,
        validation: Interactions | None,
        callback: Callback | None,
        progress: Progress,
    ) -> None:
        settings, (items, users) = self.settings, self._tables
        self._histories = history_matrix(
            interactions, settings["feedback"], settings["dislike_weight"], settings["half_life"]
        )
        self.encoder = self.user_encoder = self._user_features = self._foretelling = None
        if items is None:
            features = self._users_as_features()
            self._learn_blocks({"users": (["users"], features)})
            self._item_features, units = features, self.blocks.units([features])
        else:
            self._learn_encoder(items)
            of_table, units_of_table = self._described(items)
            rows = self._add_items(items.id_map.ids())
            self._item_features = in_rows(of_table, rows, self.training.n_items)
            units = np.zeros((self.training.n_items, self.blocks.d), np.float32)
            units[rows] = units_of_table
        self._take_units(units)
        if validation is not None:
            self._learn_weights(units, validation)
        if users is not None:
            self._learn_users(users)

    def _learn_encoder(self, table: FeatureTable) -> None:
        """The encoder and the blocks, from items with training interactions alone."""
        settings = self.settings
        part = self._training_rows(table, "item")
        counts = self.training.item_counts[self.training.item_map.rows(part.id_map.ids())]
        selection = settings["selection"] and Selection(settings["selection"], settings["n_selected"])
        self.encoder = FeatureEncoder(table.schema, selection=selection).fit(part, counts > np.median(counts))
        blocks = settings["blocks"] or default_blocks(table.schema)
        strange = sorted({column for of in blocks.values() for column in of} - set(table.schema))
        if strange or not all(blocks.values()):
            raise ValueError(
                f"[content] expected blocks of the columns {list(table.schema)}, got {blocks}; choose some"
            )
        self._learn_blocks({name: (of, self.encoder.transform(part, of)) for name, of in blocks.items()})

    def _learn_blocks(self, features: dict[str, tuple[list[str], Any]]) -> None:
        settings = self.settings
        self.blocks = Blocks.learn(
            features, settings["n_components"], settings["block_weights"], settings["random_state"]
        )

    def _training_rows(self, table: FeatureTable, side: str) -> FeatureTable:
        """The part of a table that may be learnt from: users or items with training interactions."""
        counts = self.training.user_counts if side == "user" else self.training.item_counts
        id_map = self.training.user_map if side == "user" else self.training.item_map
        rows = id_map.rows(table.id_map.ids(), unknown="ignore")
        has = np.flatnonzero((rows >= 0) & (counts[rows] > 0))
        if not has.size:
            raise ValueError(
                f"[content] expected features of {side}s with training interactions, got none among "
                f"{len(table)} ids such as {table.id_map.ids()[:2].tolist()}; ids keep their type"
            )
        return table.take(has)

    def _users_as_features(self) -> csr_array:
        """Items by their users, each counting ln((1 + n_items) / (1 + its items)) + 1."""
        from scipy.sparse import csr_array

        seen, counts = self.training.user_items, self.training.user_counts
        rarity = (np.log((1 + seen.shape[1]) / (1 + counts)) + 1).astype(np.float32)
        owners = np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr))
        turned = csr_array((rarity[owners], seen.indices, seen.indptr), shape=seen.shape).T.tocsr()
        turned.sort_indices()
        return turned

    def _learn_weights(self, units: np.ndarray, validation: Interactions) -> None:
        users = self.training.known_rows("user", validation.user_map.ids())[validation.user_rows]
        items = self.training.known_rows("item", validation.item_map.ids())[validation.item_rows]
        pairs = (users >= 0) & (items >= 0)
        if not pairs.any():
            raise ValueError(
                "[fit] expected validation pairs of known users and items, got none; leave it out"
            )
        weights = learnt_weights(
            self.blocks, units, self._histories, users[pairs], items[pairs], self.settings["random_state"]
        )
        self.blocks = self.blocks.with_weights(weights)
        self._take_units(units)

    def _learn_users(self, table: FeatureTable) -> None:
        part = self._training_rows(table, "user")
        self.user_encoder = FeatureEncoder(table.schema).fit(part)
        known = self.training.user_map.rows(part.id_map.ids())
        profiles = self._user_vectors(known)
        of_part = csr_of(self.user_encoder.transform(part))
        self._foretelling = foretold_profiles(of_part, profiles, self.settings["user_penalty"])
        rows = self._add_users(table.id_map.ids())
        of_table = csr_of(self.user_encoder.transform(table))
        self._user_features = in_rows(of_table, rows, self.training.n_users)
        self._tell_who_is_described()

    # What was learnt.

    def _described(self, table: FeatureTable) -> tuple[csr_array, np.ndarray]:
        """Features of the sparse blocks, and unit vectors of all blocks, of items that need not be known."""
        parts = [self.encoder.transform(table, block.columns) for block in self.blocks.blocks]
        return side_by_side(parts), self.blocks.units(parts)

    def _take_units(self, units: np.ndarray) -> None:
        self._indexes.clear()
        self._vectors = self.blocks.vectors(units)
        self._tell_who_is_described()

    def _tell_who_is_described(self) -> None:
        items = None if self.encoder is None else (self._vectors != 0).any(axis=1)
        users = None if self._user_features is None else np.diff(self._user_features.indptr) > 0
        self._training = replace(self.training, described_items=items, described_users=users)

    def _user_vectors(self, user_rows: np.ndarray) -> np.ndarray:
        histories, pull, foretold = self._what_is_known(user_rows)
        return weighted_means(histories, self._vectors, foretold, pull)

    def _what_is_known(self, user_rows: np.ndarray) -> tuple[SparseRows, np.ndarray, np.ndarray | None]:
        """Histories of users, how much their features count, and the vectors that those foretell."""
        histories = sparse_rows(self._histories, user_rows)
        if self._user_features is None:
            return histories, np.zeros(len(user_rows)), None
        features = sparse_rows(self._user_features, user_rows)
        pull, foretold = self._foretold(features)
        return histories, pull, foretold

    def _foretold(self, features: SparseRows) -> tuple[np.ndarray, np.ndarray]:
        foretold = np.empty((features.n_rows, self.blocks.d), np.float32)
        select().spmm(features, self._foretelling[:-1], None, 0.0, foretold)
        foretold += self._foretelling[-1]
        return np.where(features.lengths > 0, self.settings["user_weight"], 0.0), foretold

    def _item_vectors(self, item_rows: np.ndarray) -> np.ndarray:
        vectors = self._vectors[item_rows]
        vectors[item_rows < 0] = 0
        return vectors

    def _factors(self, side: str) -> np.ndarray:
        return self._vectors if side == "item" else self._user_vectors(np.arange(self.training.n_users))

    # Why.

    def explain(self, user_id: Any, item_id: Any, *, by: str = "items") -> Explanation:
        """What the user's score of an item is made of.

        Parameters
        ----------
        user_id, item_id
            Known ids.
        by : {"items", "features"}
            What each item and each feature of the user adds, or each feature of the item; a dense block is
            one feature.

        Returns
        -------
        Explanation
            Its contributions add up to what `predict` gives, within its `tolerance`.

        Raises
        ------
        UnknownIdError
            If the user or the item is unknown.
        """
        if by not in ("items", "features"):
            raise ValueError(f"[explain] expected by of 'items' or 'features', got {by!r}; choose one")
        if by == "items":
            return super().explain(user_id, item_id)
        user_row, item_rows = self._explainable(user_id, item_id)
        scores = self._score_pairs(np.array([user_row]), item_rows)
        item, user = self._vectors[item_rows[0]], self._user_vectors(np.array([user_row]))[0]
        reasons = feature_reasons(self.blocks, item, self._item_features[item_rows], user, self.encoder)
        return self._explained(user_row, item_rows, scores, reasons)[0]

    def _reasons(self, user_row: int, item_rows: np.ndarray) -> list[Reasons]:
        user = np.array([user_row])
        histories, pull, _ = self._what_is_known(user)
        described = pull[0] > 0
        return past_reasons(
            histories,
            pull[0],
            sparse_rows(self._user_features, user) if described else None,
            self._foretelling if described else None,
            self.user_encoder.names if described else [],
            self._vectors[histories.columns],
            self._vectors[item_rows],
            self._user_vectors(user)[0],
        )

    # Saving.

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        tensors, meta = self.blocks.to_tensors()
        tensors |= {"item_vectors": self._vectors, "histories": self._histories.data}
        if self.encoder is not None:
            more, of_encoder = self.encoder.to_tensors("item_encoder")
            tensors |= more | csr_to_tensors("item_features", self._item_features)
            meta |= of_encoder
        if self.user_encoder is not None:
            more, of_encoder = self.user_encoder.to_tensors("user_encoder")
            tensors |= more | csr_to_tensors("user_features", self._user_features)
            tensors["foretelling"] = self._foretelling
            meta |= of_encoder
        return tensors, meta

    def _restore(self, artifact: Artifact) -> None:
        restore(self, artifact)

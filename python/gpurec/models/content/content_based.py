"""Recommendations by features: items like those that a user liked, new items and new users included."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...features import FeatureEncoder, FeatureTable, Selection
from ...progress import Progress
from ..recommender import Callback, real_setting, whole_setting
from .block_weights import learnt_weights
from .blocks import Blocks, default_blocks
from .matrices import in_rows
from .newcomers import Newcomers
from .profiles import checked_feedback, history_matrix
from .registration import Registration

if TYPE_CHECKING:
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
    encoder : FeatureEncoder or None
        Of items; None without features of items.

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
        self.encoder = self._registration = None
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
        profiles = self._user_vectors(self.training.user_map.rows(part.id_map.ids()))
        learnt = Registration.learn(part, profiles, self.settings["user_penalty"])
        rows = self._add_users(table.id_map.ids())
        self._registration = learnt.with_users(table, rows, self.training.n_users)
        self._tell_who_is_described()

"""gpurec's models as RecTools' models: its `Dataset` in, its columns out."""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import Interactions
from ...errors import ArtifactError, import_extra
from ...models import MODELS, Recommender, load_model
from ...types import IdMap

if TYPE_CHECKING:
    from typing_extensions import Self

_base: Any = import_extra("rectools.models.base", "rectools")
_ModelConfig: Any = _base.ModelConfig
_ModelBase: Any = _base.ModelBase

__all__ = ["GpurecModel", "GpurecModelConfig"]

_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}", re.ASCII)
# Of answers about all items, which a whitelist of similar items asks for, at a time.
_BLOCK_BYTES = 64 << 20


class GpurecModelConfig(_ModelConfig):
    """Config of a `GpurecModel`: `model` is a gpurec model's name and settings, {"name": "ease", ...}."""

    model: dict[str, Any]


class GpurecModel(_ModelBase):
    """A gpurec model with RecTools' interface: `fit(dataset)`, `recommend`, `recommend_to_items`.

    Parameters
    ----------
    model : Recommender
        Its kind and settings are used; each `fit` learns anew.
    verbose : int
        Above 0: progress is shown on a terminal.

    Attributes
    ----------
    model : Recommender
        The fitted model, whose ids are RecTools' internal ones. After `fit`.

    Notes
    -----
    Interactions, weights and times of the data set are used; features are not. Users and items without
    interactions get no recommendations. In `recommend_to_items` an item is never recommended to itself,
    whatever `filter_itself` says. `save` writes gpurec's own format, in a zip file, and `load` runs nothing
    that it reads.
    """

    recommends_for_warm = False
    recommends_for_cold = False
    config_class = GpurecModelConfig

    def __init__(self, model: Recommender, verbose: int = 0) -> None:
        super().__init__(verbose=verbose)
        self._model = model
        self.model: Recommender

    def _fit(self, dataset: Any, *args: Any, **kwargs: Any) -> None:
        model = type(self._model)(**self._model.settings)
        self.model = model.fit(_interactions(dataset), progress=None if self.verbose else False)

    def _recommend_u2i(
        self, user_ids: Any, dataset: Any, k: int, filter_viewed: bool, sorted_item_ids_to_recommend: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        users, exclude = np.asarray(user_ids, np.int64), None
        if filter_viewed:
            viewed = dataset.get_user_item_matrix(include_weights=False)[users]
            exclude = viewed.indptr, viewed.indices
        allow = sorted_item_ids_to_recommend
        width = self.model.training.n_items if allow is None else len(allow)
        if width == 0:
            return users[:0], users[:0], np.empty(0, np.float32)
        found = self.model.recommend_rows(
            users, min(k, width), exclude_seen=False, exclude=exclude, allow=allow
        )
        place, rank = np.nonzero(found.rows >= 0)
        return users[place], found.rows[place, rank], found.scores[place, rank]

    def _recommend_i2i(
        self, target_ids: Any, dataset: Any, k: int, sorted_item_ids_to_recommend: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        targets, n_items = np.asarray(target_ids, np.int64), self.model.training.n_items
        parts = [(targets[:0], targets[:0], np.empty(0, np.float32))]
        wanted = None
        if sorted_item_ids_to_recommend is not None:
            wanted = np.zeros(n_items, bool)
            wanted[sorted_item_ids_to_recommend] = True
        width = min(k, n_items) if wanted is None else n_items
        size = max(1, _BLOCK_BYTES // (12 * width))
        for first in range(0, len(targets), size):
            similar = self.model.similar_items(targets[first : first + size], width)
            items = np.asarray(similar.item_ids, np.int64)
            owners = np.repeat(np.arange(len(similar.indptr) - 1), np.diff(similar.indptr))
            kept = np.arange(len(items))
            if wanted is not None:
                kept = kept[wanted[items]]
                before = np.concatenate([[0], np.cumsum(wanted[items])])[similar.indptr[:-1]]
                kept = kept[np.arange(len(kept)) - before[owners[kept]] < k]
            parts.append((targets[first + owners[kept]], items[kept], similar.scores[kept]))
        found = tuple(np.concatenate(column) for column in zip(*parts))
        return found[0], found[1], found[2]

    # Settings and saving.

    def _get_config(self) -> GpurecModelConfig:
        return GpurecModelConfig(
            cls=type(self), verbose=self.verbose, model={"name": self._model.name, **self._model.settings}
        )

    @classmethod
    def _from_config(cls, config: GpurecModelConfig) -> Self:
        settings = dict(config.model)
        name = settings.pop("name", None)
        if name not in MODELS:
            raise ValueError(f"[from_config] expected a name of {', '.join(MODELS)}, got {name!r}")
        return cls(MODELS[name](**settings), verbose=config.verbose)

    def dumps(self) -> bytes:
        """The fitted model as bytes: the files of its artefact in a zip file."""
        self._check_is_fitted()
        packed = io.BytesIO()
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(packed, "w") as archive:
            self.model.save(Path(folder, "model"))
            for path in sorted(Path(folder, "model").iterdir()):
                archive.write(path, path.name)
        return packed.getvalue()

    @classmethod
    def loads(cls, data: bytes) -> Self:
        """The model of what `dumps` gave.

        Raises
        ------
        ArtifactError
            If it is damaged or something else; nothing in it is executed.
        """
        try:
            with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(io.BytesIO(data)) as archive:
                members = archive.infolist()
                stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
                if not stored or sum(member.file_size for member in members) > len(data):
                    raise ArtifactError("[load] expected files that are stored as they are, got packed ones")
                for member in members:
                    if not _FILE_NAME.fullmatch(member.filename):
                        raise ArtifactError(f"[load] expected plain file names, got {member.filename!r:.80}")
                    Path(folder, member.filename).write_bytes(archive.read(member))
                fitted = load_model(folder)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
            raise ArtifactError(f"[load] expected a whole zip file, got: {error!s:.200}") from error
        model = cls(type(fitted)(**fitted.settings))
        model.model, model.is_fitted = fitted, True
        return model


def _interactions(dataset: Any) -> Interactions:
    """The records of a data set, its internal ids being the ids."""
    columns = import_extra("rectools", "rectools").Columns
    frame = dataset.interactions.df
    users, items = frame[columns.User].to_numpy(np.int64), frame[columns.Item].to_numpy(np.int64)
    seconds = frame[columns.Datetime].to_numpy("datetime64[s]").astype(np.int64)
    maps = [IdMap(np.arange(rows.max(initial=-1) + 1)) for rows in (users, items)]
    return Interactions(users, items, frame[columns.Weight].to_numpy(np.float32), seconds, *maps)

"""A model's settings and what it has learnt: how they are kept, shown, saved and loaded."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...artifacts import Artifact, read_artifact, write_artifact
from ...errors import ArtifactError, NotFittedError
from ...types import IdMap
from .training import TrainingPart

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["KIND", "FittedModel"]

KIND = "gpurec.model"


class FittedModel(ABC):
    """Settings, the training part, and saving; see `Recommender`, which adds what users call."""

    name: ClassVar[str]

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self._training: TrainingPart | None = None

    @abstractmethod
    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Tensors and settings to save, beyond those of the training part and the constructor."""

    @abstractmethod
    def _restore(self, artifact: Artifact) -> None:
        """Take back what `_state` gave, distrusting all of it."""

    @property
    def training(self) -> TrainingPart:
        """What the model keeps of its training interactions."""
        if self._training is None:
            raise NotFittedError(
                f"[{self.name}] expected a fitted model, got one before fit; do: model.fit(interactions)"
            )
        return self._training

    @property
    def user_map(self) -> IdMap:
        return self.training.user_map

    @property
    def item_map(self) -> IdMap:
        return self.training.item_map

    @property
    def user_items(self) -> Any:
        return self.training.user_items

    @property
    def weight_range(self) -> tuple[float, float]:
        return self.training.weight_range

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the fitted model as the folder `path`, replacing a saved model that is there as a whole.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ArtifactError
            If the folder holds something else, or an id is of a type that cannot be saved.
        """
        tensors, meta = self.training.to_tensors()
        own_tensors, own_meta = self._state()
        own = {"model": self.name, "settings": self.settings}
        write_artifact(path, KIND, tensors | own_tensors, meta | own_meta | own)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, mmap: bool = False) -> Self:
        """Load what `save` wrote; answers are equal bit for bit. See `load_model` if the class is not known.

        Raises
        ------
        ArtifactError
            If it is no saved model of this class, or damaged.
        """
        return cls._from_artifact(read_artifact(path, KIND, mmap=mmap))

    @classmethod
    def _from_artifact(cls, artifact: Artifact) -> Self:
        name, settings = artifact.meta.get("model"), artifact.meta.get("settings")
        if name != cls.name:
            raise ArtifactError(
                f"[load] expected a model {cls.name!r}, got {name!r:.60}; do: load_model(path)"
            )
        if not isinstance(settings, dict):
            raise ArtifactError(f"[load] expected settings as an object, got {settings!r:.60}")
        try:
            model = cls(**settings)
        except (TypeError, ValueError) as error:
            raise ArtifactError(f"[load] expected settings of {cls.name}, got: {error!s:.200}") from error
        model._training = TrainingPart.from_artifact(artifact)
        model._restore(artifact)
        return model

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"{type(self).__name__}({shown})"

"""Saving and loading: one folder with a manifest and a tensor file, checked before it is believed."""

from .files import Artifact, read_artifact, write_artifact
from .ids import ids_from_tensors, ids_to_tensors, texts_from_tensors, texts_to_tensors
from .layout import SCHEMA_VERSION

__all__ = [
    "SCHEMA_VERSION",
    "Artifact",
    "ids_from_tensors",
    "ids_to_tensors",
    "read_artifact",
    "texts_from_tensors",
    "texts_to_tensors",
    "write_artifact",
]

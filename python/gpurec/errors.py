"""Every exception that gpurec defines, and the one place that imports an optional dependency."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = [
    "ArtifactError",
    "BackendUnavailableError",
    "DeviceError",
    "GpurecError",
    "MissingExtraError",
    "NotFittedError",
    "UnknownIdError",
    "import_extra",
]


class GpurecError(Exception):
    """Base of the errors that only gpurec raises; range and shape errors are ValueError, dtypes TypeError."""


class BackendUnavailableError(GpurecError, RuntimeError):
    """A backend or an ISA was asked for by name and cannot run here; the text holds the recorded reason."""


class MissingExtraError(GpurecError, ImportError):
    """A feature needs an optional dependency that is not installed; the text holds the pip line."""


class UnknownIdError(GpurecError, KeyError):
    """An external id that the index, the model or the interactions have never seen."""

    def __str__(self) -> str:  # KeyError prints the repr of its argument, quotes and all
        return str(self.args[0]) if self.args else ""


class DeviceError(GpurecError, RuntimeError):
    """The device cannot do what was asked: too little memory, a failed launch, a lost context."""


class NotFittedError(GpurecError, RuntimeError):
    """A model was asked for recommendations or predictions before `fit`."""


class ArtifactError(GpurecError, ValueError):
    """A saved artefact is truncated, edited, hostile, or newer than this version of gpurec."""


def import_extra(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or say which pip line brings it.

    Parameters
    ----------
    module : str
        Name of the module, dots allowed.
    extra : str
        The extra of gpurec that installs it.

    Raises
    ------
    MissingExtraError
        If the module's top-level package is not installed.

    Examples
    --------
    >>> import_extra("json", "data").__name__
    'json'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise  # the package is there and something else inside it is missing: say that instead
        raise MissingExtraError(
            f"{module.partition('.')[0]} is not installed; do: pip install 'gpurec[{extra}]'"
        ) from error

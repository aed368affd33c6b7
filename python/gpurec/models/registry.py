"""The models there are, by name, and loading one whose class is not known beforehand."""

from __future__ import annotations

import os

from ..artifacts import read_artifact
from ..errors import ArtifactError
from .cold_start import Social
from .content import ContentBased
from .factorisation import MF, ImplicitALS
from .graph_filters import BSPM, GFCF
from .hybrid import Hybrid
from .item_weights import EASE, SLIM, P3alpha, RP3beta
from .neighbours import ItemKNN, UserKNN
from .popularity import Popularity
from .recommender import KIND, Recommender

__all__ = ["MODELS", "load_model"]

# A saved model names one of these; nothing is ever imported because a file says so.
MODELS: dict[str, type[Recommender]] = {
    model.name: model
    for model in (
        Popularity,
        MF,
        ImplicitALS,
        ItemKNN,
        UserKNN,
        P3alpha,
        RP3beta,
        GFCF,
        BSPM,
        EASE,
        SLIM,
        ContentBased,
        Hybrid,
        Social,
    )
}


def load_model(path: str | os.PathLike[str], *, mmap: bool = False) -> Recommender:
    """Load whatever model `save` wrote into the folder `path`.

    Parameters
    ----------
    path : path
    mmap : bool
        Leave the tensors in the file and let the system page them in.

    Raises
    ------
    ArtifactError
        If there is no saved model, it is damaged, or of a kind that this version does not know.

    Examples
    --------
    >>> import tempfile
    >>> from gpurec import Interactions
    >>> from gpurec.models import Popularity
    >>> folder = tempfile.mkdtemp()
    >>> Popularity().fit(Interactions.from_arrays(["ann"], ["alien"])).save(folder)
    >>> load_model(folder)
    Popularity(by='users')
    """
    artifact = read_artifact(path, KIND, mmap=mmap)
    name = artifact.meta.get("model")
    if not isinstance(name, str) or name not in MODELS:
        raise ArtifactError(
            f"[load] expected one of the models {', '.join(MODELS)}, got {name!r:.60}; upgrade gpurec"
        )
    return MODELS[name]._from_artifact(artifact)

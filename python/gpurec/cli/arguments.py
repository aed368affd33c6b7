"""Words of the command line turned into what they mean: a model with its settings, and ids."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..models import Recommender
    from ..types import IdMap

__all__ = ["features_to_fit", "id_lines", "new_model", "settings_of", "typed_ids"]


def new_model(name: str, assignments: Sequence[str] = (), *, seed: int = 0) -> Recommender:
    """An unfitted model.

    Parameters
    ----------
    name : str
        A name of `gpurec.models.MODELS`.
    assignments : sequence of str
        Settings as `name=value`, the value written as in JSON; what is no JSON is a text.
    seed : int
        The model's `random_state` if it has one and no assignment gives it.

    Raises
    ------
    ValueError
        If there is no such model or setting, one is given twice, or a value is out of its range.
    TypeError
        If a value is of the wrong type.

    Examples
    --------
    >>> new_model("popularity", ["by=weights"])
    Popularity(by='weights')
    >>> new_model("mf", ["n_factors=8"], seed=3).settings["random_state"]
    3
    """
    from ..models import MODELS

    settings = settings_of(name, assignments)
    if "random_state" in inspect.signature(MODELS[name]).parameters:
        settings.setdefault("random_state", seed)
    return MODELS[name](**settings)


def settings_of(name: str, assignments: Sequence[str]) -> dict[str, Any]:
    """Settings of a model from texts, as `new_model` takes them.

    Raises
    ------
    ValueError
        If there is no such model or setting, or one is given twice.

    Examples
    --------
    >>> settings_of("mf", ["n_factors=8"])
    {'n_factors': 8}
    """
    from ..models import MODELS

    if name not in MODELS:
        raise ValueError(f"[model] expected one of {', '.join(sorted(MODELS))}, got {name!r}; choose one")
    known = list(inspect.signature(MODELS[name]).parameters)
    settings: dict[str, Any] = {}
    for assignment in assignments:
        setting, equals, value = assignment.partition("=")
        if not equals:
            raise ValueError(f"[set] expected name=value, got {assignment!r}; do: --set {setting}=VALUE")
        if setting not in known:
            raise ValueError(f"[set] expected a setting of {name} ({', '.join(known)}), got {setting!r}")
        if setting in settings:
            raise ValueError(f"[set] expected each setting once, got {setting!r} again; drop one")
        settings[setting] = _value(value)
    return settings


def features_to_fit(
    model: Recommender, item_features: Path | None, user_features: Path | None
) -> dict[str, Any]:
    """The files of features that are given, read, as arguments of `model.fit`.

    Raises
    ------
    OSError
        If a file cannot be read.
    ValueError
        If it is no table, or the model takes no features.
    """
    from ..features import FeatureTable

    given = {"item_features": item_features, "user_features": user_features}
    tables = {name: FeatureTable.from_file(path) for name, path in given.items() if path is not None}
    if tables and not set(tables) <= set(inspect.signature(model.fit).parameters):
        raise ValueError(
            f"[model] expected a model that takes features, got {model.name}; do: --model content"
        )
    return tables


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def id_lines(source: str) -> list[str]:
    """Ids of a file, one a line, or of stdin where the source is `-`; empty lines are skipped.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no UTF-8 text.
    """
    data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    try:
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"[ids] expected UTF-8 text, but line {line} of {source} is none") from None
    return [line.strip() for line in lines if line.strip()]


# As Python writes an integer: "007", "+7" and "7.0" are texts, here as in the files that ids come from.
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")


def typed_ids(texts: Iterable[str], id_map: IdMap) -> list[Any]:
    """Ids as the map has them, from texts: a command line has no types, but ids keep theirs.

    Parameters
    ----------
    texts : iterable of str
    id_map : IdMap
        Where all of its ids are integers, a text written as one becomes that integer. Elsewhere a text stays
        a text, unless the map lacks it and has the integer that it is written as.

    Returns
    -------
    list
        Integers and texts; unknown ids come back too, for the model to judge.

    Examples
    --------
    >>> from gpurec import IdMap
    >>> typed_ids(["1", "007", "ann"], IdMap([1, 2]))
    [1, '007', 'ann']
    >>> typed_ids(["1", "2"], IdMap(["1", 2]))
    ['1', 2]
    """
    texts = list(texts)
    integers = [int(text) if _INTEGER.fullmatch(text) else text for text in texts]
    if id_map.ids().dtype == np.int64:
        return integers
    is_text = id_map.rows(texts, unknown="ignore") >= 0
    is_integer = id_map.rows(integers, unknown="ignore") >= 0
    return [
        integer if as_integer and not as_text else text
        for text, integer, as_text, as_integer in zip(texts, integers, is_text, is_integer)
    ]

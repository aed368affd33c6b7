"""implicit's data sets are read from files that are there."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from gpurec import ArtifactError
from gpurec.compat.implicit.datasets import cached

MATRIX = csr_matrix([[0, 2.0, 0], [1, 0, 3]], dtype=np.float32)
# Module, function, file, group, arrays of text.
SETS = [
    ("movielens", "get_movielens", "movielens_20m", "movie_user_ratings", ("movie",)),
    ("lastfm", "get_lastfm", "lastfm_360k", "artist_user_plays", ("artist", "user")),
    (
        "million_song_dataset",
        "get_msd_taste_profile",
        "msd_taste_profile",
        "track_user_plays",
        ("track", "user"),
    ),
    ("sketchfab", "get_sketchfab", "sketchfab", "item_user_likes", ("item", "user")),
    ("reddit", "get_reddit", "reddit", "item_user_ratings", ()),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cached, "LOCAL_CACHE_DIR", str(tmp_path))
    return tmp_path


def get(module: str, function: str) -> Any:
    return getattr(importlib.import_module(f"gpurec.compat.implicit.datasets.{module}"), function)()


@pytest.mark.parametrize("module, function, file, group, texts", SETS)
def test_a_file_that_is_not_there(module: str, function: str, file: str, group: str, texts: Any) -> None:
    with pytest.raises(FileNotFoundError, match=f"{file}.hdf5.*downloads nothing"):
        get(module, function)


@pytest.mark.parametrize("module, function, file, group, texts", SETS)
def test_a_file(module: str, function: str, file: str, group: str, texts: Any, folder: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="not in the test extra; in .ci/full rectools it is")
    names = {text: np.array([f"{text} {row}" for row in range(n)], object) for text, n in zip(texts, (2, 3))}
    with h5py.File(folder / f"{file}.hdf5", "w") as out:
        for part in ("data", "indices", "indptr"):
            out[f"{group}/{part}"] = getattr(MATRIX, part)
        for text, values in names.items():
            out.create_dataset(text, data=values, dtype=h5py.string_dtype())
    found = get(module, function)
    parts = found if isinstance(found, tuple) else (found,)
    assert (parts[-1] != MATRIX).nnz == 0 and isinstance(parts[-1], csr_matrix)
    assert [part.tolist() for part in parts[:-1]] == [values.tolist() for values in names.values()]


def test_another_file(folder: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="not in the test extra; in .ci/full rectools it is")
    (folder / "reddit.hdf5").write_bytes(b"no such thing")
    with pytest.raises(ArtifactError, match="reddit"):
        get("reddit", "get_reddit")
    with h5py.File(folder / "reddit.hdf5", "w") as out:
        for part, values in (("data", [1.0]), ("indices", [-1]), ("indptr", [0, 1])):
            out[f"item_user_ratings/{part}"] = values
    with pytest.raises(ArtifactError, match="reddit"):
        get("reddit", "get_reddit")


def test_a_variant_that_there_is_not() -> None:
    from gpurec.compat.implicit.datasets.movielens import get_movielens

    with pytest.raises(ValueError, match="variant of"):
        get_movielens("5m")

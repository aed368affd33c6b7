"""Models that implicit saved are read without trust."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import Any

import numpy as np
import pytest

from gpurec import ArtifactError
from gpurec.compat.implicit.cpu.als import AlternatingLeastSquares
from gpurec.compat.implicit.cpu.lmf import LogisticMatrixFactorization
from gpurec.compat.implicit.nearest_neighbours import CosineRecommender
from gpurec.compat.npz import read_npz

# What implicit 0.7.3 saves of a model of alternating least squares: names, dtypes and shapes.
ALS: dict[str, Any] = {
    "user_factors": np.ones((3, 2), np.float32),
    "item_factors": np.full((4, 2), 0.5, np.float32),
    "regularization": 0.01,
    "factors": 2,
    "num_threads": 0,
    "iterations": 15,
    "use_native": True,
    "use_cg": True,
    "cg_steps": 3,
    "calculate_training_loss": False,
    "dtype": "float32",
    "random_state": 7,
    "alpha": 2.0,
}
COSINE: dict[str, Any] = {
    "K": 20,
    "shape": (3, 3),
    "data": np.array([1.0, 0.5, 1.0]),
    "indptr": np.array([0, 2, 3, 3], np.int32),
    "indices": np.array([0, 1, 1], np.int32),
}


def packed(arrays: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def load(model: type, arrays: dict[str, Any]) -> Any:
    return model.load(io.BytesIO(packed(arrays)))


def test_a_model_of_factors() -> None:
    model = load(AlternatingLeastSquares, ALS)
    assert (model.factors, model.regularization, model.alpha, model.iterations) == (2, 0.01, 2.0, 15)
    assert (model.use_cg, model.random_state, model.dtype) == (True, 7, np.float32)
    assert model.user_factors.tolist() == ALS["user_factors"].tolist()
    assert type(model.factors) is int and type(model.use_cg) is bool
    ids, scores = model.recommend(0, None, N=2, filter_already_liked_items=False)
    assert ids.tolist() == [0, 1] and scores.tolist() == [1.0, 1.0]


def test_a_model_of_neighbours() -> None:
    model = load(CosineRecommender, COSINE)
    assert model.K == 20 and type(model.K) is int
    assert model.similarity.toarray().tolist() == [[1, 0.5, 0], [0, 1, 0], [0, 0, 0]]
    assert load(CosineRecommender, {"K": 5}).similarity is None


def test_a_model_that_is_learnt_elsewhere() -> None:
    saved = {name: ALS[name] for name in ("user_factors", "item_factors", "factors", "iterations", "dtype")}
    model = load(
        LogisticMatrixFactorization, saved | {"neg_prop": 30, "learning_rate": 1.0, "regularization": 0.6}
    )
    assert model.neg_prop == 30 and len(model.similar_items(0, N=2)[0]) == 2


WRONG_FACTORS: dict[str, dict[str, Any]] = {
    "widths that differ": {"item_factors": np.ones((4, 3), np.float32)},
    "one dimension": {"item_factors": np.ones(4, np.float32)},
    "NaN": {"item_factors": np.float32([[1, np.nan]])},
    "infinity": {"user_factors": np.float32([[1, np.inf]])},
    "integers as factors": {"item_factors": np.ones((4, 2), np.int64)},
    "objects": {"item_factors": np.array([[1, {}]], object)},
    "text as a number": {"factors": "two"},
    "several numbers": {"factors": np.array([2, 3])},
    "a fraction": {"factors": 2.5},
    "an infinite setting": {"regularization": np.inf},
    "an unknown dtype": {"dtype": "object"},
    "a name that is no setting": {"recommend": 1},
    "a hidden name": {"_indexes": 1},
    "complex numbers": {"alpha": 1j},
    "dates": {"alpha": np.datetime64("2020-01-01")},
    "records": {"alpha": np.zeros(1, [("a", "f4")])},
}


@pytest.mark.parametrize("what", WRONG_FACTORS)
def test_wrong_factors(what: str) -> None:
    with pytest.raises(ArtifactError, match=r"\[load\] expected"):
        load(AlternatingLeastSquares, ALS | WRONG_FACTORS[what])


WRONG_NEIGHBOURS: dict[str, dict[str, Any]] = {
    "a place outside": {"indices": np.array([0, 1, 3], np.int32)},
    "a negative place": {"indices": np.array([0, 1, -1], np.int32)},
    "indptr that falls": {"indptr": np.array([0, 3, 2, 3], np.int32)},
    "indptr beyond": {"indptr": np.array([0, 2, 3, 4], np.int32)},
    "indptr too short": {"indptr": np.array([0, 3], np.int32)},
    "another shape": {"shape": (3, 4)},
    "a negative shape": {"shape": (-3, -3)},
    "a huge shape": {"shape": (2**62, 2**62)},
    "NaN": {"data": np.array([1.0, np.nan, 1.0])},
    "integers": {"data": np.array([1, 2, 3])},
    "K of nothing": {"K": 0},
}


@pytest.mark.parametrize("what", WRONG_NEIGHBOURS)
def test_wrong_neighbours(what: str) -> None:
    with pytest.raises(ArtifactError, match=r"\[load\] expected"):
        load(CosineRecommender, COSINE | WRONG_NEIGHBOURS[what])


def test_parts_that_are_missing() -> None:
    with pytest.raises(ArtifactError, match="indptr"):
        load(CosineRecommender, {name: part for name, part in COSINE.items() if name != "indptr"})


def test_what_is_no_plain_archive() -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, **ALS)
    with pytest.raises(ArtifactError, match="packed"):
        read_npz(io.BytesIO(stream.getvalue()))
    for data in (b"", b"PK", b"\x80\x04}.", packed(ALS)[:200], packed(ALS)[40:]):
        with pytest.raises(ArtifactError):
            read_npz(io.BytesIO(data))


def members(**contents: bytes) -> io.BytesIO:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name.replace("__", "/") + ".npy", data)
    stream.seek(0)
    return stream


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 9)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False}",
        "__import__('os').getcwd()",
        "(" * 3000,
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<U0', 'fortran_order': False, 'shape': (5,)}",
    ],
)
def test_headers_that_lie(header: str) -> None:
    with pytest.raises(ArtifactError):
        read_npz(members(factors=npy(header + "\n", b"\0" * 8)))


def test_names_that_lead_elsewhere() -> None:
    good = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}\n", b"\0" * 8)
    assert read_npz(members(factors=good))["factors"].tolist() == [0, 0]
    with pytest.raises(ArtifactError, match="NAME"):
        read_npz(members(up__factors=good))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("factors.npy", good)
        archive.writestr("factors.npy", good)
    with pytest.raises(ArtifactError, match="twice"):
        read_npz(io.BytesIO(stream.getvalue()))
    with pytest.raises(ArtifactError, match="at most"):
        read_npz(members(**{f"a{i}": good for i in range(65)}))


def test_every_damaged_byte_is_found_or_harmless() -> None:
    """A flipped bit gives an error of ours, or a model that can be asked: never anything else."""
    whole, random = packed(ALS), np.random.default_rng(0)
    for at in range(0, len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(random.integers(8))
        try:
            model = AlternatingLeastSquares.load(io.BytesIO(bytes(damaged)))
        except ArtifactError:
            continue
        if model.item_factors is not None and model.user_factors is not None:
            assert len(model.recommend(0, None, filter_already_liked_items=False)[0]) == 4

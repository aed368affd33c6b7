"""`bpr_epochs`: what it refuses, and what its native entry does, whoever calls it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

import gpurec
from gpurec import RankingRates, bpr_epochs
from gpurec.backends.ranking import RankingJob

RATES = RankingRates(0.1, 0.05, 0.07, 0.02)
NO_TABLE = np.zeros((3, 2), np.float64)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"positives": csr_array((2, 4))}, ValueError, r"item_factors of shape \(4, 2\)"),
        ({"user_factors": np.zeros((5, 2), np.float32)}, ValueError, r"user_factors of shape \(2, 2\)"),
        ({"user_factors": NO_TABLE}, TypeError, "user_factors as a C-contiguous float32"),
        ({"item_factors": np.zeros((3, 3), np.float32)}, ValueError, r"item_factors of shape \(3, 2\)"),
        ({"item_biases": [0, 0, 0]}, TypeError, "item_biases as .* got list"),
        ({"rates": replace(RATES, learning_rate=-1.0)}, ValueError, "learning_rate >= 0"),
        ({"rates": replace(RATES, bias_regularisation=math.nan)}, ValueError, "bias_regularisation >= 0"),
        ({"rates": replace(RATES, bias_learning_rate=1e39)}, ValueError, "bias_learning_rate >= 0"),
        ({"loss": "hinge"}, ValueError, "loss of bpr or softmax"),
        ({"sharpness": 0.0}, ValueError, "sharpness > 0"),
        ({"sharpness": 1e39}, ValueError, "sharpness > 0"),
        ({"sharpness": math.nan}, ValueError, "sharpness > 0"),
        ({"n_negatives": 0}, ValueError, "n_negatives in 1"),
        ({"n_candidates": 1.5}, TypeError, "n_candidates as an integer"),
        ({"seed": -1}, ValueError, "seed in 0"),
        ({"n_blocks": 0}, ValueError, "n_blocks in 1"),
        ({"weights": np.ones(3)}, TypeError, "weights as a C-contiguous uint32"),
        ({"weights": np.ones(2, np.uint32)}, ValueError, r"weights of shape \(3,\)"),
        ({"among": np.arange(2)}, TypeError, "among as a C-contiguous int32"),
        ({"among": np.int32([1, 1])}, ValueError, r"among to rise within 0..2"),
        ({"among": np.int32([1, 3])}, ValueError, r"among to rise within 0..2"),
        ({"visited": np.ones(9, bool)}, ValueError, r"visited of shape \(2,\)"),
        ({"keys": np.zeros(2, np.int32)}, TypeError, "keys as a C-contiguous int64"),
        ({"moves": "users"}, ValueError, "moves of users, positives, negatives"),
        ({"moves": ("users", "biases")}, ValueError, "moves of users"),
    ],
)
def test_wrong_arguments_are_named_and_change_nothing(change, error, words):
    given = {
        "positives": csr_array(np.float32([[1, 0, 0], [0, 1, 0]])),
        "user_factors": np.ones((2, 2), np.float32),
        "item_factors": np.ones((3, 2), np.float32),
        "item_biases": np.zeros(3, np.float32),
        "rates": RATES,
        **change,
    }
    before = [np.copy(given[name]) for name in ("user_factors", "item_factors", "item_biases")]
    with pytest.raises(error, match=rf"\[bpr_epochs\] expected {words}"):
        bpr_epochs(**given)
    after = [given[name] for name in ("user_factors", "item_factors", "item_biases")]
    assert all(np.array_equal(a, b) for a, b in zip(before, after))


def test_tables_that_overlap_or_cannot_change_are_refused():
    positives = csr_array(np.float32([[1, 0], [0, 1]]))
    one = np.ones((4, 2), np.float32)
    with pytest.raises(ValueError, match="apart in memory"):
        bpr_epochs(positives, one[:2], one[1:3], np.zeros(2, np.float32), RATES)
    one.flags.writeable = False
    with pytest.raises(TypeError, match="writeable"):
        bpr_epochs(positives, one[:2], np.ones((2, 2), np.float32), np.zeros(2, np.float32), RATES)


@pytest.mark.skipif(gpurec.backends.available()["cpu"] is not None, reason="needs the native module")
def test_the_native_entry_never_leaves_its_tables():
    """The module itself refuses what would touch foreign memory, whoever calls it."""
    from gpurec._native import cpu as native

    job = vars(RankingJob("bpr", 1.0, False, 1, 1, 0.1, 0, 0.1, 0, True, True, True, 0, 0, 1, 1))
    sound = {
        "indptr": np.array([0, 1, 2]),
        "items": np.array([0, 2], np.int32),
        "visited": None,
        "keys": None,
        "user_factors": np.ones((2, 2), np.float32),
        "item_factors": np.ones((3, 2), np.float32),
        "item_biases": np.zeros(3, np.float32),
        "weights": None,
        "among": None,
    }
    how = {**job, "isa": "", "n_threads": 1}
    assert native.bpr_epochs(*sound.values(), **how)[1] == 2
    for change in (
        {"items": np.array([0, 3], np.int32)},
        {"items": np.array([-1, 2], np.int32)},
        {"indptr": np.array([0, 3, 2])},
        {"indptr": np.array([0, 1, 3])},
        {"indptr": np.array([0, 2, 2]), "items": np.array([2, 0], np.int32)},
        {"item_biases": np.zeros(2, np.float32)},
        {"user_factors": np.ones((1, 2), np.float32)},
        {"item_factors": np.ones((3, 1), np.float32)},
        {"weights": np.ones(4, np.uint32)},
        {"among": np.int32([0])},  # items move
        {"visited": np.ones(1, bool)},
        {"keys": np.zeros(3, np.int64)},
    ):
        with pytest.raises(ValueError, match="expected"):
            native.bpr_epochs(*(sound | change).values(), **how)
    stay = how | {"move_positives": False, "move_negatives": False}
    for rows in ([0, 3], [-1, 2], [1, 1], [2, 1]):
        with pytest.raises(ValueError, match="expected among to rise"):
            native.bpr_epochs(*(sound | {"among": np.array(rows, np.int32)}).values(), **stay)
    for change in ({"n_negatives": 0}, {"n_blocks": 0}, {"loss": "hinge"}, {"n_candidates": 2**40}):
        with pytest.raises(ValueError, match="expected"):
            native.bpr_epochs(*sound.values(), **(how | change))
    with pytest.raises(TypeError):  # a copy would be changed in the caller's place
        native.bpr_epochs(*(sound | {"item_biases": np.zeros(3)}).values(), **how)

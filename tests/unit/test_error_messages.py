"""What each bad input gets told: the table in docs/errors.md is made here and must match what is said today.

`GPUREC_UPDATE_DOCS=1 pytest tests/unit/test_error_messages.py` writes it anew.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

import gpurec
from gpurec import Interactions, ItemIndex
from gpurec.data import clean

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"

ITEMS = np.arange(12, dtype=np.float32).reshape(4, 3)
QUERIES = np.ones((2, 3), np.float32)


def with_nan(row: int) -> np.ndarray:
    items = ITEMS.copy()
    items[row, 1] = np.nan
    return items


def file_of(text: str, name: str = "ratings.csv", **options: object) -> Interactions:
    folder = Path(tempfile.mkdtemp())
    (folder / name).write_text(text)
    previous = Path.cwd()
    os.chdir(folder)  # so that the message names a file and no folder of this machine
    try:
        return Interactions.from_file(name, **options)
    finally:
        os.chdir(previous)


def fitted() -> gpurec.Popularity:
    return gpurec.Popularity().fit(Interactions.from_arrays(["ann", "ann", "bob"], [1, 2, 1]))


def factors() -> gpurec.MF:
    ratings = Interactions.from_arrays(["ann", "ann", "bob", "bob"], [1, 2, 1, 2], [1, 2, 3, 4])
    return gpurec.MF(n_factors=2, random_state=0).fit(ratings)


def folded(weight: float) -> np.ndarray:
    plays = Interactions.from_arrays(["ann", "bob"], [1, 2])
    model = gpurec.ImplicitALS(n_factors=2, alpha=1.0).fit(plays)
    return model.fold_in(Interactions.from_arrays(["eve"], [1], [weight]))


def tampered(**parts: np.ndarray) -> scipy.sparse.csr_matrix:
    matrix = scipy.sparse.csr_matrix(np.float32([[1, 2, 0], [0, 3, 0]]))
    for name, array in parts.items():
        setattr(matrix, name, array)
    return matrix


SEARCH, GRAM, SPARSE = gpurec.score_top_k, gpurec.gram_top_k, scipy.sparse.csr_matrix(ITEMS)
CASES: list[tuple[str, Callable[[], object]]] = [
    ("items of three dimensions", lambda: SEARCH(QUERIES, ITEMS.reshape(2, 2, 3), 1)),
    ("queries of another width", lambda: SEARCH(np.ones((2, 5)), ITEMS, 1)),
    ("items without components", lambda: SEARCH(np.ones((2, 0)), np.ones((4, 0)), 1)),
    ("items of dtype bool", lambda: SEARCH(QUERIES, ITEMS > 2, 1)),
    ("items of dtype complex", lambda: SEARCH(QUERIES, ITEMS * 1j, 1)),
    ("items of dtype object", lambda: SEARCH(QUERIES, ITEMS.astype(object), 1)),
    ("an item with NaN", lambda: SEARCH(QUERIES, with_nan(2), 1)),
    ("a query with infinity", lambda: SEARCH(QUERIES * np.inf, ITEMS, 1)),
    ("an item beyond float32", lambda: SEARCH(QUERIES, ITEMS.astype(np.float64) * 1e39, 1)),
    ("an item with NaN in an index", lambda: ItemIndex(with_nan(3))),
    ("k = 0", lambda: SEARCH(QUERIES, ITEMS, 0)),
    ("k = -1", lambda: SEARCH(QUERIES, ITEMS, -1)),
    ("k = 2^40", lambda: SEARCH(QUERIES, ITEMS, 2**40)),
    ("k = 2.0", lambda: SEARCH(QUERIES, ITEMS, 2.0)),
    ("k = True", lambda: SEARCH(QUERIES, ITEMS, True)),
    ("n_queries x k beyond the limit", lambda: SEARCH(np.ones((100_000, 3)), ITEMS, 10_000)),
    ("an unknown metric", lambda: SEARCH(QUERIES, ITEMS, 1, metric="l2")),
    ("an unknown precision", lambda: SEARCH(QUERIES, ITEMS, 1, precision="fp8")),
    ("an unknown backend", lambda: SEARCH(QUERIES, ITEMS, 1, backend="tpu")),
    ("float64 scores", lambda: gpurec.top_k(np.ones((2, 4)), 1)),
    ("a filter row outside", lambda: SEARCH(QUERIES, ITEMS, 1, deny=[0, 4])),
    ("a filter row below -1", lambda: SEARCH(QUERIES, ITEMS, 1, exclude=[[-2], []])),
    ("filter rows that are not integers", lambda: SEARCH(QUERIES, ITEMS, 1, deny=np.array([0.5]))),
    ("too few exclusion lists", lambda: SEARCH(QUERIES, ITEMS, 1, exclude=[[0]])),
    ("a mask of another length", lambda: SEARCH(QUERIES, ITEMS, 1, allow=np.ones(3, bool))),
    (
        "an indptr that descends",
        lambda: SEARCH(QUERIES, ITEMS, 1, exclude=(np.array([0, 2, 1]), np.array([1]))),
    ),
    ("which outside the sets", lambda: SEARCH(QUERIES, ITEMS, 1, allow=([[0], [1]], [0, 2]))),
    ("a hint row outside", lambda: SEARCH(QUERIES, ITEMS, 1, hint=[9])),
    ("out of another shape", lambda: gpurec.score(QUERIES, ITEMS, out=np.empty((1, 1), np.float32))),
    ("out of dtype float64", lambda: gpurec.score(QUERIES, ITEMS, out=np.empty((2, 4)))),
    ("out in Fortran order", lambda: gpurec.score(QUERIES, ITEMS, out=np.empty((4, 2), np.float32).T)),
    ("out that is one of the inputs", lambda: gpurec.similarity(ITEMS[:3], out=ITEMS[:3])),
    ("a row outside the table", lambda: gpurec.similarity_top_k(ITEMS, 1, rows=[2, 4])),
    ("a row of a sparse matrix outside", lambda: GRAM(SPARSE, 1, rows=[2, 4])),
    ("a sparse matrix with NaN", lambda: GRAM(with_nan(2), 1)),
    ("an unknown metric of sparse rows", lambda: GRAM(SPARSE, 1, metric="euclidean")),
    ("an unknown weighting", lambda: GRAM(SPARSE, 1, weighting="idf")),
    ("a negative value to be weighted", lambda: GRAM(-ITEMS, 1, weighting="bm25")),
    ("a number that the metric has not", lambda: GRAM(SPARSE, 1, alpha=0.3)),
    ("alpha beyond 1", lambda: GRAM(SPARSE, 1, metric="asymmetric_cosine", alpha=2)),
    ("a negative shrinkage", lambda: GRAM(SPARSE, 1, shrinkage=-1)),
    ("indices outside the matrix", lambda: GRAM(tampered(indices=np.array([0, 7, 1])), 1)),
    ("an indptr beyond the indices", lambda: GRAM(tampered(indptr=np.array([0, 2, 9])), 1)),
    ("a weight of least squares below 0", lambda: gpurec.als([[-1.0]], [[1.0]])),
    ("a penalty of 0", lambda: gpurec.als([[1.0]], [[1.0]], l2=0)),
    ("targets without their weights", lambda: gpurec.als([[1.0, 0.0]], [[1.0], [1.0]], targets=[[0.0, 1.0]])),
    ("a weight below 0 as confidence", lambda: folded(-1.0)),
    ("ids that stand twice", lambda: ItemIndex(ITEMS, ids=["a", "b", "a", "c"])),
    ("too few ids", lambda: ItemIndex(ITEMS, ids=["a", "b"])),
    ("a row of an index outside", lambda: ItemIndex(ITEMS).get([4])),
    ("an index that is not there", lambda: ItemIndex.load("no-such-index")),
    ("an unknown user", lambda: fitted().recommend(["eve"])),
    ("an unknown item", lambda: factors().similar_items([3])),
    ("a model before fit", lambda: gpurec.Popularity().recommend(["ann"])),
    ("an empty file", lambda: file_of("")),
    ("a header alone", lambda: file_of("user_id,item_id,rating\n")),
    ("a column that is not there", lambda: file_of("user_id,item_id\n1,2\n", columns={"weight": "stars"})),
    ("no column for items", lambda: file_of("user_id,colour\n1,red\n")),
    ("a ragged line", lambda: file_of("user_id,item_id,rating\n1,2,3\n1,2\n")),
    ("a weight that is no number", lambda: file_of("user_id,item_id,rating\n1,2,good\n")),
    ("arrays of two lengths", lambda: Interactions.from_arrays([1, 2], [1])),
    (
        "duplicates where none may be",
        lambda: clean(Interactions.from_arrays([1, 1], [2, 2]), duplicates="error"),
    ),
]


def said(case: Callable[[], object]) -> str:
    with pytest.raises((gpurec.GpurecError, ValueError, TypeError, OSError)) as caught:
        case()
    message = str(caught.value)
    assert "\n" not in message and len(message) > 10
    return f"{type(caught.value).__name__}: {message}"


def table() -> str:
    lines = [
        "# What a bad input gets told",
        "",
        "Made by `tests/unit/test_error_messages.py` from what the code says.",
        "",
        "| input | answer |",
        "| --- | --- |",
    ]
    for name, case in CASES:
        escaped = said(case).replace("|", "\\|")
        lines.append(f"| {name} | `{escaped}` |")
    return "\n".join(lines) + "\n"


def test_every_bad_input_has_its_answer_on_the_page() -> None:
    made = table()
    if os.environ.get("GPUREC_UPDATE_DOCS") == "1":
        PAGE.write_text(made)
    assert PAGE.read_text() == made

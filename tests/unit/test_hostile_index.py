"""Artefacts that describe no index are refused, whichever backend reads them.

They are written by `write_artifact`, so their hashes are right and the index's own checks are all that stands
between them and compiled code.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from living_indexes import BACKENDS, living_index, queries

import gpurec
from gpurec.artifacts import read_artifact, write_artifact
from gpurec.errors import ArtifactError

KIND = "gpurec.item_index"
Tensors = dict[str, np.ndarray]
Change = Callable[[Tensors, dict[str, Any]], None]


def _set(name: str, value: Any) -> Change:
    return lambda tensors, meta: tensors.update({name: value(tensors[name]) if callable(value) else value})


def _drop(name: str) -> Change:
    return lambda tensors, meta: tensors.pop(name)


def _meta(name: str, value: Any) -> Change:
    return lambda tensors, meta: meta.update({name: value})


def _put(at: int, value: float) -> Callable[[np.ndarray], np.ndarray]:
    def changed(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array.flat[at] = value
        return array

    return changed


def _drop_meta(name: str) -> Change:
    return lambda tensors, meta: meta.pop(name)


# What no index is, whichever backend saved it and whichever loads it.
NO_INDEX: dict[str, Change] = {
    "row_of out of range": _set("row_of", _put(3, 800)),
    "row_of far out of range": _set("row_of", _put(3, 2**32 - 1)),
    "row_of twice": _set("row_of", lambda a: _put(3, a[4])(a)),
    "row_of too short": _set("row_of", lambda a: a[:-1]),
    "row_of far too short": _set("row_of", lambda a: a[:100]),
    "row_of too long": _set("row_of", lambda a: np.append(a, np.uint32(0))),
    "row_of of none": _set("row_of", lambda a: a[:0].astype(np.int64)),
    "row_of as int64": _set("row_of", lambda a: a.astype(np.int64)),
    "row_of in two dimensions": _set("row_of", lambda a: a[:, np.newaxis]),
    "no row_of": _drop("row_of"),
    "n_rows below the items": _meta("n_rows", 5),
    "n_rows below zero": _meta("n_rows", -1),
    "n_rows beyond rows": _meta("n_rows", 2**32 - 1),
    "n_rows beyond integers": _meta("n_rows", 2**70),
    "n_rows as text": _meta("n_rows", "777"),
    "n_rows as float": _meta("n_rows", 777.0),
    "n_rows as bool": _meta("n_rows", True),
    "no n_rows": _drop_meta("n_rows"),
    "version below zero": _meta("version", -1),
    "version as float": _meta("version", 1.5),
    "no version": _drop_meta("version"),
    "boosted as text": _meta("boosted", "yes"),
    "no boosted": _drop_meta("boosted"),
    "metric unknown": _meta("metric", "manhattan"),
    "metric as list": _meta("metric", ["dot"]),
    "no metric": _drop_meta("metric"),
    "precision unknown": _meta("precision", "int1"),
    "precision as null": _meta("precision", None),
    "ids missing": _meta("ids", {"ids": {"encoding": "int64"}}),
    "ids of an unknown encoding": _meta("ids", {"ids": {"encoding": "pickle"}}),
    "ids as text": _meta("ids", "ids"),
}
# What panels may not be.
NO_PANELS: dict[str, Change] = {
    "panels too few": _set("panels", lambda a: a[:-4]),
    "panels too many": _set("panels", lambda a: np.concatenate([a, a])),
    "panels of 15 items": _set("panels", lambda a: a[:, :, :15]),
    "panels in two dimensions": _set("panels", lambda a: a[:, 0]),
    "panels in one dimension": _set("panels", lambda a: a.ravel()),
    "panels of no components": _set("panels", lambda a: a[:, :0]),
    "panels as float64": _set("panels", lambda a: a.astype(np.float64)),
    "panels as int32": _set("panels", lambda a: a.view(np.int32)),
    "no panels": _drop("panels"),
    "norms NaN": _set("norms", _put(5, np.nan)),
    "norms negative": _set("norms", _put(5, -1.0)),
    "norms too short": _set("norms", lambda a: a[:-1]),
    "norms in two dimensions": _set("norms", lambda a: a[:, np.newaxis]),
    "norms as float16": _set("norms", lambda a: np.ones(len(a), np.float16)),
    "no norms": _drop("norms"),
}
NO_CODES: dict[str, Change] = {
    "codes too few": _set("codes", lambda a: a[:-1]),
    "codes too many": _set("codes", lambda a: np.concatenate([a, a])),
    "codes of other components": _set("codes", lambda a: a[:, :-1]),
    "codes of 63 items": _set("codes", lambda a: a[:, :, :-4]),
    "codes in two dimensions": _set("codes", lambda a: a[:, 0]),
    "codes as int8": _set("codes", lambda a: a.view(np.int8)),
    "scales too few": _set("scales", lambda a: a[:-1]),
    "scales as float64": _set("scales", lambda a: a.astype(np.float64)),
    "scales NaN": _set("scales", _put(1, np.nan)),
    "scales infinite": _set("scales", _put(1, np.inf)),
    "scales negative": _set("scales", _put(1, -1.0)),
    "scales tiny": _set("scales", _put(1, 1e-20)),
    "no scales": _drop("scales"),
    "errors too few": _set("errors", lambda a: a[:-1]),
    "errors NaN": _set("errors", _put(1, np.nan)),
    "errors infinite": _set("errors", _put(1, np.inf)),
    "errors negative": _set("errors", _put(1, -1.0)),
    "no errors": _drop("errors"),
    "codes4 too few": _set("codes4", lambda a: a[:-1]),
    "codes4 of other components": _set("codes4", lambda a: a[:, :-1]),
    "codes4 as int8": _set("codes4", lambda a: a.view(np.int8)),
    "no codes4": _drop("codes4"),
    "scales4 too few": _set("scales4", lambda a: a[:-1]),
    "scales4 NaN": _set("scales4", _put(1, np.nan)),
    "scales4 as float64": _set("scales4", lambda a: a.astype(np.float64)),
    "errors4 negative": _set("errors4", _put(1, -1.0)),
    "no errors4": _drop("errors4"),
    "items too few": _set("items", lambda a: a[:-1]),
    "items too many": _set("items", lambda a: np.concatenate([a, a])),
    "items of other components": _set("items", lambda a: np.repeat(a, 2, axis=1)),
    "items in one dimension": _set("items", lambda a: a[:, 0]),
    "no items": _drop("items"),
    "norms NaN": _set("norms", _put(5, np.nan)),
    "norms too short": _set("norms", lambda a: a[:-1]),
    "no norms": _drop("norms"),
}
NO_BOOSTS: dict[str, Change] = {"euclidean with boosts": _meta("boosted", True)}
NO_ITEMS: dict[str, Change] = {
    "items too few": _set("items", lambda a: a[:-1]),
    "items in one dimension": _set("items", lambda a: a[:, 0]),
    "items in three dimensions": _set("items", lambda a: a[:, :, np.newaxis]),
    "items of no components": _set("items", lambda a: a[:, :0]),
    "items of the boost alone": _set("items", lambda a: a[:, :1]),
    "items as float64": _set("items", lambda a: a.astype(np.float64)),
    "items NaN": _set("items", _put(9, np.nan)),
    "items infinite": _set("items", _put(9, np.inf)),
    "no items": _drop("items"),
}


def hostile(folder: Path, saved: gpurec.ItemIndex, change: Change) -> Path:
    """The saved index with its content changed and its hashes made right."""
    saved.save(folder / "honest")
    artifact = read_artifact(folder / "honest", KIND)
    tensors, meta = dict(artifact.tensors), dict(artifact.meta)
    change(tensors, meta)
    write_artifact(folder / "hostile", KIND, tensors, meta)
    return folder / "hostile"


def assert_refused(path: Path, reader: str) -> None:
    for mmap in (False, True):
        with pytest.raises(ArtifactError, match=r"^\[load\] expected"):
            gpurec.ItemIndex.load(path, mmap=mmap, backend=reader)


@pytest.mark.parametrize("reader", BACKENDS)
@pytest.mark.parametrize("writer", BACKENDS)
@pytest.mark.parametrize("what", NO_INDEX)
def test_what_is_no_index_is_refused(tmp_path, what, writer, reader):
    assert_refused(hostile(tmp_path, living_index(writer), NO_INDEX[what]), reader)


@pytest.mark.skipif("cpu" not in BACKENDS, reason="panels are written by the native backend")
@pytest.mark.parametrize("what", [*NO_PANELS, *NO_BOOSTS])
def test_panels_that_do_not_fit_are_refused(tmp_path, what):
    metric = "dot" if what in NO_PANELS else "euclidean"
    path = hostile(tmp_path, living_index("cpu", metric, precision="fp32"), (NO_PANELS | NO_BOOSTS)[what])
    assert_refused(path, "cpu")
    if what.startswith(("panels too few", "panels of", "panels in", "panels as", "no panels", "euclidean")):
        assert_refused(path, "reference")


@pytest.mark.skipif("cpu" not in BACKENDS, reason="codes are written by the native backend")
@pytest.mark.parametrize("what", NO_CODES)
def test_codes_that_do_not_fit_are_refused(tmp_path, what):
    assert_refused(hostile(tmp_path, living_index("cpu", precision="int8"), NO_CODES[what]), "cpu")


@pytest.mark.parametrize("reader", BACKENDS)
@pytest.mark.parametrize("what", NO_ITEMS)
def test_items_that_do_not_fit_are_refused(tmp_path, what, reader):
    assert_refused(hostile(tmp_path, living_index("reference"), NO_ITEMS[what]), reader)


@pytest.mark.parametrize("reader", BACKENDS)
@pytest.mark.parametrize("n_ids", [0, 1, 776, 777, 778])
def test_ids_of_another_length_are_refused(tmp_path, n_ids, reader):
    def change(tensors: Tensors, meta: dict[str, Any]) -> None:
        tensors["ids.int64"] = np.arange(n_ids)
        meta["ids"] = {"ids": {"encoding": "int64"}}

    path = hostile(tmp_path, living_index(reader), change)
    if n_ids == 777:
        assert len(gpurec.ItemIndex.load(path, backend=reader).ids) == 777
    else:
        assert_refused(path, reader)


@pytest.mark.skipif("cpu" not in BACKENDS, reason="mapped files are for the native backend")
@pytest.mark.parametrize("metric", ["dot", "euclidean"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize(
    ("precision", "name"),
    [("fp32", "panels"), ("int8", "items"), ("int8", "codes"), ("int4", "items"), ("int4", "codes4")],
)
def test_values_that_only_the_whole_file_would_show_do_no_harm(tmp_path, precision, name, value, metric):
    """Mapped items are not read at load: nonsense in them gives wrong scores, but rows of the index."""
    rng = np.random.default_rng(8)

    def change(tensors: Tensors, meta: dict[str, Any]) -> None:
        nonsense = tensors[name].copy()
        some = rng.random(nonsense.shape) < rng.choice([0.01, 0.5])
        nonsense[some] = (
            value if name in ("panels", "items") else rng.integers(0, 256, np.count_nonzero(some))
        )
        tensors[name] = nonsense

    path = hostile(tmp_path, living_index("cpu", metric, n=3000, precision=precision), change)
    index = gpurec.ItemIndex.load(path, mmap=True, backend="cpu")
    for k in (1, 10, 200, 5000):
        found = index.search(queries(40), k)
        assert_distinct_rows(found.rows, index.n_items)
    above = index.search_above(queries(1), -1e30)
    assert_distinct_rows(above.rows[np.newaxis], index.n_items)
    index.update([1], np.ones((1, 6)))
    index.compact()
    assert_distinct_rows(index.search(queries(40), 10).rows, index.n_items)


def assert_distinct_rows(rows: np.ndarray, n_items: int) -> None:
    assert rows.min(initial=0) >= -1 and rows.max(initial=0) < n_items
    for found in rows:
        assert len(np.unique(found[found >= 0])) == np.count_nonzero(found >= 0)


_HUGE = """
import resource, sys, gpurec
from gpurec.errors import ArtifactError
limit = 6 << 30
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    index = gpurec.ItemIndex.load(sys.argv[1], mmap=True, backend=sys.argv[2])
    index.search([[1.0, 2.0]], 3)
    outcome = "loaded"
except ArtifactError:
    outcome = "refused"
print(outcome, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a cap on memory as Linux has it")
@pytest.mark.parametrize("n_rows", [2**31, 2**32 - 2])
@pytest.mark.parametrize("reader", BACKENDS)
@pytest.mark.parametrize("writer", BACKENDS)
def test_many_rows_and_few_items_take_no_gigabytes(tmp_path, writer, reader, n_rows):
    """Rows are for ever, so few items in many rows are an index like any other."""

    def change(tensors: Tensors, meta: dict[str, Any]) -> None:
        meta["n_rows"] = n_rows
        tensors["row_of"] = np.array([0, n_rows // 2, n_rows - 1], np.uint32)

    path = hostile(tmp_path, gpurec.ItemIndex([[1, 2], [3, 4], [5, 6]], backend=writer), change)
    command = [sys.executable, "-c", _HUGE, str(path), reader]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    outcome, megabytes = done.stdout.split()
    assert outcome == ("loaded" if reader == "cpu" else "refused"), done.stdout
    assert int(megabytes) < 700, done.stdout

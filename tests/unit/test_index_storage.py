"""Saved indexes: read by another backend or process, mapped, from a read-only folder."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from living_indexes import BACKENDS, METRICS, living_index, queries

import gpurec
from gpurec.artifacts import read_artifact
from gpurec.errors import ArtifactError


def assert_same(a: gpurec.ItemIndex, b: gpurec.ItemIndex) -> None:
    left, right = a.search(queries(), 50), b.search(queries(), 50)
    assert left.rows.tolist() == right.rows.tolist() and left.scores.tobytes() == right.scores.tobytes()
    for name in ("version", "n_items", "n_active", "metric", "d"):
        assert getattr(a, name) == getattr(b, name), name
    assert (left.ids is None) == (right.ids is None)
    if left.ids is not None:
        assert left.ids.tolist() == right.ids.tolist()


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("reader", BACKENDS)
@pytest.mark.parametrize("writer", BACKENDS)
def test_any_backend_reads_what_any_backend_saved(tmp_path, writer, reader, metric, mmap):
    saved = living_index(writer, metric, ids=metric in ("dot", "euclidean"))
    saved.save(tmp_path / "index")
    loaded = gpurec.ItemIndex.load(tmp_path / "index", mmap=mmap, backend=reader)
    assert_same(loaded, saved)
    for index in (loaded, saved):  # it lives on
        index.remove([10])
        index.update([0], np.full((1, 6), 2.0))
        index.append(np.ones((3, 6)), ids=["a", "b", "c"] if index.ids is not None else None)
        index.compact()
    assert_same(loaded, saved)


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("reader", BACKENDS)
@pytest.mark.parametrize("writer", BACKENDS)
@pytest.mark.parametrize("metric", METRICS)
def test_an_index_without_items_comes_back(tmp_path, writer, reader, metric, mmap):
    never, emptied = (gpurec.ItemIndex(np.ones((n, 2)), metric=metric, backend=writer) for n in (0, 4))
    emptied.remove(range(4))
    for saved, n_rows in ((never, 0), (emptied, 4)):
        saved.save(tmp_path / "index")
        index = gpurec.ItemIndex.load(tmp_path / "index", mmap=mmap, backend=reader)
        assert (index.n_items, index.n_active, index.d) == (n_rows, 0, 2)
        assert index.search([[1.0, 2.0]], 2).rows.tolist() == [[-1, -1]]
        assert index.append([[3.0, 1.0]]).tolist() == [n_rows]
        assert index.search([[1.0, 2.0]], 2).rows.tolist() == [[n_rows, -1]]


_ANSWER = """
import sys, json, numpy as np, gpurec
index = gpurec.ItemIndex.load(sys.argv[1], mmap=True)
found = index.search(np.random.default_rng(6).standard_normal((5, 6)).astype(np.float32), 50)
print(json.dumps([found.rows.tolist(), found.scores.view(np.uint32).tolist()]), flush=True)
sys.stdin.read()  # keeps the mapping until the other one has answered too
"""


@pytest.mark.skipif("cpu" not in BACKENDS, reason="only the native backend searches where the file is mapped")
def test_two_processes_map_one_index(tmp_path):
    saved = living_index("cpu")
    saved.save(tmp_path / "index")
    command = [sys.executable, "-c", _ANSWER, str(tmp_path / "index")]
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    try:
        answers = [json.loads(child.stdout.readline()) for child in children]
    finally:
        for child in children:
            child.communicate(timeout=60)
    want = saved.search(queries(), 50)
    for rows, scores in answers:
        assert rows == want.rows.tolist() and scores == want.scores.view(np.uint32).tolist()
    assert [child.returncode for child in children] == [0, 0]


CODES = {part + bits for part in ("codes", "scales", "errors") for bits in ("", "4")}


@pytest.mark.skipif("cpu" not in BACKENDS, reason="only the native backend searches where the file is mapped")
@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory map of the process")
@pytest.mark.parametrize(
    ("precision", "names"),
    [
        ("fp32", {"panels", "norms", "row_of"}),
        ("int8", {"items", "norms", "row_of", *CODES}),
        ("int4", {"items", "norms", "row_of", *CODES}),
    ],
)
def test_a_mapped_index_lies_in_its_file_and_on_cache_lines(tmp_path, precision, names):
    living_index("cpu", "euclidean", precision=precision).save(tmp_path / "index")
    index = gpurec.ItemIndex.load(tmp_path / "index", mmap=True, backend="cpu")
    (file,) = (tmp_path / "index").glob("*.safetensors")
    ranges = [
        tuple(int(end, 16) for end in line.split()[0].split("-"))
        for line in Path("/proc/self/maps").read_text().splitlines()
        if line.endswith(str(file))
    ]
    arrays = index._now.index.table.arrays()
    assert arrays.keys() == names
    for name, array in arrays.items():
        begin = array.ctypes.data
        assert any(low <= begin and begin + array.nbytes <= high for low, high in ranges), name
        assert begin % 64 == 0 or name not in ("panels", "codes", "codes4")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_mapped_index_outlives_its_file(tmp_path, backend):
    saved = living_index(backend)
    saved.save(tmp_path / "index")
    mapped = gpurec.ItemIndex.load(tmp_path / "index", mmap=True, backend=backend)
    living_index(backend, n=30).save(tmp_path / "index")
    assert_same(mapped, saved)
    mapped.save(tmp_path / "index")  # over the one it was mapped from, and back
    assert_same(gpurec.ItemIndex.load(tmp_path / "index", mmap=True, backend=backend), saved)
    shutil.rmtree(tmp_path / "index")
    assert_same(mapped, saved)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_read_only_folder_will_do(tmp_path, backend):
    folder = tmp_path / "index"
    saved = living_index(backend, ids=True)
    saved.save(folder)
    names = sorted(entry.name for entry in folder.iterdir())
    for entry in folder.iterdir():
        entry.chmod(stat.S_IRUSR)
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        for mmap in (False, True):
            assert_same(gpurec.ItemIndex.load(folder, mmap=mmap, backend=backend), saved)
        assert sorted(entry.name for entry in folder.iterdir()) == names
    finally:
        folder.chmod(stat.S_IRWXU)


def test_damage_is_found_when_the_whole_file_is_read_or_asked_for(tmp_path):
    living_index(BACKENDS[0]).save(tmp_path / "index")
    (file,) = (tmp_path / "index").glob("*.safetensors")
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    file.write_bytes(whole)
    with pytest.raises(ArtifactError, match="SHA-256"):
        gpurec.ItemIndex.load(tmp_path / "index")
    gpurec.ItemIndex.load(tmp_path / "index", mmap=True)
    with pytest.raises(ArtifactError, match="SHA-256"):
        read_artifact(tmp_path / "index", "gpurec.item_index", mmap=True, verify=True)

"""The tensor file of an artefact: where tensors lie in it, and that other readers of the format see them."""

from __future__ import annotations

import mmap
import tempfile
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from gpurec.artifacts import read_artifact, write_artifact
from gpurec.artifacts.layout import DTYPES


def tensor_file(folder: Path) -> Path:
    (file,) = folder.glob("tensors-*.safetensors")
    return file


def assert_equal(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        np.testing.assert_array_equal(found[name], tensor)


@given(st.dictionaries(st.text("abc_", min_size=1, max_size=9), st.integers(0, 70), max_size=9), st.data())
def test_tensors_begin_where_vector_loads_want_them(lengths: dict[str, int], data: st.DataObject) -> None:
    """Whole cache lines at multiples of 64, the largest first, nothing misaligned; others read the same."""
    lengths = {f"t{name}": length for name, length in lengths.items()}
    tensors = {
        name: np.arange(length).astype(data.draw(st.sampled_from(list(DTYPES.values())), label=name))
        for name, length in lengths.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        write_artifact(folder, "table", tensors)
        whole = tensor_file(Path(folder)).read_bytes()
        mapped = read_artifact(folder, "table", mmap=True)
        assert_equal(mapped.tensors, tensors)
        begins = {name: offset_in(mapped._data, tensor) for name, tensor in mapped.tensors.items()}
        del mapped
    assert_equal(safetensors.numpy.load(whole), tensors)
    data_start = 8 + int.from_bytes(whole[:8], "little")
    assert data_start % 64 == 0
    lines = {
        name: begins[name] for name, tensor in tensors.items() if tensor.nbytes and tensor.nbytes % 64 == 0
    }
    assert all(begin % 64 == 0 for begin in lines.values())
    if lines:
        assert begins[max(lines, key=lambda name: (tensors[name].nbytes, -begins[name]))] == data_start


def offset_in(mapped: mmap.mmap, tensor: np.ndarray) -> int:
    """Where in its file a mapped tensor begins; 0 for one without bytes."""
    start = np.frombuffer(mapped, np.uint8).ctypes.data
    return tensor.ctypes.data - start if tensor.nbytes else 0


def test_saving_copies_no_tensor(tmp_path: Path) -> None:
    tensors = {"panels": np.ones((1 << 22,), np.float32), "mask": np.full(1 << 22, True)}
    write_artifact(tmp_path, "table", tensors)
    tracemalloc.start()
    try:
        write_artifact(tmp_path, "table", tensors)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 << 20  # of 20 MB; hashing reads the file back in pieces of 4 MB

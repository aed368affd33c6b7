"""Artefacts: what is saved comes back, a crash leaves the old or the new, and damage is said in words."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import stat
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from gpurec.artifacts import SCHEMA_VERSION, Artifact, files, read_artifact, write_artifact
from gpurec.artifacts.layout import DTYPES, MAX_TENSORS, encode_manifest, parse_manifest, tensor_file_name
from gpurec.errors import ArtifactError


def tensors_of(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "factors": random.standard_normal((7, 3)).astype(np.float32),
        "rows": random.integers(0, 100, 5),
        "seen": random.random(9) < 0.5,
        "scale": np.array(random.random()),
        "empty": np.zeros((0, 4), dtype=np.int8),
    }


def assert_equal(artifact: Artifact, tensors: dict[str, np.ndarray]) -> None:
    assert artifact.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert artifact.tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(artifact.tensors[name], tensor)


def tensor_file(folder: Path) -> Path:
    (file,) = folder.glob("tensors-*.safetensors")
    return file


@pytest.mark.parametrize("mmap", [False, True])
def test_everything_comes_back(tmp_path: Path, mmap: bool) -> None:
    meta = {"n_factors": 3, "name": "mf ü", "layers": (64, np.int64(32)), "rate": np.float64(0.1), "x": None}
    write_artifact(tmp_path / "a" / "b", "mf", tensors_of(0), meta)
    artifact = read_artifact(tmp_path / "a" / "b", "mf", mmap=mmap)
    assert_equal(artifact, tensors_of(0))
    assert artifact.meta == {"n_factors": 3, "name": "mf ü", "layers": [64, 32], "rate": 0.1, "x": None}
    assert artifact.kind == "mf"
    assert artifact.gpurec_version
    assert not any(tensor.flags.writeable for tensor in artifact.tensors.values())
    assert artifact.verify() is artifact


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
@pytest.mark.parametrize("order", ["C", "F", "strided", "swapped"])
def test_dtypes_and_strides(tmp_path: Path, dtype: np.dtype, order: str) -> None:
    table = np.arange(24).reshape(4, 6).astype(dtype)
    given = {
        "C": table,
        "F": np.asfortranarray(table),
        "strided": np.repeat(table, 2, axis=1)[:, ::2],
        "swapped": table.astype(dtype.newbyteorder(">")),
    }[order]
    write_artifact(tmp_path, "table", {"table": given, "byte": np.zeros(1, np.int8)})
    found = read_artifact(tmp_path, "table").tensor("table", dtype, (4, None))
    np.testing.assert_array_equal(found, table)
    assert found.flags.c_contiguous and found.flags.aligned


def test_no_tensors(tmp_path: Path) -> None:
    write_artifact(tmp_path, "settings", {}, {"a": 1})
    assert read_artifact(tmp_path, "settings").meta == {"a": 1}


def test_the_tensor_file_is_plain_safetensors(tmp_path: Path) -> None:
    write_artifact(tmp_path, "mf", tensors_of(1))
    found = safetensors.numpy.load_file(tensor_file(tmp_path))
    np.testing.assert_array_equal(found["factors"], tensors_of(1)["factors"])


def test_manifest_names_versions_and_hashes(tmp_path: Path) -> None:
    write_artifact(tmp_path, "mf", tensors_of(1))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["schema_version"] == SCHEMA_VERSION == 1
    assert manifest["size"] == tensor_file(tmp_path).stat().st_size
    assert tensor_file(tmp_path).name == tensor_file_name(manifest["sha256"])
    assert manifest["tensors"]["factors"] == {"dtype": "F32", "shape": [7, 3]}


def test_replacing_leaves_one_tensor_file(tmp_path: Path) -> None:
    for seed in (1, 2, 2, 1):
        write_artifact(tmp_path, "mf", tensors_of(seed))
        assert_equal(read_artifact(tmp_path, "mf"), tensors_of(seed))
        assert {entry.name for entry in tmp_path.iterdir()} == {"manifest.json", tensor_file(tmp_path).name}


def test_a_mapped_artifact_outlives_its_replacement(tmp_path: Path) -> None:
    write_artifact(tmp_path, "mf", tensors_of(1))
    old = read_artifact(tmp_path, "mf", mmap=True)
    write_artifact(tmp_path, "mf", tensors_of(2))
    assert_equal(old.verify(), tensors_of(1))


def test_tensor_checks_dtype_and_shape(tmp_path: Path) -> None:
    write_artifact(tmp_path, "mf", tensors_of(1))
    artifact = read_artifact(tmp_path, "mf")
    assert artifact.tensor("factors", np.float32, (7, 3)).shape == (7, 3)
    for name, dtype, shape in [
        ("missing", np.float32, (7, 3)),
        ("factors", np.float64, (7, 3)),
        ("factors", np.float32, (None, 4)),
        ("factors", np.float32, (None,)),
    ]:
        with pytest.raises(ArtifactError, match=name):
            artifact.tensor(name, dtype, shape)


@pytest.mark.parametrize(
    ("kind", "tensors", "meta", "words"),
    [
        ("MF!", {}, {}, "kind"),
        ("mf", {"a": np.zeros(1, np.complex64)}, {}, "complex64"),
        ("mf", {"a": np.array(["x"], dtype=object)}, {}, "object"),
        ("mf", {"../a": np.zeros(1)}, {}, "tensor name"),
        ("mf", {"__metadata__": np.zeros(1)}, {}, "tensor name"),
        ("mf", {"a": np.zeros((1,) * 9)}, {}, "at most 8"),
        ("mf", {f"t{i}": np.zeros(1) for i in range(MAX_TENSORS + 1)}, {}, "64 tensors"),
        ("mf", {}, {"ids": list(range(300_000))}, "long data in tensors"),
        ("mf", {}, {"a": float("nan")}, "finite"),
        ("mf", {}, {"a": [object()]}, r"meta\['a'\]\[0\]"),
        ("mf", {}, {1: "a"}, "text"),
    ],
)
def test_what_cannot_be_stored(tmp_path: Path, kind: str, tensors: dict, meta: dict, words: str) -> None:
    with pytest.raises(ArtifactError, match=words):
        write_artifact(tmp_path / "new", kind, tensors, meta)
    assert not (tmp_path / "new").exists()


def test_a_folder_with_other_content_is_left_alone(tmp_path: Path) -> None:
    for name, text in [
        ("notes.txt", "mine"),
        ("manifest.json", '{"name": "a web page"}'),
        ("manifest.json", "{"),
    ]:
        folder = tmp_path / f"{name}{len(text)}"
        folder.mkdir()
        (folder / name).write_text(text)
        with pytest.raises(ArtifactError, match="other content"):
            write_artifact(folder, "mf", tensors_of(1))
        assert [(entry.name, entry.read_text()) for entry in folder.iterdir()] == [(name, text)]
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ArtifactError, match="got a file"):
        write_artifact(file, "mf", tensors_of(1))


def test_other_files_in_an_artifact_are_left_alone(tmp_path: Path) -> None:
    write_artifact(tmp_path, "mf", tensors_of(1))
    (tmp_path / "notes.txt").write_text("mine")
    write_artifact(tmp_path, "mf", tensors_of(2))
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="No such file"):
        read_artifact(tmp_path / "none", "mf")
    with pytest.raises(ArtifactError, match="first save did not finish"):
        read_artifact(tmp_path, "mf")


def test_wrong_kind_and_future_schema_say_both(tmp_path: Path) -> None:
    write_artifact(tmp_path, "mf", tensors_of(1))
    with pytest.raises(
        ArtifactError, match=r"expected kind 'index' of schema version 1 .* got kind 'mf' of schema version 1"
    ):
        read_artifact(tmp_path, "index")
    manifest = tmp_path / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "schema_version": 7, "new_field": []}))
    with pytest.raises(
        ArtifactError, match=r"schema version 1 .* got kind 'mf' of schema version 7; do: upgrade"
    ):
        read_artifact(tmp_path, "mf")


def test_damage_is_named(tmp_path: Path) -> None:
    write_artifact(tmp_path, "mf", tensors_of(1))
    file = tensor_file(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(ArtifactError, match=rf"{len(whole)} bytes, got {len(whole) - 1}"):
        read_artifact(tmp_path, "mf")
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ArtifactError, match="SHA-256"):
        read_artifact(tmp_path, "mf")
    unverified = read_artifact(tmp_path, "mf", mmap=True)
    with pytest.raises(ArtifactError, match="SHA-256"):
        unverified.verify()
    file.unlink()
    with pytest.raises(ArtifactError, match="no such file"):
        read_artifact(tmp_path, "mf")
    manifest = tmp_path / "manifest.json"
    manifest.write_text(manifest.read_text().replace("[\n    7,", "[\n    8,"))
    with pytest.raises(ArtifactError, match="edited"):
        read_artifact(tmp_path, "mf")


def test_links_pipes_and_folders_are_no_files(tmp_path: Path) -> None:
    write_artifact(tmp_path / "a", "mf", tensors_of(1))
    file = tensor_file(tmp_path / "a")
    elsewhere = file.rename(tmp_path / "elsewhere")
    file.symlink_to(elsewhere)
    with pytest.raises(ArtifactError, match="symbolic link"):
        read_artifact(tmp_path / "a", "mf")
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ArtifactError, match="plain file"):
        read_artifact(tmp_path / "a", "mf")
    file.unlink()
    file.mkdir()
    with pytest.raises(ArtifactError, match="plain file"):
        read_artifact(tmp_path / "a", "mf")


def test_a_read_only_artifact_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    write_artifact(folder, "mf", tensors_of(1))
    for entry in folder.iterdir():
        entry.chmod(stat.S_IRUSR)
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        for mmap in (False, True):
            assert_equal(read_artifact(folder, "mf", mmap=mmap), tensors_of(1))
        assert sorted(os.listdir(folder)) == ["manifest.json", tensor_file(folder).name]
    finally:
        folder.chmod(stat.S_IRWXU)


def test_a_bool_is_zero_or_one(tmp_path: Path) -> None:
    write_artifact(tmp_path, "mask", {"mask": np.full(3, True)})
    whole = tensor_file(tmp_path).read_bytes()
    resign(tmp_path, whole[:-1] + b"\x02", {"mask": {"dtype": "BOOL", "shape": [3]}})
    with pytest.raises(ArtifactError, match="bool tensor 'mask'"):
        read_artifact(tmp_path, "mask", mmap=True)


def resign(folder: Path, tensors: bytes, specs: dict) -> None:
    """Give the artefact another tensor file, with hashes and sizes that are right for it."""
    content = json.loads((folder / "manifest.json").read_text())
    tensor_file(folder).unlink()
    content.update(size=len(tensors), sha256=hashlib.sha256(tensors).hexdigest(), tensors=specs)
    (folder / tensor_file_name(content["sha256"])).write_bytes(tensors)
    del content["manifest_sha256"]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    content["manifest_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(content))


class Crash(BaseException):
    """The process is gone: no handler of errors sees it."""


class Faults:
    """Lets `allowed` system calls of a save pass, then fails; after a crash, so does every later one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, allowed: int, error: type[BaseException]) -> None:
        self.left, self.error = allowed, error
        targets = [(os, name) for name in ("open", "close", "replace", "fsync", "unlink", "mkdir", "listdir")]
        targets += [
            (fcntl, "flock"),
            (files, "_write_tensors"),
            (Path, "write_bytes"),
            (Path, "unlink"),
        ]
        for owner, name in targets:
            monkeypatch.setattr(owner, name, self.failing(getattr(owner, name), name))

    def failing(self, call, name):
        def wrapped(*args, **kwargs):
            self.left -= 1
            if self.left < 0 and (self.left == -1 or self.error is Crash):
                if name == "_write_tensors":  # the disk is full half way
                    Path(args[0]).write_bytes(b"\x88")
                elif name == "write_bytes":
                    with open(args[0], "wb") as stream:
                        stream.write(args[1][:40])
                elif name == "close":
                    call(*args)  # Linux closes the descriptor even when it reports an error
                raise self.error(errno.ENOSPC, "No space left on device")
            return call(*args, **kwargs)

        return wrapped


@pytest.mark.parametrize("error", [OSError, Crash])
@pytest.mark.parametrize("replacing", [False, True], ids=["first", "replace"])
def test_a_failure_at_any_call_leaves_old_or_new(
    tmp_path: Path, error: type[BaseException], replacing: bool
) -> None:
    old_seen = new_seen = 0
    for allowed in range(200):
        folder = tmp_path / str(allowed)
        if replacing:
            write_artifact(folder, "mf", tensors_of(1), {"seed": 1})
        with pytest.MonkeyPatch.context() as monkeypatch:
            faults = Faults(monkeypatch, allowed, error)
            with contextlib.suppress(OSError, ArtifactError, Crash):
                write_artifact(folder, "mf", tensors_of(2), {"seed": 2})
        finished = faults.left >= 0
        try:
            found = read_artifact(folder, "mf")
        except ArtifactError:
            assert not replacing and not finished
            old_seen += 1
        else:
            seed = found.meta["seed"]
            assert seed == 2 or (replacing and not finished)
            assert_equal(found, tensors_of(seed))
            old_seen, new_seen = old_seen + (seed == 1), new_seen + (seed == 2)
        write_artifact(folder, "mf", tensors_of(3))  # whatever was left behind is no obstacle
        assert_equal(read_artifact(folder, "mf"), tensors_of(3))
        assert len(list(folder.iterdir())) == 2
        if finished:
            break
    assert finished
    assert old_seen > 5 and new_seen > 2


def test_readers_during_replacement_see_old_or_new(tmp_path: Path) -> None:
    contents = [tensors_of(seed) for seed in (1, 2)]
    write_artifact(tmp_path, "mf", contents[0], {"seed": 0})
    stop = threading.Event()

    def keep_writing() -> None:
        turn = 1
        while not stop.is_set():
            write_artifact(tmp_path, "mf", contents[turn], {"seed": turn})
            turn ^= 1

    writers = [threading.Thread(target=keep_writing) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        seen: set[int] = set()
        turn, deadline = 0, time.monotonic() + 60
        while (turn < 400 or seen != {0, 1}) and time.monotonic() < deadline:
            artifact = read_artifact(tmp_path, "mf", mmap=turn % 2 == 1)
            assert_equal(artifact, contents[artifact.meta["seed"]])
            seen.add(artifact.meta["seed"])
            turn += 1
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert seen == {0, 1}


def test_a_reader_starts_again_when_the_file_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_artifact(tmp_path, "mf", tensors_of(1))
    real_open, replaced = os.open, []

    def replacing_open(path, *args, **kwargs):
        if re.match(r"tensors-.*\.safetensors$", str(path)) and not replaced:
            replaced.append(path)
            write_artifact(tmp_path, "mf", tensors_of(2))
        return real_open(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", replacing_open)
    assert_equal(read_artifact(tmp_path, "mf"), tensors_of(2))
    assert replaced


def test_a_manifest_of_the_first_version_stays_readable() -> None:
    text = (
        b'{"format": "gpurec artifact", "schema_version": 1, "kind": "mf", "gpurec_version": "0.1.0", '
        b'"size": 8, "sha256": "' + b"0" * 64 + b'", "tensors": {}, "meta": {"a": 1}, '
        b'"manifest_sha256": "f8cd3a9db2b7c28660238f96f7af6cbeab7ac097c9f49f101183582e7a33f063"}'
    )
    manifest = parse_manifest(text, "mf")
    assert (manifest.size, manifest.tensors, manifest.meta) == (8, {}, {"a": 1})
    assert parse_manifest(encode_manifest(manifest), "mf") == manifest
    with pytest.raises(ArtifactError, match="edited"):
        parse_manifest(text.replace(b'"a": 1', b'"a": 2'), "mf")

"""Reads thousands of damaged and hostile artefacts: an ArtifactError or the right content, and little memory.

    python tests/fuzz/fuzz_artifacts.py [--n 5000] [--seed 0]

Half of the mutants are *signed*: the hashes and sizes in the manifest are made right again, as an attacker
would, so that the checks behind the hashes are reached. Those may load, and then every tensor must be what
the manifest says and lie inside the file. All others must be refused or give the very content that was
saved. Each mutant is read three ways: whole, mapped, and mapped with its hash. The work is done in a child
process with a cap on its address space, so a crash is seen and a huge allocation fails.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gpurec.artifacts import Artifact, ids_from_tensors, ids_to_tensors, read_artifact, write_artifact
from gpurec.artifacts.layout import DTYPES, tensor_file_name
from gpurec.errors import ArtifactError
from gpurec.types import IdMap

KIND = "fuzzed"
MB = 1 << 20
HOSTILE_JSON = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"[" * 400_000,
    b'{"a":' * 150_000,
    b"[" + b"[]," * 300_000 + b"[]]",
    b"[" + b'{"":0},' * 140_000 + b"0]",
    b'{"a":' + b"9" * 900_000 + b"}",
    b'{"a":1e999,"b":NaN}',
    b'{"\\ud800":1}',
    b"\xff\xfe{}",
    b'{"' + b"a" * (MB - 8) + b'":1}',
    b" " * (MB + 1),
]
HOSTILE_NUMBERS = [-1, 0, 1, 7, 2**31, 2**32, 2**53, 2**62, 2**63, 2**64, 10**30, -(2**63), 1.5, 4.0, 1e300]
HOSTILE_VALUES = [
    *HOSTILE_NUMBERS,
    True,
    None,
    "",
    "1",
    [],
    {},
    [[]],
    "../../etc/passwd",
    "/dev/zero",
    "\x00",
]
HOSTILE_SHAPES = [
    [2**32, 2**32],
    [2**63 - 1],
    [2**62, 4],
    [0, 2**62, 2**62],
    [3, 2**61, 2**61, 2**61, 8],
    [-1, -21],
    [1] * 9,
    [1] * 200_000,
    [7.0, 3],
    [True, 21],
    ["7", 3],
    [10**4000],
    7,
    {},
]


class Mutant:
    """An artefact on disk taken to pieces, to be changed and put together again."""

    def __init__(self, folder: Path, other: Path, pick: random.Random) -> None:
        self.folder, self.other, self.pick = folder, other, pick
        self.manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
        self.path = folder / tensor_file_name(self.manifest["sha256"])
        raw = self.path.read_bytes()
        length = int.from_bytes(raw[:8], "little")
        self.header: dict[str, Any] = json.loads(raw[8 : 8 + length])
        self.data = raw[8 + length :]

    def store(self, header: bytes | None = None, length: int | None = None, align: bool = True) -> None:
        """Write the parts back with sizes and hashes that are right for them."""
        if header is None:
            header = json.dumps(self.header).encode()
        if align:
            header += b" " * (-len(header) % 8)
        raw = (len(header) if length is None else length).to_bytes(8, "little") + header + self.data
        self.path.unlink(missing_ok=True)
        self.manifest.update(size=len(raw), sha256=hashlib.sha256(raw).hexdigest())
        (self.folder / tensor_file_name(self.manifest["sha256"])).write_bytes(raw)
        self.store_manifest()

    def store_manifest(self) -> None:
        self.manifest.pop("manifest_sha256", None)
        text = json.dumps(self.manifest, sort_keys=True, separators=(",", ":"))
        self.manifest["manifest_sha256"] = hashlib.sha256(text.encode()).hexdigest()
        (self.folder / "manifest.json").write_text(json.dumps(self.manifest))

    def any_file(self) -> Path:
        return self.pick.choice([self.path, self.folder / "manifest.json"])


def flip_bits(m: Mutant) -> None:
    file = m.any_file()
    raw = bytearray(file.read_bytes())
    for _ in range(m.pick.choice([1, 1, 2, 8])):
        raw[m.pick.randrange(len(raw))] ^= 1 << m.pick.randrange(8)
    file.write_bytes(raw)


def cut_or_grow(m: Mutant) -> None:
    file = m.any_file()
    raw = file.read_bytes()
    keep = m.pick.choice([0, 1, 7, 8, 9, len(raw) - 1, m.pick.randrange(len(raw))])
    tail = m.pick.choice([b"", b"\x00", b" ", raw, m.pick.randbytes(100)])
    file.write_bytes(m.pick.choice([raw[:keep], raw + tail, raw[keep:], raw[:keep] + tail]))


def enlarge_sparsely(m: Mutant) -> None:
    os.truncate(m.any_file(), m.pick.choice([2**31, 2**36, 2**40]))


def write_garbage(m: Mutant) -> None:
    m.any_file().write_bytes(m.pick.choice([*HOSTILE_JSON, m.pick.randbytes(m.pick.randrange(5000))]))


def swap_files(m: Mutant) -> None:
    """Parts of another artefact of the same kind, under the names that this one's files have."""
    other_manifest = json.loads((m.other / "manifest.json").read_bytes())
    source = m.pick.choice(["manifest.json", tensor_file_name(other_manifest["sha256"])])
    target = m.folder / "manifest.json" if source == "manifest.json" else m.path
    shutil.copy(m.other / source, target)


def replace_by_special(m: Mutant) -> None:
    file = m.any_file()
    raw = file.read_bytes()
    file.unlink()
    what = m.pick.choice(["nothing", "folder", "pipe", "link", "dangling", "loop", "device"])
    if what == "folder":
        file.mkdir()
    elif what == "pipe":
        os.mkfifo(file)
    elif what == "link":
        elsewhere = m.folder / "elsewhere"
        elsewhere.write_bytes(raw)
        file.symlink_to(elsewhere)
    elif what != "nothing":
        file.symlink_to({"dangling": "/nonexistent/file", "loop": file.name, "device": "/dev/zero"}[what])


def edit_manifest(m: Mutant) -> None:
    """Change a field without making the manifest's hash right."""
    target = m.pick.choice([m.manifest, m.manifest["meta"], m.manifest["tensors"]])
    key = m.pick.choice(list(target))
    target[key] = m.pick.choice([value for value in HOSTILE_VALUES if value != target[key]])
    (m.folder / "manifest.json").write_text(json.dumps(m.manifest))


def sign_manifest(m: Mutant) -> None:
    key = m.pick.choice([key for key in m.manifest if key != "manifest_sha256"])
    if m.pick.random() < 0.2:
        m.manifest["schema_version"] = m.pick.choice([0, 2, 99, 2**70, "1", 1.0, True])
    elif m.pick.random() < 0.2:
        m.manifest[m.pick.choice(["file", "files", "path"])] = "../../etc/passwd"
    elif m.pick.random() < 0.2:
        del m.manifest[key]
    else:
        m.manifest[key] = m.pick.choice(HOSTILE_VALUES)
    m.store_manifest()


def sign_meta(m: Mutant) -> None:
    m.manifest["meta"] = json.loads(
        m.pick.choice(['{"a":[]}', '{"a":' * 400 + "0" + "}" * 400, '{"a":"\\u0000"}'])
    )
    m.store_manifest()


def sign_spec(m: Mutant) -> None:
    """Lies about dtype and shape, in the manifest, the header, or both alike."""
    name = m.pick.choice(list(m.header))
    field, lie = m.pick.choice(
        [
            ("shape", m.pick.choice(HOSTILE_SHAPES)),
            ("dtype", m.pick.choice([*DTYPES, "BF16", "C64", "F8", "f32", ""])),
        ]
    )
    for entries in m.pick.choice([[m.manifest["tensors"]], [m.header], [m.manifest["tensors"], m.header]]):
        entries[name][field] = lie
    m.store()


def sign_offsets(m: Mutant) -> None:
    first, second = m.pick.sample(list(m.header), 2)
    begin, end = m.header[first]["data_offsets"]
    m.header[first]["data_offsets"] = m.pick.choice(
        [
            [begin + 8, end + 8],
            [begin - 8, end - 8],
            [begin, m.pick.choice(HOSTILE_NUMBERS)],
            [m.pick.choice(HOSTILE_NUMBERS), end],
            [end, begin],
            [begin - 2**64, end - 2**64],
            [2**64 + begin, 2**64 + end],
            [float(begin), end],
            [begin],
            [begin, end, end],
            m.header[second]["data_offsets"],
            m.pick.choice(HOSTILE_VALUES),
        ]
    )
    m.store()


def sign_tensor_list(m: Mutant) -> None:
    name = m.pick.choice(list(m.header))
    entry = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    extra = m.pick.choice(["x", "__metadata__", "../x", "", "x" * 5000, "\u0000", "ü"])
    action = m.pick.choice(["drop", "add", "rename", "many", "metadata"])
    if action == "drop":
        del m.header[name]
    elif action == "rename":
        m.header[extra] = m.header.pop(name)
    elif action == "metadata":
        m.header["__metadata__"] = {"format": "np"}
    else:
        names = [extra] if action == "add" else [f"t{i}" for i in range(m.pick.choice([60, 70, 10_000]))]
        for added in names:
            m.header[added] = dict(entry)
            if m.pick.random() < 0.9 or action == "many":
                m.manifest["tensors"][added] = {"dtype": "U8", "shape": [0]}
    if m.pick.random() < 0.5:
        m.manifest["tensors"] = {
            name: {key: spec.get(key) for key in ("dtype", "shape")} for name, spec in m.header.items()
        }
    m.store()


def sign_header_text(m: Mutant) -> None:
    text = json.dumps(m.header)
    double = text[:-1] + "," + text[1:]
    m.store(m.pick.choice([*HOSTILE_JSON, double.encode(), b" " + text.encode(), text.encode() + b"x"]))


def sign_header_length(m: Mutant) -> None:
    header = json.dumps(m.header).encode()
    honest = len(header)
    lies = [0, 1, honest - 8, honest + 8, honest + len(m.data), MB, MB + 1, 2**31, 2**32, 2**63, 2**64 - 1]
    m.store(header, m.pick.choice(lies), align=m.pick.random() < 0.5)


def sign_misaligned(m: Mutant) -> None:
    m.store(json.dumps(m.header).encode() + b" " * m.pick.randrange(16), align=False)


def sign_data(m: Mutant) -> None:
    """Other bytes of the right length: nonsense ids, offsets that run backwards, bools that are neither."""
    raw = bytearray(m.data)
    for _ in range(m.pick.choice([1, 4, 100])):
        raw[m.pick.randrange(len(raw))] = m.pick.randrange(256)
    m.data = m.pick.choice(
        [bytes(raw), m.pick.randbytes(len(raw)), b"\xff" * len(raw), m.data[:-8], m.data + m.data]
    )
    m.store()


UNSIGNED: list[Callable[[Mutant], None]] = [
    flip_bits,
    flip_bits,
    cut_or_grow,
    enlarge_sparsely,
    write_garbage,
    swap_files,
    replace_by_special,
    edit_manifest,
]
SIGNED: list[Callable[[Mutant], None]] = [
    sign_manifest,
    sign_meta,
    sign_spec,
    sign_spec,
    sign_offsets,
    sign_tensor_list,
    sign_header_text,
    sign_header_length,
    sign_misaligned,
    sign_data,
]


def content(seed: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    generator = np.random.default_rng(seed)
    ids, ids_meta = ids_to_tensors("item_ids", IdMap([f"item {i}" for i in range(40)] + [1, ("a", None)]))
    tensors = {
        "factors": generator.standard_normal((7, 3)).astype(np.float32),
        "rows": generator.integers(0, 100, 5),
        "seen": generator.random(9) < 0.5,
        "scale": np.array(generator.random()),
        "codes": generator.integers(-127, 127, (6, 5)).astype(np.int8),
        "empty": np.zeros((0, 4), dtype=np.float16),
    }
    return {**tensors, **ids}, {"n_factors": 3, "rate": 0.05, "name": "mf ü", **ids_meta}


def check(artifact: Artifact, signed: bool, verified: bool, originals: list[tuple[dict, dict]]) -> None:
    """Whether what was loaded may have been loaded."""
    for tensor in artifact.tensors.values():
        assert tensor.dtype in DTYPES.values() and tensor.flags.aligned
        assert tensor.nbytes == math.prod(tensor.shape) * tensor.itemsize < MB
        assert tensor.tobytes() is not None
    if not signed:
        matches = [
            (tensors, meta)
            for tensors, meta in originals
            if artifact.meta == meta and artifact.tensors.keys() == tensors.keys()
        ]
        assert matches, "another content"
        equal = [
            all(
                tensor.dtype == artifact.tensors[name].dtype
                and tensor.shape == artifact.tensors[name].shape
                and (not verified or tensor.tobytes() == artifact.tensors[name].tobytes())
                for name, tensor in tensors.items()
            )
            for tensors, _ in matches
        ]
        assert any(equal), "other tensors"
    ids_from_tensors("item_ids", artifact.tensors, artifact.meta)


def fuzz(n: int, seed: int) -> dict[str, Any]:
    """Read `n` mutants in this process; counts of what happened."""
    address_space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (address_space + 512 * MB, resource.RLIM_INFINITY))
    outcomes: Counter[str] = Counter()
    worst = 0.0
    with tempfile.TemporaryDirectory() as base:
        originals = [content(1), content(2)]
        pristine = [Path(base) / "one", Path(base) / "two"]
        for folder, (tensors, meta) in zip(pristine, originals):
            write_artifact(folder, KIND, tensors, meta)
        tracemalloc.start()
        for number in range(n):
            pick = random.Random(f"{seed} {number}")
            mutate = pick.choice(UNSIGNED if number % 2 else SIGNED)
            folder = Path(base) / "mutant"
            shutil.copytree(pristine[0], folder)
            mutate(Mutant(folder, pristine[1], pick))
            stats = [entry.lstat() for entry in folder.iterdir()]
            on_disk = sum(min(stat.st_size, 512 * stat.st_blocks) for stat in stats)  # holes do not count
            allowed = 2 * on_disk + 64 * MB
            for options in ({}, {"mmap": True}, {"mmap": True, "verify": True}):
                tracemalloc.reset_peak()
                before = tracemalloc.get_traced_memory()[0]
                try:
                    artifact = read_artifact(folder, KIND, **options)
                    check(artifact, number % 2 == 0, options != {"mmap": True}, originals)
                    outcome = "loaded"
                    del artifact
                except ArtifactError as error:
                    assert str(error).startswith("[load] expected ") and len(str(error)) < 2000
                    outcome = "refused"
                except Exception as error:
                    raise AssertionError(f"mutant {number}: {mutate.__name__}, {options}") from error
                peak = tracemalloc.get_traced_memory()[1] - before
                assert peak <= allowed, f"mutant {number} ({mutate.__name__}) took {peak} bytes"
                worst = max(worst, peak)
                outcomes[f"{mutate.__name__} {outcome}"] += 1
            shutil.rmtree(folder)
    return {"mutants": n, "seed": seed, "worst_peak_mb": round(worst / MB, 1), "outcomes": dict(outcomes)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(fuzz(arguments.n, arguments.seed)))
        return 0
    command = [sys.executable, __file__, "--child", "--n", str(arguments.n), "--seed", str(arguments.seed)]
    child = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if child.returncode:
        print(f"fuzz_artifacts: failed with status {child.returncode} (negative: killed by that signal)")
        return 1
    result = json.loads(child.stdout)
    for name, count in sorted(result["outcomes"].items()):
        print(f"{name:30} {count:6}")
    print(
        f"{result['mutants']} mutants (seed {result['seed']}), each read 3 ways: no crash, no wrong content;"
    )
    print(f"largest allocation {result['worst_peak_mb']} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())

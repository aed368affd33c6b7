"""The ways in which a fuzzed artefact is damaged, or edited with its hashes made right again."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpurec.artifacts.layout import DTYPES, tensor_file_name

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

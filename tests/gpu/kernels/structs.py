"""The structs that kernels are told things by, read from their header."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path
from typing import Any

HEADER = Path(__file__).parents[3] / "csrc" / "cuda" / "device" / "params.hpp"


def _read(text: str) -> dict[str, Any]:
    text = re.sub(r"//[^\n]*", "", text)
    constants = {name: int(value, 0) for name, value in re.findall(r"constexpr \w+ (\w+) = (\d+)", text)}
    found: dict[str, Any] = {}
    for name, body in re.findall(r"struct (\w+) \{(.*?)\};", text, re.S):
        fields: list[tuple[str, Any]] = []
        for line in body.split(";"):
            words = line.strip()
            if not words:
                continue
            of, field = re.fullmatch(r"(.*?)(\w+(?:\[\w+\])?)", words, re.S).groups()
            kind: Any = ctypes.c_uint64 if "*" in of else ctypes.c_int64
            if of.strip() == "double":
                kind = ctypes.c_double
            if of.strip() in found:
                kind = found[of.strip()]
            if "[" in field:
                field, n = field[:-1].split("[")
                kind = kind * constants[n]
            fields.append((field, kind))
        found[name] = type(name, (ctypes.Structure,), {"_fields_": fields})
    return found


STRUCTS = _read(HEADER.read_text())
NO_ROW = 0xFFFFFFFF
TILE = 64
METRICS = {"dot": 0, "cosine": 1, "pearson": 2, "euclidean": 3}
N_COUNTERS = 16
COUNTERS = [
    "tiles_scanned",
    "tiles_skipped",
    "candidates",
    "rescored",
    "overflows",
    "suppositions_refuted",
    "exact_queries",
    "compressions",
    "denied",
]
